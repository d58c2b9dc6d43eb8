package main

import (
	"fmt"
	"strings"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

// replacing is a result together with what had to make way for it.
type replacing struct {
	*result
	// Replaced are the certificates that are no longer in the folder as they
	// were; their files are where they lie now.
	Replaced []certificate `json:"replaced,omitempty"`
}

// printReplacing is result.print for a command that may have replaced a CA. It
// says what the CA took with it.
func (r *result) printReplacing(env *cliapp.Env, opts commonOptions, ws *workspace.Workspace) error {
	gone := ws.Replaced()
	document := replacing{result: r}
	for _, e := range gone.Entries {
		document.Replaced = append(document.Replaced, newCertificate(gone.Dir, e))
	}
	noteReplaced(env, opts, ws, gone)
	return printResult(env, opts, document, r.render(env.Now()))
}

// noteReplaced tells a person what was moved away. A certificate that another of
// its name replaces is not worth a word: that was asked for.
func noteReplaced(env *cliapp.Env, opts commonOptions, ws *workspace.Workspace, gone workspace.Replaced) {
	var again, below []string
	var chain bool
	for _, e := range gone.Entries {
		chain = chain || e.Profile == pki.ProfileRoot || e.Profile == pki.ProfileIntermediate
		if _, err := ws.Lookup(e.Name); err == nil {
			again = append(again, e.Name)
		} else {
			below = append(below, e.Name)
		}
	}
	what := someNames(again)
	if len(below) > 0 {
		what += ", and what was issued by them: " + someNames(below)
	}
	if len(below) > 0 || chain && len(again) > 1 {
		notef(env, opts, "moved to %s: %s", gone.Dir, what)
	}
}

// someNames lists names, not too many of them.
func someNames(names []string) string {
	const limit = 12
	if more := len(names) - limit; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:limit], ", "), more)
	}
	return strings.Join(names, ", ")
}

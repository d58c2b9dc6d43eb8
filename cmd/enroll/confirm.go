package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
)

// deleteEach deletes the named things one after the other, after a
// confirmation. A failure does not keep the others from being deleted: it is
// told, and the exit code says that a part failed. When nothing could be
// deleted the first failure is returned.
func deleteEach(env *cliapp.Env, ep *endpoint, kind string, names []string, yes bool, remove func(name string) error) error {
	if ep.dryRun == nil {
		if err := confirm(env, fmt.Sprintf("delete %s %s", kind, quoteAll(names)), ep.host, yes); err != nil {
			return err
		}
	}
	var failed []error
	for _, name := range names {
		switch err := remove(name); {
		case err == nil:
			env.Notef("deleted %s %q", kind, name)
		case ep.finish(err) == nil: // a dry run
		case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
			return err
		default:
			failed = append(failed, err)
		}
	}
	if len(failed) == 0 {
		return nil
	}
	if len(failed) == len(names) && len(names) == 1 {
		return failed[0]
	}
	for _, err := range failed {
		env.Notef("%v", err)
	}
	if len(failed) == len(names) {
		return failed[0]
	}
	return cliapp.WithCode(fmt.Errorf("%d of %d could not be deleted", len(failed), len(names)), cliapp.ExitPartial)
}

func quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = fmt.Sprintf("%q", n)
	}
	return strings.Join(quoted, ", ")
}

// confirm asks at a terminal; elsewhere --yes is needed, so that a script
// deletes nothing by accident.
func confirm(env *cliapp.Env, what, host string, yes bool) error {
	if yes {
		return nil
	}
	if host != "" {
		what += " at " + host
	}
	if !env.InTTY {
		return cliapp.WithHint(cliapp.WithCode(fmt.Errorf("%s: not confirmed", what), cliapp.ExitUsage), "add --%s", flagYes)
	}
	fmt.Fprintf(env.Err, "%s? [y/N] ", cliapp.Printable(what))
	line, _ := bufio.NewReader(env.In).ReadString('\n')
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return nil
	}
	return fmt.Errorf("%s: not confirmed", what)
}

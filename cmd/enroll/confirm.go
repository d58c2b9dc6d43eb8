package main

import (
	"bufio"
	"fmt"
	"strings"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
)

// deleteEach deletes the named things one after the other, after a
// confirmation. It stops at the first failure and says what was deleted.
func deleteEach(env *cliapp.Env, ep *endpoint, kind string, names []string, yes bool, remove func(name string) error) error {
	if ep.dryRun == nil {
		if err := confirm(env, fmt.Sprintf("delete %s %s", kind, quoteAll(names)), ep.host, yes); err != nil {
			return err
		}
	}
	for _, name := range names {
		if err := remove(name); err != nil {
			if err := ep.finish(err); err != nil {
				return err
			}
			continue
		}
		env.Notef("deleted %s %q", kind, name)
	}
	return nil
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

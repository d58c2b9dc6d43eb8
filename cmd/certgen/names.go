package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

const flagName = "name"

// nameFlag lets a person choose what the folder and its files call a
// certificate; def is what they call it otherwise.
func nameFlag(def string) cli.Flag {
	return &cli.StringSliceFlag{
		Name: flagName,
		Usage: "call it `NAME` in the folder and its files, instead of " + def +
			"; give more names to have it written under each of them",
	}
}

// readNames reads the names of the one certificate that a command makes. An
// empty list leaves the name to the workspace.
func readNames(c *cli.Context) ([]string, error) {
	names := c.StringSlice(flagName)
	if len(names) == 0 {
		return nil, nil
	}
	seen := map[string]bool{}
	for _, name := range names {
		key := strings.ToLower(name)
		switch {
		case name == "":
			return nil, cliapp.Usagef("--%s is empty", flagName)
		case seen[key]:
			return nil, cliapp.Usagef("--%s %q is given twice", flagName, name)
		}
		seen[key] = true
	}
	return names, nil
}

// setNames puts the chosen names into what the library is asked for.
func setNames(o *workspace.IssueOptions, names []string) {
	if len(names) > 0 {
		o.Name, o.Aliases = names[0], names[1:]
	}
}

// withAliases lists the further names of the one certificate that was made.
func withAliases(issued []workspace.Issued, names []string) []workspace.Issued {
	if len(names) < 2 {
		return issued
	}
	for _, name := range names[1:] {
		issued = append(issued, workspace.Issued{Name: name, Bundle: issued[0].Bundle})
	}
	return issued
}

// completeNames offers the names in the folder to a completion script.
func completeNames(env *cliapp.Env) cli.BashCompleteFunc {
	return func(c *cli.Context) {
		dir := readDir(env, c)
		if _, err := os.Stat(dir); err != nil {
			return
		}
		ws, err := workspace.Open(dir)
		if err != nil {
			return // this is no place for messages
		}
		for _, e := range ws.Entries() {
			if !strings.HasPrefix(e.Name, "-") {
				fmt.Fprintln(env.Out, e.Name)
			}
		}
	}
}

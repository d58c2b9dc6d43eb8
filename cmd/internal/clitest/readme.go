package clitest

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v2"
)

var update = flag.Bool("update", false, "rewrite the generated parts of the README")

// CheckReadme holds the list of the program's commands in the README, between
// the marks `<!-- commands of PROGRAM -->` and `<!-- end -->`, against the
// command tree. With the flag -update it rewrites the list instead.
func CheckReadme(t *testing.T, program, readme string, app *cli.App) {
	t.Helper()
	begin, end := fmt.Sprintf("<!-- commands of %s -->\n", program), "<!-- end -->"
	data, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(data), begin)
	got, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no %q … %q", readme, begin, end)
	}
	want := commandTable(program, app.Commands)
	if *update {
		if err := os.WriteFile(readme, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the command list in %s is stale: run go test ./cmd/%s -run Readme -update (-want +got):\n%s", readme, program, diff)
	}
}

// commandTable lists the leaf commands with what they are for.
func commandTable(program string, commands []*cli.Command) string {
	var b strings.Builder
	b.WriteString("| command | |\n|---|---|\n")
	var walk func(path string, commands []*cli.Command)
	walk = func(path string, commands []*cli.Command) {
		for _, c := range commands {
			name := path + " " + c.Name
			if c.Hidden {
				continue
			}
			if len(c.Subcommands) > 0 {
				walk(name, c.Subcommands)
				continue
			}
			if c.ArgsUsage != "" {
				name += " " + c.ArgsUsage
			}
			fmt.Fprintf(&b, "| `%s` | %s |\n", strings.ReplaceAll(name, "|", `\|`), c.Usage)
		}
	}
	walk(program, commands)
	return b.String()
}

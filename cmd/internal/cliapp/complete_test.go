package cliapp_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
)

// Words are completed, and whatever stands there, no command runs.
func TestComplete(t *testing.T) {
	tests := []struct {
		words string
		want  string
	}{
		{"", "group version completion"},
		{"g", ""}, // the scripts leave out what is being typed
		{"-", "--generate --out --version --help"},
		{"--ge", "--generate"},
		{"group", "show list"},
		{"group show", "NAMES:"},
		{"group show x", "NAMES:"},
		{"group show --f", "--force"},
		{"group show x --f", "--force"},
		{"group show --out", ""}, // a file, which the shell knows better
		{"group show --out x", "NAMES:x"},
		{"group show --out=x", "NAMES:x"},
		{"group show --out 'a b'", "NAMES:a b"},
		{`group show --out a\ b`, "NAMES:a b"},
		{`group show --out "a'b"`, "NAMES:a'b"},
		{`group show --out C:\x`, `NAMES:C:\x`},
		{"group show --out ~/x", "NAMES:/home/me/x"},
		{"group show --force", "NAMES:"},
		{"group show --days many", ""},
		{"group show --", "NAMES:"},
		{"group show -- --f", "NAMES:"},
		{"group show --out x -- y", "NAMES:x"},
		{"group list", ""},
		{"group list -- x", ""},
		{"group unknown", ""},
		{"--generate -- x", ""},
		{"completion", "bash zsh fish pwsh"},
	}
	for _, tt := range tests {
		t.Run(tt.words, func(t *testing.T) {
			var ran got
			program := testProgram(&ran, nil)
			build := program.New
			program.New = func(env *cliapp.Env) *cli.App {
				app := build(env)
				app.Commands[0].Subcommands[0].BashComplete = func(c *cli.Context) { fmt.Fprintln(env.Out, "NAMES:"+c.String("out")) }
				return app
			}
			var out, errOut bytes.Buffer
			env := &cliapp.Env{Out: &out, Err: &errOut, Getenv: func(name string) string {
				return map[string]string{"HOME": "/home/me"}[name]
			}}
			// A quoted blank is one word.
			words := strings.Split(strings.ReplaceAll(strings.ReplaceAll(tt.words, `a\ b`, `a\_b`), "'a b'", "'a_b'"), " ")
			for i := range words {
				words[i] = strings.ReplaceAll(strings.ReplaceAll(words[i], `a\_b`, `a\ b`), "'a_b'", "'a b'")
			}
			if tt.words == "" {
				words = nil
			}
			code := program.Run(context.Background(), env, append(words, "--generate-bash-completion"))
			got := strings.Join(strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n"), " ")
			if diff := cmp.Diff(tt.want, got); code != 0 || errOut.Len() > 0 || ran.Name != "" || diff != "" {
				t.Errorf("exit code %d, stderr %q, ran %q; words (-want +got):\n%s", code, errOut.String(), ran.Name, diff)
			}
		})
	}
}

package cliapp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
)

// got is what the command of the test program was called with.
type got struct {
	Name string
	Args []string
	Out  string
	SANs []string
	Gen  bool
}

var errMissing = errors.New("gone")

func testProgram(g *got, result error) cliapp.Program {
	note := func(c *cli.Context) error {
		g.Name, g.Args, g.Out, g.SANs, g.Gen = c.Command.Name, c.Args().Slice(), c.String("out"), c.StringSlice("san"), c.Bool("generate")
		return result
	}
	return cliapp.Program{
		Name: "prog",
		New: func(*cliapp.Env) *cli.App {
			return &cli.App{
				Flags:  []cli.Flag{&cli.BoolFlag{Name: "generate"}, &cli.StringFlag{Name: "out"}},
				Action: note,
				Commands: []*cli.Command{
					{Name: "group", Subcommands: []*cli.Command{
						{Name: "show", Before: cliapp.ExactArgs("ID"), Action: note, Flags: []cli.Flag{
							&cli.StringFlag{Name: "out"}, &cli.StringSliceFlag{Name: "san"}, &cli.BoolFlag{Name: "force"},
							&cli.IntFlag{Name: "days"},
							cliapp.OutputFlag("", cliapp.FormatTable, cliapp.FormatJSON, cliapp.FormatTSV),
						}},
						{Name: "list", Action: note},
					}},
				},
			}
		},
		Classify: func(err error) (int, []string) {
			if errors.Is(err, errMissing) {
				return cliapp.ExitNotFound, []string{"look elsewhere"}
			}
			return 0, nil
		},
	}
}

func run(p cliapp.Program, env *cliapp.Env, args ...string) (code int, stdout, stderr string) {
	var out, errOut bytes.Buffer
	if env == nil {
		env = &cliapp.Env{}
	}
	env.In, env.Out, env.Err = strings.NewReader(""), &out, &errOut
	if env.Getenv == nil {
		env.Getenv = func(string) string { return "" }
	}
	env.Now = func() time.Time { return time.Unix(0, 0) }
	code = p.Run(context.Background(), env, args)
	return code, out.String(), errOut.String()
}

func TestArguments(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want got
	}{
		{"flags behind the argument", []string{"group", "show", "g1", "--out", "x"}, got{Name: "show", Args: []string{"g1"}, Out: "x"}},
		{"flags around the argument", []string{"group", "show", "--force", "g1", "--out=x"}, got{Name: "show", Args: []string{"g1"}, Out: "x"}},
		{"argument that looks like a flag", []string{"group", "show", "--out", "x", "--", "--force"}, got{Name: "show", Args: []string{"--force"}, Out: "x"}},
		{"argument named help", []string{"group", "show", "help"}, got{Name: "show", Args: []string{"help"}}},
		{"argument named h", []string{"group", "show", "--", "h"}, got{Name: "show", Args: []string{"h"}}},
		{"a value with a comma stays whole", []string{"group", "show", "g1", "--san", "CN=a,O=b"}, got{Name: "show", Args: []string{"g1"}, SANs: []string{"CN=a,O=b"}}},
		{"flag of the program", []string{"--generate", "--out", "x"}, got{Name: "prog", Out: "x", Gen: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var g got
			code, _, stderr := run(testProgram(&g, nil), nil, tt.args...)
			if code != 0 {
				t.Fatalf("exit code = %d, stderr %q", code, stderr)
			}
			if len(g.Args) == 0 {
				g.Args = nil
			}
			if len(g.SANs) == 0 {
				g.SANs = nil
			}
			if diff := cmp.Diff(tt.want, g); diff != "" {
				t.Errorf("call (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEmptyVariableCountsAsNotSet(t *testing.T) {
	for value, want := range map[string]string{"": "default", "x": "x"} {
		t.Setenv("PROG_DIR", value)
		var got string
		p := cliapp.Program{Name: "prog", New: func(*cliapp.Env) *cli.App {
			return &cli.App{Commands: []*cli.Command{{
				Name:  "go",
				Flags: []cli.Flag{&cli.StringFlag{Name: "dir", Value: "default", EnvVars: []string{"PROG_DIR"}}},
				Action: func(c *cli.Context) error {
					got = c.String("dir")
					return nil
				},
			}}}
		}}
		if code, _, stderr := run(p, nil, "go"); code != 0 || got != want {
			t.Errorf("PROG_DIR=%q: exit code %d (%s), dir %q, want %q", value, code, stderr, got, want)
		}
	}
}

func TestUsageErrors(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"unknown command", []string{"nothing"}, `prog: error: unknown command "nothing"` + "\nprog: hint: see 'prog --help'\n"},
		{"misspelt command", []string{"grup", "show"}, `prog: error: unknown command "grup": did you mean "group"?` + "\nprog: hint: see 'prog --help'\n"},
		{"misspelt subcommand", []string{"group", "shwo"}, `prog: error: unknown command "shwo": did you mean "show"?` + "\nprog: hint: see 'prog group --help'\n"},
		{"missing argument", []string{"group", "show"}, "prog: error: missing argument ID\nprog: hint: see 'prog group show --help'\n"},
		{"empty argument", []string{"group", "show", ""}, "prog: error: an argument is empty\nprog: hint: see 'prog group show --help'\n"},
		{"extra argument", []string{"group", "show", "a", "b"}, `prog: error: unexpected argument "b"` + "\nprog: hint: see 'prog group show --help'\n"},
		{"argument where none goes", []string{"group", "list", "a"}, `prog: error: unexpected argument "a"` + "\nprog: hint: see 'prog group list --help'\n"},
		{"unknown flag", []string{"group", "show", "g", "--zzzzz"}, "prog: error: unknown flag --zzzzz\nprog: hint: see 'prog group show --help'\n"},
		{"misspelt flag", []string{"group", "show", "g", "--forse"}, "prog: error: unknown flag --forse: did you mean --force?\nprog: hint: see 'prog group show --help'\n"},
		{"flag without its value", []string{"group", "show", "g", "--out"}, "prog: error: flag --out needs a value\nprog: hint: see 'prog group show --help'\n"},
		{"empty value", []string{"group", "show", "g", "--out", ""}, "prog: error: flag --out has an empty value\nprog: hint: see 'prog group show --help'\n"},
		{"empty value behind =", []string{"group", "show", "g", "--out="}, "prog: error: flag --out has an empty value\nprog: hint: see 'prog group show --help'\n"},
		{"not a number", []string{"group", "show", "g", "--days", "x"}, `prog: error: invalid value "x" for flag --days` + "\nprog: hint: see 'prog group show --help'\n"},
		{"bad format", []string{"group", "show", "g", "-o", "xml"}, `prog: error: invalid --output "xml": want table, json, tsv` + "\nprog: hint: see 'prog group show --help'\n"},
		{"flag of the program before a command", []string{"--out", "x", "group", "list"}, `prog: error: flag --out before the command "group": put the flags after the command` + "\nprog: hint: see 'prog --help'\n"},
		{"flag of a command before it", []string{"--days", "3", "group", "show", "x"}, `prog: error: flag --days before the command "group": put the flags after the command` + "\nprog: hint: see 'prog --help'\n"},
		{"not a boolean", []string{"group", "show", "g", "--force=x"}, `prog: error: invalid boolean value "x" for --force` + "\nprog: hint: see 'prog group show --help'\n"},
		{"a value behind a flag without one", []string{"group", "show", "--force", "true"}, `prog: error: argument "true" behind --force: ` +
			"a value of a flag stands behind =, as in --force=true; what has this name stands behind --\nprog: hint: see 'prog group show --help'\n"},
		{"unknown flag before true", []string{"group", "show", "--zzzzz", "true"}, "prog: error: unknown flag --zzzzz\nprog: hint: see 'prog group show --help'\n"},
		{"unknown shell", []string{"completion", "tcsh"}, `prog: error: unknown shell "tcsh": want bash, zsh, fish or pwsh` + "\nprog: hint: see 'prog completion --help'\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var g got
			code, stdout, stderr := run(testProgram(&g, nil), nil, tt.args...)
			if code != cliapp.ExitUsage {
				t.Errorf("exit code = %d, want %d", code, cliapp.ExitUsage)
			}
			if stdout != "" {
				t.Errorf("stdout = %q, want nothing", stdout)
			}
			if diff := cmp.Diff(tt.want, stderr); diff != "" {
				t.Errorf("stderr (-want +got):\n%s", diff)
			}
			if g.Name != "" {
				t.Errorf("command %q ran", g.Name)
			}
		})
	}
}

func TestExitCodesAndHints(t *testing.T) {
	tests := []struct {
		name string
		err  error
		code int
		want string
	}{
		{"plain", errors.New("x"), 1, "prog: error: x\n"},
		{"classified", fmt.Errorf("show it: %w", errMissing), 3, "prog: error: show it: gone\nprog: hint: look elsewhere\n"},
		{"explicit code wins", cliapp.WithCode(errMissing, 6), 6, "prog: error: gone\nprog: hint: look elsewhere\n"},
		{"explicit hint wins", cliapp.WithHint(errMissing, "try %s", "this"), 3, "prog: error: gone\nprog: hint: try this\n"},
		{"both, wrapped", fmt.Errorf("a: %w", cliapp.WithHint(cliapp.WithCode(errors.New("b"), 5), "h")), 5, "prog: error: a: b\nprog: hint: h\n"},
		{"interrupted", fmt.Errorf("a: %w", context.Canceled), 130, "prog: interrupted\n"},
		{"interrupted, with a way on", cliapp.WithHint(fmt.Errorf("a: %w", context.Canceled), "again"), 130, "prog: interrupted\nprog: hint: again\n"},
		{"out of time", fmt.Errorf("a: %w", context.DeadlineExceeded), 7, "prog: error: a: context deadline exceeded\n"},
		{"one line", errors.New("a\nb\x1b[31m"), 1, `prog: error: a; b\u001b[31m` + "\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var g got
			code, stdout, stderr := run(testProgram(&g, tt.err), nil, "group", "list")
			if code != tt.code || stdout != "" {
				t.Errorf("exit code %d, stdout %q; want %d and nothing", code, stdout, tt.code)
			}
			if diff := cmp.Diff(tt.want, stderr); diff != "" {
				t.Errorf("stderr (-want +got):\n%s", diff)
			}
		})
	}
	if err := cliapp.WithHint(nil, "x"); err != nil {
		t.Errorf("WithHint(nil) = %v", err)
	}
}

func TestHelpGoesToStdout(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"group", "--help"}, {"group"}, {"group", "show", "--help"}, {"version"}} {
		var g got
		code, stdout, stderr := run(testProgram(&g, nil), nil, args...)
		if code != 0 || stdout == "" || stderr != "" {
			t.Errorf("%v: exit code %d, stdout %q, stderr %q", args, code, stdout, stderr)
		}
	}
}

// The version is there as a command and as a flag.
func TestVersion(t *testing.T) {
	var g got
	for _, args := range [][]string{{"version"}, {"--version"}} {
		if code, stdout, stderr := run(testProgram(&g, nil), nil, args...); code != 0 || stderr != "" ||
			!strings.HasPrefix(stdout, "prog "+cliapp.Version()+" ") || strings.Count(stdout, "\n") != 1 {
			t.Errorf("%q: exit code %d, stdout %q, stderr %q", args, code, stdout, stderr)
		}
	}
	for _, args := range [][]string{{"--version", "x"}, {"--version", "group"}, {"group", "list", "--version"}, {"--version=maybe"}} {
		if code, stdout, _ := run(testProgram(&g, nil), nil, args...); code != cliapp.ExitUsage || stdout != "" {
			t.Errorf("%q: exit code %d, stdout %q", args, code, stdout)
		}
	}
	if g.Name != "" {
		t.Errorf("%q ran", g.Name)
	}
}

func TestCompletionScripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "pwsh"} {
		var g got
		code, stdout, stderr := run(testProgram(&g, nil), nil, "completion", shell)
		if code != 0 || !strings.Contains(stdout, "prog") || strings.Contains(stdout, "@PROG@") {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q", shell, code, stdout, stderr)
		}
	}
}

func TestSecret(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "pw")
	if err := os.WriteFile(file, []byte("from file\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := func(tty bool) *cliapp.Env {
		return &cliapp.Env{
			In: strings.NewReader("from stdin\n"), Err: &bytes.Buffer{}, InTTY: tty,
			Getenv:       func(name string) string { return map[string]string{"PW": "from env"}[name] },
			ReadPassword: func() ([]byte, error) { return []byte("from prompt"), nil },
		}
	}
	tests := []struct {
		name string
		tty  bool
		src  cliapp.SecretSource
		want string
		err  error
	}{
		{"file first", true, cliapp.SecretSource{File: file, Env: "PW", Prompt: "p"}, "from file", nil},
		{"standard input", false, cliapp.SecretSource{File: "-"}, "from stdin", nil},
		{"environment", true, cliapp.SecretSource{Env: "PW", Prompt: "p"}, "from env", nil},
		{"prompt", true, cliapp.SecretSource{Env: "NONE", Prompt: "p"}, "from prompt", nil},
		{"no terminal, no prompt", false, cliapp.SecretSource{Env: "NONE", Prompt: "p"}, "", cliapp.ErrNoSecret},
		{"no such file", false, cliapp.SecretSource{File: filepath.Join(dir, "no"), Env: "PW"}, "", os.ErrNotExist},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			secret, err := env(tt.tty).Secret(tt.src)
			if string(secret) != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("Secret() = %q, %v; want %q, %v", secret, err, tt.want, tt.err)
			}
		})
	}
}

func TestPrint(t *testing.T) {
	view := cliapp.View{
		Value:   map[string]string{"id": "a<b>"},
		Columns: []string{"id", "state"},
		Rows:    [][]string{{"a\tb\x1b[2J", "on"}, {"c", "off"}},
		Text:    "said\n", Empty: "none",
	}
	single := view
	single.Single, single.Rows = true, [][]string{{"x", ""}}
	tests := []struct {
		name   string
		format cliapp.Format
		view   cliapp.View
		want   string
	}{
		{"json", cliapp.FormatJSON, view, "{\n  \"id\": \"a<b>\"\n}\n"},
		{"tsv", cliapp.FormatTSV, view, `a b\u001b[2J` + "\ton\nc\toff\n"},
		{"text", cliapp.FormatText, view, "said\n"},
		{"table", cliapp.FormatTable, view, "ID               STATE\n" + `a b\u001b[2J     on` + "\nc                off\n"},
		{"fields without the empty ones", cliapp.FormatTable, single, "id  x\n"},
		{"no rows", cliapp.FormatTable, cliapp.View{Empty: "none"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out, errOut bytes.Buffer
			env := &cliapp.Env{Out: &out, Err: &errOut}
			if err := env.Print(tt.format, tt.view); err != nil {
				t.Fatal(err)
			}
			got := strings.Join(strings.Fields(out.String()), " ")
			if want := strings.Join(strings.Fields(tt.want), " "); got != want {
				t.Errorf("printed %q, want %q", out.String(), tt.want)
			}
		})
	}
}

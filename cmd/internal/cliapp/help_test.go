package cliapp_test

import (
	"strings"
	"testing"
)

// TestHelpBesideArguments: whoever asks for help gets it, whatever stands beside.
func TestHelpBesideArguments(t *testing.T) {
	tests := []struct {
		name string
		args []string
		code int
		want string // on standard output, else on standard error
	}{
		{"behind an argument", []string{"group", "show", "g1", "--help"}, 0, "prog group show"},
		{"in short", []string{"group", "show", "g1", "-h"}, 0, "prog group show"},
		{"before an argument", []string{"group", "show", "--help", "g1"}, 0, "prog group show"},
		{"behind too many", []string{"group", "show", "a", "b", "c", "--help"}, 0, "prog group show"},
		{"beside a flag", []string{"group", "show", "g1", "--out", "x", "--help"}, 0, "prog group show"},
		{"beside an unknown flag", []string{"group", "show", "g1", "--zzzzz", "--help"}, 0, "prog group show"},
		{"of a group", []string{"group", "--help"}, 0, "prog group"},
		{"of the program", []string{"--help"}, 0, "prog"},
		{"of what is no command", []string{"group", "shwo", "--help"}, 2, `unknown command "shwo": did you mean "show"?`},
		{"of no command at all", []string{"nothing", "--help"}, 2, `unknown command "nothing"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var g got
			code, stdout, stderr := run(testProgram(&g, nil), nil, tt.args...)
			text := stdout
			if tt.code != 0 {
				text = stderr
			}
			if code != tt.code || !strings.Contains(text, tt.want) || (stdout == "") == (stderr == "") || g.Name != "" {
				t.Errorf("exit code %d, stdout %q, stderr %q, command run %q", code, stdout, stderr, g.Name)
			}
		})
	}
	for _, args := range [][]string{{"group", "show", "--", "--help"}, {"group", "show", "g1", "--out", "--help"}} {
		var g got
		if code, stdout, _ := run(testProgram(&g, nil), nil, args...); code != 0 || stdout != "" || g.Name != "show" {
			t.Errorf("%q: exit code %d, stdout %q, command %q", args, code, stdout, g.Name)
		}
	}
}

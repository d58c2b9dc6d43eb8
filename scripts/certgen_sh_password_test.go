package scripts

import (
	"strings"
	"testing"
)

// A wrong pass phrase names the variable that it came from.
func TestWrongPassPhrase(t *testing.T) {
	t.Parallel()
	c := call{dir: t.TempDir()}
	c.must(t, "create_root_and_intermediate")
	for _, tt := range []struct{ variable, verb, name string }{
		{"ROOT_CA_PASSWORD", "create_verification_certificate", "CODE"},
		{"ROOT_CA_PASSWORD", "create_device_certificate", "dev"},
		{"INTERMEDIATE_CA_PASSWORD", "create_device_certificate", "dev"},
		{"INTERMEDIATE_CA_PASSWORD", "create_edge_server_certificate", "host"},
	} {
		bad := call{dir: c.dir, env: []string{tt.variable + "=guess"}}
		r := bad.certGen(t, tt.verb, tt.name)
		want := "certGen.sh: hint: the pass phrase comes from the variable " + tt.variable + "; without it, it is 1234\n"
		if r.code != 4 || !strings.Contains(r.stderr, want) || strings.Contains(r.stderr, "guess") {
			t.Errorf("%s %s: exit code %d, stderr %q, want %q", tt.variable, tt.verb, r.code, r.stderr, want)
		}
		if r := c.certGen(t, tt.verb, tt.name); r.code != 0 || strings.Contains(r.stderr, "the pass phrase comes from") {
			t.Errorf("%s with the right pass phrase: exit code %d, stderr %q", tt.verb, r.code, r.stderr)
		}
	}
}

package pki_test

import (
	"os/exec"
	"strings"
	"testing"
)

// The package stays at the bottom of the module and takes in no more than it needs.
func TestDependencies(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	allowed := []string{
		"github.com/dpskit/dpskit/pkg/pki", "go.step.sm/crypto/", "software.sslmate.com/src/go-pkcs12",
		"golang.org/x/crypto/", "github.com/pkg/errors", "filippo.io/edwards25519", "golang.org/x/sys/cpu",
	}
	for path := range strings.FieldsSeq(string(out)) {
		ok := false
		for _, a := range allowed {
			ok = ok || path == a || strings.HasPrefix(path, strings.TrimSuffix(a, "/")+"/") &&
				!strings.HasPrefix(path, "github.com/dpskit/")
		}
		if !ok {
			t.Errorf("package pki imports %s", path)
		}
	}
}

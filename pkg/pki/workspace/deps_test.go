package workspace_test

import (
	"os/exec"
	"strings"
	"testing"
)

// Of this module the package imports package pki alone.
func TestDependencies(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	allowed := []string{
		"go.step.sm/crypto/", "software.sslmate.com/src/go-pkcs12", "golang.org/x/crypto/", "golang.org/x/sys/",
		"github.com/pkg/errors", "github.com/gofrs/flock", "filippo.io/edwards25519",
	}
	const self = "github.com/dpskit/dpskit/pkg/pki"
	for path := range strings.FieldsSeq(string(out)) {
		ok := path == self || path == self+"/workspace"
		for _, a := range allowed {
			ok = ok || path == a || strings.HasPrefix(path, strings.TrimSuffix(a, "/")+"/")
		}
		if !ok {
			t.Errorf("package workspace imports %s", path)
		}
	}
}

package fleet_test

import (
	"os/exec"
	"strings"
	"testing"
)

// The package takes in no more than package pki, a lock and a group of goroutines.
func TestDependencies(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	allowed := []string{
		"github.com/dpskit/dpskit/pkg/pki", "github.com/dpskit/dpskit/pkg/pki/fleet", "go.step.sm/crypto/",
		"software.sslmate.com/src/go-pkcs12", "golang.org/x/crypto/", "github.com/pkg/errors", "filippo.io/edwards25519",
		"golang.org/x/sys/", "golang.org/x/sync/errgroup", "github.com/gofrs/flock",
	}
	for path := range strings.FieldsSeq(string(out)) {
		ok := false
		for _, a := range allowed {
			ok = ok || path == a || !strings.HasPrefix(path, "github.com/dpskit/") && strings.HasPrefix(path, strings.TrimSuffix(a, "/")+"/")
		}
		if !ok {
			t.Errorf("package fleet imports %s", path)
		}
	}
}

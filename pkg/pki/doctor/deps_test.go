package doctor_test

import (
	"os/exec"
	"strings"
	"testing"
)

// Of this module the package uses package pki and nothing else.
func TestDependencies(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{join .Imports "\n"}}`, ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for path := range strings.FieldsSeq(string(out)) {
		if strings.Contains(path, ".") && path != "github.com/dpskit/dpskit/pkg/pki" {
			t.Errorf("package doctor imports %s", path)
		}
	}
}

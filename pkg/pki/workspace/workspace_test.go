package workspace_test

import (
	"os/exec"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

func TestLifecycle(t *testing.T) {
	dir := t.TempDir() + "/pki"
	w, err := workspace.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if _, _, err := w.Init(ctx, workspace.InitOptions{Intermediates: 2}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.IssueDevice(ctx, workspace.DeviceOptions{ID: "dev-1", PFX: &pki.PFXOptions{}}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.IssueVerification(ctx, workspace.VerificationOptions{Code: " ABC\n"}); err != nil {
		t.Fatal(err)
	}
	w, err = workspace.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	b, err := w.Bundle("dev-1")
	if err != nil {
		t.Fatal(err)
	}
	if err := pki.Verify(b.Certificate, b.Issuers, time.Now()); err != nil || len(b.Issuers) != 3 {
		t.Error(err, len(b.Issuers))
	}
	out, _ := exec.Command("find", dir, "-ls").CombinedOutput()
	t.Logf("%s", out)
	out, _ = exec.Command("cat", dir+"/certgen.json").CombinedOutput()
	t.Logf("%s", out)
}

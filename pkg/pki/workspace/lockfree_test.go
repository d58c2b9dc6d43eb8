package workspace_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

// While a person types a pass phrase others may change the folder, and the waiting change goes on from there.
func TestNoLockWhileAsking(t *testing.T) {
	w := open(t, scriptFolder(t))
	other := open(t, w.Dir())
	workspace.SetLockWait(other, 100*time.Millisecond)
	n := 0
	ask := func() ([]byte, error) {
		n++
		id := string(rune('a' + n))
		_, _, err := other.IssueDevice(t.Context(), workspace.DeviceOptions{ID: id, SelfSigned: true})
		if err != nil {
			t.Errorf("call %d: the folder cannot be changed: %v", n, err)
		}
		w.Entries() // nor is the Workspace itself held
		return secret()
	}
	if _, err := w.Authority("root", ask); err != nil {
		t.Error(err)
	}
	if _, _, err := w.IssueDevice(t.Context(), workspace.DeviceOptions{ID: "x", Passphrase: ask}); err != nil {
		t.Error(err)
	}
	if _, _, err := w.Renew(t.Context(), workspace.RenewOptions{Name: "x", NewKey: true, Passphrase: ask}); err != nil {
		t.Error(err)
	}
	if _, _, err := w.IssueVerification(t.Context(), workspace.VerificationOptions{Code: "C", Passphrase: ask}); err != nil {
		t.Error(err)
	}
	if _, _, err := w.CreateIntermediate(t.Context(), workspace.IntermediateOptions{Passphrase: ask}); err != nil {
		t.Error(err)
	}
	if n != 5 {
		t.Errorf("the pass phrase was asked for %d times, want 5", n)
	}
	if entries := open(t, w.Dir()).Entries(); len(entries) != 5+5+2 {
		t.Errorf("the workspace has %d entries, want 12", len(entries))
	}
}

// An intermediate of the series takes the next number when another process took the one that it was made for.
func TestIntermediatesAtOnce(t *testing.T) {
	w := open(t, scriptFolder(t))
	other := open(t, w.Dir())
	asked := 0
	_, paths, err := w.CreateIntermediate(t.Context(), workspace.IntermediateOptions{Passphrase: func() ([]byte, error) {
		if asked++; asked == 1 {
			_, _, err := other.CreateIntermediate(t.Context(), workspace.IntermediateOptions{Passphrase: secret})
			if err != nil {
				t.Error(err)
			}
		}
		return secret()
	}})
	if err != nil {
		t.Fatal(err)
	}
	if e, err := w.Lookup("intermediate3"); err != nil || e.CA != "intermediate2" || paths != w.Paths("intermediate3") {
		t.Errorf("got %+v, %v", e, err)
	}
	for _, name := range []string{"intermediate2", "intermediate3"} {
		if _, err := w.Authority(name, nil); err != nil {
			t.Error(err)
		}
	}
}

// Nothing is signed by a CA that is replaced meanwhile.
func TestCAReplacedWhileAsking(t *testing.T) {
	w := open(t, scriptFolder(t))
	other := open(t, w.Dir())
	pass := func() ([]byte, error) { return secret() }
	asked := 0
	replace := func() ([]byte, error) {
		asked++
		root, _, err := other.Init(t.Context(), workspace.InitOptions{Force: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(w.Paths("root").Key, opensslKey(root), 0o600); err != nil { // to be asked again
			t.Fatal(err)
		}
		return secret()
	}
	for _, change := range []func() error{
		func() error {
			return third(w.IssueDevice(t.Context(), workspace.DeviceOptions{ID: "x", CA: "root", Passphrase: replace}))
		},
		func() error {
			return third(w.IssueVerification(t.Context(), workspace.VerificationOptions{Code: "C", Passphrase: replace}))
		},
		func() error {
			return third(w.CreateIntermediate(t.Context(), workspace.IntermediateOptions{Name: "y", Passphrase: replace}))
		},
	} {
		if asked = 0; !errors.Is(change(), workspace.ErrChanged) || asked != 3 {
			t.Errorf("asked %d times, want 3 and then ErrChanged", asked)
		}
	}
	if b, _, err := w.IssueDevice(t.Context(), workspace.DeviceOptions{ID: "x", Passphrase: pass}); err != nil {
		t.Error(err)
	} else if err := pki.Verify(b.Certificate, b.Issuers, time.Now()); err != nil {
		t.Error(err)
	}
}

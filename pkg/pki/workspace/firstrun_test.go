package workspace_test

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

// A first change that fails leaves no folder behind, whatever it fails at.
func TestFailedFirstRun(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "a", "pki")
	old, err := pki.NewRoot(nil)
	if err != nil {
		t.Fatal(err)
	}
	later := func() time.Time { return time.Now().Add(100 * 24 * time.Hour) }
	full := errors.New("no space left")
	for name, change := range map[string]func(w *workspace.Workspace) error{
		"pfx password": func(w *workspace.Workspace) error {
			return third(w.IssueDevice(t.Context(), workspace.DeviceOptions{
				ID: "x", SelfSigned: true, PFX: &pki.PFXOptions{Password: "😀"},
			}))
		},
		"pfx profile": func(w *workspace.Workspace) error {
			return third(w.IssueDevice(t.Context(), workspace.DeviceOptions{
				ID: "x", SelfSigned: true, PFX: &pki.PFXOptions{Profile: "rot13"},
			}))
		},
		"expired ca": func(w *workspace.Workspace) error {
			return third(w.IssueVerification(t.Context(), workspace.VerificationOptions{Code: "C", Authority: old, Now: later}))
		},
		"expired root": func(w *workspace.Workspace) error {
			opts := workspace.InitOptions{RootAuthority: old}
			opts.Root.Now = later
			return third(w.Init(t.Context(), opts))
		},
		"no space": func(*workspace.Workspace) error {
			w, err := workspace.OpenHooked(dir, func(op, _ string) error {
				if op == "create" {
					return full
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return third(w.Init(t.Context(), workspace.InitOptions{}))
		},
	} {
		if err := change(open(t, dir)); err == nil {
			t.Errorf("%s: no error", name)
		}
		if list, err := os.ReadDir(parent); err != nil || len(list) != 0 {
			t.Errorf("%s: left %v, %v", name, list, err)
			_ = os.RemoveAll(filepath.Join(parent, "a"))
		}
	}
	mkdir(t, filepath.Join(parent, "a"))
	mkdir(t, dir)
	_ = third(open(t, dir).IssueDevice(t.Context(), workspace.DeviceOptions{ID: "x"}))
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("a folder that was there before: %v", err)
	}
}

// Failing first changes take the lock file away from others that wait for it, and none of them is lost.
func TestFailedFirstRuns(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			n := 0
			w, err := workspace.OpenHooked(dir, func(op, _ string) error {
				if n++; i%2 == 0 && n == 3 {
					return errors.New("no space left")
				}
				return nil
			})
			if err != nil {
				t.Error(err)
				return
			}
			opts := workspace.DeviceOptions{ID: string(rune('a' + i)), SelfSigned: true}
			for range 20 { // the folder itself may vanish between two system calls of one that did not make it
				_, _, err = w.IssueDevice(t.Context(), opts)
				if i%2 == 0 || !errors.Is(err, os.ErrNotExist) && !errors.Is(err, workspace.ErrLocked) {
					break
				}
			}
			if (err != nil) != (i%2 == 0) {
				t.Errorf("change %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	w := open(t, dir)
	consistent(t, w)
	if n := len(w.Entries()); n != 4 {
		t.Errorf("the workspace has %d entries, want 4", n)
	}
}

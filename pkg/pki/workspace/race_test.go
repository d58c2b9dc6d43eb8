package workspace_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

// Processes that change one workspace at once all get their turn.
func TestSeveralProcesses(t *testing.T) {
	dir := ready(t).Dir()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			if _, err := run(t, "several", dir, 0, fmt.Sprintf("p%d", i)); err != nil {
				t.Errorf("process %d: %v", i, err)
			}
		})
	}
	reader := open(t, dir)
	for range 50 { // a reader in between sees no half change
		if _, err := reader.Bundle("dev-1"); err != nil {
			t.Error(err)
		}
		for _, e := range reader.Entries() {
			if _, err := reader.Bundle(e.Name); err != nil {
				t.Errorf("%s: %v", e.Name, err)
			}
		}
	}
	wg.Wait()
	w := open(t, dir)
	consistent(t, w)
	if n := len(w.Entries()); n != 4+16 {
		t.Errorf("the workspace has %d entries, want 20", n)
	}
}

// Of several processes that make the same thing one does it and the others are told.
func TestSameNameAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	errs := make([]error, 4)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { _, errs[i] = run(t, "init", dir, 0, "") })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !strings.Contains(err.Error(), "exists already") {
			t.Errorf("got %v, want that the root exists already", err)
		}
	}
	if won != 1 {
		t.Errorf("%d processes made the root, want 1", won)
	}
	consistent(t, open(t, dir))
}

// The same within one process, through one Workspace and through several.
func TestSeveralGoroutines(t *testing.T) {
	shared := ready(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			w := shared
			if i%2 == 0 {
				var err error
				if w, err = workspace.Open(shared.Dir()); err != nil {
					t.Error(err)
					return
				}
			}
			for j := range 3 {
				id := fmt.Sprintf("g%d-%d", i, j)
				if _, _, err := w.IssueDevice(t.Context(), workspace.DeviceOptions{ID: id}); err != nil {
					t.Errorf("%s: %v", id, err)
				}
				if _, err := w.Bundle(id); err != nil {
					t.Errorf("%s: %v", id, err)
				}
				_, _, _ = w.Entries(), w.Exists(), w.Paths(id)
			}
		})
	}
	wg.Wait()
	w := open(t, shared.Dir())
	consistent(t, w)
	if n := len(w.Entries()); n != 4+24 {
		t.Errorf("the workspace has %d entries, want 28", n)
	}
}

// A Workspace that was opened before another process changed the folder sees the change.
func TestStaleWorkspace(t *testing.T) {
	first := ready(t)
	second := open(t, first.Dir())
	if _, _, err := second.IssueDevice(t.Context(), workspace.DeviceOptions{ID: "dev-1", Force: true}); err != nil {
		t.Fatal(err)
	}
	device(t, second, "dev-2")
	b, err := first.Bundle("dev-1")
	if err != nil {
		t.Fatal(err)
	}
	if want, err := second.Bundle("dev-1"); err != nil || !b.Certificate.Equal(want.Certificate) {
		t.Errorf("the old certificate is returned: %v", err)
	}
	if _, _, err := first.IssueDevice(t.Context(), workspace.DeviceOptions{ID: "dev-2"}); !errors.Is(err, workspace.ErrExists) {
		t.Errorf("got %v, want ErrExists", err)
	}
}

func TestLocked(t *testing.T) {
	w := ready(t)
	lock := flock.New(filepath.Join(w.Dir(), ".certgen.lock"))
	if err := lock.Lock(); err != nil {
		t.Fatal(err)
	}
	workspace.SetLockWait(w, 50*time.Millisecond)
	calls := map[string]func() error{
		"change": func() error {
			_, _, err := w.IssueVerification(t.Context(), workspace.VerificationOptions{Code: "X"})
			return err
		},
		"read": func() error {
			_, err := w.Bundle("dev-1")
			return err
		},
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, workspace.ErrLocked) || !strings.Contains(err.Error(), ".certgen.lock") {
			t.Errorf("%s: got %v, want ErrLocked with the file", name, err)
		}
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	for name, call := range calls {
		if err := call(); err != nil {
			t.Errorf("%s after the lock is gone: %v", name, err)
		}
	}
}

// A lock that is held for reading lets others read, and none change.
func TestSharedLock(t *testing.T) {
	w := ready(t)
	workspace.SetLockWait(w, 50*time.Millisecond)
	lock := flock.New(filepath.Join(w.Dir(), ".certgen.lock"))
	if err := lock.RLock(); err != nil {
		t.Fatal(err)
	}
	defer lock.Unlock()
	if _, err := w.Bundle("dev-1"); err != nil {
		t.Errorf("read: %v", err)
	}
	_, _, err := w.IssueVerification(t.Context(), workspace.VerificationOptions{Code: "X"})
	if !errors.Is(err, workspace.ErrLocked) {
		t.Errorf("change: got %v, want ErrLocked", err)
	}
}

func TestCancelled(t *testing.T) {
	w := ready(t)
	before := snapshot(t, w.Dir())
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("interrupted by a test"))
	for name, call := range map[string]func() error{
		"init": func() error {
			_, _, err := w.Init(ctx, workspace.InitOptions{Intermediates: 1, Force: true})
			return err
		},
		"device": func() error {
			_, _, err := w.IssueDevice(ctx, workspace.DeviceOptions{ID: "new"})
			return err
		},
		"verification": func() error {
			_, _, err := w.IssueVerification(ctx, workspace.VerificationOptions{Code: "X"})
			return err
		},
		"renew": func() error {
			_, _, err := w.Renew(ctx, workspace.RenewOptions{Name: "dev-1"})
			return err
		},
	} {
		if err := call(); err == nil || !strings.Contains(err.Error(), "interrupted by a test") {
			t.Errorf("%s: got %v, want the cause", name, err)
		}
	}
	if after := snapshot(t, w.Dir()); len(after) != len(before) {
		t.Errorf("there are %d files, before %d", len(after), len(before))
	}
}

// Cancelling while waiting for the lock ends the wait.
func TestCancelledWait(t *testing.T) {
	w := ready(t)
	lock := flock.New(filepath.Join(w.Dir(), ".certgen.lock"))
	if err := lock.RLock(); err != nil {
		t.Fatal(err)
	}
	defer lock.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, _, err := w.IssueDevice(ctx, workspace.DeviceOptions{ID: "new"})
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, workspace.ErrLocked) {
		t.Errorf("got %v, want the error of the context", err)
	}
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("it took %s", d)
	}
}

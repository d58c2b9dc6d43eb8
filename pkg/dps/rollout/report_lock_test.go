package rollout_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/dpskit/dpskit/pkg/dps/rollout"
)

func TestReportIsForOneRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.csv")
	r := open(t, path, "s", devices(1), nil)
	if _, err := rollout.OpenReport(path, "s", devices(1), &rollout.ReportOptions{Restart: true}); !errors.Is(err, rollout.ErrLocked) {
		t.Errorf("a second run: %v", err)
	}
	finish(t, r)
	r = open(t, path, "s", devices(1), nil)
	if _, err := os.Stat(path + ".lock"); err != nil {
		t.Errorf("while it is open: %v", err)
	}
	finish(t, r)
	if _, err := os.Stat(path + ".lock"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the lock file stays: %v", err)
	}
	put(t, path+".lock", "") // as a kill leaves it
	finish(t, open(t, path, "s", devices(1), nil))
}

// TestReportIsForOneRunAtATime opens and ends a report in many goroutines. That
// its lock file comes and goes lets no two have it at once.
func TestReportIsForOneRunAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.csv")
	var open, had atomic.Int64
	var group errgroup.Group
	for range 8 {
		group.Go(func() error {
			for range 50 {
				r, err := rollout.OpenReport(path, "s", devices(1), nil)
				if errors.Is(err, rollout.ErrLocked) {
					continue
				}
				if err != nil {
					return err
				}
				if n := open.Add(1); n != 1 {
					return fmt.Errorf("%d have it", n)
				}
				had.Add(1)
				open.Add(-1)
				if err := r.Close(); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil || had.Load() == 0 {
		t.Errorf("%v; opened %d times", err, had.Load())
	}
}

func TestReportInNoFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	_, err := rollout.OpenReport(filepath.Join(dir, "r.csv"), "s", devices(1), nil)
	if !errors.Is(err, os.ErrNotExist) || strings.Contains(err.Error(), ".lock") || !strings.Contains(err.Error(), fmt.Sprintf("folder %q", dir)) {
		t.Errorf("got %v", err)
	}
}

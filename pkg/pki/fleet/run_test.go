package fleet_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/fleet"
	"github.com/dpskit/dpskit/pkg/pki/pkitest"
)

func TestRunIsInOrder(t *testing.T) {
	for _, n := range []int{1, 15, 16, 17, 1000} {
		for _, workers := range []int{0, 1, 2, 7} {
			opts := options(t, n)
			opts.Workers = workers
			var progress []int
			opts.Progress = func(done, total int) {
				if total != n {
					t.Errorf("total %d, want %d", total, n)
				}
				progress = append(progress, done)
			}
			next := 0
			summary, err := fleet.Run(t.Context(), opts, sinkFunc(func(d *fleet.Device) error {
				if d.Index != next || d.ID != opts.IDs.ID(next) {
					t.Fatalf("device %d %q, want %d", d.Index, d.ID, next)
				}
				next++
				return nil
			}))
			if expiry := time.Until(summary.NotAfter); expiry < 29*24*time.Hour || expiry > 30*24*time.Hour {
				t.Errorf("the devices expire in %v, want 30 days", expiry)
			}
			summary.NotAfter = time.Time{}
			if diff := cmp.Diff(fleet.Summary{Devices: n, Made: n}, summary); diff != "" || err != nil {
				t.Fatalf("%d devices, %d workers: %v (-want +got):\n%s", n, workers, err, diff)
			}
			for i := 1; i < len(progress); i++ {
				if progress[i] <= progress[i-1] {
					t.Fatalf("progress %v does not rise", progress)
				}
			}
			if progress[len(progress)-1] != n {
				t.Errorf("progress ends at %d, want %d", progress[len(progress)-1], n)
			}
		}
	}
}

func TestShardsMakeTheWhole(t *testing.T) {
	opts := options(t, 101)
	var got []string
	for i := range 7 {
		opts.Shard = fleet.Shard{Index: i, Count: 7}
		var sink collect
		if _, err := fleet.Run(t.Context(), opts, &sink); err != nil {
			t.Fatal(err)
		}
		for _, d := range sink.devices {
			if d.id != opts.IDs.ID(d.index) {
				t.Errorf("device %d is %q", d.index, d.id)
			}
			got = append(got, d.id)
		}
	}
	if diff := cmp.Diff(all(opts.IDs), got); diff != "" {
		t.Errorf("IDs of all parts (-want +got):\n%s", diff)
	}
	opts.Shard = fleet.Shard{Index: 200, Count: 500} // more parts than devices
	var sink collect
	if summary, err := fleet.Run(t.Context(), opts, &sink); err != nil || summary.Devices > 1 {
		t.Errorf("Run() = %+v, %v", summary, err)
	}
}

func TestRunEndsWithTheContext(t *testing.T) {
	before := runtime.NumGoroutine()
	ctx, stop := stopAfter(t, 64)
	opts := options(t, 100_000)
	opts.Progress = stop
	summary, err := fleet.Run(ctx, opts, sinkFunc(func(*fleet.Device) error { return nil }))
	if !errors.Is(err, context.Canceled) || summary.Made < 64 || summary.Made > 5000 {
		t.Errorf("Run() = %+v, %v; want it to end soon after 64 devices", summary, err)
	}
	summary, err = fleet.Run(ctx, opts, sinkFunc(func(*fleet.Device) error { return nil }))
	if !errors.Is(err, context.Canceled) || summary.Made > 0 {
		t.Errorf("Run() = %+v, %v; want it not to begin", summary, err)
	}
	waitForGoroutines(t, before)
}

// waitForGoroutines waits for goroutines that have ended but are still counted.
func waitForGoroutines(t *testing.T, want int) {
	t.Helper()
	for range 1_000_000 {
		if runtime.NumGoroutine() <= want {
			return
		}
		runtime.Gosched()
	}
	t.Errorf("%d goroutines, want %d", runtime.NumGoroutine(), want)
}

func TestRunEndsWithTheSink(t *testing.T) {
	before := runtime.NumGoroutine()
	full := errors.New("the sink is full")
	n := 0
	summary, err := fleet.Run(t.Context(), options(t, 100_000), sinkFunc(func(*fleet.Device) error {
		if n++; n == 100 {
			return full
		}
		return nil
	}))
	if !errors.Is(err, full) || summary.Made != 99 || n != 100 {
		t.Errorf("Run() = %+v, %v after %d calls; want 99 devices", summary, err, n)
	}
	waitForGoroutines(t, before)
}

func TestSomeFail(t *testing.T) {
	ids := list{"a", "b c", "d", "", strings.Repeat("x", 65), pki.DefaultIntermediateCN}
	var sink collect
	summary, err := fleet.Run(t.Context(), fleet.Options{Authority: pkitest.Intermediate(t), IDs: ids}, &sink)
	if !errors.Is(err, fleet.ErrSomeFailed) || !strings.Contains(err.Error(), "4 of 6") {
		t.Errorf("Run() = %v, want that 4 of 6 failed", err)
	}
	if summary.Made != 2 || summary.Failed != 4 || len(summary.Failures) != 4 {
		t.Errorf("summary %+v, want 2 made and 4 failed", summary)
	}
	for _, d := range sink.devices {
		if bad := pki.CheckRegistrationID(d.id) != nil; bad != (d.err != nil) || bad != (d.key == "") {
			t.Errorf("device %q: error %v, key %q", d.id, d.err, d.key)
		}
	}
	// The CA may be called like a device.
	root, err := pki.NewRoot(&pki.CAOptions{CommonName: "same"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = fleet.Run(t.Context(), fleet.Options{Authority: root, IDs: list{"same", "other"}}, &collect{})
	if !errors.Is(err, pki.ErrInvalidID) {
		t.Errorf("Run() = %v, want that a device cannot be called like its CA", err)
	}
}

func TestAHundredFailuresInARowEndTheRun(t *testing.T) {
	ids := make(list, 10_000)
	for i := range ids {
		ids[i] = "not allowed"
	}
	ids[50] = "good"
	summary, err := fleet.Run(t.Context(), fleet.Options{Authority: pkitest.Intermediate(t), IDs: ids}, &collect{})
	if err == nil || errors.Is(err, fleet.ErrSomeFailed) || summary.Failed != 150 || summary.Made != 1 {
		t.Errorf("Run() = %+v, %v; want it to end after 150 failures", summary, err)
	}
	if len(summary.Failures) != 10 {
		t.Errorf("%d failures are kept, want 10", len(summary.Failures))
	}
}

func TestFullDiskEndsTheRun(t *testing.T) {
	dir, n := t.TempDir(), 0
	target := fleet.WithStep(fleet.Target{Path: dir + "/f"}, func(op, name string) error {
		if op == "write" && strings.HasSuffix(name, ".key.pem") {
			if n++; n > 20 {
				return syscall.ENOSPC
			}
		}
		return nil
	})
	opts := options(t, 10_000)
	opts.Workers = 1
	result, err := fleet.Write(t.Context(), opts, target)
	if !errors.Is(err, syscall.ENOSPC) || result.Failed > 0 || result.Made != 20 || result.Index != "" {
		t.Errorf("Write() = %+v, %v; want it to end with the full disk", result, err)
	}
}

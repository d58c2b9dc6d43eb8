//go:build unix

package store_test

import (
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
)

// limitVar makes the child process hit a full disk.
const limitVar = "DPSKIT_TEST_STORE_LIMIT"

func init() {
	if os.Getenv(limitVar) == "" {
		return
	}
	signal.Ignore(syscall.SIGXFSZ)
	limit := syscall.Rlimit{Cur: 1 << 20, Max: 1 << 20}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		panic(err)
	}
}

// TestFullDisk lets a process run into a failing write. The write must not be
// acknowledged, no later one may be, and everything acknowledged must survive.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(limitVar, "1")
	cmd, lines := child(t, dir, "full")
	t.Setenv(limitVar, "")
	acked, failed := map[string]bool{}, 0
	for lines.Scan() {
		if key, ok := strings.CutPrefix(lines.Text(), "ack "); ok {
			acked[key] = true
			continue
		}
		if lines.Text() != "failed true true" {
			t.Errorf("child said %q, want a read-only store that is not ready", lines.Text())
		}
		failed++
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if failed != 8 || len(acked) == 0 {
		t.Errorf("%d workers failed after %d writes, want all 8 after some", failed, len(acked))
	}
	verifyAcked(t, dir, acked)
}

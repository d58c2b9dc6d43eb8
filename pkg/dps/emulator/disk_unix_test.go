//go:build unix

package emulator_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps/emulator"
)

// limitVar makes the child process hit a full disk.
const limitVar = "DPSKIT_TEST_EMULATOR_LIMIT"

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

// TestFullDisk runs an emulator into a full disk. The failing write is not
// acknowledged, clients are told to come back, reads go on, and a restart with
// room has everything that was acknowledged.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, func(o *emulator.Options) { o.DataDir = dir })
	if err := w.e.Close(); err != nil {
		t.Fatal(err)
	}
	t.Setenv(limitVar, "1")
	proc := startProcess(t, dir)
	defer proc.kill(t)
	t.Setenv(limitVar, "")
	client := w.anonymous
	bearer := map[string]string{"Authorization": "Bearer " + proc.info.Token}
	put := func(id string) answer {
		t.Helper()
		body := symmetric("registrationId", id, map[string]any{"initialTwin": map[string]any{"tags": map[string]any{"x": strings.Repeat("x", 20000)}}})
		a, err := proc.try(client, http.MethodPut, "/enrollments/"+id+"?api-version=2021-10-01", bearer, body)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	var acked []string
	failed := answer{}
	for i := range 500 {
		id := fmt.Sprint("e-", i)
		if failed = put(id); failed.status != http.StatusOK {
			break
		}
		acked = append(acked, id)
	}
	if failed.status != http.StatusServiceUnavailable || failed.code() != 503000 {
		t.Fatalf("full disk answers %d %s, want 503", failed.status, failed.raw)
	}
	if a := put("once-more"); a.status != http.StatusServiceUnavailable {
		t.Errorf("next write answers %d", a.status)
	}
	if a, err := proc.try(client, http.MethodGet, "/readyz", nil, nil); err != nil || a.status != http.StatusServiceUnavailable {
		t.Errorf("readyz = %d %s, %v; want 503", a.status, a.raw, err)
	}
	if a, err := proc.try(client, http.MethodGet, "/enrollments/e-0?api-version=2021-10-01", bearer, nil); err != nil || a.status != http.StatusOK {
		t.Errorf("read on a full disk = %d %s, %v", a.status, a.raw, err)
	}
	proc.kill(t)
	client.CloseIdleConnections()
	again := newWorld(t, func(o *emulator.Options) { o.DataDir = dir })
	for _, id := range acked {
		again.want(again.service(http.MethodGet, "/enrollments/"+id, nil, nil), 200, 0)
	}
	again.want(again.service(http.MethodPut, "/enrollments/room", symmetric("registrationId", "room"), nil), 200, 0)
}

// TestModes looks at file modes under several umasks.
func TestModes(t *testing.T) {
	for _, mask := range []int{0, 0o022, 0o077} {
		dir := filepath.Join(t.TempDir(), "data")
		old := syscall.Umask(mask)
		e, err := emulator.Start(t.Context(), &emulator.Options{DataDir: dir})
		syscall.Umask(old)
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]os.FileMode{
			".": 0o700, "ca.key.pem": 0o600, "emulator.db": 0o600, "emulator.lock": 0o600, "ca.pem": 0o644 &^ os.FileMode(mask),
		} {
			info, err := os.Stat(filepath.Join(dir, name))
			if err != nil || info.Mode().Perm() != want {
				t.Errorf("umask %03o: %s has mode %v, %v; want %v", mask, name, info.Mode().Perm(), err, want)
			}
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestUnwritableFolder names the folder and leaves nothing behind.
func TestUnwritableFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := emulator.Start(t.Context(), &emulator.Options{DataDir: filepath.Join(file, "data")})
	if !errors.Is(err, syscall.ENOTDIR) || !strings.Contains(err.Error(), file) || strings.Contains(err.Error(), "\n") {
		t.Errorf("Start = %v", err)
	}
}

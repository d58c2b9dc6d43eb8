//go:build unix

package workspace_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

// Keys are for the owner alone whatever the umask, from the moment that the file exists.
func TestModes(t *testing.T) {
	for _, mask := range []int{0, 0o022, 0o077} {
		t.Run(fmt.Sprintf("umask %03o", mask), func(t *testing.T) {
			old := syscall.Umask(mask)
			defer syscall.Umask(old)
			dir := filepath.Join(t.TempDir(), "pki")
			w, err := workspace.OpenHooked(dir, func(op, name string) error {
				if op != "create" && op != "mkdir" {
					checkModes(t, dir, fs.FileMode(mask))
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := w.Init(t.Context(), workspace.InitOptions{Intermediates: 1}); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				_, _, err := w.IssueDevice(t.Context(), workspace.DeviceOptions{ID: "d", PFX: &pki.PFXOptions{}, Force: true})
				if err != nil {
					t.Fatal(err)
				}
			}
			if n := checkModes(t, dir, fs.FileMode(mask)); n < 8 {
				t.Errorf("only %d secret files", n)
			}
		})
	}
}

// checkModes checks every file below dir and returns the number of secret ones.
func checkModes(t *testing.T, dir string, mask fs.FileMode) (secrets int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		mode, want := info.Mode().Perm(), 0o644&^mask
		data := []byte(nil)
		if !d.IsDir() {
			if data, err = os.ReadFile(path); err != nil {
				return err
			}
		}
		switch {
		case d.IsDir() && rel == "certs":
			want = 0o755 &^ mask
		case d.IsDir():
			want = 0o700
		case strings.Contains(string(data), "PRIVATE KEY"), strings.HasPrefix(rel, "private"),
			strings.HasSuffix(rel, ".pfx"), strings.HasPrefix(rel, "replaced") && strings.Contains(rel, "private"):
			secrets++
			want = 0o600
		case strings.HasPrefix(rel, ".certgen."), strings.HasSuffix(rel, "-journal.tmp"),
			len(data) > 0 && data[0] == 0x30: // lock, journal; a PFX in the making
			want = 0o600
		}
		if mode != want {
			t.Errorf("%s has mode %03o, want %03o", rel, mode, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return secrets
}

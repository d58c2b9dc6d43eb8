//go:build unix

package workspace_test

import (
	"errors"
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

// Folders and key files that were open to others are closed when a key is written.
func TestWideModes(t *testing.T) {
	from := scriptFolder(t)
	for _, mode := range []fs.FileMode{0o777, 0o750, 0o500} {
		dir := copyDir(t, from)
		private, key := filepath.Join(dir, "private"), filepath.Join(dir, "private", "new-device.key.pem")
		for path, mode := range map[string]fs.FileMode{private: mode, key: 0o666, mkdir(t, filepath.Join(dir, "replaced")): 0o777} {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
		}
		_, _, err := open(t, dir).IssueDevice(t.Context(), workspace.DeviceOptions{ID: "new-device", Force: true, Passphrase: secret})
		if mode == 0o500 && errors.Is(err, fs.ErrPermission) {
			continue // only root can write there
		}
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]fs.FileMode{private: 0o700, key: 0o600, filepath.Join(dir, "replaced"): 0o700}
		if mode == 0o500 {
			want[private] = 0o500
		}
		for path, want := range want {
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
				t.Errorf("private was %03o: %s has mode %v, want %03o: %v", mode, path, info.Mode(), want, err)
			}
		}
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

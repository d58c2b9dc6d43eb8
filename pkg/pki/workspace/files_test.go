package workspace_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

// symlink makes a link, or skips the test where that is not allowed.
func symlink(t *testing.T, target, link string) {
	t.Helper()
	if err := os.Symlink(target, link); err != nil {
		t.Skipf("no symbolic links here: %v", err)
	}
}

func mkdir(t *testing.T, path string) string {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// Nothing is read or written through a symbolic link that leads out of the folder.
func TestLinksOut(t *testing.T) {
	absent := func(t *testing.T, dir, outside, name string) { symlink(t, outside, filepath.Join(dir, name)) }
	moved := func(t *testing.T, dir, outside, name string) {
		path := filepath.Join(dir, name)
		target := filepath.Join(outside, filepath.Base(name))
		if err := os.Rename(path, target); err != nil {
			t.Fatal(err)
		}
		symlink(t, target, path)
	}
	for _, tt := range []struct {
		name string
		link string
		make func(t *testing.T, dir, outside, name string)
		old  bool // the workspace has content
	}{
		{"certs", "certs", absent, false},
		{"private", "private", absent, false},
		{"certs with content", "certs", moved, true},
		{"private with content", "private", moved, true},
		{"lock", ".certgen.lock", func(t *testing.T, dir, outside, name string) {
			symlink(t, filepath.Join(outside, "made"), filepath.Join(dir, name))
		}, false},
		{"manifest", "certgen.json", moved, true},
		{"key of the ca", "private/azure-iot-test-only.intermediate.key.pem", moved, true},
		{"certificate of the ca", "certs/azure-iot-test-only.intermediate.cert.pem", moved, true},
		{"replaced", "replaced", absent, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "pki")
			if tt.old {
				dir = ready(t).Dir()
			}
			mkdir(t, dir)
			outside := mkdir(t, filepath.Join(t.TempDir(), "outside"))
			tt.make(t, dir, outside, tt.link)
			before := snapshot(t, outside)
			w, err := workspace.Open(dir)
			if err == nil && tt.old {
				_, _, err = w.IssueDevice(t.Context(), workspace.DeviceOptions{ID: "dev-1", Force: true})
			} else if err == nil {
				_, _, err = w.Init(t.Context(), workspace.InitOptions{})
			}
			if err == nil {
				t.Error("no error")
			} else if strings.Contains(err.Error(), "\n") {
				t.Errorf("the error has several lines: %v", err)
			}
			if diff := cmp.Diff(before, snapshot(t, outside)); diff != "" {
				t.Errorf("files outside are changed (-want +got):\n%s", diff)
			}
		})
	}
}

// A link in the place of a file is itself what is replaced.
func TestLinkInThePlaceOfAFile(t *testing.T) {
	w := ready(t)
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	symlink(t, victim, w.Paths("new").Key)
	if _, _, err := w.IssueDevice(t.Context(), workspace.DeviceOptions{ID: "new"}); !errors.Is(err, workspace.ErrExists) {
		t.Errorf("got %v, want ErrExists", err)
	}
	if _, _, err := w.IssueDevice(t.Context(), workspace.DeviceOptions{ID: "new", Force: true}); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(victim); err != nil || string(data) != "precious" {
		t.Errorf("the file behind the link is now %q, %v", data, err)
	}
	if info, err := os.Lstat(w.Paths("new").Key); err != nil || !info.Mode().IsRegular() {
		t.Errorf("the key is no regular file: %v", err)
	}
	consistent(t, w)
}

// A folder is swapped for a link out of the workspace just before any step of a change, the worst moment of a race.
func TestLinkRace(t *testing.T) {
	before := ready(t).Dir()
	for _, name := range []string{"private", "certs", "replaced"} {
		t.Run(name, func(t *testing.T) {
			for step := 1; swapAt(t, before, name, step); step += 3 * shortened() {
				if t.Failed() {
					t.Fatalf("swapped before step %d", step)
				}
			}
		})
	}
}

// swapAt makes a change with the swap before one of its steps, and reports whether the change got that far.
func swapAt(t *testing.T, before, name string, step int) bool {
	t.Helper()
	dir, outside := copyDir(t, before), mkdir(t, filepath.Join(t.TempDir(), "outside"))
	folder, aside := filepath.Join(dir, name), filepath.Join(dir, "aside")
	n, swapped := 0, false
	w, err := workspace.OpenHooked(dir, func(string, string) error {
		if n++; n == step {
			swapped = os.Rename(folder, aside) == nil
			symlink(t, outside, folder)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = w.IssueDevice(t.Context(), workspace.DeviceOptions{ID: "dev-1", Force: true})
	if n < step {
		return false
	}
	if err != nil && strings.Contains(err.Error(), "\n") {
		t.Errorf("the error has several lines: %v", err)
	}
	if files := snapshot(t, outside); len(files) > 0 {
		t.Errorf("files outside: %v", files)
	}
	if err := os.Remove(folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if swapped {
		if err := os.Rename(aside, folder); err != nil {
			t.Fatal(err)
		}
	}
	w = open(t, dir) // finishes the change, if it was past the point of no return
	consistent(t, w)
	device(t, w, "afterwards")
	return true
}

// What stands in the place of a folder is reported and left alone.
func TestFileInThePlaceOfAFolder(t *testing.T) {
	for _, name := range []string{"certs", "private"} {
		t.Run(name, func(t *testing.T) {
			dir := mkdir(t, filepath.Join(t.TempDir(), "pki"))
			if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o644); err != nil {
				t.Fatal(err)
			}
			before := snapshot(t, dir)
			err := initIn(t, dir)
			if err == nil || !strings.Contains(err.Error(), filepath.Join(dir, name)) {
				t.Errorf("got %v, want an error that names %s", err, name)
			}
			if diff := cmp.Diff(before, snapshot(t, dir)); diff != "" {
				t.Errorf("files are changed (-want +got):\n%s", diff)
			}
		})
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below"), ""} {
		if err := initIn(t, dir); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("dir %q: got %v, want an error", dir, err)
		}
	}
}

func initIn(t *testing.T, dir string) error {
	t.Helper()
	w, err := workspace.Open(dir)
	if err != nil {
		return err
	}
	_, _, err = w.Init(t.Context(), workspace.InitOptions{Intermediates: 1})
	return err
}

// A folder in the place of a file stops a change before anything is written.
func TestFolderInThePlaceOfAFile(t *testing.T) {
	w := ready(t)
	mkdir(t, w.Paths("new").Cert)
	before := snapshot(t, w.Dir())
	if _, _, err := w.IssueDevice(t.Context(), workspace.DeviceOptions{ID: "new"}); !errors.Is(err, workspace.ErrExists) {
		t.Errorf("got %v, want ErrExists", err)
	}
	if err := os.Remove(w.Paths("verification-code").Cert); err != nil {
		t.Fatal(err)
	}
	delete(before, "certs/verification-code.cert.pem")
	mkdir(t, w.Paths("verification-code").Cert)
	_, _, err := w.IssueVerification(t.Context(), workspace.VerificationOptions{Code: "X"})
	if err == nil || !strings.Contains(err.Error(), "a folder is in its place") {
		t.Errorf("got %v, want that a folder is in the way", err)
	}
	if diff := cmp.Diff(before, snapshot(t, w.Dir())); diff != "" {
		t.Errorf("files are changed (-want +got):\n%s", diff)
	}
	if _, _, err := w.IssueDevice(t.Context(), workspace.DeviceOptions{ID: "new", Force: true}); err != nil {
		t.Errorf("force does not move the folder away: %v", err)
	}
}

// A file that stands where a new one goes is never overwritten, whether or not the manifest lists it.
func TestUnlistedFileIsKept(t *testing.T) {
	for _, pick := range []func(workspace.Paths) string{
		func(p workspace.Paths) string { return p.Cert }, func(p workspace.Paths) string { return p.FullChain },
		func(p workspace.Paths) string { return p.Key }, func(p workspace.Paths) string { return p.PFX },
		func(p workspace.Paths) string { return p.PFXPassword },
	} {
		w := ready(t)
		path := pick(w.Paths("new"))
		if err := os.WriteFile(path, []byte("mine"), 0o644); err != nil {
			t.Fatal(err)
		}
		before := snapshot(t, w.Dir())
		opts := workspace.DeviceOptions{ID: "new", PFX: &pki.PFXOptions{}}
		_, _, err := w.IssueDevice(t.Context(), opts)
		if !errors.Is(err, workspace.ErrExists) || !strings.Contains(err.Error(), path) {
			t.Errorf("got %v, want ErrExists with %s", err, path)
		}
		if diff := cmp.Diff(before, snapshot(t, w.Dir())); diff != "" {
			t.Errorf("files are changed (-want +got):\n%s", diff)
		}
		opts.Force = true
		if _, _, err := w.IssueDevice(t.Context(), opts); err != nil {
			t.Fatal(err)
		}
		keptOld(t, snapshot(t, w.Dir()), before)
	}
}

// Only temporary files of this package are swept away, not those that a command is about to rename into the folder.
func TestSweep(t *testing.T) {
	dir := ready(t).Dir()
	put(t, dir, "certs/.certgen-ws-0123456789abcdef01234567-0.tmp", nil, 0o600)
	put(t, dir, "certs/.certgen-2714091282.tmp", []byte("an export"), 0o600)
	device(t, open(t, dir), "next")
	got := leftovers(snapshot(t, dir))
	if diff := cmp.Diff([]string{"certs/.certgen-2714091282.tmp"}, got); diff != "" {
		t.Errorf("temporary files (-want +got):\n%s", diff)
	}
}

//go:build unix

package scripts

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

const nobody = 65534

// giveAway gives a folder and all in it to the user without rights.
func giveAway(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(path, nobody, nobody)
	})
	if err != nil {
		t.Skipf("cannot give a folder away: %v", err)
	}
}

// anotherUser lets root run a program as a user without rights, to whom the
// folder is given.
func anotherUser(t *testing.T, dir string) func(*exec.Cmd) {
	t.Helper()
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Skipf("cannot give a folder away: %v", err)
	}
	for at := filepath.Dir(dir); at != "/" && at != os.TempDir(); at = filepath.Dir(at) {
		if err := os.Chmod(at, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
}

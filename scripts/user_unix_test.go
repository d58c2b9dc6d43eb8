//go:build unix

package scripts

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// anotherUser lets root run a program as a user without rights, to whom the
// folder is given.
func anotherUser(t *testing.T, dir string) func(*exec.Cmd) {
	t.Helper()
	const nobody = 65534
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

//go:build unix

package workspace_test

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

// A named pipe in the place of a file is refused. Opening it would wait for somebody to write into it.
func TestNamedPipes(t *testing.T) {
	for _, name := range []string{
		".certgen.lock", ".certgen.journal", "certgen.json", "certs", "private", "certs/x.cert.pem",
		"certs/" + scriptRoot + ".cert.pem",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if strings.Contains(name, "/") {
				mkdir(t, filepath.Join(dir, "certs"))
			}
			if err := syscall.Mkfifo(filepath.Join(dir, filepath.FromSlash(name)), 0o600); err != nil {
				t.Skipf("this file system has no named pipes: %v", err)
			}
			done := make(chan error, 1)
			go func() {
				w, err := workspace.Open(dir)
				if err == nil {
					_, _, err = w.Init(t.Context(), workspace.InitOptions{})
				}
				done <- err
			}()
			select {
			case err := <-done:
				if (err == nil) != (name == "certs/x.cert.pem") {
					t.Errorf("got %v", err)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("it hangs")
			}
		})
	}
}

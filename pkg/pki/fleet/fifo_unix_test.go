//go:build unix

package fleet_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/pki/fleet"
)

// A named pipe in the place of a file does not make a run wait for somebody to write into it.
func TestNamedPipes(t *testing.T) {
	tests := map[fleet.Format][]string{
		fleet.FormatFiles: {"out/fleet.json", "out/.fleet.lock", "out/index.csv", "out/certs", "out/certs/00000/dev-1.cert.pem", "out/private/00000/dev-1.key.pem"},
		fleet.FormatTar:   {".out.part", ".out.journal.part", ".out.index.csv.part", ".out.lock", "out", "out.index.csv"},
		fleet.FormatZip:   {".out.directory.part"},
	}
	for format, names := range tests {
		for _, name := range names {
			t.Run(string(format)+" "+filepath.Base(name), func(t *testing.T) {
				dir := t.TempDir()
				opts, target := options(t, 2), fleet.Target{Format: format, Path: filepath.Join(dir, "out")}
				if format == fleet.FormatFiles {
					if _, err := fleet.Write(t.Context(), opts, target); err != nil {
						t.Fatal(err)
					}
				}
				path := filepath.Join(dir, filepath.FromSlash(name))
				if err := os.RemoveAll(path); err != nil {
					t.Fatal(err)
				}
				if err := syscall.Mkfifo(path, 0o600); err != nil {
					t.Skipf("this file system has no named pipes: %v", err)
				}
				done := make(chan struct{})
				go func() {
					defer close(done)
					_, _ = fleet.Write(t.Context(), opts, target) // refused or replaced, as the place may be
				}()
				select {
				case <-done:
				case <-time.After(20 * time.Second):
					t.Fatal("it hangs")
				}
			})
		}
	}
}

package clitest

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// Build builds the program in the current folder as a user does and returns
// the path of the binary.
func Build(tb testing.TB, name string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), name)
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		tb.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

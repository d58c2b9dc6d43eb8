//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Both ways of being stopped in the middle leave whole devices only, and the
// same command makes the others and touches none of those.
func TestFleetGoesOnAfterASignal(t *testing.T) {
	for name, signal := range map[string]syscall.Signal{"interrupt": syscall.SIGINT, "kill": syscall.SIGKILL} {
		t.Run(name, func(t *testing.T) {
			dir := newFolder(t)
			args := []string{"device", "--count", "600", "--prefix", "d-", "--key-type", "ec-p384", "--out", "out", "--output", "json"}
			state, stderr := signalWhen(t, dir, signal, args, func() bool {
				entries, _ := os.ReadDir(filepath.Join(dir, "out", "certs", "00000"))
				return len(entries) > 20
			})
			if signal == syscall.SIGINT {
				if state.ExitCode() != 130 || !strings.Contains(stderr, "certgen: interrupted\n") ||
					!strings.Contains(stderr, "of 600 devices are whole and stay in out; the same command makes the others") {
					t.Errorf("exit code %d, stderr %q; want 130 and a way on", state.ExitCode(), stderr)
				}
				if found := filesNamed(t, filepath.Join(dir, "out"), ".*.part"); len(found) > 0 {
					t.Errorf("temporary files %q are left", found)
				}
			}
			if _, err := os.Stat(filepath.Join(dir, "out", "index.csv")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("index: %v, want none", err)
			}
			before := readNamed(t, filepath.Join(dir, "out"), "*.cert.pem")

			var result fleetResult
			if err := json.Unmarshal(certgen(t, dir, args...), &result); err != nil {
				t.Fatal(err)
			}
			if result.Made+result.Kept != 600 || result.Kept < len(before)/2-2 || result.Kept == 0 || result.Made == 0 {
				t.Errorf("result %+v after %d certificate files", result, len(before))
			}
			after := readNamed(t, filepath.Join(dir, "out"), "*.cert.pem")
			changed := 0
			for name, data := range before {
				if after[name] != data {
					changed++
				}
			}
			// A device whose certificate was not there yet is made again, with its full chain.
			if changed > 2 || len(after) != 1200 {
				t.Errorf("%d of %d certificates changed; there are %d now", changed, len(before), len(after))
			}
			if found := filesNamed(t, filepath.Join(dir, "out"), ".*"); len(found) > 0 {
				t.Errorf("temporary files %q are left", found)
			}
		})
	}
}

// An archive that was stopped in the middle is nowhere under its name, and the
// same command keeps what was made of it.
func TestFleetArchiveGoesOnAfterASignal(t *testing.T) {
	for format, signal := range map[string]syscall.Signal{"tar": syscall.SIGINT, "zip": syscall.SIGKILL} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			dir := newFolder(t)
			out := filepath.Join(dir, "sub", "out")
			args := []string{"device", "--count", "4000", "--prefix", "d-", "--key-type", "ec-p384", "--output-format", format, "--out", out, "--output", "json"}
			state, stderr := signalWhen(t, dir, signal, args, func() bool {
				journal, _ := os.ReadFile(filepath.Join(dir, "sub", ".out.journal.part"))
				return bytes.Count(journal, []byte("\n")) > 1
			})
			if signal == syscall.SIGINT && (state.ExitCode() != 130 || !strings.Contains(stderr, "certgen: interrupted\n") ||
				!strings.Contains(stderr, "of 4000 devices are whole and stay in "+filepath.Join(dir, "sub", ".out.part")+"; the same command makes the others")) {
				t.Errorf("exit code %d, stderr %q; want 130 and a way on", state.ExitCode(), stderr)
			}
			for file := range readNamed(t, filepath.Join(dir, "sub"), "*") {
				if base := filepath.Base(file); !strings.HasSuffix(base, ".part") && !(signal == syscall.SIGKILL && base == ".out.lock") {
					t.Errorf("%q is there", file)
				}
			}
			var result fleetResult
			if err := json.Unmarshal(certgen(t, dir, args...), &result); err != nil {
				t.Fatal(err)
			}
			if result.Made+result.Kept != 4000 || result.Kept == 0 || result.Made == 0 {
				t.Errorf("result %+v", result)
			}
			if left := filesNamed(t, filepath.Join(dir, "sub"), ".*"); len(left) > 0 {
				t.Errorf("temporary files %q are left", left)
			}
			index, err := os.ReadFile(out + ".index.csv")
			if err != nil {
				t.Fatal(err)
			}
			for i, line := range strings.Split(strings.TrimSuffix(string(index), "\n"), "\n")[1:] {
				if want := fmt.Sprintf("d-%04d,", i+1); !strings.HasPrefix(line, want) {
					t.Fatalf("line %d of the index is %q, want %q", i+2, line, want)
				}
			}
		})
	}
}

// A limit on the size of files stands for a disk that is full.
func TestFleetOnAFullDisk(t *testing.T) {
	tests := []struct {
		format string
		blocks string // of 512 bytes, in one file
	}{{"tar", "100"}, {"zip", "100"}, {"files", "1"}}
	for _, tt := range tests {
		dir := newFolder(t)
		cmd := exec.Command("sh", "-c", `ulimit -f "$0" && exec certgen device --count 1000 --prefix d- --out sub/out --output-format "$1"`, tt.blocks, tt.format)
		cmd.Dir = dir
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		_ = cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(stderr.String(), "file too large") || strings.Count(stderr.String(), "error: ") != 1 {
			t.Errorf("%s: exit code %d, stderr %q", tt.format, code, stderr.String())
		}
		if left := filesNamed(t, filepath.Join(dir, "sub"), "*"); len(left) > 0 {
			t.Errorf("%s: files %q are left", tt.format, left)
		}
	}
}

// newFolder returns a folder with a PKI in it.
func newFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	certgen(t, dir, "init", "--quiet")
	return dir
}

// certgen runs the program in a folder and returns what it prints.
func certgen(t *testing.T, dir string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("certgen", args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("certgen %q: %v", args, err)
	}
	return out
}

// signalWhen starts the program, on one processor so that no machine is too fast,
// and sends it a signal as soon as ready says so.
func signalWhen(t *testing.T, dir string, signal os.Signal, args []string, ready func() bool) (*os.ProcessState, string) {
	t.Helper()
	cmd := exec.Command("certgen", args...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	for !ready() {
		select {
		case <-ended:
			t.Fatalf("certgen ended before it could be stopped: %s", stderr.String())
		case <-time.After(time.Millisecond):
		}
	}
	if err := cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	<-ended
	return cmd.ProcessState, stderr.String()
}

// filesNamed returns the files below dir whose names fit a pattern.
func filesNamed(t *testing.T, dir, pattern string) []string {
	t.Helper()
	var found []string
	for name := range readNamed(t, dir, pattern) {
		found = append(found, name)
	}
	return found
}

// readNamed returns the files below dir whose names fit a pattern.
func readNamed(t *testing.T, dir, pattern string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		if ok, err := filepath.Match(pattern, d.Name()); !ok || err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		found[path] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

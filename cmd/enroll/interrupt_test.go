package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps/dpstest"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/pki"
)

// generateCmd is a child process that runs enroll --generate in dir against
// the emulator.
func generateCmd(t *testing.T, emu *emulator.Emulator, dir string, flags ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath("enroll")
	if err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pki.EncodeCertificatesPEM(emu.CACertificate()), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, append([]string{"--generate", "--output", "json", "--dir", dir}, flags...)...)
	cmd.Env = append(os.Environ(), envConnectionString+"="+emu.Info().ConnectionString, envCAFile+"="+ca)
	return cmd
}

// TestStoppedGenerateGoesOn stops the run with an interrupt, and by force,
// after each line of its progress. The folder must hold no leftovers, and the
// next run must finish the job.
func TestStoppedGenerateGoesOn(t *testing.T) {
	t.Parallel() // all of it is in processes
	if runtime.GOOS == "windows" {
		t.Skip("signals cannot be sent to a process on Windows")
	}
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM, os.Kill} {
		for lines := 1; lines <= 6; lines++ {
			t.Run(fmt.Sprintf("%v after line %d", signal, lines), func(t *testing.T) {
				t.Parallel()
				emu := dpstest.Start(t)
				dir := filepath.Join(t.TempDir(), "pki")
				code, stdout := stopAfter(t, generateCmd(t, emu, dir), signal, lines)
				switch {
				case (code == 0 || code == -1) && json.Valid(stdout): // it was faster than the signal
				case signal == os.Kill && code == -1:
				case signal != os.Kill && code == 130 && len(stdout) == 0:
				default:
					t.Errorf("exit code %d, stdout %q", code, stdout)
				}
				if signal != os.Kill {
					noLeftovers(t, dir)
				}
				cmd := generateCmd(t, emu, dir)
				out, err := cmd.Output()
				var result generated
				if err == nil {
					err = json.Unmarshal(out, &result)
				}
				if err != nil || result.Status != "assigned" {
					t.Fatalf("next run: %v, %s", err, errorText(err))
				}
				noLeftovers(t, dir)
			})
		}
	}
}

// stopAfter runs cmd, sends the signal when it has printed that many lines on
// standard error, and returns its exit code (-1 when killed) and its output.
func stopAfter(t *testing.T, cmd *exec.Cmd, signal os.Signal, lines int) (int, []byte) {
	t.Helper()
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	scanner := bufio.NewScanner(stderr)
	for n := 1; scanner.Scan(); n++ {
		if n == lines {
			_ = cmd.Process.Signal(signal) // it may have ended meanwhile
		}
	}
	_ = cmd.Wait()
	return cmd.ProcessState.ExitCode(), stdout.Bytes()
}

// noLeftovers demands that the folder has none of the temporary files and
// journals of a write.
func noLeftovers(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && !d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".certgen.lock" {
			t.Errorf("left over: %s", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func errorText(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return string(exit.Stderr)
	}
	return ""
}

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/dpskit/dpskit/cmd/internal/clitest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"certgen": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, scriptParams("testdata/script"))
}

// scriptParams adds to the commands of clitest those below.
func scriptParams(dir string) testscript.Params {
	commands := clitest.Commands()
	commands["field"] = cmdField
	commands["snapshot"] = cmdSnapshot
	commands["interrupt"] = cmdInterrupt
	commands["fill"] = cmdFill
	commands["request"] = cmdRequest
	return testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("BELL", "a\ab")
			// The race detector sleeps for a second at the end of each process.
			env.Setenv("GORACE", strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0"))
			return nil
		},
		Cmds: commands,
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
	}
}

// field PATH WANT compares a member of the JSON document that the last program
// printed. PATH is like certificates.0.name, or certificates.count for a length;
// WANT is the text of the value, or nothing.
func cmdField(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: field PATH WANT")
	}
	var value any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &value))
	got := lookUp(value, strings.Split(args[0], "."))
	if (got == args[1]) == neg {
		ts.Fatalf("%s = %s", args[0], got)
	}
}

func lookUp(value any, path []string) string {
	for _, step := range path {
		switch v := value.(type) {
		case map[string]any:
			value = v[step]
		case []any:
			i, err := strconv.Atoi(step)
			if step == "count" {
				return strconv.Itoa(len(v))
			}
			if err != nil || i >= len(v) {
				return "nothing"
			}
			value = v[i]
		default:
			return "nothing"
		}
	}
	if value == nil {
		return "nothing"
	}
	return fmt.Sprint(value)
}

// snapshot DIR FILE writes every name below DIR with its mode and a hash of its
// content into FILE, so that a script can see that nothing changed.
func cmdSnapshot(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: snapshot DIR FILE")
	}
	var out bytes.Buffer
	root := ts.MkAbs(args[0])
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() == ".certgen.lock" {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		fmt.Fprintf(&out, "%s %s", info.Mode(), name)
		if d.Type().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&out, " %x", sha256.Sum256(data))
		}
		out.WriteByte('\n')
		return nil
	})
	if !errors.Is(err, fs.ErrNotExist) {
		ts.Check(err)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), out.Bytes(), 0o600))
}

// interrupt CODE PROGRAM ARGS... starts a program, sends an interrupt when it
// has written its first line to standard error, and checks the exit code.
func cmdInterrupt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: interrupt CODE PROGRAM ARGS...")
	}
	self, err := exec.LookPath(filepath.Join(filepath.SplitList(ts.Getenv("PATH"))[0], args[1]))
	ts.Check(err)
	cmd := exec.Command(self, args[2:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "PATH="+ts.Getenv("PATH"))
	stderr, err := cmd.StderrPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	var line [1]byte
	_, err = stderr.Read(line[:])
	ts.Check(err)
	ts.Check(cmd.Process.Signal(os.Interrupt))
	var rest bytes.Buffer
	_, _ = rest.ReadFrom(stderr)
	_ = cmd.Wait()
	if got := strconv.Itoa(cmd.ProcessState.ExitCode()); got != args[0] {
		ts.Fatalf("%v, want exit code %s; stderr %q", cmd.ProcessState, args[0], string(line[:])+rest.String())
	}
}

// fill FILE SIZE makes a file of that many bytes.
func cmdFill(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: fill FILE SIZE")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), bytes.Repeat([]byte("A"), n), 0o600))
}

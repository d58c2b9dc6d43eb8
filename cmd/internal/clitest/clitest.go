// Package clitest holds the script commands that the tests of both programs
// share. They add to those of testscript:
//
//	exits CODE PROGRAM [ARG...]   run a program and demand this exit code
//	json PATH VALUE               the last stdout is JSON with this value there
//	json2env NAME PATH            put a value of the last stdout into $NAME
//	stdout2env NAME               put the last stdout, trimmed, into $NAME
//	mode MODE FILE...             demand these permission bits, such as 0600
//	empty DIR                     demand that a folder has no files in it
//
// PATH is a list of member names and indexes, such as certificates.0.subject.
package clitest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// Command is a script command.
type Command = func(ts *testscript.TestScript, neg bool, args []string)

// Commands returns the script commands of this package.
func Commands() map[string]Command {
	return map[string]Command{
		"exits": exits, "json": jsonValue, "json2env": jsonToEnv, "stdout2env": stdoutToEnv, "mode": mode, "empty": empty,
	}
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("run %s: %v", args[1], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code = %d, want %d", got, want)
	}
}

// Environ returns the environment that the script sees: that of the test
// process, overlaid with what scripts commonly set.
func Environ(ts *testscript.TestScript) []string {
	env := os.Environ()
	for _, name := range scriptVariables {
		env = append(env, name+"="+ts.Getenv(name))
	}
	return env
}

// scriptVariables are the variables that a script may set for a program that
// is started by a command of this package.
var scriptVariables = []string{
	"WORK", "GORACE", "HOME", "TMPDIR", "PATH", "XDG_STATE_HOME",
	"CERTGEN_DIR", "CERTGEN_PFX_PASSWORD", "CERTGEN_CA_PASSWORD",
	"DPS_CONNECTION_STRING", "DPS_CA_FILE", "DPS_ID_SCOPE", "DPS_DEVICE_HOST", "DPS_SYMMETRIC_KEY", "DPS_GROUP_KEY", "AZURE_SUBSCRIPTION_ID",
}

func jsonValue(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: json PATH VALUE")
	}
	got := lookup(ts, args[0])
	if (got == args[1]) == neg {
		ts.Fatalf("%s = %q, want (negated: %v) %q", args[0], got, neg, args[1])
	}
}

func jsonToEnv(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: json2env NAME PATH")
	}
	ts.Setenv(args[0], lookup(ts, args[1]))
}

func stdoutToEnv(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: stdout2env NAME")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

// lookup returns the value at the path in the last stdout as text.
func lookup(ts *testscript.TestScript, path string) string {
	var v any
	dec := json.NewDecoder(strings.NewReader(ts.ReadFile("stdout")))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		ts.Fatalf("stdout is not JSON: %v", err)
	}
	for _, step := range strings.Split(path, ".") {
		next, err := descend(v, step)
		if err != nil {
			ts.Fatalf("%s: %v", path, err)
		}
		v = next
	}
	if s, ok := v.(string); ok {
		return s
	}
	text, err := json.Marshal(v)
	ts.Check(err)
	return string(text)
}

func descend(v any, step string) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		if member, ok := v[step]; ok {
			return member, nil
		}
		return nil, fmt.Errorf("no member %q", step)
	case []any:
		i, err := strconv.Atoi(step)
		if err != nil || i < 0 || i >= len(v) {
			return nil, fmt.Errorf("no element %q of %d", step, len(v))
		}
		return v[i], nil
	}
	return nil, fmt.Errorf("nothing below %q", step)
}

func mode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: mode MODE FILE...")
	}
	if runtime.GOOS == "windows" {
		return
	}
	want, err := strconv.ParseUint(args[0], 8, 32)
	ts.Check(err)
	for _, name := range args[1:] {
		info, err := os.Stat(ts.MkAbs(name))
		ts.Check(err)
		if info.Mode().Perm() != fs.FileMode(want) {
			ts.Fatalf("mode of %s = %04o, want %04o", name, info.Mode().Perm(), want)
		}
	}
}

func empty(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: empty DIR")
	}
	err := filepath.WalkDir(ts.MkAbs(args[0]), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && !d.IsDir() {
			return fmt.Errorf("there is a file %s", path)
		}
		return err
	})
	ts.Check(err)
}

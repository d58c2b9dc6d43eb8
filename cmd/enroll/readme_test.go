package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/cmd/internal/clitest"
)

const readme = "../../README.md"

func TestReadmeCommands(t *testing.T) {
	clitest.CheckReadme(t, "enroll", readme, newApp(&cliapp.Env{}))
}

// TestReadmeShowsRealOutput runs the command that the README begins with and
// compares what it prints with what the README shows, ports, dates and codes
// apart.
func TestReadmeShowsRealOutput(t *testing.T) {
	data, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(data), "$ go run ./cmd/enroll --generate\n")
	shown, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatal("the README does not show the output of the first command")
	}
	t.Chdir(t.TempDir())
	for _, name := range []string{envConnectionString, envCAFile, envIDScope, envDeviceHost, envDir} {
		t.Setenv(name, "")
	}
	var terminal bytes.Buffer // standard output and error as a terminal mixes them
	env := &cliapp.Env{In: strings.NewReader(""), Out: &terminal, Err: &terminal, GoRun: true, Getenv: os.Getenv, Now: time.Now}
	if code := program().Run(context.Background(), env, []string{"--generate"}); code != 0 {
		t.Fatalf("exit code %d: %s", code, terminal.String())
	}
	if diff := cmp.Diff(normalize(terminal.String()), normalize(shown)); diff != "" {
		t.Errorf("the README is stale (-real +shown):\n%s", diff)
	}
	if _, err := os.Stat(filepath.Join("pki", "certgen.json")); err != nil {
		t.Error(err)
	}
}

func normalize(s string) string {
	for pattern, name := range map[string]string{
		`localhost:\d+`: "localhost:PORT", `\d{4}-\d{2}-\d{2}`: "DATE", `code [0-9A-F]{8}…`: "code CODE",
	} {
		s = regexp.MustCompile(pattern).ReplaceAllString(s, name)
	}
	return s
}

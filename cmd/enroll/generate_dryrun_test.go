package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps/dpstest"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/pki"
)

// TestGenerateDoesWhatItsDryRunSaid compares the files of the plan with those of
// the run, and the requests with those that an emulator gets.
func TestGenerateDoesWhatItsDryRunSaid(t *testing.T) {
	t.Chdir(t.TempDir())
	emu := dpstest.Start(t, func(o *emulator.Options) { o.RetryAfter = -1 })
	if err := os.WriteFile("ca.pem", pki.EncodeCertificatesPEM(emu.CACertificate()), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(envConnectionString, emu.Info().ConnectionString)
	t.Setenv(envCAFile, "ca.pem")
	run := func(args ...string) (stdout, stderr string) {
		t.Helper()
		var out, errs bytes.Buffer
		env := &cliapp.Env{In: strings.NewReader(""), Out: &out, Err: &errs, Getenv: os.Getenv, Now: time.Now}
		if code := program().Run(context.Background(), env, args); code != 0 {
			t.Fatalf("exit code %d: %s", code, errs.String())
		}
		return out.String(), errs.String()
	}
	said, _ := run("--generate", "--dry-run", "--output", "json")
	var plan generatePlan
	if err := json.Unmarshal([]byte(said), &plan); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(defaultDir); err == nil {
		t.Fatal("the dry run made the folder")
	}
	_, log := run("--generate", "--output", "json", "--log-level", "debug", "--log-format", "json")
	var want, got, wantSent, sent []string
	for _, f := range plan.Files {
		want = append(want, f.Path)
	}
	err := filepath.WalkDir("pki", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && !strings.HasSuffix(path, ".lock") {
			got = append(got, path)
		}
		return err
	})
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("files (-said +made): %v\n%s", err, diff)
	}
	for _, r := range plan.Requests {
		_, path, _ := strings.Cut(strings.TrimPrefix(r.URL, "https://"), "/")
		path, _, _ = strings.Cut(path, "?")
		wantSent = append(wantSent, r.Method+" /"+path)
	}
	for line := range strings.Lines(log) {
		var record struct{ Msg, Method, Path string }
		if json.Unmarshal([]byte(line), &record) == nil && record.Msg == "request sent" && record.Method != "GET" {
			sent = append(sent, record.Method+" "+record.Path)
		}
	}
	if diff := cmp.Diff(wantSent, sent); diff != "" {
		t.Errorf("requests (-said +sent):\n%s", diff)
	}
}

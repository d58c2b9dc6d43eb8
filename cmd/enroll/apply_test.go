package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/desired"
	"github.com/dpskit/dpskit/pkg/dps/dpstest"
	"github.com/dpskit/dpskit/pkg/pki"
)

// TestApplyAsksAtATerminal answers the question in every way.
func TestApplyAsksAtATerminal(t *testing.T) {
	tests := []struct {
		answer string
		code   int
		made   bool
	}{{"y\n", 0, true}, {"YES\n", 0, true}, {"n\n", 1, false}, {"\n", 1, false}, {"", 1, false}, {"yess\n", 1, false}}
	for _, tt := range tests {
		t.Run(tt.answer, func(t *testing.T) {
			emu := dpstest.Start(t)
			dir := t.TempDir()
			ca, file := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "state.yaml")
			for path, data := range map[string][]byte{ca: pki.EncodeCertificatesPEM(emu.CACertificate()),
				file: []byte("enrollments: [{registrationId: d, attestation: {symmetricKey: {}}}]\n")} {
				if err := os.WriteFile(path, data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv(envConnectionString, emu.Info().ConnectionString)
			t.Setenv(envCAFile, ca)
			var stdout, stderr bytes.Buffer
			env := &cliapp.Env{In: strings.NewReader(tt.answer), InTTY: true, Out: &stdout, Err: &stderr, Getenv: os.Getenv, Now: time.Now}
			code := program().Run(context.Background(), env, []string{"apply", "-f", file})
			if code != tt.code {
				t.Errorf("exit code = %d, want %d: %s", code, tt.code, stderr.String())
			}
			if !strings.Contains(stdout.String(), `+ create enrollment "d"`) || !strings.Contains(stderr.String(), "make 1 change at localhost:") {
				t.Errorf("the plan or the question is missing:\n%s%s", stdout.String(), stderr.String())
			}
			_, err := serviceClient(t, emu, nil).GetEnrollment(t.Context(), "d", nil)
			if (err == nil) != tt.made {
				t.Errorf("made: %v, want %v", err == nil, tt.made)
			}
		})
	}
}

// newFailing is a program that does nothing but fail.
func newFailing(err error) func(*cliapp.Env) *cli.App {
	return func(*cliapp.Env) *cli.App {
		return &cli.App{Action: func(*cli.Context) error { return err }}
	}
}

func TestApplyExitCodes(t *testing.T) {
	conflict := &dps.Error{StatusCode: http.StatusConflict, Code: 409201}
	tests := []struct {
		name         string
		done         int
		ended, first error
		code         int
	}{
		{"all done", 3, nil, nil, 0},
		{"some failed", 2, nil, conflict, cliapp.ExitPartial},
		{"all failed", 0, nil, conflict, cliapp.ExitConflict},
		{"not authorised", 0, &dps.Error{StatusCode: http.StatusUnauthorized}, conflict, cliapp.ExitUnauthorized},
		{"throttled halfway", 2, &dps.Error{StatusCode: http.StatusTooManyRequests}, nil, cliapp.ExitUnavailable},
		{"interrupted", 1, context.Canceled, nil, cliapp.ExitInterrupted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			counts := map[desired.Status]int{desired.Done: tt.done}
			switch left := 3 - tt.done; {
			case tt.ended != nil:
				counts[desired.Unknown], counts[desired.NotTried] = 1, left-1
			case tt.first != nil:
				counts[desired.Failed] = left
			}
			err := applyError(counts, tt.ended, tt.first)
			var stderr bytes.Buffer
			p := cliapp.Program{Name: "enroll", Classify: classify, New: newFailing(err)}
			if code := p.Run(context.Background(), &cliapp.Env{Out: &stderr, Err: &stderr}, nil); code != tt.code {
				t.Errorf("exit code = %d, want %d: %s", code, tt.code, stderr.String())
			}
			if tt.ended != nil && !strings.Contains(stderr.String(), fmt.Sprintf("%d of 3 changes are made, of 1 it is not known; the same", tt.done)) {
				t.Errorf("the state is not told: %s", stderr.String())
			}
			if tt.first != nil && tt.ended == nil && !errors.Is(err, dps.ErrConflict) {
				t.Errorf("%v does not say why", err)
			}
		})
	}
}

// TestApplyPlanIsStable pins the names of the JSON document.
func TestApplyPlanIsStable(t *testing.T) {
	got, err := json.Marshal(planView{Host: "h", Changes: []changeView{viewChange(desired.Change{Kind: desired.KindGroup, ID: "g", Action: desired.Delete})}})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"host":"h","applied":false,"changes":[{"action":"delete","kind":"enrollmentGroup","id":"g","differences":[]}],"unchanged":0}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	hostile := planView{Host: "h\x1b[2J", Changes: []changeView{{Action: desired.Update, Kind: desired.KindGroup, ID: "g\n+ create", Differences: viewChange(desired.Change{}).Differences}}}
	if text := hostile.text(""); strings.Contains(text, "\x1b") || strings.Contains(text, "\n+ create") {
		t.Errorf("control characters get through: %q", text)
	}
}

func TestDocumentFormats(t *testing.T) {
	for _, tt := range []struct {
		file, text string
		want       desired.Format
	}{
		{"a.json", "enrollments:", desired.JSON}, {"a.YML", `{"a": 1}`, desired.YAML}, {"-", " {\n \"a\": 1}", desired.JSON},
		{"-", "\ufeff{\"a\":1}", desired.JSON}, {"-", "{a: 1}", desired.YAML}, {"-", "a: 1", desired.YAML}, {"-", "", desired.YAML},
	} {
		if got := documentFormat(tt.file, []byte(tt.text)); got != tt.want {
			t.Errorf("%s %q: got %s, want %s", tt.file, tt.text, got, tt.want)
		}
	}
}

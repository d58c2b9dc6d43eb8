package cliapp_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
)

func TestProgress(t *testing.T) {
	var out bytes.Buffer
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	vars := map[string]string{"NO_COLOR": "1"}
	env := &cliapp.Env{
		Err: &out, ErrTTY: true, Now: func() time.Time { return now }, Getenv: func(name string) string { return vars[name] },
	}
	p := env.NewProgress("devices")
	draw := func(after time.Duration, done int) string {
		out.Reset()
		now = now.Add(after)
		p.Set(done, 1000)
		return out.String()
	}
	tests := []struct {
		after time.Duration
		done  int
		want  string
	}{
		{0, 200, "\rdevices [========>                               ]  20%  200/1000\x1b[K"},
		{50 * time.Millisecond, 210, ""}, // too soon
		{1950 * time.Millisecond, 300, "\rdevices [===========>                          ]  30%  300/1000  50/s  14s left\x1b[K"},
		{98 * time.Second, 400, "\rdevices [==============>                     ]  40%  400/1000  2.0/s  5m0s left\x1b[K"},
		{time.Second, 1000, "\rdevices [=====================================] 100%  1000/1000  7.9/s  0s left\x1b[K"},
	}
	for _, tt := range tests {
		got := draw(tt.after, tt.done)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%d after %v (-want +got):\n%s", tt.done, tt.after, diff)
		}
	}
	out.Reset()
	p.Clear()
	if got := out.String(); got != "\r\x1b[K" {
		t.Errorf("Clear() wrote %q", got)
	}

	vars["NO_COLOR"] = ""
	if got := draw(time.Second, 500); !strings.Contains(got, "[\x1b[32m=") || !strings.Contains(got, "\x1b[0m]") {
		t.Errorf("no colour in %q", got)
	}
}

func TestProgressWithoutATerminal(t *testing.T) {
	for name, env := range map[string]*cliapp.Env{
		"a pipe":          {ErrTTY: false, Getenv: func(string) string { return "" }},
		"a dumb terminal": {ErrTTY: true, Getenv: func(name string) string { return map[string]string{"TERM": "dumb"}[name] }},
	} {
		var out bytes.Buffer
		env.Err, env.Now = &out, time.Now
		p := env.NewProgress("devices")
		p.Set(1, 2)
		p.Set(2, 2)
		p.Clear()
		if out.Len() > 0 {
			t.Errorf("%s: %q was written", name, out.String())
		}
	}
	var out bytes.Buffer
	p := (&cliapp.Env{Err: &out, ErrTTY: true, Now: time.Now, Getenv: func(string) string { return "" }}).NewProgress("devices")
	p.Set(0, 0)
	p.Clear()
	if out.Len() > 0 {
		t.Errorf("an empty job wrote %q", out.String())
	}
}

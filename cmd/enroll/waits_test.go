package main

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
)

type answer struct{ resp *http.Response }

func (a answer) RoundTrip(req *http.Request) (*http.Response, error) {
	a.resp.Request = req
	return a.resp, nil
}

func TestWaitsSayWhy(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	tests := []struct {
		name   string
		status int
		header http.Header
		want   string
	}{
		{"success", 200, http.Header{"Retry-After": {"7"}}, ""},
		{"an accepted operation", 202, http.Header{"Retry-After": {"3"}}, ""},
		{"not found", 404, nil, ""},
		{"seconds", 429, http.Header{"Retry-After": {"7"}}, "h:1 answers 429 Too Many Requests and asks to wait 7s\n"},
		{"beyond the time", 429, http.Header{"Retry-After": {"90"}}, "h:1 answers 429 Too Many Requests and asks to wait 1m30s, longer than --timeout 1m0s\n"},
		{"a date by the server's clock", 429, http.Header{"Retry-After": {"Fri, 02 Jan 2026 03:05:10 GMT"}, "Date": {"Fri, 02 Jan 2026 03:05:00 GMT"}},
			"h:1 answers 429 Too Many Requests and asks to wait 10s\n"},
		{"a date without the server's clock", 429, http.Header{"Retry-After": {"Fri, 02 Jan 2026 03:05:05 GMT"}}, "h:1 answers 429 Too Many Requests and asks to wait 1m0s, longer than --timeout 1m0s\n"},
		{"garbage", 429, http.Header{"Retry-After": {"soon\x1b[2J"}}, "h:1 answers 429 Too Many Requests\n"},
		{"zero", 429, http.Header{"Retry-After": {"0"}}, "h:1 answers 429 Too Many Requests\n"},
		{"unavailable", 503, nil, "h:1 answers 503 Service Unavailable\n"},
		{"not implemented is final", 501, nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			if tt.header == nil {
				tt.header = http.Header{}
			}
			w := &waits{env: &cliapp.Env{Err: &out, Now: func() time.Time { return now }}, timeout: time.Minute, next: answer{&http.Response{StatusCode: tt.status, Header: tt.header}}}
			resp, err := w.RoundTrip(&http.Request{URL: &url.URL{Host: "h:1", Path: "/secret"}})
			if err != nil || resp.StatusCode != tt.status {
				t.Fatal(resp, err)
			}
			if out.String() != tt.want {
				t.Errorf("got %q, want %q", out.String(), tt.want)
			}
		})
	}
}

func TestWaitsTellOfLostAnswers(t *testing.T) {
	var out bytes.Buffer
	w := &waits{env: &cliapp.Env{Err: &out}}
	w.lost("h:1", "EOF\x1b[2J")
	if want := "no usable answer from h:1 (EOF"; !strings.HasPrefix(out.String(), want) || strings.Contains(out.String(), "\x1b") ||
		!strings.HasSuffix(out.String(), "): trying again\n") {
		t.Errorf("got %q, want %q…", out.String(), want)
	}
	out.Reset()
	(&waits{env: w.env, silent: true}).lost("h:1", "EOF")
	(*waits)(nil).lost("h:1", "EOF")
	if out.String() != "" {
		t.Errorf("got %q", out.String())
	}
}

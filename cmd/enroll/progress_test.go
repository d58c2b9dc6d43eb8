package main

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps"
)

// TestWaitingSaysWhy: each reason to wait has its own words.
func TestWaitingSaysWhy(t *testing.T) {
	for want, reason := range map[string]error{
		"h asks to slow down (429): waiting 1s\n": &dps.Error{StatusCode: 429},
		"h answers 503: waiting 1s\n":             &dps.Error{StatusCode: 503},
		"h does not answer: waiting 1s\n":         &dps.Error{Message: "no CONNACK from the server", Err: context.DeadlineExceeded},
		"h cannot be reached: waiting 1s\n":       &dps.Error{Err: errors.New("connection refused")},
	} {
		var out bytes.Buffer
		newManyProgress(&cliapp.Env{Err: &out}, "h").waiting(reason, time.Second)
		if got := out.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

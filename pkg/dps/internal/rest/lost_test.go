package rest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/internal/rest"
)

// TestLostAnswersAreTold: before each repetition, and not after the last attempt
// or where an answer says why.
func TestLostAnswersAreTold(t *testing.T) {
	lost := answer{err: io.EOF}
	line := "service.example: EOF"
	for name, tt := range map[string]struct {
		answers []answer
		retries int
		want    []string
	}{
		"once":              {answers: []answer{lost, ok}, want: []string{line}},
		"cut off":           {answers: []answer{{status: 200, body: `{"a":`}, ok}, want: []string{"service.example: the answer is cut off: unexpected EOF"}},
		"for good":          {answers: []answer{lost}, retries: 2, want: []string{line, line}},
		"no repetition":     {answers: []answer{lost}, retries: -1},
		"nothing to repeat": {answers: []answer{{err: http.ErrSchemeMismatch}}},
		"an answer":         {answers: []answer{status(503), ok}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got []string
				c := newClient(&server{answers: tt.answers}, func(c *rest.Config) {
					c.MaxRetries = tt.retries
					c.Lost = func(host, cause string) { got = append(got, host+": "+cause) }
				})
				_, _ = get(t.Context(), c, &rest.Call{Op: "o"})
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// TestTheReasonOutlivesTheTime: a deadline does not hide what went wrong before.
func TestTheReasonOutlivesTheTime(t *testing.T) {
	for name, tt := range map[string]struct {
		answers []answer
		want    string
		eof     bool
	}{
		"while waiting":         {[]answer{{err: fmt.Errorf("read: %w", io.EOF)}}, "o: read: EOF; then the time was up: context deadline exceeded (after 1 attempts)", true},
		"in the second attempt": {[]answer{{err: io.EOF}, {err: context.DeadlineExceeded}}, "EOF; then the time was up", true},
		"nothing before":        {[]answer{{err: context.DeadlineExceeded}}, "o: context deadline exceeded", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClient(&server{answers: tt.answers}, func(c *rest.Config) { c.Timeout = 700 * time.Millisecond; c.RetryDelay = time.Second })
				if name == "in the second attempt" {
					c = newClient(&server{answers: tt.answers}, func(c *rest.Config) { c.MaxRetries = 1 })
				}
				_, err := get(t.Context(), c, &rest.Call{Op: "o"})
				if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, dps.ErrUnavailable) || errors.Is(err, io.EOF) != tt.eof {
					t.Errorf("got %v", err)
				}
				if !strings.Contains(err.Error()+" (after 1 attempts)", tt.want) {
					t.Errorf("got  %v\nwant %s", err, tt.want)
				}
			})
		})
	}
}

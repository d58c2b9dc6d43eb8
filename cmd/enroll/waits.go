package main

import (
	"fmt"
	"net/http"
	"time"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps"
)

// waits says why a command is slow: that the service asks to slow down, or
// fails, or that nothing answers, so that the client waits before it tries again.
// Answers it sees as a transport, lost ones the clients tell it.
type waits struct {
	env  *cliapp.Env
	next http.RoundTripper
	// timeout is what --timeout allows; 0 if it does not matter.
	timeout time.Duration
	// silent leaves it to the command to say so.
	silent bool
}

func (w *waits) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := w.next.RoundTrip(req)
	if err != nil || w.silent {
		return resp, err
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusRequestTimeout, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		w.note(resp)
	}
	return resp, nil
}

// lost tells of a request without an answer that is going to be sent again.
func (w *waits) lost(host, cause string) {
	if w == nil || w.silent {
		return
	}
	w.env.Notef("no usable answer from %s (%s): trying again", host, cause)
}

func (w *waits) note(resp *http.Response) {
	asks := ""
	if delay, ok := dps.ParseRetryAfter(resp.Header.Get("Retry-After"), w.reference(resp)); ok && delay > 0 {
		asks = " and asks to wait " + delay.Round(time.Second).String()
		if w.timeout > 0 && delay >= w.timeout {
			asks += fmt.Sprintf(", longer than --%s %s", flagTimeout, w.timeout)
		}
	}
	w.env.Notef("%s answers %d %s%s", resp.Request.URL.Host, resp.StatusCode, http.StatusText(resp.StatusCode), asks)
}

// reference is the clock that a date in Retry-After is measured against: the
// server's own, if it says what time it has.
func (w *waits) reference(resp *http.Response) time.Time {
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		return date
	}
	return w.env.Now()
}

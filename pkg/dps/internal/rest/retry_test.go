package rest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/internal/rest"
)

// The back-off of azcore is the base delay times 0.8 to 1.3.
const backoffMin, backoffMax = 640 * time.Millisecond, 1040 * time.Millisecond

func TestRetryAfterIsHonoured(t *testing.T) {
	tests := []struct {
		name     string
		headers  []string
		body     string
		min, max time.Duration
	}{
		{name: "seconds", headers: []string{"Retry-After", "3"}, min: 3 * time.Second, max: 3 * time.Second},
		{name: "milliseconds", headers: []string{"Retry-After-Ms", "250"}, min: 250 * time.Millisecond, max: 250 * time.Millisecond},
		{name: "milliseconds of ARM", headers: []string{"X-Ms-Retry-After-Ms", "40"}, min: 40 * time.Millisecond, max: 40 * time.Millisecond},
		{name: "date, by the server's own clock", headers: []string{"Retry-After", "Wed, 04 Mar 2026 05:06:37 GMT",
			"Date", "Wed, 04 Mar 2026 05:06:27 GMT"}, min: 10 * time.Second, max: 10 * time.Second},
		// The clock of a bubble starts at midnight UTC, 1 January 2000.
		{name: "date, by the local clock", headers: []string{"Retry-After", "Sat, 01 Jan 2000 00:00:07 GMT"}, min: 7 * time.Second, max: 7 * time.Second},
		{name: "date of RFC 850", headers: []string{"Retry-After", "Saturday, 01-Jan-00 00:00:07 GMT"}, min: 7 * time.Second, max: 7 * time.Second},
		{name: "in the text of ARM", body: `{"error":{"code":"SubscriptionRequestsThrottled","message":"Please try again after '6' seconds."}}`,
			min: 6 * time.Second, max: 6 * time.Second},
		{name: "beyond the cap", headers: []string{"Retry-After", "1000000000"}, min: time.Minute, max: time.Minute},
		{name: "beyond every integer", headers: []string{"Retry-After", "99999999999999999999"}, min: time.Minute, max: time.Minute},
		{name: "date beyond the cap", headers: []string{"Retry-After", "Sat, 01 Jan 2050 00:00:00 GMT"}, min: time.Minute, max: time.Minute},
		{name: "absent", min: backoffMin, max: backoffMax},
		{name: "zero", headers: []string{"Retry-After", "0"}, min: backoffMin, max: backoffMax},
		{name: "negative", headers: []string{"Retry-After", "-1"}, min: backoffMin, max: backoffMax},
		{name: "date in the past", headers: []string{"Retry-After", "Fri, 31 Dec 1999 00:00:00 GMT"}, min: backoffMin, max: backoffMax},
		{name: "garbage", headers: []string{"Retry-After", "soon"}, min: backoffMin, max: backoffMax},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				throttled := status(429, tt.headers...)
				if tt.body != "" {
					throttled.body = tt.body
				}
				s := &server{answers: []answer{throttled, ok}}
				start := time.Now()
				if _, err := get(t.Context(), newClient(s), &rest.Call{Op: "o"}); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took < tt.min || took > tt.max {
					t.Errorf("waited %v, want %v to %v", took, tt.min, tt.max)
				}
				if len(s.requests) != 2 {
					t.Errorf("%d requests", len(s.requests))
				}
			})
		})
	}
}

func TestJitterOnlyLengthens(t *testing.T) {
	for _, tt := range []struct {
		asked string
		want  time.Duration
	}{
		{"10", 11 * time.Second}, // a tenth
		{"50", 52 * time.Second}, // at most two seconds
		{"1000000000", 62 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &server{answers: []answer{status(429, "Retry-After", tt.asked), ok}}
			c := newClient(s, func(c *rest.Config) { c.Jitter = func() float64 { return 1 } })
			start := time.Now()
			if _, err := get(t.Context(), c, &rest.Call{Op: "o"}); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took != tt.want {
				t.Errorf("asked %s s, waited %v, want %v", tt.asked, took, tt.want)
			}
		})
	}
}

func TestRetriesEnd(t *testing.T) {
	reset := errors.New("connection reset by peer")
	for name, tt := range map[string]struct {
		answer   answer
		config   func(*rest.Config)
		call     rest.Call
		attempts int
		want     error
	}{
		"429":                           {answer: status(429), attempts: 5, want: dps.ErrThrottled},
		"408":                           {answer: status(408), attempts: 5, want: dps.ErrUnavailable},
		"500":                           {answer: status(500), attempts: 5, want: dps.ErrUnavailable},
		"502":                           {answer: status(502), attempts: 5, want: dps.ErrUnavailable},
		"503":                           {answer: status(503), attempts: 5, want: dps.ErrUnavailable},
		"504":                           {answer: status(504), attempts: 5, want: dps.ErrUnavailable},
		"reset":                         {answer: answer{err: reset}, attempts: 5, want: dps.ErrUnavailable},
		"dial":                          {answer: answer{err: &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}}, attempts: 5, want: dps.ErrUnavailable},
		"fewer":                         {answer: status(503), config: func(c *rest.Config) { c.MaxRetries = 2 }, attempts: 3, want: dps.ErrUnavailable},
		"none":                          {answer: status(503), config: func(c *rest.Config) { c.MaxRetries = -1 }, attempts: 1, want: dps.ErrUnavailable},
		"400":                           {answer: status(400), attempts: 1, want: dps.ErrBadRequest},
		"401":                           {answer: status(401), attempts: 1, want: dps.ErrUnauthorized},
		"404":                           {answer: status(404), attempts: 1, want: dps.ErrNotFound},
		"409":                           {answer: status(409), attempts: 1, want: dps.ErrConflict},
		"409 if asked for":              {answer: status(409), call: rest.Call{RetryStatus: []int{409}}, attempts: 5, want: dps.ErrConflict},
		"412":                           {answer: status(412), attempts: 1, want: dps.ErrPrecondition},
		"501":                           {answer: status(501), attempts: 1, want: dps.ErrUnavailable},
		"once, 503":                     {answer: status(503), call: rest.Call{Once: true}, attempts: 1, want: dps.ErrUnavailable},
		"once, reset":                   {answer: answer{err: reset}, call: rest.Call{Once: true}, attempts: 1, want: dps.ErrUnavailable},
		"once, 429":                     {answer: status(429), call: rest.Call{Once: true}, attempts: 5, want: dps.ErrThrottled},
		"once, dial":                    {answer: answer{err: &net.OpError{Op: "dial", Err: reset}}, call: rest.Call{Once: true}, attempts: 5, want: dps.ErrUnavailable},
		"final code":                    {answer: answer{status: 500, body: `{"code":500019}`}, call: rest.Call{FinalCodes: []int{500019}}, attempts: 1, want: dps.ErrUnavailable},
		"no such host":                  {answer: answer{err: &net.OpError{Op: "dial", Err: &net.DNSError{IsNotFound: true}}}, attempts: 1, want: dps.ErrUnavailable},
		"untrusted server":              {answer: answer{err: x509.UnknownAuthorityError{}}, attempts: 1, want: dps.ErrUntrustedServer},
		"plain HTTP":                    {answer: answer{err: http.ErrSchemeMismatch}, attempts: 1, want: dps.ErrUnavailable},
		"no TLS":                        {answer: answer{err: tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}}, attempts: 1, want: dps.ErrUnavailable},
		"another host name":             {answer: answer{err: x509.HostnameError{Certificate: &x509.Certificate{}, Host: "h"}}, attempts: 1, want: dps.ErrUntrustedServer},
		"cut off":                       {answer: answer{status: 200, body: `{"a":`}, attempts: 5, want: io.ErrUnexpectedEOF},
		"nothing listens on loopback":   {answer: answer{err: &net.OpError{Op: "dial", Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, Err: syscall.ECONNREFUSED}}, attempts: 1, want: dps.ErrUnavailable},
		"nothing listens on other host": {answer: answer{err: &net.OpError{Op: "dial", Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}, Err: syscall.ECONNREFUSED}}, attempts: 5, want: dps.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &server{answers: []answer{tt.answer}}
				call := tt.call
				call.Op = "do it"
				change := func(*rest.Config) {}
				if tt.config != nil {
					change = tt.config
				}
				_, err := get(t.Context(), newClient(s, change), &call)
				var e *dps.Error
				switch {
				case !errors.Is(err, tt.want):
					t.Errorf("got %v, want %v", err, tt.want)
				case !errors.As(err, &e) || e.Op != "do it" || e.Attempts != tt.attempts || e.Host != "service.example":
					t.Errorf("got %+v", e)
				case len(s.requests) != tt.attempts:
					t.Errorf("%d requests, want %d", len(s.requests), tt.attempts)
				case strings.Contains(err.Error(), "\n"):
					t.Errorf("more than one line: %q", err)
				}
			})
		})
	}
}

func TestBackOffGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{answers: []answer{status(503)}}
		start := time.Now()
		_, _ = get(t.Context(), newClient(s), &rest.Call{Op: "o"})
		// 0.8 s times 1+3+7+15, times 0.8 to 1.3.
		if took := time.Since(start); took < 16*time.Second || took > 28*time.Second {
			t.Errorf("all retries took %v", took)
		}
	})
}

func TestDeadlineEndsRetries(t *testing.T) {
	t.Run("a delay beyond the deadline is not begun", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := &server{answers: []answer{status(429, "Retry-After", "30")}}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			start := time.Now()
			_, err := get(ctx, newClient(s), &rest.Call{Op: "o"})
			var e *dps.Error
			if !errors.Is(err, dps.ErrThrottled) || !errors.As(err, &e) || e.RetryAfter != 30*time.Second {
				t.Errorf("got %v", err)
			}
			if took := time.Since(start); took != 0 {
				t.Errorf("took %v", took)
			}
			if want := "the wait of 30s that it asks for is longer than what is left of the time allowed (10s)"; !strings.Contains(err.Error(), want) {
				t.Errorf("%v does not say %q", err, want)
			}
			_, err = get(ctx, newClient(s, func(c *rest.Config) { c.MaxRetries = -1 }), &rest.Call{Op: "o"})
			if strings.Contains(err.Error(), "not tried again") {
				t.Errorf("without retries: %v", err)
			}
		})
	})
	t.Run("the refusal outlives the deadline", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := &server{answers: []answer{status(503)}}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			_, err := get(ctx, newClient(s), &rest.Call{Op: "o"})
			if !errors.Is(err, dps.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "503") {
				t.Errorf("got %v", err)
			}
		})
	})
	t.Run("the operation has its own", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := &server{answers: []answer{status(429, "Retry-After", "50")}}
			start := time.Now()
			_, err := get(t.Context(), newClient(s, func(c *rest.Config) { c.Timeout = 2 * time.Minute; c.MaxRetries = 99 }), &rest.Call{Op: "o"})
			if took := time.Since(start); !errors.Is(err, dps.ErrThrottled) || took > 2*time.Minute {
				t.Errorf("took %v: %v", took, err)
			}
		})
	})
	t.Run("an attempt that hangs is given up", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			hang := roundTripper(func(req *http.Request) (*http.Response, error) {
				if n++; n == 1 {
					<-req.Context().Done()
					return nil, req.Context().Err()
				}
				return (&server{answers: []answer{ok}}).RoundTrip(req)
			})
			if _, err := get(t.Context(), newClient(hang), &rest.Call{Op: "o"}); err != nil {
				t.Error(err)
			}
		})
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func TestCancelEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{answers: []answer{status(429, "Retry-After", "60")}}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(3*time.Second, cancel)
		start := time.Now()
		_, err := get(ctx, newClient(s), &rest.Call{Op: "o"})
		if !errors.Is(err, context.Canceled) || errors.Is(err, dps.ErrThrottled) || errors.Is(err, dps.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestAmbiguous(t *testing.T) {
	dial := answer{err: &net.OpError{Op: "dial", Err: errors.New("x")}}
	for name, tt := range map[string]struct {
		answers []answer
		want    bool
	}{
		"success at once":         {[]answer{ok}, false},
		"refused at once":         {[]answer{status(409)}, false},
		"throttled, then refused": {[]answer{status(429), status(409)}, false},
		"never connected":         {[]answer{dial, status(409)}, false},
		"lost, then refused":      {[]answer{{err: errors.New("EOF")}, status(409)}, true},
		"failed, then refused":    {[]answer{status(500), status(412)}, true},
		"timeout, then refused":   {[]answer{status(408), status(404)}, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			call := &rest.Call{Op: "o"}
			_, _ = get(t.Context(), newClient(&server{answers: tt.answers}), call)
			if call.Ambiguous() != tt.want {
				t.Errorf("%s: got %v", name, call.Ambiguous())
			}
		})
	}
}

func TestRefusalIsDecoded(t *testing.T) {
	s := &server{answers: []answer{{status: 404, body: `{"errorCode":404204,"trackingId":"t","message":"Group not found."}`,
		header: http.Header{"Date": {"Wed, 04 Mar 2026 05:06:27 GMT"}, "Retry-After": {"7"}}}}}
	now := time.Date(2026, 3, 4, 6, 6, 27, 0, time.UTC)
	_, err := get(t.Context(), newClient(s, func(c *rest.Config) { c.Now = func() time.Time { return now } }), &rest.Call{Op: `get group "g"`})
	var e *dps.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v", err)
	}
	if e.Code != 404204 || e.TrackingID != "t" || e.ClockSkew != time.Hour || e.RetryAfter != 7*time.Second {
		t.Errorf("got %+v", e)
	}
	if got, want := fmt.Sprint(err), `get group "g": 404 Not Found (code 404204): Group not found. [tracking t]`; got != want {
		t.Errorf("got %s", got)
	}
	// Without a Date nothing is known about the clock; the request id stands in
	// for a tracking id.
	s.answers = []answer{{status: 404, header: http.Header{"X-Ms-Request-Id": {"r"}}}}
	_, err = get(t.Context(), newClient(s), &rest.Call{Op: "o"})
	if !errors.As(err, &e) || e.ClockSkew != 0 || e.TrackingID != "r" {
		t.Errorf("got %+v", e)
	}
}

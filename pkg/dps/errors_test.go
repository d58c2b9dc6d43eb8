package dps_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps"
)

func TestErrorText(t *testing.T) {
	tests := []struct {
		name string
		err  dps.Error
		want string
	}{
		{"everything", dps.Error{Op: `create enrollment group "g"`, StatusCode: 409, Code: 409202,
			Message: "EnrollmentGroup already exists.", TrackingID: "5e0c"},
			`create enrollment group "g": 409 Conflict (code 409202): EnrollmentGroup already exists. [tracking 5e0c]`},
		{"ARM code", dps.Error{Op: "list CA certificates", StatusCode: 403, ErrorCode: "AuthorizationFailed", Message: "no"},
			"list CA certificates: 403 Forbidden (code AuthorizationFailed): no"},
		{"both codes", dps.Error{Op: "o", StatusCode: 412, Code: 412001, ErrorCode: "X", Message: "m"},
			"o: 412 Precondition Failed (code 412001): m"},
		{"no message", dps.Error{Op: "o", StatusCode: 404}, "o: 404 Not Found"},
		{"unknown status", dps.Error{Op: "o", StatusCode: 499, Message: "m"}, "o: 499: m"},
		{"no answer", dps.Error{Op: "o", Message: "connection reset", Attempts: 5}, "o: connection reset (after 5 attempts)"},
		{"no answer, one attempt", dps.Error{Op: "o", Message: "connection reset", Attempts: 1}, "o: connection reset"},
		{"nothing known", dps.Error{}, "no answer"},
		{"hostile text", dps.Error{Op: "o", StatusCode: 400, Message: "a\nb\x1b]0;title\x07c", TrackingID: "x\r\ny"},
			"o: 400 Bad Request: a b]0;titlec [tracking x y]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.err.Error(); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestErrorIs(t *testing.T) {
	sentinels := map[string]error{
		"bad request": dps.ErrBadRequest, "unauthorized": dps.ErrUnauthorized, "not found": dps.ErrNotFound,
		"conflict": dps.ErrConflict, "precondition": dps.ErrPrecondition, "throttled": dps.ErrThrottled,
		"unavailable": dps.ErrUnavailable,
	}
	refused := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	tests := []struct {
		err  dps.Error
		want string // the one sentinel, "" for none
	}{
		{dps.Error{StatusCode: 400}, "bad request"}, {dps.Error{StatusCode: 405}, "bad request"},
		{dps.Error{StatusCode: 413}, "bad request"}, {dps.Error{StatusCode: 415}, "bad request"},
		{dps.Error{StatusCode: 401}, "unauthorized"}, {dps.Error{StatusCode: 403}, "unauthorized"},
		{dps.Error{StatusCode: 404}, "not found"}, {dps.Error{StatusCode: 409}, "conflict"},
		{dps.Error{StatusCode: 412}, "precondition"}, {dps.Error{StatusCode: 429}, "throttled"},
		{dps.Error{StatusCode: 408}, "unavailable"}, {dps.Error{StatusCode: 500}, "unavailable"},
		{dps.Error{StatusCode: 504}, "unavailable"},
		{dps.Error{Err: refused}, "unavailable"},
		{dps.Error{Err: context.DeadlineExceeded}, "unavailable"},
		{dps.Error{Err: context.Canceled}, ""},
		{dps.Error{Err: x509.UnknownAuthorityError{}}, ""},
		{dps.Error{Err: fmt.Errorf("%w: x", dps.ErrUntrustedServer)}, ""},
		{dps.Error{StatusCode: 200, Err: dps.ErrUnexpectedAnswer}, ""},
		{dps.Error{Err: fmt.Errorf("%w: no token", dps.ErrUnauthorized)}, "unauthorized"},
		{dps.Error{StatusCode: 302}, ""}, {dps.Error{StatusCode: 402}, ""}, {dps.Error{}, ""},
	}
	for _, tt := range tests {
		wrapped := fmt.Errorf("outer: %w", &tt.err)
		for name, sentinel := range sentinels {
			if got := errors.Is(wrapped, sentinel); got != (name == tt.want) {
				t.Errorf("status %d, cause %v: errors.Is %s is %v", tt.err.StatusCode, tt.err.Err, name, got)
			}
		}
		if !errors.Is(wrapped, tt.err.Err) && tt.err.Err != nil {
			t.Errorf("the cause %v is not reachable", tt.err.Err)
		}
	}
}

func TestIsUntrustedServer(t *testing.T) {
	for _, err := range []error{x509.UnknownAuthorityError{}, x509.HostnameError{Certificate: &x509.Certificate{}, Host: "h"},
		x509.CertificateInvalidError{Reason: x509.Expired}, fmt.Errorf("x: %w", dps.ErrUntrustedServer)} {
		if !dps.IsUntrustedServer(fmt.Errorf("wrapped: %w", err)) {
			t.Errorf("%T is not recognised", err)
		}
	}
	for _, err := range []error{nil, errors.New("x"), context.Canceled, &net.OpError{Op: "dial"}} {
		if dps.IsUntrustedServer(err) {
			t.Errorf("%v is taken for a certificate error", err)
		}
	}
}

func TestErrorFormatsAreOneLine(t *testing.T) {
	err := &dps.Error{Op: "o", StatusCode: 400, Message: "m", Err: errors.New("cause")}
	for _, verb := range []string{"%v", "%s", "%+v"} {
		if got := fmt.Sprintf(verb, err); strings.Contains(got, "\n") {
			t.Errorf("%s: %q", verb, got)
		}
	}
}

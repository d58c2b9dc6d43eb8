package dps

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/internal/oneline"
)

// What callers branch on. An [Error] matches one of these through errors.Is.
var (
	// ErrBadRequest: the request is wrong and stays wrong (400, 405, 413, 415).
	ErrBadRequest = errors.New("bad request")
	// ErrUnauthorized: no, wrong or insufficient credentials (401, 403).
	ErrUnauthorized = errors.New("unauthorized")
	// ErrNotFound: the named object does not exist (404).
	ErrNotFound = errors.New("not found")
	// ErrConflict: the object exists already, or something else is stored (409).
	ErrConflict = errors.New("conflict")
	// ErrPrecondition: the object changed since it was read (412).
	ErrPrecondition = errors.New("precondition failed")
	// ErrThrottled: too many requests, still after the retries (429).
	ErrThrottled = errors.New("throttled")
	// ErrUnavailable: the service answers 5xx or cannot be reached, still after
	// the retries.
	ErrUnavailable = errors.New("unavailable")
)

// Error is a refusal by the service, or the failure to get an answer from it.
// Text from the server is already cleaned of line ends and control characters
// and of the credentials of the request.
type Error struct {
	// Op is what was tried, such as `create enrollment group "g"`.
	Op string
	// StatusCode is the HTTP status; 0 if no answer arrived.
	StatusCode int
	// Code is the six-digit code of the service (status x 1000 + n), such as
	// 404201; 0 if the answer has none.
	Code int
	// ErrorCode is the textual code of Azure Resource Manager, such as
	// "AuthorizationFailed"; empty if the answer has none.
	ErrorCode string
	// TrackingID identifies the request for Microsoft support.
	TrackingID string
	// Message is the explanation by the server, or the cause if none answered.
	Message string
	// RetryAfter is the delay that the last answer asked for; 0 if it did not.
	RetryAfter time.Duration
	// Attempts counts the requests sent, 1 without a retry.
	Attempts int

	// Info is what the service adds to explain the refusal, by name. Its content
	// is not documented and usually missing; the emulator says the rule, the
	// certificate, what it expected and how to fix it. Nil if the answer has none.
	Info map[string]string

	// Host is the host asked, with its port if it has one.
	Host string
	// ClockSkew is how far the local clock was ahead of the server's Date when
	// the answer arrived; 0 if the answer had no Date. It is exact to a second.
	ClockSkew time.Duration
	// Detail is what the client itself saw and the server cannot know, such as
	// "the server did not ask for a client certificate"; often empty. It is not
	// part of Error(); [Explain] uses it.
	Detail string
	// Err is the cause if no usable answer arrived; see Unwrap.
	Err error
}

// Error returns one line:
//
//	create enrollment group "g": 409 Conflict (code 409202): EnrollmentGroup already exists. [tracking 5e0c…]
func (e *Error) Error() string {
	var b strings.Builder
	if e.Op != "" {
		b.WriteString(e.Op + ": ")
	}
	b.WriteString(e.status())
	if e.Message != "" {
		if e.StatusCode != 0 {
			b.WriteString(": ")
		}
		b.WriteString(e.Message)
	}
	if e.StatusCode == 0 && e.Attempts > 1 {
		fmt.Fprintf(&b, " (after %d attempts)", e.Attempts)
	}
	if e.TrackingID != "" {
		b.WriteString(" [tracking " + e.TrackingID + "]")
	}
	return oneline.Clean(b.String(), 0)
}

// status renders `409 Conflict (code 409202)`.
func (e *Error) status() string {
	if e.StatusCode == 0 {
		if e.Message == "" {
			return "no answer"
		}
		return ""
	}
	s := strconv.Itoa(e.StatusCode)
	if text := http.StatusText(e.StatusCode); text != "" {
		s += " " + text
	}
	switch {
	case e.Code != 0:
		s += fmt.Sprintf(" (code %d)", e.Code)
	case e.ErrorCode != "":
		s += " (code " + e.ErrorCode + ")"
	}
	return s
}

// Is maps the status to the sentinels of this package.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrBadRequest:
		return e.StatusCode == http.StatusBadRequest || e.StatusCode == http.StatusMethodNotAllowed ||
			e.StatusCode == http.StatusRequestEntityTooLarge || e.StatusCode == http.StatusUnsupportedMediaType
	case ErrUnauthorized:
		return e.StatusCode == http.StatusUnauthorized || e.StatusCode == http.StatusForbidden
	case ErrNotFound:
		return e.StatusCode == http.StatusNotFound
	case ErrConflict:
		return e.StatusCode == http.StatusConflict
	case ErrPrecondition:
		return e.StatusCode == http.StatusPreconditionFailed
	case ErrThrottled:
		return e.StatusCode == http.StatusTooManyRequests
	case ErrUnavailable:
		return e.StatusCode >= 500 || e.StatusCode == http.StatusRequestTimeout ||
			e.StatusCode == 0 && isOutage(e.Err)
	}
	return false
}

// Unwrap returns the cause if no usable answer arrived, so that errors.Is finds
// context.Canceled and errors.As a certificate error of crypto/x509.
func (e *Error) Unwrap() error { return e.Err }

// isOutage tells an unreachable service from a request that was given up by its
// caller, refused by this side, or met a server that is not trusted.
func isOutage(cause error) bool {
	return cause != nil && !errors.Is(cause, context.Canceled) && !errors.Is(cause, ErrUnauthorized) &&
		!errors.Is(cause, ErrUntrustedServer) && !errors.Is(cause, ErrUnexpectedAnswer) && !IsUntrustedServer(cause)
}

// More causes of an Error without a status.
var (
	// ErrUntrustedServer: TLS did not accept the server's certificate.
	ErrUntrustedServer = errors.New("server certificate is not trusted")
	// ErrUnexpectedAnswer: something answered that does not speak this API: a
	// redirect, a page instead of JSON, an answer beyond every limit.
	ErrUnexpectedAnswer = errors.New("unexpected answer")
)

// IsNotTLS reports whether err is, or wraps, that the other side speaks no TLS,
// perhaps plain HTTP. Such a request is not sent again.
func IsNotTLS(err error) bool {
	var record tls.RecordHeaderError
	return errors.Is(err, http.ErrSchemeMismatch) || errors.As(err, &record)
}

// IsUntrustedServer reports whether err is, or wraps, a failed check of the
// server's certificate. Such a request is not sent again.
func IsUntrustedServer(err error) bool {
	var (
		verification *tls.CertificateVerificationError
		authority    x509.UnknownAuthorityError
		host         x509.HostnameError
		invalid      x509.CertificateInvalidError
	)
	return errors.Is(err, ErrUntrustedServer) || errors.As(err, &verification) ||
		errors.As(err, &authority) || errors.As(err, &host) || errors.As(err, &invalid)
}

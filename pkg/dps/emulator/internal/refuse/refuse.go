package refuse

import (
	"context"
	"crypto/sha1" //nolint:gosec // the service names certificates by SHA-1 thumbprint
	"crypto/x509"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
)

// Rule names the check that failed. The values are stable: people search
// their logs for them.
type Rule string

// Certificate tells the reader of a log which certificate a refusal is about.
type Certificate struct {
	// Subject is the distinguished name.
	Subject string
	// Thumbprint is SHA-1 over the DER form, upper-case hex: the spelling of
	// the portal and of `certgen inspect`.
	Thumbprint string
	// Position counts from the leaf, which is 0, in the chain as it was
	// walked; -1 when the certificate was not part of a chain.
	Position int
}

// CertificateOf describes cert; a nil certificate gives the zero value.
func CertificateOf(cert *x509.Certificate, position int) Certificate {
	if cert == nil {
		return Certificate{Position: position}
	}
	sum := sha1.Sum(cert.Raw) //nolint:gosec // a name, not a proof
	return Certificate{
		Subject:    cert.Subject.String(),
		Thumbprint: strings.ToUpper(hex.EncodeToString(sum[:])),
		Position:   position,
	}
}

// Refusal is the negative answer to one request. It is an error, so handlers
// return it up; the plane that owns the request turns it into a body.
type Refusal struct {
	// Status is the HTTP status; 0 if the device learns it from a later answer.
	Status int
	// Code is the number in the body: status*1000+n, with n = 0 where the
	// service's own number is not known.
	Code int
	// ErrorCode is the text code that the Azure Resource Manager plane sends
	// instead of Code when its front end, not the provider, refuses.
	ErrorCode string
	// Message is the text for the client.
	Message string
	// Header is added to the answer, such as Allow for a 405.
	Header http.Header
	// NumericStatus is set for the provider of IoT hubs, whose latest versions
	// repeat the status as a number.
	NumericStatus bool

	// The rest is for the log, and for [Refusal.Info]. An empty Expected or Fix
	// stands for what the rule says in general.

	Rule        Rule
	Certificate Certificate
	Expected    string
	Fix         string
}

// Error gives the answer in one line.
func (r *Refusal) Error() string {
	return string(r.Rule) + ": " + r.Message
}

// About returns r with the certificate filled in.
func (r *Refusal) About(cert *x509.Certificate, position int) *Refusal {
	r.Certificate = CertificateOf(cert, position)
	return r
}

// LogAttrs returns the attributes of the log record. They hold no secret:
// tokens and keys never enter a Refusal.
func (r *Refusal) LogAttrs() []slog.Attr {
	attrs := []slog.Attr{slog.String("rule", string(r.Rule))}
	if r.Status != 0 {
		attrs = append(attrs, slog.Int("status", r.Status))
	}
	if r.Code != 0 {
		attrs = append(attrs, slog.Int("code", r.Code))
	}
	if r.Code == 0 && r.ErrorCode != "" {
		attrs = append(attrs, slog.String("error_code", r.ErrorCode))
	}
	if r.Message != "" {
		attrs = append(attrs, slog.String("answer", r.Message))
	}
	if r.Certificate.Thumbprint != "" {
		attrs = append(attrs,
			slog.String("certificate_subject", r.Certificate.Subject),
			slog.String("certificate_thumbprint", r.Certificate.Thumbprint),
			slog.Int("certificate_position", r.Certificate.Position))
	}
	expected, fix := r.explanation()
	if expected != "" {
		attrs = append(attrs, slog.String("expected", expected))
	}
	if fix != "" {
		attrs = append(attrs, slog.String("fix", fix))
	}
	return attrs
}

// Info returns what the log has and the message does not, for the optional
// member info of error bodies; nil if there is nothing. Like the log it holds no
// secret.
func (r *Refusal) Info() map[string]string {
	info := map[string]string{}
	expected, fix := r.explanation()
	for name, text := range map[string]string{
		"rule": string(r.Rule), "expected": expected, "fix": fix, "certificateSubject": r.Certificate.Subject,
		"certificateThumbprint": r.Certificate.Thumbprint,
	} {
		if text != "" {
			info[name] = text
		}
	}
	if r.Certificate.Thumbprint != "" && r.Certificate.Position >= 0 {
		info["certificatePosition"] = strconv.Itoa(r.Certificate.Position)
	}
	if len(info) == 0 {
		return nil
	}
	return info
}

// Log writes r as one record. A missing thing (404) is an everyday answer and
// goes out at debug level, everything else is a warning.
func Log(ctx context.Context, logger *slog.Logger, r *Refusal, request ...slog.Attr) {
	level := slog.LevelWarn
	if r.Status == http.StatusNotFound {
		level = slog.LevelDebug
	}
	logger.LogAttrs(ctx, level, "request refused", append(request, r.LogAttrs()...)...)
}

// As finds the Refusal in err.
func As(err error) (*Refusal, bool) {
	var r *Refusal
	ok := errors.As(err, &r)
	return r, ok
}

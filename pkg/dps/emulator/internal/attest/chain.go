package attest

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
)

// Messages of the service for refused certificates.
const (
	messageInvalid   = "Invalid certificate."
	messageUnknownCA = "CA certificate not found."
	messageNoGroup   = "Signing certificate info did not match chain elements."
)

// Trust is what the service knows at the moment of the decision.
type Trust struct {
	// Verified are the uploaded certificates with a proof of possession.
	Verified []*x509.Certificate
	// Unverified are the other uploaded certificates. They prove nothing; they
	// make for a better explanation.
	Unverified []*x509.Certificate
	// Group returns the enrollment group whose signing certificate, or CA
	// reference, is ca. It is asked once for each certificate.
	Group func(ca *x509.Certificate) (id string, ok bool)
}

// Match is an accepted chain.
type Match struct {
	// GroupID is what Trust.Group returned.
	GroupID string
	// Path runs from the leaf to Anchor, both included.
	Path []*x509.Certificate
	// Anchor is the verified certificate at the end of Path.
	Anchor *x509.Certificate
}

// Chain judges the certificates that a device sent, leaf first, the others in
// any order.
func Chain(sent []*x509.Certificate, registrationID string, trust Trust, now time.Time) (Match, *refuse.Refusal) {
	m, refusal, _ := judge(sent, registrationID, trust, now)
	return m, refusal
}

// judge is Chain, and says how much work it was.
func judge(sent []*x509.Certificate, registrationID string, trust Trust, now time.Time) (Match, *refuse.Refusal, work) {
	m, refusal, w := findPath(sent, trust, now, x509.ExtKeyUsageClientAuth)
	if refusal != nil {
		return Match{}, refusal, w
	}
	if r := checkCommonName(sent[0], registrationID); r != nil {
		return Match{}, r, w
	}
	return m, nil, w
}

// findPath looks for the path that decides, for certificates of one purpose.
func findPath(sent []*x509.Certificate, trust Trust, now time.Time, usage x509.ExtKeyUsage) (Match, *refuse.Refusal, work) {
	switch {
	case len(sent) == 0:
		return Match{}, missing(), work{}
	case len(sent) > MaxSent:
		return Match{}, invalid(RuleTooMany,
			fmt.Sprintf("at most %d certificates, got %d", MaxSent, len(sent)),
			"send the leaf and its intermediates only").About(sent[0], 0), work{}
	}
	s := &search{graph: newGraph(sent, trust), now: now, usage: usage}
	m, refusal := s.run()
	if refusal != nil {
		return Match{}, refusal, s.work
	}
	return m, checkDeviceLeaf(sent[0], usage), s.work
}

// names reports whether child says that parent is its issuer. A key identifier
// that contradicts counts like another name.
func names(child, parent *x509.Certificate) bool {
	if !bytes.Equal(child.RawIssuer, parent.RawSubject) {
		return false
	}
	return len(child.AuthorityKeyId) == 0 || len(parent.SubjectKeyId) == 0 ||
		bytes.Equal(child.AuthorityKeyId, parent.SubjectKeyId)
}

func selfIssued(c *x509.Certificate) bool { return bytes.Equal(c.RawIssuer, c.RawSubject) }

func contains(list []*x509.Certificate, c *x509.Certificate) bool {
	return slices.ContainsFunc(list, c.Equal)
}

func invalid(rule refuse.Rule, expected, fix string) *refuse.Refusal {
	return unauthorized(messageInvalid, rule, expected, fix)
}

func unauthorized(message string, rule refuse.Rule, expected, fix string) *refuse.Refusal {
	return &refuse.Refusal{
		Status: http.StatusUnauthorized, Code: 401002, Message: message,
		Rule: rule, Expected: expected, Fix: fix,
	}
}

func missing() *refuse.Refusal {
	r := unauthorized("Unauthorized", RuleNoCertificate, "a client certificate or a shared access signature",
		"present the device certificate and its key in the TLS handshake")
	r.Code = 401000
	return r
}

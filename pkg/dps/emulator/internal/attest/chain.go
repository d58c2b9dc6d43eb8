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
	// reference, is ca.
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
	switch {
	case len(sent) == 0:
		return Match{}, missing()
	case len(sent) > maxSent:
		return Match{}, invalid(RuleTooMany,
			fmt.Sprintf("at most %d certificates, got %d", maxSent, len(sent)),
			"send the leaf and its intermediates only").About(sent[0], 0)
	}
	w := walker{sent: sent, trust: trust, checks: maxChecks}
	path := w.walk(sent[0])
	m, refusal := w.find(path)
	if refusal != nil {
		return Match{}, refusal
	}
	for i := range m.Path {
		if r := checkLevel(m.Path, i, now); r != nil {
			return Match{}, r
		}
	}
	if r := checkNames(m.Path, now); r != nil {
		return Match{}, r
	}
	if r := checkDeviceLeaf(m.Path[0]); r != nil {
		return Match{}, r
	}
	return m, checkCommonName(m.Path[0], registrationID)
}

// walker builds the path from a leaf upwards.
type walker struct {
	sent   []*x509.Certificate
	trust  Trust
	checks int
	// failed is set when an issuer with the right name did not sign.
	failed *refuse.Refusal
}

// walk follows issuers until there is none. A certificate enters the path once,
// so a cycle ends.
func (w *walker) walk(leaf *x509.Certificate) []*x509.Certificate {
	path := []*x509.Certificate{leaf}
	for {
		parent := w.parent(path)
		if parent == nil {
			return path
		}
		path = append(path, parent)
	}
}

// parent returns the issuer of the last certificate of path. Certificates that
// the service knows come before those that it does not.
func (w *walker) parent(path []*x509.Certificate) *x509.Certificate {
	child := path[len(path)-1]
	for _, c := range w.candidates(child, path) {
		if w.checks == 0 {
			return nil
		}
		w.checks--
		if problem, expected := checkKey(c); problem != "" {
			w.fail(invalid(RuleKey, expected, "use another key for this CA: "+problem).About(c, len(path)))
			continue
		}
		if err := checkSignature(child, c); err != nil {
			w.fail(invalid(RuleSignature,
				fmt.Sprintf("a signature by the key of %q (%v)", c.Subject.String(), err),
				"issue the certificate again with this CA, or send the CA that signed it").About(child, len(path)-1))
			continue
		}
		return c
	}
	return nil
}

func (w *walker) fail(r *refuse.Refusal) {
	if w.failed == nil {
		w.failed = r
	}
}

func (w *walker) candidates(child *x509.Certificate, path []*x509.Certificate) []*x509.Certificate {
	var known, unknown []*x509.Certificate
	for _, c := range w.sent[1:] {
		switch {
		case !names(child, c) || contains(path, c):
		case w.verified(c) || w.grouped(c):
			known = append(known, c)
		default:
			unknown = append(unknown, c)
		}
	}
	for _, c := range w.trust.Verified {
		if selfIssued(c) && names(child, c) && !contains(path, c) && !contains(known, c) {
			known = append(known, c)
		}
	}
	return append(known, unknown...)
}

// names reports whether child says that parent is its issuer.
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

func (w *walker) verified(c *x509.Certificate) bool { return contains(w.trust.Verified, c) }

func (w *walker) grouped(c *x509.Certificate) bool {
	_, ok := w.trust.Group(c)
	return ok
}

// find picks the group nearest to the leaf and the verified CA at or above it.
func (w *walker) find(path []*x509.Certificate) (Match, *refuse.Refusal) {
	group, groupID, known := 0, "", false
	for i := 1; i < len(path); i++ {
		known = known || w.verified(path[i])
		if id, ok := w.trust.Group(path[i]); ok && group == 0 {
			group, groupID = i, id
		}
	}
	for i := max(group, 1); group > 0 && i < len(path); i++ {
		if w.verified(path[i]) {
			return Match{GroupID: groupID, Path: path[:i+1], Anchor: path[i]}, nil
		}
	}
	last := path[len(path)-1]
	pending := w.pending(path)
	switch {
	case w.failed != nil:
		return Match{}, w.failed
	case !known && pending != nil:
		return Match{}, unauthorized(messageUnknownCA, RuleNotVerified,
			fmt.Sprintf("proof of possession for %q, which was uploaded and never verified", pending.Subject.String()),
			"ask for a verification code, sign a certificate with it, and verify the CA").About(pending, len(path)-1)
	case group > 0:
		return Match{}, unauthorized(messageUnknownCA, RuleNotVerified,
			fmt.Sprintf("%q or a CA above it uploaded and verified", path[group].Subject.String()),
			"upload the root CA and prove possession of its key; send every intermediate").About(last, len(path)-1)
	case known:
		return Match{}, unauthorized(messageNoGroup, RuleNoGroup,
			"an enrollment group with one of the CA certificates of this chain",
			"create an enrollment group with the CA that issued the device certificate").About(path[0], 0)
	case len(path) == 1 && selfIssued(last):
		return Match{}, invalid(RuleNotEnrolled,
			"an individual enrollment with this self-signed certificate",
			"enroll the certificate, or use one issued by a verified CA").About(last, 0)
	default:
		return Match{}, unauthorized(messageUnknownCA, RuleIncomplete,
			fmt.Sprintf("the issuer %q among the certificates sent or uploaded", last.Issuer.String()),
			"send the missing intermediates with the leaf, and upload and verify the root CA").About(last, len(path)-1)
	}
}

// pending returns an uploaded certificate that would end the path if it were
// verified.
func (w *walker) pending(path []*x509.Certificate) *x509.Certificate {
	for _, c := range w.trust.Unverified {
		if contains(path[1:], c) || names(path[len(path)-1], c) {
			return c
		}
	}
	return nil
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

package doctor

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"github.com/dpskit/dpskit/pkg/pki"
)

const (
	whyKeyMatch = "in the TLS handshake the device signs with its key to prove that the certificate is its own; most " +
		"libraries refuse to load a pair that does not fit"
	fixKeyMatch = "use the key that was made with this certificate, or issue the certificate again"
)

// checkKeyMatch checks that a given key belongs to the certificate. Only a device needs its key.
func (e *exam) checkKeyMatch() {
	if e.role == RoleVerification {
		return
	}
	own := e.keyOf(e.subject)
	locked, strange := "", (*Source)(nil)
	for _, s := range e.sources {
		switch {
		case s.KeyLocked:
			locked = s.Name
		case s.Key == nil || pki.KeyMatches(e.subject.cert, s.Key):
		case (own == nil && e.role != RoleGroup) || !e.isKeyOfGiven(s):
			strange = s
		}
	}
	switch {
	case strange != nil && e.role == RoleGroup:
		e.reportStrangeCAKey(strange)
	case strange != nil:
		e.reportStrangeKey(strange)
	case own != nil:
		e.ok(CheckKeyMatch, "the private key in %s belongs to %s", quote(own.Name), name(e.subject.cert))
	case e.role == RoleGroup:
	case locked != "":
		e.add(Finding{
			Severity: SeverityInfo, Check: CheckKeyMatch,
			What: fmt.Sprintf("the private key in %s is encrypted, so it was not checked", quote(locked)),
			Why:  "no pass phrase was given", Fix: "give the pass phrase to have it checked",
		}, nil)
	case !slices.ContainsFunc(e.sources, func(s *Source) bool { return s.keyErr != nil || errors.Is(s.Err, pki.ErrKeyMismatch) }):
		e.add(Finding{
			Severity: SeverityInfo, Check: CheckKeyMatch, What: "no private key was given, so it was not checked",
			Why: "the device needs the key that belongs to its certificate", Fix: "give the key file, too, to have it checked",
		}, nil)
	}
}

// isKeyOfGiven reports whether the key of a source belongs to any given certificate.
func (e *exam) isKeyOfGiven(s *Source) bool {
	return slices.ContainsFunc(e.given, func(it *item) bool { return pki.KeyMatches(it.cert, s.Key) })
}

func (e *exam) reportStrangeKey(s *Source) {
	f := Finding{
		Severity: SeverityFatal, Check: CheckKeyMatch, Predicted: &answerNoTLS,
		What: fmt.Sprintf("the private key in %s does not belong to %s", quote(s.Name), name(e.subject.cert)),
		Why:  whyKeyMatch, Fix: fixKeyMatch,
	}
	for _, it := range append(slices.Clone(e.given), e.known...) {
		if pki.KeyMatches(it.cert, s.Key) {
			f.What += fmt.Sprintf(" but to %s", name(it.cert))
			break
		}
	}
	e.add(f, e.subject)
}

// reportStrangeCAKey is for a CA, whose key the service never sees.
func (e *exam) reportStrangeCAKey(s *Source) {
	e.add(Finding{
		Severity: SeverityWarning, Check: CheckKeyMatch,
		What: fmt.Sprintf("the private key in %s does not belong to %s", quote(s.Name), name(e.subject.cert)),
		Why:  "what it signs is refused as not signed by this CA, devices and proofs of possession alike",
		Fix:  "use the key that was made with this certificate, or make the CA again",
	}, e.subject)
}

// checkChainOrder checks the order within each file that holds the certificate together with others. A PFX has no
// order.
func (e *exam) checkChainOrder() {
	if e.role == RoleVerification {
		return
	}
	checked := false
	for _, s := range e.sources {
		if s.Format == FormatPFX || len(s.Certificates) < 2 || indexOf(s, e.subject.cert) < 0 {
			continue
		}
		checked = true
		e.checkOrder(s)
	}
	if checked {
		e.ok(CheckChainOrder, "%s comes first, and each certificate is followed by its issuer", name(e.subject.cert))
	}
}

func (e *exam) checkOrder(s *Source) {
	first := indexOf(s, e.subject.cert)
	if first > 0 {
		f := Finding{
			Severity: SeverityFatal, Check: CheckChainOrder, Predicted: &answerNoTLS,
			What: fmt.Sprintf("%s is certificate %d of %s, and must be the first", name(e.subject.cert), first+1, quote(s.Name)),
			Why:  "TLS libraries take the first certificate of a file for that of the device, and its key does not belong to it",
			Fix:  "write the file again in the order device, intermediates, root",
		}
		if e.role == RoleGroup {
			f.Severity, f.Predicted = SeverityWarning, nil
			f.Why = "programs that read one certificate take the first of a file, which is another one"
			f.Fix = "give the group a file with this certificate alone"
		}
		e.add(f, e.subject)
		return
	}
	at := first
	for _, it := range e.walkOf(s) {
		i := indexOf(s, it.cert)
		if i < at {
			e.add(Finding{
				Severity: SeverityWarning, Check: CheckChainOrder,
				What: fmt.Sprintf("%s is certificate %d of %s, and should come later", name(it.cert), i+1, quote(s.Name)),
				Why: "TLS 1.2 wants each certificate to be followed by its issuer (RFC 5246 section 7.4.2); some services " +
					"sort them themselves, others refuse",
				Fix: "write the file again in the order device, intermediates, root",
			}, it)
			return
		}
		at = i
	}
}

// walkOf returns the certificates of the path that a source holds, the subject first.
func (e *exam) walkOf(s *Source) []*item {
	var out []*item
	for _, it := range e.path {
		if indexOf(s, it.cert) >= 0 {
			out = append(out, it)
		}
	}
	return out
}

// indexOf returns where a source first holds a certificate, -1 when it does not.
func indexOf(s *Source, cert *x509.Certificate) int {
	return slices.IndexFunc(s.Certificates, func(c *x509.Certificate) bool { return c != nil && c.Equal(cert) })
}

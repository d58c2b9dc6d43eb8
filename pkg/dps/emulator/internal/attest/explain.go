package attest

import (
	"crypto/x509"
	"fmt"
	"slices"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
)

// explain says what is missing at the end of a path. Whoever does what it says
// gets on, if only to the next thing that is missing.
func (s *search) explain(d deadEnd) *refuse.Refusal {
	end := len(d.path) - 1
	last := d.path[end]
	pending, at := s.pending(d)
	switch {
	case last.impostor != nil && len(last.issuers) == 0:
		return last.accuse(end)
	case pending != nil && (!d.known || d.group > 0):
		fix := "ask for a verification code, sign a certificate with it, and verify the CA (enroll ca prove)"
		if d.group == 0 {
			fix += "; there must be an enrollment group with it, or with a CA below it, too"
		}
		return unauthorized(messageUnknownCA, RuleNotVerified,
			fmt.Sprintf("proof of possession for %q, which was uploaded and never verified", pending.Subject.String()), fix).About(pending, at)
	case d.group > 0:
		return unauthorized(messageUnknownCA, RuleNotVerified,
			fmt.Sprintf("%q or a CA above it uploaded and verified", d.path[d.group].cert.Subject.String()),
			"upload the root CA and prove possession of its key; send every intermediate").About(last.cert, end)
	case d.known:
		return unauthorized(messageNoGroup, RuleNoGroup,
			"an enrollment group with one of the CA certificates of this chain",
			"create an enrollment group with the CA that issued the device certificate").About(d.path[0].cert, 0)
	case end == 0 && selfIssued(last.cert):
		return invalid(RuleNotEnrolled,
			"an individual enrollment with this self-signed certificate",
			"enroll the certificate, or use one issued by a verified CA").About(last.cert, 0)
	}
	expected := fmt.Sprintf("the issuer %q among the certificates sent or uploaded", last.cert.Issuer.String())
	if s.uploadedIssuer(last.cert) {
		expected = fmt.Sprintf("the issuer %q among the certificates sent: it was uploaded, but no upload stands in for an intermediate",
			last.cert.Issuer.String())
	}
	return unauthorized(messageUnknownCA, RuleIncomplete, expected,
		"send the missing intermediates with the leaf, and upload and verify the root CA").About(last.cert, end)
}

// pending returns an uploaded certificate that would help if it were verified,
// and its position. One that the device sent must have the group at or below it.
// One that was not sent comes next in the path, and must have issued itself: no
// other upload completes a chain.
func (s *search) pending(d deadEnd) (*x509.Certificate, int) {
	certs := certificates(d.path)
	for i := max(1, d.group); i < len(certs); i++ {
		if contains(s.unverified, certs[i]) {
			return certs[i], i
		}
	}
	last := certs[len(certs)-1]
	for _, c := range s.unverified {
		if !selfIssued(c) || contains(certs, c) || !names(last, c) {
			continue
		}
		if problem, _ := checkKey(c); problem == "" && checkSignature(last, c) == nil {
			return c, len(certs)
		}
	}
	return nil, 0
}

// uploadedIssuer reports whether the issuer of c, an intermediate, was uploaded.
func (s *search) uploadedIssuer(c *x509.Certificate) bool {
	issued := func(ca *x509.Certificate) bool { return !selfIssued(ca) && names(c, ca) }
	return slices.ContainsFunc(s.unverified, issued) || slices.ContainsFunc(s.verified, issued)
}

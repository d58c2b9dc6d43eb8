package doctor

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"

	"github.com/dpskit/dpskit/pkg/pki"
)

// findSubject finds out which certificate is the one in question, and its role if nobody said it. It returns false
// when there is none.
func (e *exam) findSubject() bool {
	if len(e.given) == 0 {
		if !slices.ContainsFunc(e.findings, func(f Finding) bool { return f.Severity == SeverityFatal }) {
			e.findings = nil
			e.add(Finding{
				Severity: SeverityFatal, Check: CheckInput, What: "no certificate was given",
				Why: "a private key alone says nothing about the enrollment", Fix: "give the certificate file, too",
			}, nil)
		}
		e.findings = slices.DeleteFunc(e.findings, func(f Finding) bool { return f.Severity == SeverityOK })
		return false
	}
	lowest := e.lowest()
	if e.role == RoleAuto && e.opts.Code != "" {
		e.role = RoleVerification // only a proof has a code
	}
	switch {
	case e.role == RoleAuto:
		e.subject = lowest
		e.guessRole()
	case e.role != RoleGroup:
		e.subject = lowest
	}
	if e.role == RoleGroup {
		e.subject = e.lowestCA()
	}
	return true
}

// guessRole decides what the certificates are for.
func (e *exam) guessRole() {
	cert := e.subject.cert
	switch {
	case isCA(cert) && !hasUsage(cert, x509.ExtKeyUsageClientAuth):
		e.role = RoleGroup
	case isCA(cert): // a CA that is meant to be a TLS client was meant to be a device
		e.role = RoleDevice
	case looksLikeCode(cert.Subject.CommonName):
		e.role = RoleVerification
	case selfIssued(cert):
		e.role = RoleIndividual
	default:
		e.role = RoleDevice
	}
}

// lowest returns the certificate that issued none of the others: no CA rather than a CA, one whose key was given
// rather than another, the first rather than a later one.
func (e *exam) lowest() *item {
	best, bestScore := e.given[0], -1
	for _, it := range e.given {
		score := 0
		if !e.issuedAny(it) {
			score += 4
		}
		if !isCA(it.cert) {
			score += 2
		}
		if e.keyOf(it) != nil {
			score++
		}
		if score > bestScore {
			best, bestScore = it, score
		}
	}
	return best
}

// lowestCA returns the CA that issued no other CA among the given ones, or any certificate when there is no CA.
func (e *exam) lowestCA() *item {
	for _, may := range []func(*x509.Certificate) bool{isCA, couldBeCA} {
		var best *item
		for _, it := range e.given {
			if !may(it.cert) {
				continue
			}
			above := slices.ContainsFunc(e.given, func(other *item) bool {
				return other != it && may(other.cert) && namesIssuer(other.cert, it.cert)
			})
			if !above {
				return it
			}
			if best == nil {
				best = it // in a circle of issuers every CA is above another
			}
		}
		if best != nil {
			return best
		}
	}
	return e.lowest()
}

// issuedAny reports whether another certificate names it as its issuer.
func (e *exam) issuedAny(it *item) bool {
	issued := func(other *item) bool { return other != it && namesIssuer(other.cert, it.cert) }
	return slices.ContainsFunc(e.given, issued) || slices.ContainsFunc(e.known, issued)
}

// keyOf returns the source with the private key of a certificate.
func (e *exam) keyOf(it *item) *Source {
	for _, s := range e.sources {
		if s.Key != nil && pki.KeyMatches(it.cert, s.Key) {
			return s
		}
	}
	return nil
}

// checkRole checks that the certificate can be what it is meant for.
func (e *exam) checkRole() {
	cert := e.subject.cert
	switch {
	case e.role == RoleGroup && cert.BasicConstraintsValid && !cert.IsCA:
		e.add(Finding{
			Severity: SeverityFatal, Check: CheckRole, Predicted: &answerNoGroup,
			What: fmt.Sprintf("%s is the certificate of a device, not of a CA", name(cert)),
			Why: "an enrollment group holds the CA certificate that issued its devices; with a device certificate in it " +
				"no device ever matches",
			Fix: fmt.Sprintf("put its issuer %s into the group, or make an individual enrollment of this certificate",
				quote(cert.Issuer.String())),
		}, e.subject)
	case e.role == RoleIndividual && isCA(cert):
		e.checkIndividualCA()
	case e.role == RoleDevice && selfIssued(cert) && !isCA(cert):
		e.add(Finding{
			Severity: SeverityFatal, Check: CheckRole, Predicted: &answerInvalid,
			What: fmt.Sprintf("%s is self-signed, so it belongs to no enrollment group", name(cert)),
			Why:  "a group accepts devices by the CA that issued them, and no CA issued this one",
			Fix:  "make an individual enrollment of it, or issue it with the CA of the group",
		}, e.subject)
	}
	e.ok(CheckRole, "%s can be %s", name(cert), e.role.Describe())
}

// checkIndividualCA tells a CA in the place of a device from a self-signed device certificate that openssl marked as
// a CA, which it does unless told otherwise. The latter has a name that a device can have, and issued nothing; the
// device has its key, or it may not even sign certificates.
func (e *exam) checkIndividualCA() {
	cert := e.subject.cert
	f := Finding{
		Severity: SeverityFatal, Check: CheckRole, Predicted: &answerInvalid,
		What: fmt.Sprintf("%s is a CA certificate, not the certificate of a device", name(cert)),
		Why: "an individual enrollment holds the certificate that the device itself presents; a root or intermediate " +
			"belongs into an enrollment group",
		Fix: "put the device's own certificate into the individual enrollment, or make an enrollment group of this one",
	}
	own := cert.KeyUsage&x509.KeyUsageCertSign == 0 || e.keyOf(e.subject) != nil
	if selfIssued(cert) && own && !e.issuedAny(e.subject) && pki.CheckRegistrationID(cert.Subject.CommonName) == nil {
		f.Severity, f.Predicted = SeverityWarning, nil
		f.What = fmt.Sprintf("%s is self-signed and marked as a CA", name(cert))
		f.Why = "openssl req -x509 does that unless told otherwise; users were refused such certificates with \"Invalid certificate.\""
		f.Fix = "make it again with basicConstraints CA:FALSE"
	}
	e.add(f, e.subject)
}

// Describe says in words what the role is, as in "checked as ...".
func (r Role) Describe() string {
	switch r {
	case RoleGroup:
		return "the CA of an enrollment group"
	case RoleIndividual:
		return "the certificate of an individual enrollment"
	case RoleVerification:
		return "a proof of possession"
	case RoleOther:
		return "a certificate that DPS never sees"
	default:
		return "the certificate of a device in an enrollment group"
	}
}

// isCA reports whether the certificate says that it is a CA.
func isCA(cert *x509.Certificate) bool { return cert.BasicConstraintsValid && cert.IsCA }

// couldBeCA reports whether the certificate does not say that it is none.
func couldBeCA(cert *x509.Certificate) bool { return !cert.BasicConstraintsValid || cert.IsCA }

// selfIssued reports whether the certificate names itself as its issuer.
func selfIssued(cert *x509.Certificate) bool { return namesIssuer(cert, cert) }

// namesIssuer reports whether cert names issuer as its issuer.
func namesIssuer(cert, issuer *x509.Certificate) bool {
	return bytes.Equal(cert.RawIssuer, issuer.RawSubject)
}

func hasUsage(cert *x509.Certificate, usage x509.ExtKeyUsage) bool {
	return slices.Contains(cert.ExtKeyUsage, usage)
}

// looksLikeCode reports whether a common name is a verification code as the service makes them.
func looksLikeCode(cn string) bool {
	if len(cn) != 48 {
		return false
	}
	for _, c := range []byte(cn) {
		if (c < '0' || c > '9') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}

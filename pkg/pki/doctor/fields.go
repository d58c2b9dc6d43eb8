package doctor

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
)

// checkVersions looks for certificates of X.509 version 1, which cannot have extensions.
func (e *exam) checkVersions() {
	for _, it := range e.judged() {
		if it.cert.Version >= 3 {
			continue
		}
		e.add(Finding{
			Severity: SeverityWarning, Check: CheckVersion,
			What: fmt.Sprintf("%s is a certificate of X.509 version %d", name(it.cert), it.cert.Version),
			Why: "it has no extensions, so nothing says whether it is a CA and what it is for; the service was seen to accept " +
				"one in an individual enrollment, and other programs refuse them",
			Fix: "issue it as version 3; openssl does so when it is given an extension file or -addext",
		}, it)
	}
	e.ok(CheckVersion, "every certificate has X.509 version 3")
}

// checkSerials looks for serial numbers that RFC 5280 section 4.1.2.2 forbids.
func (e *exam) checkSerials() {
	for i, it := range e.given {
		f := Finding{Severity: SeverityWarning, Check: CheckSerial, Fix: "issue it again with a random serial number of 16 bytes"}
		serial := it.cert.SerialNumber
		twin := slices.IndexFunc(e.given[:i], func(other *item) bool {
			return other.cert.SerialNumber.Cmp(serial) == 0 && string(other.cert.RawIssuer) == string(it.cert.RawIssuer)
		})
		switch {
		case serial.Sign() <= 0:
			f.What = fmt.Sprintf("the serial number of %s is %s", name(it.cert), serial)
			f.Why = "it must be positive; some programs refuse others"
		case serial.BitLen() > 159:
			f.What = fmt.Sprintf("the serial number of %s has %d bytes", name(it.cert), serial.BitLen()/8+1)
			f.Why = "more than 20 are not allowed, and some programs refuse them"
		case twin >= 0:
			f.What = fmt.Sprintf("%s and %s have the same issuer and the same serial number", name(e.given[twin].cert), name(it.cert))
			f.Why = "browsers and some services take the second for a forgery of the first"
		default:
			continue
		}
		e.add(f, it)
	}
	e.ok(CheckSerial, "the serial numbers are positive, not too long, and unique")
}

// checkExtensions looks for critical extensions that nobody knows, and for names that a CA does not allow.
func (e *exam) checkExtensions() {
	if e.role == RoleVerification {
		return
	}
	for _, it := range e.judged() {
		if len(it.cert.UnhandledCriticalExtensions) == 0 {
			continue
		}
		e.add(Finding{
			Severity: SeverityFatal, Check: CheckExtensions, Predicted: &answerInvalid,
			What: fmt.Sprintf("%s has the critical extension %s", name(it.cert), it.cert.UnhandledCriticalExtensions[0]),
			Why:  "a program that does not know a critical extension must refuse the certificate (RFC 5280 section 4.2)",
			Fix:  "issue it without that extension, or not critical",
		}, it)
	}
	if e.demanding() {
		e.checkDemands()
	}
	e.ok(CheckExtensions, "no critical extension stands in the way")
}

// demanding reports whether a certificate of the chain limits names or demands a policy, on a chain that is sound enough
// to check that.
func (e *exam) demanding() bool {
	if e.role == RoleIndividual || e.refused(CheckChainSignature) || e.refused(CheckExtensions) {
		return false
	}
	return slices.ContainsFunc(e.judged(), func(it *item) bool {
		c := it.cert
		return demandsPolicy(c) || len(c.PermittedDNSDomains)+len(c.ExcludedDNSDomains)+len(c.PermittedIPRanges)+
			len(c.ExcludedIPRanges)+len(c.PermittedEmailAddresses)+len(c.ExcludedEmailAddresses)+
			len(c.PermittedURIDomains)+len(c.ExcludedURIDomains) > 0
	})
}

func demandsPolicy(c *x509.Certificate) bool {
	return c.RequireExplicitPolicy > 0 || c.RequireExplicitPolicyZero
}

// checkDemands lets crypto/x509 judge names and policies, at a time when every certificate was valid. What else it
// finds has checks of its own.
func (e *exam) checkDemands() {
	judged := e.judged()
	opts := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: e.subject.cert.NotBefore,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	opts.Roots.AddCert(judged[len(judged)-1].cert)
	policy := false
	for _, it := range judged {
		if it.cert.NotBefore.After(opts.CurrentTime) {
			opts.CurrentTime = it.cert.NotBefore
		}
		policy = policy || demandsPolicy(it.cert)
		if it != e.subject {
			opts.Intermediates.AddCert(it.cert)
		}
	}
	_, err := e.subject.cert.Verify(opts)
	var invalid x509.CertificateInvalidError
	if !errors.As(err, &invalid) {
		return
	}
	f := Finding{Severity: SeverityFatal, Check: CheckExtensions, Predicted: &answerInvalid}
	switch {
	case invalid.Reason == x509.CANotAuthorizedForThisName:
		f.What = fmt.Sprintf("a CA in the chain does not allow the names of %s: %s", name(e.subject.cert), quote(invalid.Detail))
		f.Why = "the name constraints of a CA hold for everything below it"
		f.Fix = "issue it with names that its CAs permit"
	case invalid.Reason == x509.NoValidChains && policy:
		f.What = fmt.Sprintf("a CA in the chain demands a certificate policy that %s does not have", name(e.subject.cert))
		f.Why = "with requireExplicitPolicy every certificate below must name a policy that its CAs permit (RFC 5280 section 4.2.1.11)"
		f.Fix = "issue it with a policy of its CA, or make the CA again without requireExplicitPolicy"
	default:
		return
	}
	e.add(f, e.subject)
}

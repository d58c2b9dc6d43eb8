package doctor

import (
	"crypto/x509"
	"fmt"
)

// checkCAFlags checks that the device is no CA and its issuers are.
func (e *exam) checkCAFlags() {
	if e.role == RoleVerification {
		return
	}
	if cert := e.subject.cert; e.role == RoleDevice && isCA(cert) {
		e.add(Finding{
			Severity: SeverityFatal, Check: CheckCAFlag, Predicted: &answerInvalid,
			What: fmt.Sprintf("the device certificate %s is a CA certificate (CA:TRUE)", name(cert)),
			Why: "a device that holds a CA could make devices of its own; the service refuses it, or says that the signing " +
				"certificate does not match",
			Fix: "issue a device certificate (CA:FALSE) with this CA, or with the one above it, and present that",
		}, e.subject)
	}
	levels := e.judged()
	for i, it := range levels {
		if i > 0 || e.role == RoleGroup {
			e.checkIssuerFlag(it, selfIssued(it.cert) || i == len(levels)-1)
		}
	}
	e.ok(CheckCAFlag, "the certificate and its issuers say rightly whether they are CAs")
}

// checkIssuerFlag checks a certificate that issues others. The service takes a top CA that does not say it is one.
func (e *exam) checkIssuerFlag(it *item, top bool) {
	cert := it.cert
	if isCA(cert) || cert.BasicConstraintsValid && e.role == RoleGroup && it == e.subject { // the latter has its finding
		return
	}
	f := Finding{
		Severity: SeverityFatal, Check: CheckCAFlag, Predicted: &answerInvalid,
		What: fmt.Sprintf("%s issues certificates but says that it is no CA (CA:FALSE)", name(cert)),
		Why:  "only a CA may sign certificates, so everything below it is refused",
		Fix:  "issue it again as a CA (basicConstraints CA:TRUE), and everything below it",
	}
	if !cert.BasicConstraintsValid {
		f.What = fmt.Sprintf("%s issues certificates but does not say whether it is a CA (no basicConstraints)", name(cert))
		if top {
			f.Severity, f.Predicted = SeverityWarning, nil
			f.Why = "old roots are like that, and the service takes them at the top of a chain; other programs do not"
		}
	}
	e.add(f, it)
}

// checkPathLengths checks that each CA allows as many CAs below it as there are.
func (e *exam) checkPathLengths() {
	below := 0
	if e.role == RoleVerification {
		return
	}
	for i, it := range e.judged() {
		cert := it.cert
		if i == 0 && e.role != RoleGroup {
			continue
		}
		if limited := isCA(cert) && (cert.MaxPathLen > 0 || cert.MaxPathLenZero); limited && below > cert.MaxPathLen {
			e.add(Finding{
				Severity: SeverityFatal, Check: CheckPathLength, Predicted: &answerInvalid,
				What: fmt.Sprintf("%s allows %d CAs below it, and there are %d", name(cert), cert.MaxPathLen, below),
				Why:  "its path length forbids a longer chain, so everything at the bottom is refused",
				Fix:  "issue the device with a CA further up, or make that CA again with a longer path length or none",
			}, it)
		}
		if !selfIssued(cert) {
			below++
		}
	}
	e.ok(CheckPathLength, "the path lengths leave room for the chain")
}

// checkKeyUsages checks what the keys may be used for. A certificate without the extension allows everything.
func (e *exam) checkKeyUsages() {
	if e.role == RoleVerification {
		return
	}
	for i, it := range e.judged() {
		usage := it.cert.KeyUsage
		issues := i > 0 || e.role == RoleGroup
		f := Finding{Severity: SeverityWarning, Check: CheckKeyUsage}
		switch {
		case usage == 0:
			continue
		case issues && usage&x509.KeyUsageCertSign == 0:
			f.Severity, f.Predicted = SeverityFatal, &answerInvalid
			f.What = fmt.Sprintf("%s issues certificates, but its key usage lacks keyCertSign", name(it.cert))
			f.Why = "its key may not sign certificates, so everything below it is refused"
			f.Fix = "issue it again with key usage keyCertSign, and everything below it"
		case !issues && usage&x509.KeyUsageDigitalSignature == 0:
			f.What = fmt.Sprintf("the key usage of %s lacks digitalSignature", name(it.cert))
			f.Why = "a TLS client signs with its key (RFC 5246 section 7.4.8); openssl refuses such a certificate, and what the " +
				"service does is not known"
			f.Fix = "issue it again with key usage digitalSignature"
		case !issues && usage&x509.KeyUsageCertSign != 0 && !isCA(it.cert):
			f.What = fmt.Sprintf("the key usage of %s has keyCertSign, although it is no CA", name(it.cert))
			f.Why = "RFC 5280 section 4.2.1.9 forbids that, and strict programs refuse it"
			f.Fix = "issue it again without keyCertSign"
		default:
			continue
		}
		e.add(f, it)
	}
	e.ok(CheckKeyUsage, "the key usages fit")
}

// checkExtKeyUsages checks the purposes of the device, and those that a CA passes on.
func (e *exam) checkExtKeyUsages() {
	if e.role == RoleVerification {
		return
	}
	for i, it := range e.judged() {
		if i > 0 || e.role == RoleGroup {
			e.checkIssuerPurposes(it)
		} else {
			e.checkDevicePurposes(it)
		}
	}
	e.ok(CheckExtKeyUsage, "the extended key usage allows a TLS client")
}

func (e *exam) checkDevicePurposes(it *item) {
	cert := it.cert
	switch {
	case anyPurpose(cert):
		e.add(Finding{
			Severity: SeverityWarning, Check: CheckExtKeyUsage,
			What: fmt.Sprintf("%s names no extended key usage", name(cert)),
			Why: "that means any purpose, also that of a server: the service accepts it, other services and brokers may insist on " +
				"clientAuth",
			Fix: "issue it again with clientAuth; for DPS alone it may stay as it is",
		}, it)
	case !clientPurpose(cert):
		e.add(Finding{
			Severity: SeverityFatal, Check: CheckExtKeyUsage, Predicted: &answerInvalid,
			What: fmt.Sprintf("%s is not for a TLS client: its extended key usage lacks clientAuth", name(cert)),
			Why:  "a device is the client of the TLS connection; a certificate for a server (serverAuth) will not do",
			Fix:  "issue it again as a device certificate, with clientAuth or without that extension",
		}, it)
	}
}

func (e *exam) checkIssuerPurposes(it *item) {
	if anyPurpose(it.cert) || clientPurpose(it.cert) {
		return
	}
	e.add(Finding{
		Severity: SeverityFatal, Check: CheckExtKeyUsage, Predicted: &answerInvalid,
		What: fmt.Sprintf("the CA %s has an extended key usage without clientAuth", name(it.cert)),
		Why: "Windows, Go and openssl let a CA issue only for the purposes that it has itself, so the devices below it are no " +
			"TLS clients; nobody saw the service accept one",
		Fix: "make the CA again with clientAuth or, as usual, without that extension, and issue everything below it again",
	}, it)
}

func anyPurpose(cert *x509.Certificate) bool {
	return len(cert.ExtKeyUsage) == 0 && len(cert.UnknownExtKeyUsage) == 0
}

func clientPurpose(cert *x509.Certificate) bool {
	return hasUsage(cert, x509.ExtKeyUsageClientAuth) || hasUsage(cert, x509.ExtKeyUsageAny)
}

package doctor

import (
	"crypto/x509"
	"fmt"
	"slices"

	"github.com/dpskit/dpskit/pkg/pki"
)

// levels returns the path and the issuers above it that are known though not given.
func (e *exam) levels() []*item { return slices.Concat(e.path, e.above) }

// judged returns the certificates whose contents matter: the chain of a device of a group, the certificate alone in an
// individual enrollment, a proof and its CA.
func (e *exam) judged() []*item {
	levels := e.levels()
	switch e.role {
	case RoleDevice:
		return e.anchored(levels)
	case RoleIndividual:
		return levels[:1]
	case RoleVerification:
		return levels[:min(2, len(levels))]
	}
	return levels
}

// anchored cuts levels behind the verified CA that ends the way: the first one at or above the certificate of the group.
// What is further up does not matter.
func (e *exam) anchored(levels []*item) []*item {
	enrolled := e.opts.Enrolled
	if enrolled == nil {
		return levels
	}
	group := slices.IndexFunc(levels, func(it *item) bool { return it.cert.Equal(enrolled) })
	for i := max(group, 0); group > 0 && i < len(levels); i++ {
		if e.listed(levels[i].cert) {
			return levels[:i+1]
		}
	}
	return levels
}

// served returns the path as the service sees it: what the device sends, and the root from the service's own list.
func (e *exam) served() []*x509.Certificate {
	var out []*x509.Certificate
	for _, it := range e.path {
		out = append(out, it.cert)
	}
	if len(e.above) > 0 && selfIssued(e.above[0].cert) && e.completes(e.above[0]) {
		out = append(out, e.above[0].cert)
	}
	return out
}

// checkDeviceEnrollment compares the chain with what the enrollment and the list of CAs hold, if that is known.
func (e *exam) checkDeviceEnrollment() {
	path := e.served()
	from := 1
	if enrolled := e.opts.Enrolled; enrolled != nil {
		i := slices.IndexFunc(path, enrolled.Equal)
		switch {
		case i == 0:
			e.add(Finding{
				Severity: SeverityInfo, Check: CheckEnrolled,
				What: fmt.Sprintf("the enrollment holds %s itself, so it is an individual enrollment", name(enrolled)),
			}, e.subject)
			return
		case i < 0:
			e.reportNotEnrolled(path)
		default:
			from = i
			e.ok(CheckEnrolled, "the enrollment holds %s, which is in the chain", name(enrolled))
		}
	}
	e.checkAnchor(path, from)
}

// checkAnchor checks that a certificate of the path, at or above the one that the group holds, is a verified CA.
func (e *exam) checkAnchor(path []*x509.Certificate, from int) {
	if e.opts.CAs == nil || e.refused(CheckChainComplete) || e.refused(CheckChainSignature) {
		return
	}
	for _, cert := range path[min(from, len(path)):] {
		if slices.ContainsFunc(e.opts.CAs, cert.Equal) {
			e.ok(CheckCAList, "the chain leads to %s, which is in the list of CA certificates", name(cert))
			return
		}
	}
	last := path[len(path)-1]
	f := Finding{
		Severity: SeverityFatal, Check: CheckCAList, Predicted: &answerUnknownCA,
		What: "no certificate of the chain is in the list of CA certificates of the service",
		Why: "the signing certificate of a group must be a verified CA itself or lead to one; a CA of the same name that was " +
			"made anew is another one",
		Fix: fmt.Sprintf("upload %s and prove possession of its key", name(last)),
	}
	if !selfIssued(last) {
		f.What = fmt.Sprintf("the chain ends at %s, and its issuer %s is not in the list of CA certificates of the service",
			name(last), quote(last.Issuer.String()))
		f.Fix = "upload the root and prove possession of its key; if that issuer is an intermediate, present it as well"
	}
	e.add(f, nil)
}

// refused reports whether a check has a fatal finding.
func (e *exam) refused(id CheckID) bool {
	return slices.ContainsFunc(e.findings, func(f Finding) bool { return f.Check == id && f.Severity == SeverityFatal })
}

// reportNotEnrolled is for an enrollment that holds a certificate from outside of the chain.
func (e *exam) reportNotEnrolled(path []*x509.Certificate) {
	enrolled := e.opts.Enrolled
	f := Finding{
		Severity: SeverityFatal, Check: CheckEnrolled, Predicted: &answerNoGroup,
		What: fmt.Sprintf("the enrollment holds %s, which is not in the chain of the device (%s)", name(enrolled), e.describePath()),
		Why:  "a group matches when its very certificate is among those that the device sends, or is the verified root above them",
		Fix: fmt.Sprintf("put the issuer of the device, %s, into the group, or present the certificates up to %s",
			quote(e.subject.cert.Issuer.String()), name(enrolled)),
	}
	twin := slices.IndexFunc(path, func(c *x509.Certificate) bool { return string(c.RawSubject) == string(enrolled.RawSubject) })
	switch {
	case !couldBeCA(enrolled):
		f.Predicted = &answerInvalid
		f.What = fmt.Sprintf("the enrollment holds the device certificate %s, and this is another one", name(enrolled))
		f.Why = "an individual enrollment matches the certificate itself, by its thumbprint; a renewed one is another one"
		f.Fix = "put the present certificate of the device into the enrollment"
	case twin > 0:
		f.What = fmt.Sprintf("the enrollment holds another certificate with the name %s (SHA-1 %s) than the chain (SHA-1 %s)",
			name(enrolled), pki.SHA1Thumbprint(enrolled), pki.SHA1Thumbprint(path[twin]))
		f.Why = "a CA that was made anew under the same name is another CA"
		f.Fix = "put the present certificate of the CA into the group, or issue the device with the one that the group holds"
	}
	incomplete := e.refused(CheckChainComplete) || e.refused(CheckChainKeyID)
	anchored := slices.ContainsFunc(path[1:], func(c *x509.Certificate) bool { return slices.ContainsFunc(e.opts.CAs, c.Equal) })
	if couldBeCA(enrolled) && (incomplete || e.opts.CAs != nil && !anchored) {
		f.Predicted = &answerUnknownCA
	}
	e.add(f, e.subject)
}

// checkGroupEnrollment checks that the CA is verified or leads to a verified one.
func (e *exam) checkGroupEnrollment() {
	if e.opts.CAs == nil {
		return
	}
	for _, it := range e.levels() {
		if slices.ContainsFunc(e.opts.CAs, it.cert.Equal) {
			e.ok(CheckCAList, "%s is in the list of CA certificates", name(it.cert))
			return
		}
	}
	e.add(Finding{
		Severity: SeverityFatal, Check: CheckCAList, Predicted: &answerUnknownCA,
		What: fmt.Sprintf("neither %s nor a CA above it is in the list of CA certificates of the service", name(e.subject.cert)),
		Why:  "the signing certificate of a group must be a verified CA itself or lead to one",
		Fix:  "upload the root above it, or it itself, and prove possession of the key",
	}, e.subject)
}

// checkIndividualEnrollment compares the certificate with the one that the enrollment holds.
func (e *exam) checkIndividualEnrollment() {
	cert, enrolled := e.subject.cert, e.opts.Enrolled
	switch {
	case enrolled == nil:
	case enrolled.Equal(cert):
		e.ok(CheckEnrolled, "the enrollment holds this certificate")
	case isCA(enrolled):
		e.add(Finding{
			Severity: SeverityFatal, Check: CheckEnrolled, Predicted: &answerInvalid,
			What: fmt.Sprintf("the individual enrollment holds the CA certificate %s", name(enrolled)),
			Why:  "it must hold the certificate that the device itself presents; a CA belongs into an enrollment group",
			Fix:  fmt.Sprintf("put %s into the enrollment, or make an enrollment group of the CA", name(cert)),
		}, e.subject)
	default:
		e.add(Finding{
			Severity: SeverityFatal, Check: CheckEnrolled, Predicted: &answerInvalid,
			What: fmt.Sprintf("the enrollment holds another certificate: %s (SHA-1 %s)", name(enrolled), pki.SHA1Thumbprint(enrolled)),
			Why:  "an individual enrollment matches the certificate itself, by its thumbprint; a renewed one is another one",
			Fix:  fmt.Sprintf("put %s (SHA-1 %s) into the enrollment", name(cert), pki.SHA1Thumbprint(cert)),
		}, e.subject)
	}
	if e.opts.CAs == nil || selfIssued(cert) {
		return
	}
	for _, it := range e.levels()[1:] {
		if slices.ContainsFunc(e.opts.CAs, it.cert.Equal) {
			e.ok(CheckCAList, "%s is in the list of CA certificates", name(it.cert))
			return
		}
	}
	e.add(Finding{
		Severity: SeverityWarning, Check: CheckCAList,
		What: fmt.Sprintf("no CA above %s is in the list of CA certificates of the service", name(cert)),
		Why: "the documentation wants one CA of a device certificate to be verified, also for an individual enrollment; " +
			"whether the service insists is not known",
		Fix: "upload its root and prove possession of the key, or use a self-signed certificate",
	}, e.subject)
}

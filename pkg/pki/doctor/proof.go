package doctor

import (
	"crypto/x509"
	"fmt"
	"slices"

	"github.com/dpskit/dpskit/pkg/pki"
)

// checkProof checks a proof of possession: its common name is the code, and the CA that it proves signed it.
// Extensions do not matter.
func (e *exam) checkProof() {
	e.checkCode()
	cert := e.subject.cert
	if selfIssued(cert) {
		e.add(Finding{
			Severity: SeverityFatal, Check: CheckCAList, Predicted: &answerNoProof,
			What: fmt.Sprintf("%s is self-signed, so it proves nothing about a CA", name(cert)),
			Why:  "the proof is the signature of the CA's key below the code",
			Fix:  "sign it with the key of the CA that was uploaded",
		}, e.subject)
		return
	}
	issuer := e.nearestCA()
	switch {
	case issuer == nil && len(e.opts.CAs) > 0, issuer != nil && len(e.opts.CAs) > 0 && !e.listed(issuer.cert):
		e.add(Finding{
			Severity: SeverityFatal, Check: CheckCAList, Predicted: &answerNoProof,
			What: fmt.Sprintf("%s was not signed by the uploaded CA %s but by %s", name(cert), name(e.opts.CAs[0]),
				quote(cert.Issuer.String())),
			Why: "the service answers \"Issuer certificate cannot be found in the certificate chain\"; often the root was " +
				"used instead of the intermediate, or a CA of the same name that was made anew",
			Fix: "sign the code with the key of exactly the certificate that was uploaded",
		}, e.subject)
	case issuer == nil && e.end == endMissing:
		e.add(Finding{
			Severity: SeverityInfo, Check: CheckCAList,
			What: fmt.Sprintf("the CA that it should prove, %s, was not given", quote(cert.Issuer.String())),
			Why:  "the signature was not checked", Fix: "give the CA certificate that was uploaded to have it checked",
		}, e.subject)
	case issuer != nil:
		e.ok(CheckCAList, "%s proves possession of the key of %s", name(cert), name(issuer.cert))
	}
}

func (e *exam) listed(cert *x509.Certificate) bool {
	return slices.ContainsFunc(e.opts.CAs, cert.Equal)
}

func (e *exam) checkCode() {
	cert := e.subject.cert
	names := commonNames(cert)
	f := Finding{
		Severity: SeverityFatal, Check: CheckCode, Predicted: &answerNoProof,
		Why: "the service compares the common name with its latest code, letter by letter; every new code ends the one before",
		Fix: "sign a certificate with exactly that code as its only common name",
	}
	switch {
	case len(names) != 1:
		f.What = fmt.Sprintf("the certificate has %d common names, want exactly one", len(names))
	case e.opts.Code != "" && names[0] != e.opts.Code:
		f.What = fmt.Sprintf("the common name %s is not the code %s", quote(names[0]), quote(e.opts.Code))
	default:
		code, err := pki.NormalizeVerificationCode(names[0])
		if err == nil && code == names[0] {
			e.ok(CheckCode, "the common name can be a verification code")
			return
		}
		f.What = fmt.Sprintf("the common name %s cannot be a verification code", quote(names[0]))
	}
	e.add(f, e.subject)
}

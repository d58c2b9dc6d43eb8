package doctor

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
)

// ending says why the path goes no further.
type ending int

const (
	endRoot      ending = iota // the last certificate is self-signed
	endMissing                 // its issuer is not among the given certificates
	endUnsigned                // a certificate with the name of its issuer was given, but did not sign it
	endWrongName               // a given CA signed it, but has another name than it says
)

// issuer returns the certificate of the list that issued it. One with the right key identifier comes first.
func (e *exam) issuer(it *item, list []*item) *item {
	if found := e.issuers(it, list, e.path); len(found) > 0 {
		return found[0]
	}
	return nil
}

// impostor returns a given certificate with the name of the issuer of it that did not sign it.
func (e *exam) impostor(it *item) *item {
	for _, c := range e.given {
		if namesIssuer(it.cert, c.cert) && (c == it || !e.onPath(c)) && e.links.check(it.cert, c.cert) == notSigned {
			return c
		}
	}
	return nil
}

// misnamed returns a given CA that signed it although it names another issuer.
func (e *exam) misnamed(it *item) *item {
	for _, c := range e.given {
		hint := len(it.cert.AuthorityKeyId) > 0 && bytes.Equal(it.cert.AuthorityKeyId, c.cert.SubjectKeyId)
		if hint && !e.onPath(c) && e.links.check(it.cert, c.cert) == signed {
			return c
		}
	}
	return nil
}

func (e *exam) onPath(it *item) bool { return slices.Contains(e.path, it) }

// last is the end of the path.
func (e *exam) last() *item { return e.path[len(e.path)-1] }

// keyIDsFit reports whether the authority key identifier of cert, if any, is the subject key identifier of issuer.
func keyIDsFit(cert, issuer *x509.Certificate) bool {
	return len(cert.AuthorityKeyId) == 0 || len(issuer.SubjectKeyId) == 0 ||
		bytes.Equal(cert.AuthorityKeyId, issuer.SubjectKeyId)
}

// checkChain reports how the path is held together and where it ends.
func (e *exam) checkChain() {
	switch e.end {
	case endUnsigned:
		e.reportImpostor()
	case endWrongName:
		e.reportMisnamed()
	case endMissing:
		e.reportMissing()
	}
	if e.role == RoleIndividual { // the certificate alone counts
		if len(e.path) > 1 || e.end == endRoot {
			e.ok(CheckChainSignature, "the signature of %s was verified", name(e.subject.cert))
		}
		return
	}
	e.ok(CheckChainComplete, "the chain is %s", e.describePath())
	for i, it := range e.path[:len(e.path)-1] {
		e.checkLink(it, e.path[i+1])
	}
	if len(e.path) > 1 || e.end == endRoot {
		e.ok(CheckChainSignature, "every signature in the chain was verified")
	}
	if len(e.path) > 1 {
		e.ok(CheckChainKeyID, "the key identifiers in the chain fit together")
	}
}

// checkLink reports what is doubtful about a certificate and the issuer that was found for it.
func (e *exam) checkLink(it, issuer *item) {
	if e.links.check(it.cert, issuer.cert) == notVerifiable {
		e.add(Finding{
			Severity: SeverityWarning, Check: CheckChainSignature,
			What: fmt.Sprintf("the signature of %s by %s was not verified", name(it.cert), name(issuer.cert)),
			Why:  "its algorithm or key is too weak, too big or unknown, or there are too many certificates",
			Fix:  "see the other findings, and check again with the certificates of one chain only",
		}, it)
	}
	if keyIDsFit(it.cert, issuer.cert) {
		return
	}
	e.add(Finding{
		Severity: SeverityFatal, Check: CheckChainKeyID, Predicted: &answerUnknownCA,
		What: fmt.Sprintf("%s names the key %X as that of its issuer, and %s says that its key is %X", name(it.cert),
			short(it.cert.AuthorityKeyId), name(issuer.cert), short(issuer.cert.SubjectKeyId)),
		Why: "chains are put together by these identifiers (RFC 5280 section 4.2.1.1); openssl and Go do not find the " +
			"issuer, although its signature is right",
		Fix: fmt.Sprintf("issue %s again with the present certificate of %s", name(it.cert), name(issuer.cert)),
	}, it)
}

// reportImpostor reports a CA of the right name with the wrong key, or a damaged certificate.
func (e *exam) reportImpostor() {
	it, other := e.last(), e.impostor(e.last())
	f := Finding{
		Severity: SeverityFatal, Check: CheckChainSignature, Predicted: &answerInvalid,
		What: fmt.Sprintf("the signature of %s is not that of %s", name(it.cert), name(other.cert)),
		Why:  "the certificate was damaged or changed after it was signed, or its issuer has a new key",
		Fix:  fmt.Sprintf("copy the file again, or issue %s again with that CA", name(it.cert)),
	}
	switch {
	case other == it:
		f.What = fmt.Sprintf("the signature of the self-signed certificate %s is not its own", name(it.cert))
		f.Fix = "make it again"
	case !keyIDsFit(it.cert, other.cert):
		f.Predicted = &answerUnknownCA
		f.What = fmt.Sprintf("%s was signed by another CA with the name %s than the one given", name(it.cert), name(other.cert))
		f.Why = fmt.Sprintf("a CA was made anew under the same name: the certificate wants the key %X, and this CA has %X",
			short(it.cert.AuthorityKeyId), short(other.cert.SubjectKeyId))
		f.Fix = fmt.Sprintf("find the CA certificate (and key) that was in use then, or issue %s again with the present one",
			name(it.cert))
	}
	if e.role == RoleIndividual { // the service compares the certificate as it is
		f.Predicted = nil
		if other != it {
			f.Severity = SeverityWarning
		}
	}
	e.add(f, it)
}

func (e *exam) reportMisnamed() {
	it, other := e.last(), e.misnamed(e.last())
	if e.role == RoleIndividual {
		return
	}
	e.add(Finding{
		Severity: SeverityFatal, Check: CheckChainComplete, Predicted: &answerUnknownCA,
		What: fmt.Sprintf("%s names %s as its issuer, but the CA with that key is called %s", name(it.cert),
			quote(it.cert.Issuer.String()), quote(other.cert.Subject.String())),
		Why: "chains are put together by the names, letter by letter; also another encoding of the same letters differs",
		Fix: fmt.Sprintf("issue %s again with the present certificate of the CA", name(it.cert)),
	}, it)
}

// describePath names the parts of the chain in its order.
func (e *exam) describePath() string {
	parts := []string{name(e.path[0].cert)}
	for i, it := range e.path[1:] {
		if i == 5 {
			parts = append(parts, fmt.Sprintf("%d more", len(e.path)-6))
			break
		}
		parts = append(parts, name(it.cert))
	}
	text := strings.Join(parts, ", issued by ")
	if e.end == endRoot && len(e.path) == 1 {
		text += ", which is self-signed"
	}
	return text
}

// short cuts a key identifier to what a text needs.
func short(id []byte) []byte { return id[:min(len(id), 20)] }

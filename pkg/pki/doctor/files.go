package doctor

import (
	"crypto/x509"
	"fmt"
	"slices"
)

// needed returns what the device must present: its certificate and the intermediates, without the root.
func (e *exam) needed() []*x509.Certificate {
	out := []*x509.Certificate{e.subject.cert}
	for _, it := range e.path[1:] {
		if !selfIssued(it.cert) {
			out = append(out, it.cert)
		}
	}
	return out
}

// holds reports whether a source has all of the certificates, in any order.
func holds(s *Source, certs []*x509.Certificate) bool {
	return !slices.ContainsFunc(certs, func(c *x509.Certificate) bool { return indexOf(s, c) < 0 })
}

// checkChainFile checks that one file holds all that the device must present, and that no PFX lacks some of it.
func (e *exam) checkChainFile() {
	needed := e.needed()
	if e.role != RoleDevice || len(needed) == 1 || e.refused(CheckChainComplete) {
		return
	}
	whole := false
	for _, s := range e.sources {
		switch {
		case holds(s, needed):
			whole = true
		case s.Format == FormatPFX && indexOf(s, e.subject.cert) >= 0:
			e.add(Finding{
				Severity: SeverityWarning, Check: CheckChainFile,
				What: fmt.Sprintf("%s lacks intermediate certificates that other files have", quote(s.Name)),
				Why:  "a device that uses it presents too few certificates and gets \"" + answerUnknownCA.Message + "\"",
				Fix:  "export the PFX again with the whole chain",
			}, nil)
		}
	}
	if !whole {
		e.add(Finding{
			Severity: SeverityWarning, Check: CheckChainFile,
			What: fmt.Sprintf("no file holds %s together with its intermediates", name(e.subject.cert)),
			Why: "most SDKs take one file and present what is in it; with the device certificate alone the service answers \"" +
				answerUnknownCA.Message + "\"",
			Fix: "join the files in the order device, intermediates",
		}, nil)
	}
	e.ok(CheckChainFile, "one file holds what the device presents")
}

// checkFileContents looks for certificates that are twice in a file, or do not belong to the chain.
func (e *exam) checkFileContents() {
	for _, s := range e.sources {
		for i, cert := range s.Certificates {
			if cert == nil || indexOf(s, cert) == i {
				continue
			}
			e.add(Finding{
				Severity: SeverityWarning, Check: CheckDuplicate,
				What: fmt.Sprintf("%s is in %s twice, as certificate %d and %d", name(cert), quote(s.Name), indexOf(s, cert)+1, i+1),
				Why:  "it is sent twice, and strict TLS libraries stop at a certificate that does not issue the one before",
				Fix:  "remove the second one",
			}, nil)
			break
		}
	}
	e.ok(CheckDuplicate, "no file holds a certificate twice")
	if e.role == RoleGroup || e.role == RoleVerification {
		return
	}
	claimed := e.claimed()
	for _, it := range e.given {
		switch {
		case e.onPath(it), slices.Contains(claimed, it):
		case e.onOtherWay(it):
			e.reportOtherWay(it)
		case selfIssued(it.cert) && e.end == endMissing: // a root that is not reached has its own finding
		default:
			e.reportSurplus(it)
		}
	}
	e.ok(CheckSurplus, "every certificate belongs to the chain")
}

// claimed returns the certificates that would be on the path if the last one were signed as it says.
func (e *exam) claimed() []*item {
	var out []*item
	var next *item
	switch e.end {
	case endUnsigned:
		next = e.impostor(e.last())
	case endWrongName:
		next = e.misnamed(e.last())
	}
	for next != nil && !slices.Contains(out, next) {
		out = append(out, next)
		next = e.issuer(next, e.given)
	}
	return out
}

// reportOtherWay tells of a certificate that would be in the chain if another CA of the same name and key, or another
// certificate of the same CA, were in it.
func (e *exam) reportOtherWay(it *item) {
	e.add(Finding{
		Severity: SeverityInfo, Check: CheckSurplus,
		What: fmt.Sprintf("%s by %s belongs to another chain of %s", name(it.cert), quote(it.cert.Issuer.String()), name(e.subject.cert)),
		Why: "a CA of this chain has several certificates; the service takes any chain that is in order, and this report is " +
			"about " + e.describePath(),
		Fix: "nothing, if the CAs are meant to be like that; else leave it out",
	}, it)
}

func (e *exam) reportSurplus(it *item) {
	f := Finding{
		Severity: SeverityWarning, Check: CheckSurplus,
		What: fmt.Sprintf("%s is not in the chain of %s", name(it.cert), name(e.subject.cert)),
		Why:  "it did not issue any certificate of the chain, so it does not help the service to find a way",
		Fix:  "leave it out",
	}
	if !couldBeCA(it.cert) {
		f.Why = "it is a device certificate of its own, and a device presents one"
	}
	e.add(f, it)
}

package doctor

import "fmt"

// reportMissing reports that the issuer of the last certificate of the path was not given. Whether that is wrong
// depends on whether the issuer is a root, which the service has itself, or an intermediate, which it must be sent.
func (e *exam) reportMissing() {
	it := e.last()
	var issuer *item
	if len(e.above) > 0 {
		issuer = e.above[0]
	}
	switch {
	case e.role == RoleIndividual || e.role == RoleVerification:
		return // the certificate alone counts
	case issuer != nil && selfIssued(issuer.cert):
		return // the root, which need not be sent
	case issuer != nil:
		e.reportMissingIntermediate(it, issuer)
	case e.role == RoleGroup:
		e.add(Finding{
			Severity: SeverityInfo, Check: CheckChainComplete,
			What: fmt.Sprintf("the issuer of %s, %s, was not given", name(it.cert), quote(it.cert.Issuer.String())),
			Why:  "the signing certificate of a group must be a verified CA itself or lead to one",
			Fix:  "give the CA certificates above it, too, to have that checked",
		}, it)
	case len(e.path) > 1 && e.strayRoot() != nil:
		e.reportGap(it, e.strayRoot())
	case e.circle(it) != nil:
		e.add(Finding{
			Severity: SeverityWarning, Check: CheckChainComplete,
			What: fmt.Sprintf("the issuers go round in a circle: %s was issued by %s, which it issued itself or through others",
				name(it.cert), name(e.circle(it).cert)),
			Why: "no root is among them, so the chain ends nowhere; the service accepts it only if one of them is verified or " +
				"has a self-signed twin that is",
			Fix: "present the certificate of the CA that leads to the root, not the one that another CA issued for it",
		}, it)
	case len(e.path) > 1:
		e.add(Finding{
			Severity: SeverityInfo, Check: CheckChainComplete,
			What: fmt.Sprintf("the chain ends at %s, whose issuer %s was taken for the root", name(it.cert),
				quote(it.cert.Issuer.String())),
			Why: "the root need not be sent, because the service has it; an intermediate must be",
			Fix: "give the CA certificates, too, to have that checked",
		}, it)
	default:
		e.reportLoneLeaf(it)
	}
}

// circle returns the certificate of the path that issued it, although it stands below.
func (e *exam) circle(it *item) *item {
	for _, c := range e.path {
		if namesIssuer(it.cert, c.cert) && e.links.check(it.cert, c.cert) == signed {
			return c
		}
	}
	return nil
}

// reportMissingIntermediate is for an intermediate that exists but is not presented.
func (e *exam) reportMissingIntermediate(it, issuer *item) {
	f := Finding{
		Severity: SeverityFatal, Check: CheckChainComplete, Predicted: &answerUnknownCA,
		What: fmt.Sprintf("the intermediate certificate %s is missing from the chain", name(issuer.cert)),
		Why: fmt.Sprintf("it issued %s; the service has only what was uploaded, does not fetch certificates, and finds no "+
			"way to a verified CA without it", name(it.cert)),
		Fix: fmt.Sprintf("present the full chain: add that certificate behind %s", name(it.cert)),
	}
	if !issuer.unnamed {
		f.Fix = fmt.Sprintf("present the full chain: add %s behind %s", quote(issuer.source.Name), name(it.cert))
	}
	if e.role == RoleGroup {
		f.Severity, f.Predicted = SeverityInfo, nil
		f.What = fmt.Sprintf("%s is issued by the intermediate %s, which was not given", name(it.cert), name(issuer.cert))
		f.Why = "devices of the group must present it as well, unless it is itself a verified CA of the service"
		f.Fix = "give it, too, to have the chain checked"
	}
	if wrong := e.strayCA(); wrong != nil && e.role != RoleGroup {
		f.What += fmt.Sprintf("; %s is there instead", name(wrong.cert))
	}
	e.add(f, it)
}

// reportGap is for a chain with a root that does not reach it.
func (e *exam) reportGap(it, root *item) {
	e.add(Finding{
		Severity: SeverityFatal, Check: CheckChainComplete, Predicted: &answerUnknownCA,
		What: fmt.Sprintf("between %s and the root %s the certificate of %s is missing", name(it.cert), name(root.cert),
			quote(it.cert.Issuer.String())),
		Why: "the service does not fetch certificates and finds no way from the device to the root",
		Fix: fmt.Sprintf("present the full chain: add that certificate behind %s", name(it.cert)),
	}, it)
}

// reportLoneLeaf is for a device certificate alone, the most frequent reason of all refusals.
func (e *exam) reportLoneLeaf(it *item) {
	f := Finding{
		Severity: SeverityFatal, Check: CheckChainComplete, Predicted: &answerUnknownCA,
		What: fmt.Sprintf("the certificate of the issuer, %s, is missing from the chain", quote(it.cert.Issuer.String())),
		Why: "the service has only what was uploaded and does not fetch certificates; a device certificate alone is enough " +
			"only when its issuer is a root, uploaded and verified",
		Fix: "present the full chain, the device certificate and then every intermediate; if the issuer is the root, give " +
			"its certificate, too, to have that checked",
	}
	if wrong := e.strayCA(); wrong != nil {
		f.What += fmt.Sprintf("; %s is there instead, which did not issue it", name(wrong.cert))
	}
	e.add(f, it)
}

// strayCA returns a given CA that is not on the path and not the root of any chain.
func (e *exam) strayCA() *item {
	for _, it := range e.given {
		if !e.onPath(it) && couldBeCA(it.cert) && !selfIssued(it.cert) {
			return it
		}
	}
	return nil
}

// strayRoot returns a given self-signed CA that the path does not reach.
func (e *exam) strayRoot() *item {
	for _, it := range e.given {
		if !e.onPath(it) && couldBeCA(it.cert) && selfIssued(it.cert) {
			return it
		}
	}
	return nil
}

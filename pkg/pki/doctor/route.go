package doctor

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"slices"
)

// Bounds of the search. A device has one way, or two or four where CAs certified each other; sixty certificates of four
// CAs make more ways than anybody can follow.
const (
	maxRoutes = 32
	maxSteps  = 2000
)

// route is one way up from the certificate in question. A CA may have several certificates: cross-signed by another
// CA, renewed, or re-keyed under its old name. Then there are several routes, and the service takes any that is in
// order.
type route struct {
	path  []*item // the certificate and its issuers, as far as they were given
	above []*item // the issuers above, which are known though not given
	end   ending  // why path goes no further
}

// search finds the routes, the likely ones first.
type search struct {
	*exam
	found []route
	steps int
}

// routes returns the ways from the subject upwards, at least one. A CA enters a route once, so a circle ends.
func (e *exam) routes() []route {
	s := &search{exam: e}
	s.climb([]*item{e.subject})
	return s.found
}

// spent reports whether enough was looked at.
func (s *search) spent() bool {
	s.steps++
	return s.steps > maxSteps || len(s.found) >= maxRoutes
}

// climb goes on from the end of a path of given certificates.
func (s *search) climb(path []*item) {
	last, start := path[len(path)-1], len(s.found)
	if selfIssued(last.cert) && s.links.check(last.cert, last.cert) != notSigned {
		s.found = append(s.found, route{path: path, end: endRoot})
		return
	}
	given := s.issuers(last, s.given, path)
	for _, c := range given {
		if s.spent() && len(s.found) > 0 {
			return
		}
		s.climb(append(slices.Clip(path), c))
	}
	end := s.endOf(path)
	for _, c := range s.issuers(last, s.known, path) {
		if len(given) == 0 && end == endMissing || s.completes(c) {
			s.climbAbove(path, []*item{c})
		}
	}
	if len(s.found) == start {
		s.found = append(s.found, route{path: path, end: end})
	}
}

// climbAbove goes on through certificates that are known though not given.
func (s *search) climbAbove(path, above []*item) {
	var next []*item
	if last := above[len(above)-1]; !selfIssued(last.cert) {
		next = s.issuers(last, s.known, slices.Concat(path, above))
	}
	for _, c := range next {
		if s.spent() && len(s.found) > 0 {
			return
		}
		s.climbAbove(path, append(slices.Clip(above), c))
	}
	if len(next) == 0 {
		s.found = append(s.found, route{path: path, above: above, end: endMissing})
	}
}

// completes reports whether the service itself has the certificate to complete a chain with: a root in its list, or,
// for a proof of possession, the CA that is to be proved.
func (e *exam) completes(it *item) bool {
	if !selfIssued(it.cert) && e.role != RoleVerification {
		return false
	}
	return slices.ContainsFunc(e.anchors(), func(c *x509.Certificate) bool { return c != nil && c.Equal(it.cert) })
}

// anchors are the CA certificates that the service has, as far as they are known: a group of a root is possible only
// when the root is among them.
func (e *exam) anchors() []*x509.Certificate {
	if e.opts.CAs == nil && e.opts.Enrolled != nil {
		return []*x509.Certificate{e.opts.Enrolled}
	}
	return e.opts.CAs
}

// issuers returns the certificates of the list that issued it, those first that the service is told to look for. Of
// those whose key identifier does not fit one is returned, when there is no other.
func (e *exam) issuers(it *item, list, entered []*item) []*item {
	var out []*item
	var second *item
	for _, c := range list {
		if !namesIssuer(it.cert, c.cert) || e.entered(c, entered) {
			continue
		}
		switch v := e.links.check(it.cert, c.cert); {
		case v == notSigned:
		case v == signed && keyIDsFit(it.cert, c.cert):
			out = append(out, c)
		case second == nil && (v == signed || keyIDsFit(it.cert, c.cert)):
			second = c
		}
	}
	if len(out) == 0 && second != nil {
		return []*item{second}
	}
	slices.SortStableFunc(out, func(a, b *item) int { return cmp.Compare(e.likely(b), e.likely(a)) })
	return out
}

func (e *exam) likely(it *item) (n int) {
	if e.opts.Enrolled != nil && e.opts.Enrolled.Equal(it.cert) {
		n += 2
	}
	if e.listed(it.cert) {
		n++
	}
	return n
}

// entered reports whether a certificate, or another one of the same CA, is on the way already. Only one that the
// service has verified may follow its own twin.
func (e *exam) entered(c *item, way []*item) bool {
	return slices.ContainsFunc(way, func(it *item) bool {
		return it == c || twins(it.cert, c.cert) && !e.listed(c.cert)
	})
}

// twins reports whether two certificates are of one CA: the same name and key.
func twins(a, b *x509.Certificate) bool {
	return bytes.Equal(a.RawSubject, b.RawSubject) && bytes.Equal(a.RawSubjectPublicKeyInfo, b.RawSubjectPublicKeyInfo)
}

// endOf says why a path has no further given certificate.
func (e *exam) endOf(path []*item) ending {
	e.path = path
	switch {
	case e.impostor(e.last()) != nil:
		return endUnsigned
	case e.misnamed(e.last()) != nil:
		return endWrongName
	}
	return endMissing
}

// outcome is what the checks say to one route.
type outcome struct {
	route
	findings        []Finding
	fatal, warnings int
	reach           int
}

// examineRoutes goes through the checks for one route after the other, and keeps what they say to the one that the
// service would take, or would give as the reason of its refusal.
func (e *exam) examineRoutes() {
	before := slices.Clip(e.findings)
	e.ways = e.routes()
	var best *outcome
	for _, r := range e.ways {
		e.path, e.above, e.end, e.findings = r.path, r.above, r.end, before
		e.run()
		o := &outcome{route: r, findings: e.findings, reach: e.reach()}
		for _, f := range o.findings {
			switch f.Severity {
			case SeverityFatal:
				o.fatal++
			case SeverityWarning:
				o.warnings++
			}
		}
		if best == nil || o.before(best) {
			best = o
		}
		if best.fatal+best.warnings == 0 {
			break
		}
	}
	e.path, e.above, e.end, e.findings = best.path, best.above, best.end, best.findings
}

// reach is how far the route gets: 3 to a CA that the service takes, 2 to the certificate of the group, 1 to a verified
// CA, 0 to neither.
func (e *exam) reach() int {
	broken := false
	for _, id := range []CheckID{CheckChainComplete, CheckChainSignature, CheckChainKeyID, CheckEnrolled, CheckCAList} {
		broken = broken || e.refused(id)
	}
	served := e.served()
	switch {
	case !broken:
		return 3
	case e.opts.Enrolled != nil && slices.ContainsFunc(served[1:], e.opts.Enrolled.Equal):
		return 2
	case slices.ContainsFunc(served[1:], e.listed):
		return 1
	}
	return 0
}

// before reports whether the service prefers o: any route that it accepts, else the one that gets farther. What is wrong
// with that is the reason of the refusal.
func (o *outcome) before(other *outcome) bool {
	switch {
	case (o.fatal == 0) != (other.fatal == 0):
		return o.fatal == 0
	case o.fatal == 0:
		return o.warnings < other.warnings
	case o.reach != other.reach:
		return o.reach > other.reach
	}
	return o.reach < 3 && len(o.path) > len(other.path)
}

// onOtherWay reports whether a certificate is on another route than the one that counts.
func (e *exam) onOtherWay(it *item) bool {
	return slices.ContainsFunc(e.ways, func(r route) bool { return slices.Contains(r.path, it) })
}

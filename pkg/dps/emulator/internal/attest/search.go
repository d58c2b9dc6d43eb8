package attest

import (
	"crypto/x509"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
)

// search looks for the path from the leaf to a verified CA that is in order and
// has the signing certificate of a group nearest to the leaf. Where a
// certificate has several issuers of one name (cross-signed, renewed and
// re-keyed CAs) it tries one after the other and comes back from those that
// lead nowhere, or to a path that breaks a rule. So the answer does not depend
// on the order in which certificates were sent.
type search struct {
	*graph

	now   time.Time
	usage x509.ExtKeyUsage
	work  work

	path []*node // from the leaf to where the search is
	best Match
	// bestGroup is the position of the group in best.Path; 0 before a path was
	// found.
	bestGroup int
	// broken is the rule that the first complete path broke.
	broken *refuse.Refusal
	// stuck is the dead end that got farthest.
	stuck deadEnd
}

// deadEnd is a path without a verified CA at its end.
type deadEnd struct {
	path  []*node
	group int // position of the nearest group, 0 if there is none
	known bool
}

func (s *search) run() (Match, *refuse.Refusal) {
	s.path = []*node{s.leaf}
	s.climb(0, checkCertificate(s.leaf.cert, 0, s.now))
	switch {
	case s.bestGroup > 0:
		return s.best, nil
	case s.broken != nil:
		return Match{}, s.broken
	case s.work.exhausted:
		return Match{}, invalid(RuleTooComplex,
			"certificates that make few paths",
			"send the leaf and its intermediates only").About(s.leaf.cert, 0)
	}
	return Match{}, s.explain(s.stuck)
}

// climb continues the path through each issuer of its last certificate. group
// is the position of the nearest group so far, broken the first rule that the
// path breaks; a broken path is followed to its end, because what is wrong with
// it is the better answer only if it leads somewhere.
func (s *search) climb(group int, broken *refuse.Refusal) {
	end := true
	for _, issuer := range s.issuersOf(s.path[len(s.path)-1], &s.work) {
		if s.loops(issuer) {
			continue
		}
		end = false
		if s.hopeless(group, broken) || !s.work.step() {
			return
		}
		s.path = append(s.path, issuer)
		s.visit(group, broken)
		s.path = s.path[:len(s.path)-1]
	}
	if end {
		s.note(group)
	}
}

// visit judges the certificate that was just added to the path.
func (s *search) visit(group int, broken *refuse.Refusal) {
	i := len(s.path) - 1
	n := s.path[i]
	if group == 0 && n.grouped {
		group = i
	}
	anchor := group > 0 && n.verified
	if broken == nil {
		broken = s.checkIssuer(anchor)
	}
	if anchor {
		s.complete(group, broken)
		return
	}
	s.climb(group, broken)
}

// loops reports whether n must not be added to the path: a certificate enters
// it once, and so does a CA, whoever certified it. Only a verified CA may end
// the path of its own former certificate.
func (s *search) loops(n *node) bool {
	for _, p := range s.path {
		if p == n || p.entity == n.entity && !n.verified {
			return true
		}
	}
	return false
}

// hopeless reports whether no continuation of the path can change the answer.
func (s *search) hopeless(group int, broken *refuse.Refusal) bool {
	if broken != nil && (s.broken != nil || s.bestGroup > 0) {
		return true
	}
	if group == 0 {
		group = len(s.path) // at best
	}
	return s.bestGroup > 0 && group >= s.bestGroup
}

// complete takes the path, unless it breaks a rule.
func (s *search) complete(group int, broken *refuse.Refusal) {
	certs := certificates(s.path)
	if broken == nil {
		broken = checkNames(certs, s.now, &s.work)
	}
	if broken != nil {
		if s.broken == nil {
			s.broken = broken
		}
		return
	}
	s.bestGroup = group
	s.best = Match{GroupID: s.path[group].group, Path: certs, Anchor: certs[len(certs)-1]}
}

func certificates(path []*node) []*x509.Certificate {
	certs := make([]*x509.Certificate, len(path))
	for i, n := range path {
		certs[i] = n.cert
	}
	return certs
}

// note remembers a dead end if it explains more than those before.
func (s *search) note(group int) {
	d := deadEnd{path: append([]*node(nil), s.path...), group: group}
	for _, n := range d.path[1:] {
		d.known = d.known || n.verified
	}
	if s.stuck.path == nil || d.rank() > s.stuck.rank() ||
		d.rank() == s.stuck.rank() && len(d.path) > len(s.stuck.path) {
		s.stuck = d
	}
}

func (d deadEnd) rank() int {
	switch {
	case d.group > 0:
		return 2
	case d.known:
		return 1
	}
	return 0
}

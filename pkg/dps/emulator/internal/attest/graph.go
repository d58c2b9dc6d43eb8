package attest

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
)

// graph is the certificates that may be in a path, with the question of who
// issued whom. It is answered when it is asked, and once: a certificate has the
// same issuers in every path.
type graph struct {
	leaf       *node
	bySubject  map[string][]*node
	verified   []*x509.Certificate
	unverified []*x509.Certificate
}

// node is one certificate of the graph.
type node struct {
	cert *x509.Certificate
	// entity is the same for certificates with the same name and key: one CA
	// that was certified by several others, or twice by itself.
	entity int
	// verified: the service has a proof of possession for it.
	verified bool
	// group is the enrollment group that it is the signing certificate of.
	group   string
	grouped bool

	// resolved is set once issuers and impostor are known.
	resolved bool
	issuers  []*node
	// impostor is the first certificate with the issuer's name that did not
	// sign, and why is what is wrong with it.
	impostor *node
	why      error
	keyed    string // what kind of key was expected, if that is the problem
}

// newGraph collects what was sent, and the verified CAs that complete a chain:
// those that issued themselves. Intermediates must be sent.
func newGraph(sent []*x509.Certificate, trust Trust) *graph {
	b := builder{trust: trust, nodes: map[string]*node{}, entities: map[string]int{}}
	for _, c := range sent {
		b.add(c)
	}
	for _, c := range trust.Verified {
		if n, ok := b.nodes[string(c.Raw)]; ok {
			n.verified = true
		} else if selfIssued(c) {
			b.add(c).verified = true
		}
	}
	g := &graph{leaf: b.list[0], bySubject: map[string][]*node{}, verified: trust.Verified, unverified: trust.Unverified}
	for _, n := range b.list[1:] {
		g.bySubject[string(n.cert.RawSubject)] = append(g.bySubject[string(n.cert.RawSubject)], n)
	}
	for _, list := range g.bySubject {
		slices.SortFunc(list, (*node).compare)
	}
	return g
}

// compare sorts certificates with one subject. The group nearest to the leaf
// decides, so a signing certificate is tried before one that is not, and a way
// out before a longer one. The rest of the order means nothing, and is there to
// make the answer independent of the order in which certificates were sent.
func (n *node) compare(other *node) int {
	if c := cmp.Compare(other.rank(), n.rank()); c != 0 {
		return c
	}
	return bytes.Compare(n.cert.Raw, other.cert.Raw)
}

func (n *node) rank() (r int) {
	if n.grouped {
		r += 2
	}
	if n.verified {
		r++
	}
	return r
}

type builder struct {
	trust    Trust
	list     []*node
	nodes    map[string]*node
	entities map[string]int
}

// add makes the node of c, unless there is one.
func (b *builder) add(c *x509.Certificate) *node {
	if n, ok := b.nodes[string(c.Raw)]; ok {
		return n
	}
	name := string(c.RawSubject) + "\x00" + string(c.RawSubjectPublicKeyInfo)
	if _, ok := b.entities[name]; !ok {
		b.entities[name] = len(b.entities)
	}
	n := &node{cert: c, entity: b.entities[name]}
	n.group, n.grouped = b.trust.Group(c)
	b.nodes[string(c.Raw)] = n
	b.list = append(b.list, n)
	return n
}

// issuersOf returns the certificates whose key signed n, best first. One key is
// tried once, however many certificates it has.
func (g *graph) issuersOf(n *node, w *work) []*node {
	if n.resolved {
		return n.issuers
	}
	n.resolved = true
	signed := map[int]bool{}
	for _, c := range g.bySubject[string(n.cert.RawIssuer)] {
		if c == n || !names(n.cert, c.cert) {
			continue
		}
		ok, tried := signed[c.entity]
		if !tried {
			if ok, tried = n.signedBy(c, w); !tried {
				break
			}
			signed[c.entity] = ok
		}
		if ok {
			n.issuers = append(n.issuers, c)
		}
	}
	return n.issuers
}

// signedBy reports whether the key of c signed n, and whether that could still
// be found out.
func (n *node) signedBy(c *node, w *work) (ok, tried bool) {
	if problem, expected := checkKey(c.cert); problem != "" {
		n.reject(c, errors.New(problem), expected)
		return false, true
	}
	if !w.signature() {
		return false, false
	}
	if err := checkSignature(n.cert, c.cert); err != nil {
		n.reject(c, err, "")
		return false, true
	}
	return true, true
}

func (n *node) reject(c *node, why error, keyed string) {
	if n.impostor == nil {
		n.impostor, n.why, n.keyed = c, why, keyed
	}
}

// accuse explains why n, at a position in a path, has no issuer although there
// is a certificate with its name.
func (n *node) accuse(position int) *refuse.Refusal {
	if n.keyed != "" {
		return invalid(RuleKey, n.keyed, "use another key for this CA: "+n.why.Error()).About(n.impostor.cert, position+1)
	}
	return invalid(RuleSignature,
		fmt.Sprintf("a signature by the key of %q (%v)", n.impostor.cert.Subject.String(), n.why),
		"issue the certificate again with this CA, or send the CA that signed it").About(n.cert, position)
}

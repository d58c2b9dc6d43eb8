package attest_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/attest"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
)

// again certifies the key of ca once more.
func again(t testing.TB, ca, by *forged, change ...func(*x509.Certificate)) *forged {
	t.Helper()
	return forgeKey(t, ca.cert.Subject.CommonName, by, ca.key, ca.key.Public(), change...)
}

func onlyGood(c *x509.Certificate) { c.PermittedDNSDomains = []string{"good.example"} }

// explicitPolicy demands a certificate policy of everything below.
func explicitPolicy(c *x509.Certificate) {
	value, err := asn1.Marshal(struct {
		Skip int `asn1:"tag:0"`
	}{0})
	if err != nil {
		panic(err)
	}
	c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 36}, Critical: true, Value: value}}
}

// TestSeveralPaths has CAs with more than one certificate. Whatever the order
// in which they are sent, the same path decides.
func TestSeveralPaths(t *testing.T) {
	one, two := forge(t, "one", nil), forge(t, "two", nil)
	ca := forge(t, "ca", one)
	cross := again(t, ca, two)
	dev := leaf(t, "dev", ca, func(c *x509.Certificate) { c.DNSNames = []string{"dev.evil"} })
	below := forge(t, "below", ca)
	deep := leaf(t, "dev", below)
	lost := forge(t, "lost", nil)
	rekeyed := forge(t, "ca", one)
	rollover := again(t, rekeyed, ca) // the new key certified with the old one
	twin := forge(t, "ca", one)
	unnamed := leafWithoutKeyID(t, "dev", ca)
	near := forge(t, "near", one)
	far := forge(t, "far", forge(t, "farther", one))
	crossNear, crossFar := again(t, ca, near), again(t, ca, far)
	farther := forge(t, "farther", one)
	fartherCross := again(t, far, farther)
	renewed := again(t, one, nil)
	tests := []struct {
		name     string
		leaf     *forged
		sent     []*forged // in every order
		verified []*x509.Certificate
		groups   groups
		group    string
		path     []*forged // above the leaf; nil: refused
		rule     refuse.Rule
	}{
		{"cross-signed, first root trusted", dev, list(ca, cross), certs(one), groups{"g": one}, "g", list(ca, one), ""},
		{"cross-signed, second root trusted", dev, list(ca, cross), certs(two), groups{"g": two}, "g", list(cross, two), ""},
		{"cross-signed, group on one certificate of the CA", dev, list(ca, cross), certs(one, two), groups{"g": cross}, "g", list(cross, two), ""},
		{"cross-signed, group on the one that leads nowhere", dev, list(ca, cross), certs(one), groups{"g": cross, "h": one}, "h", list(ca, one), ""},
		{"cross-signed, roots sent", dev, list(ca, cross, one, two), certs(two), groups{"g": two}, "g", list(cross, two), ""},
		{"one certificate of the CA expired", dev, list(again(t, ca, one, expired), cross), certs(one, two), groups{"g": one, "h": two}, "h", list(cross, two), ""},
		{"the expired one has a group", dev, list(again(t, ca, one, expired), ca), certs(one), groups{"g": one}, "g", list(ca, one), ""},
		{"one CA:FALSE", dev, list(again(t, ca, one, notCA), cross), certs(one, two), groups{"g": one, "h": two}, "h", list(cross, two), ""},
		{"one with a critical extension", dev, list(again(t, ca, one, critical), cross), certs(one, two), groups{"g": one, "h": two}, "h", list(cross, two), ""},
		{"one with too short a path length", deep, list(below, again(t, ca, one, pathLen(0)), cross), certs(one, two), groups{"g": one, "h": two}, "h", list(below, cross, two), ""},
		{"one with name constraints", dev, list(again(t, ca, one, onlyGood), cross), certs(one, two), groups{"g": one, "h": two}, "h", list(cross, two), ""},
		{"one that demands a policy", dev, list(again(t, ca, one, explicitPolicy), cross), certs(one, two), groups{"g": one, "h": two}, "h", list(cross, two), ""},
		{"a cross certificate by a CA that nobody has", deep, list(below, again(t, ca, lost), ca), certs(one), groups{"g": below}, "g", list(below, ca, one), ""},
		{"re-keyed CA beside the old one", dev, list(rekeyed, ca), certs(one), groups{"g": one}, "g", list(ca, one), ""},
		{"new key certified with the old one", leaf(t, "dev", rekeyed), list(rollover, again(t, ca, one, pathLen(0))), certs(one), groups{"g": one}, "g", list(rollover, nil, one), ""},
		{"another CA of the same name", dev, list(twin, ca), certs(one), groups{"g": one}, "g", list(ca, one), ""},
		{"the same without key identifiers", unnamed, list(twin, ca, cross), certs(one), groups{"g": one}, "g", list(ca, one), ""},
		{"the nearest group of all paths", dev, list(crossNear, near, crossFar, far, fartherCross, farther), certs(one), groups{"g": near, "h": farther}, "g", list(crossNear, near, one), ""},
		{"a nearer group on the longer path", dev, list(crossNear, near, crossFar, fartherCross, farther), certs(one), groups{"g": near, "h": crossFar}, "h", list(crossFar, fartherCross, farther, one), ""},
		{"root renewed with its key, the old one verified", leaf(t, "dev", one), list(renewed), certs(one), groups{"g": renewed}, "g", list(renewed, one), ""},
		{"both certificates expired", dev, list(again(t, ca, one, expired), again(t, ca, two, expired)), certs(one, two), groups{"g": one, "h": two}, "", nil, attest.RuleExpired},
		{"one expired, one by a stranger", dev, list(again(t, ca, one, expired), again(t, ca, lost)), certs(one), groups{"g": one}, "", nil, attest.RuleExpired},
		{"expired, and by a stranger", dev, list(again(t, ca, lost, expired)), certs(one), groups{"g": one}, "", nil, attest.RuleIncomplete},
		{"policy demanded, no other path", dev, list(again(t, ca, one, explicitPolicy)), certs(one), groups{"g": one}, "", nil, attest.RulePolicy},
		{"only twins", dev, list(twin, rekeyed), certs(one), groups{"g": one}, "", nil, attest.RuleIncomplete},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for order := range permutations(len(tt.sent)) {
				sent := certs(tt.leaf)
				for _, i := range order {
					sent = append(sent, tt.sent[i].cert)
				}
				m, r := attest.Chain(sent, "dev", trust(tt.verified, tt.groups), now)
				if tt.path == nil {
					if r == nil || r.Rule != tt.rule {
						t.Fatalf("order %v: %+v, want refusal by rule %q", order, r, tt.rule)
					}
					continue
				}
				if r != nil {
					t.Fatalf("order %v: %v (expected %s)", order, r, r.Expected)
				}
				if m.GroupID != tt.group || !samePath(m.Path[1:], tt.path) {
					t.Fatalf("order %v: group %q, path %v; want %q", order, m.GroupID, subjects(m.Path), tt.group)
				}
			}
		})
	}
}

func list(f ...*forged) []*forged { return f }

// samePath compares a path; nil in want stands for any certificate.
func samePath(got []*x509.Certificate, want []*forged) bool {
	return slices.EqualFunc(got, want, func(c *x509.Certificate, f *forged) bool { return f == nil || c.Equal(f.cert) })
}

func subjects(path []*x509.Certificate) (names []string) {
	for _, c := range path {
		names = append(names, c.Subject.CommonName+" by "+c.Issuer.CommonName)
	}
	return names
}

// permutations yields every order of up to four things, and thirty of more.
func permutations(n int) func(yield func([]int) bool) {
	return func(yield func([]int) bool) {
		if n > 4 {
			for range 30 {
				if !yield(rand.Perm(n)) {
					return
				}
			}
			return
		}
		var next func(prefix []int) bool
		next = func(prefix []int) bool {
			if len(prefix) == n {
				return yield(prefix)
			}
			for i := range n {
				if !slices.Contains(prefix, i) && !next(append(slices.Clone(prefix), i)) {
					return false
				}
			}
			return true
		}
		next(nil)
	}
}

// edge is one certificate of a random graph of CAs.
type edge struct {
	from, to          int // CA to certifies CA from; the leaf is below CA 0
	f                 *forged
	bad               bool // expired
	grouped, verified bool
}

// TestRandomGraphs holds the search against a search that has nothing but
// patience: it tries every path.
func TestRandomGraphs(t *testing.T) {
	const cas = 5
	keys := make([]*forged, cas)
	for i := range keys {
		keys[i] = forge(t, fmt.Sprint("ca ", i), nil)
	}
	dev := leaf(t, "dev", keys[0])
	accepted := 0
	for seed := range 150 {
		rnd := rand.New(rand.NewPCG(uint64(seed), 7))
		var edges []edge
		for range 4 + rnd.IntN(10) {
			e := edge{from: rnd.IntN(cas), to: rnd.IntN(cas), bad: rnd.IntN(5) == 0, grouped: rnd.IntN(4) == 0, verified: rnd.IntN(5) == 0}
			change := func(*x509.Certificate) {}
			if e.bad {
				change = expired
			}
			e.f = again(t, keys[e.from], keys[e.to], change)
			edges = append(edges, e)
		}
		sent, verified, gs := certs(dev), []*x509.Certificate(nil), groups{}
		for i, e := range edges {
			sent = append(sent, e.f.cert)
			if e.verified {
				verified = append(verified, e.f.cert)
			}
			if e.grouped {
				gs[fmt.Sprint(i)] = e.f
			}
		}
		want := patient(edges, nil, 0)
		m, r := attest.Chain(sent, "dev", trust(verified, gs), now)
		if (want == 0) != (r != nil) {
			t.Fatalf("seed %d: %v, want a group at %d (0: none)", seed, r, want)
		}
		if r != nil {
			continue
		}
		accepted++
		if got := groupAt(m, gs); got != want {
			t.Fatalf("seed %d: group at %d, want %d: %v", seed, got, want, subjects(m.Path))
		}
	}
	if accepted < 20 || accepted > 130 {
		t.Errorf("%d of 150 random graphs have a path; the test proves little", accepted)
	}
}

// patient returns the least position of a group over all paths that end at a
// verified CA; 0 if there is none.
func patient(edges, path []edge, at int) (best int) {
	for _, e := range edges {
		loop := slices.ContainsFunc(path, func(p edge) bool { return p.f == e.f || p.from == e.from && !e.verified })
		if e.from != at || e.bad || loop {
			continue
		}
		next := append(slices.Clone(path), e)
		i := slices.IndexFunc(next, func(e edge) bool { return e.grouped })
		found := 0
		if i >= 0 && e.verified {
			found = i + 1
		} else {
			found = patient(edges, next, e.to)
		}
		if found > 0 && (best == 0 || found < best) {
			best = found
		}
	}
	return best
}

func groupAt(m attest.Match, gs groups) int {
	return slices.IndexFunc(m.Path, func(c *x509.Certificate) bool {
		for _, g := range gs {
			if g.cert.Equal(c) {
				return true
			}
		}
		return false
	})
}

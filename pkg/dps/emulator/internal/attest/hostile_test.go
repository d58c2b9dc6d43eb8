package attest_test

import (
	"crypto/x509"
	"fmt"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/attest"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
)

// TestHostileChains sends what is made to cost time. Each is refused, and the
// work is counted, not timed.
func TestHostileChains(t *testing.T) {
	root := forge(t, "root", nil)
	constrained, names := blowUp(t, 500, 2000)
	modest, few := blowUp(t, 100, 20)
	for _, tt := range []struct {
		name  string
		sent  []*x509.Certificate
		trust attest.Trust
		rule  refuse.Rule
		most  attest.Work // what it may cost
	}{
		{"65 certificates", crowd(t, 64), trust(certs(root), groups{"g": root}), attest.RuleTooMany, attest.Work{}},
		{"100 certificates", crowd(t, 99), trust(certs(root), groups{"g": root}), attest.RuleTooMany, attest.Work{}},
		{"63 CAs of one name that did not sign", crowd(t, 63), trust(certs(root), groups{"g": root}),
			attest.RuleSignature, attest.Work{Signatures: 63}},
		{"63 CAs of one name, one after the other", ladder(t, 63), trust(certs(root), groups{"g": root}),
			attest.RuleTooComplex, attest.Work{Signatures: attest.MaxSignatures, Steps: 63}},
		{"circle", circle(t, 60), trust(certs(root), groups{"g": root}),
			attest.RuleIncomplete, attest.Work{Signatures: 61, Steps: 60}},
		{"CAs that all certify each other", mesh(t, 8), trust(certs(root), groups{"g": root}),
			attest.RuleTooComplex, attest.Work{Signatures: 60, Steps: attest.MaxSteps}},
		{"the same, above a group", mesh(t, 8), trust(certs(root), groups{"g": lastForged}),
			attest.RuleTooComplex, attest.Work{Signatures: 60, Steps: attest.MaxSteps}},
		{"RSA-16384 issuer", hugeIssuer(t, root), trust(certs(root), groups{"g": root}), attest.RuleKey, attest.Work{}},
		{"2000 names against 501 constraints", names, trust(certs(constrained), groups{"g": constrained}),
			attest.RuleTooComplex, attest.Work{Signatures: 1, Steps: 1}},
		{"20 names against 101 constraints", few, trust(certs(modest), groups{"g": modest}),
			attest.RuleNameConstraints, attest.Work{Signatures: 2, Steps: 1, Comparisons: 2020}},
		{"60 unknown critical extensions", criticalLadder(t, root, 60), trust(certs(root), groups{"g": root}),
			attest.RuleCritical, attest.Work{Signatures: 62, Steps: 62}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, r, w := attest.Judge(tt.sent, "dev", tt.trust, now)
			if r == nil {
				t.Fatal("accepted")
			}
			if r.Rule != tt.rule || r.Status != 401 || r.Code != 401002 {
				t.Errorf("refused with %d by rule %q (%s), want rule %q", r.Code, r.Rule, r.Expected, tt.rule)
			}
			if w.Signatures > tt.most.Signatures || w.Steps > tt.most.Steps || w.Comparisons > tt.most.Comparisons {
				t.Errorf("cost %+v, want at most %+v", w, tt.most)
			}
		})
	}
}

// TestNoiseDoesNotHide buries a good chain in certificates that lead nowhere.
func TestNoiseDoesNotHide(t *testing.T) {
	root := forge(t, "root", nil)
	ca := forge(t, "ca 0", root) // one name with the members of the mesh
	good := certs(leaf(t, "dev", ca), ca)
	sent := append(good, mesh(t, 7)[1:]...)
	m, r, w := attest.Judge(sent, "dev", trust(certs(root), groups{"g": ca}), now)
	if r != nil || len(m.Path) != 3 {
		t.Fatalf("path of %d, %v (cost %+v)", len(m.Path), r, w)
	}
	if w.Signatures > 2 || w.Steps > 2 {
		t.Errorf("cost %+v of a chain with two links", w)
	}
}

// crowd is a leaf and n CAs with the name of its issuer, without key
// identifiers, none of which signed anything here.
func crowd(t testing.TB, n int) []*x509.Certificate {
	t.Helper()
	sent := certs(leafWithoutKeyID(t, "dev", forge(t, "ca", nil)))
	for range n {
		other := forge(t, "ca of the ca", nil)
		sent = append(sent, forge(t, "ca", other).cert)
	}
	return sent
}

// ladder is a leaf and n CAs of one name, each issued by the next, without key
// identifiers to tell which.
func ladder(t testing.TB, n int) []*x509.Certificate {
	t.Helper()
	top := anonymous(forge(t, "ca", nil))
	sent := certs(top)
	for range n - 1 {
		top = anonymous(forge(t, "ca", top))
		sent = append(sent, top.cert)
	}
	return append(certs(leaf(t, "dev", top)), sent...)
}

// anonymous is f as an issuer that does not name its key.
func anonymous(f *forged) *forged {
	stripped := *f.cert
	stripped.SubjectKeyId = nil
	return &forged{cert: &stripped, key: f.key}
}

// circle is a leaf below n CAs that certify each other in a circle.
func circle(t testing.TB, n int) []*x509.Certificate {
	t.Helper()
	keys := make([]*forged, n)
	for i := range keys {
		keys[i] = forge(t, fmt.Sprint("ca ", i), nil)
	}
	sent := certs(leaf(t, "dev", keys[0]))
	for i, k := range keys {
		sent = append(sent, forgeKey(t, fmt.Sprint("ca ", i), keys[(i+1)%n], k.key, k.key.Public()).cert)
	}
	return sent
}

// mesh is a leaf below one of n CAs that all certify each other. lastForged is
// the certificate of the lowest CA by the last one.
func mesh(t testing.TB, n int) []*x509.Certificate {
	t.Helper()
	keys := make([]*forged, n)
	for i := range keys {
		keys[i] = forge(t, fmt.Sprint("ca ", i), nil)
	}
	sent := certs(leaf(t, "dev", keys[0]))
	for i, k := range keys {
		for j, by := range keys {
			if i != j {
				lastForged = forgeKey(t, fmt.Sprint("ca ", i), by, k.key, k.key.Public())
				sent = append(sent, lastForged.cert)
			}
		}
	}
	return sent
}

// hugeIssuer is a leaf that claims an issuer with an absurd key.
func hugeIssuer(t testing.TB, root *forged) []*x509.Certificate {
	t.Helper()
	huge := forgeKey(t, "huge", root, nil, rsaKey(16384))
	posing := &x509.Certificate{RawSubject: huge.cert.RawSubject, PublicKey: root.key.Public()}
	return certs(leaf(t, "dev", &forged{cert: posing, key: root.key}), huge)
}

// blowUp is a CA with constraints, the last of which fits, and a leaf with
// names.
func blowUp(t testing.TB, constraints, names int) (*forged, []*x509.Certificate) {
	t.Helper()
	ca := forge(t, "constrained", nil, func(c *x509.Certificate) {
		for i := range constraints {
			c.ExcludedDNSDomains = append(c.ExcludedDNSDomains, fmt.Sprintf("x%d.example", i))
		}
		c.ExcludedDNSDomains = append(c.ExcludedDNSDomains, fmt.Sprintf("a%d.example", names-1))
	})
	return ca, certs(leaf(t, "dev", ca, func(c *x509.Certificate) {
		for i := range names {
			c.DNSNames = append(c.DNSNames, fmt.Sprintf("a%d.example", i))
		}
	}))
}

// criticalLadder is a leaf below n CAs, each with an extension that nobody knows.
func criticalLadder(t testing.TB, root *forged, n int) []*x509.Certificate {
	t.Helper()
	ca, sent := root, []*x509.Certificate{}
	for i := range n {
		ca = forge(t, fmt.Sprint("odd ", i), ca, critical)
		sent = append(sent, ca.cert)
	}
	return append(certs(leaf(t, "dev", ca)), sent...)
}

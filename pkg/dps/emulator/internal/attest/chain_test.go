package attest_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/attest"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
)

// trust builds a Trust: verified CAs, and groups by certificate.
func trust(verified []*x509.Certificate, groups map[string]*forged) attest.Trust {
	return attest.Trust{
		Verified: verified,
		Group: func(ca *x509.Certificate) (string, bool) {
			for id, g := range groups {
				if g.cert.Equal(ca) {
					return id, true
				}
			}
			return "", false
		},
	}
}

type groups = map[string]*forged

func TestChainAccepted(t *testing.T) {
	root := forge(t, "root", nil)
	int1 := forge(t, "int1", root)
	int2 := forge(t, "int2", int1)
	dev := leaf(t, "dev", int2)
	direct := leaf(t, "dev", root)
	bare := forge(t, "bare root", nil, plain)
	renewed := forgeKey(t, "root", nil, root.key, root.key.Public())
	limited := forge(t, "limited", nil, pathLen(1))
	below := forge(t, "below", limited, pathLen(0))
	tests := []struct {
		name     string
		sent     []*x509.Certificate
		id       string
		verified []*x509.Certificate
		groups   groups
		group    string
		anchor   *forged
	}{
		{"root group, leaf alone", certs(direct), "dev", certs(root), groups{"g": root}, "g", root},
		{"root group, leaf and root", certs(direct, root), "dev", certs(root), groups{"g": root}, "g", root},
		{"intermediate group, chain without root", certs(dev, int2, int1), "dev", certs(root), groups{"g": int2}, "g", root},
		{"intermediate group, whole chain", certs(dev, int2, int1, root), "dev", certs(root), groups{"g": int2}, "g", root},
		{"group in the middle", certs(dev, int2, int1), "dev", certs(root), groups{"g": int1}, "g", root},
		{"root group, deep chain", certs(dev, int2, int1), "dev", certs(root), groups{"g": root}, "g", root},
		{"verified intermediate", certs(dev, int2), "dev", certs(int2), groups{"g": int2}, "g", int2},
		{"verified intermediate above the group", certs(dev, int2, int1), "dev", certs(int1), groups{"g": int2}, "g", int1},
		{"nearest group wins", certs(dev, int2, int1), "dev", certs(root), groups{"far": root, "near": int2, "mid": int1}, "near", root},
		{"any order", certs(dev, root, int1, int2), "dev", certs(root), groups{"g": int2}, "g", root},
		{"duplicates and strangers", certs(dev, int2, int2, bare, int1, dev), "dev", certs(root), groups{"g": int2}, "g", root},
		{"registration id in other case", certs(direct), "DEV", certs(root), groups{"g": root}, "g", root},
		{"root renewed with the same key", certs(dev, int2, int1, root), "dev", certs(renewed), groups{"g": int2}, "g", renewed},
		{"CA without extensions as the anchor", certs(leaf(t, "dev", bare)), "dev", certs(bare), groups{"g": bare}, "g", bare},
		{"leaf without extensions", certs(forge(t, "dev", root, plain)), "dev", certs(root), groups{"g": root}, "g", root},
		{"leaf for any use", certs(leaf(t, "dev", root, func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
		})), "dev", certs(root), groups{"g": root}, "g", root},
		{"path length just enough", certs(leaf(t, "dev", below), below), "dev", certs(limited), groups{"g": below}, "g", limited},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, r := attest.Chain(tt.sent, tt.id, trust(tt.verified, tt.groups), now)
			if r != nil {
				t.Fatalf("refused: %v (expected %s)", r, r.Expected)
			}
			if m.GroupID != tt.group || !m.Anchor.Equal(tt.anchor.cert) || !m.Path[len(m.Path)-1].Equal(m.Anchor) {
				t.Errorf("group %q, anchor %q; want %q, %q", m.GroupID, m.Anchor.Subject, tt.group, tt.anchor.cert.Subject)
			}
		})
	}
}

func TestChainRefused(t *testing.T) {
	root := forge(t, "root", nil)
	int1 := forge(t, "int1", root)
	int2 := forge(t, "int2", int1)
	dev := leaf(t, "dev", int2)
	other := forge(t, "other root", nil)
	twin := forge(t, "root", nil, func(c *x509.Certificate) { c.SubjectKeyId = nil })
	self := leaf(t, "dev", nil)
	badInt := func(change func(*x509.Certificate)) *forged { return forge(t, "bad int", root, change) }
	const invalid, unknown, nomatch = "Invalid certificate.", "CA certificate not found.",
		"Signing certificate info did not match chain elements."
	tests := []struct {
		name     string
		sent     []*x509.Certificate
		verified []*x509.Certificate
		groups   groups
		rule     refuse.Rule
		message  string
		position int
	}{
		{"no certificate", nil, certs(root), groups{"g": root}, attest.RuleNoCertificate, "Unauthorized", 0},
		{"another root", certs(leaf(t, "dev", other)), certs(root), groups{"g": root}, attest.RuleIncomplete, unknown, 0},
		{"another root, sent", certs(leaf(t, "dev", other), other), certs(root), groups{"g": root}, attest.RuleIncomplete, unknown, 1},
		{"another root with the same name", certs(leafWithoutKeyID(t, "dev", twin)), certs(root), groups{"g": root}, attest.RuleSignature, invalid, 0},
		{"missing intermediate", certs(dev, int2), certs(root), groups{"g": int2}, attest.RuleNotVerified, unknown, 1},
		{"missing signing certificate", certs(dev, int1), certs(root), groups{"g": int2}, attest.RuleIncomplete, unknown, 0},
		{"uploaded intermediate does not complete the chain", certs(dev, int2), certs(root, int1), groups{"g": int2}, attest.RuleNotVerified, unknown, 1},
		{"CA not verified", certs(dev, int2, int1, root), nil, groups{"g": int2}, attest.RuleNotVerified, unknown, 3},
		{"only verified below the group", certs(dev, int2, int1), certs(int2), groups{"g": int1}, attest.RuleNotVerified, unknown, 2},
		{"no group", certs(dev, int2, int1), certs(root), nil, attest.RuleNoGroup, nomatch, 0},
		{"self-signed stranger", certs(self), certs(root), groups{"g": root}, attest.RuleNotEnrolled, invalid, 0},
		{"expired leaf", certs(leaf(t, "dev", root, expired)), certs(root), groups{"g": root}, attest.RuleExpired, invalid, 0},
		{"leaf of tomorrow", certs(leaf(t, "dev", root, tooYoung)), certs(root), groups{"g": root}, attest.RuleNotYetValid, invalid, 0},
		{"expired intermediate", chainOf(t, badInt(expired)), certs(root), groups{"g": root}, attest.RuleExpired, invalid, 1},
		{"expired root", certs(leaf(t, "dev", forgeRoot(t, expired))), lastRoot(), groups{"g": lastForged}, attest.RuleExpired, invalid, 1},
		{"issuer CA:FALSE", chainOf(t, badInt(notCA)), certs(root), groups{"g": root}, attest.RuleNotCA, invalid, 1},
		{"issuer without basic constraints", chainOf(t, badInt(plain)), certs(root), groups{"g": root}, attest.RuleNotCA, invalid, 1},
		{"anchor CA:FALSE", chainOf(t, forgeRoot(t, notCA)), lastRoot(), groups{"g": lastForged}, attest.RuleNotCA, invalid, 1},
		{"issuer may not sign", chainOf(t, badInt(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign })), certs(root), groups{"g": root}, attest.RuleKeyUsage, invalid, 1},
		{"path length 0 signs a CA", deepChain(t, pathLen(0)), lastRoot(), groups{"g": lastForged}, attest.RulePathLength, invalid, 2},
		{"leaf is a CA", certs(forge(t, "dev", root)), certs(root), groups{"g": root}, attest.RuleLeafIsCA, invalid, 0},
		{"leaf for servers", certs(leaf(t, "dev", root, func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		})), certs(root), groups{"g": root}, attest.RuleExtKeyUsage, invalid, 0},
		{"unknown critical extension", certs(leaf(t, "dev", root, critical)), certs(root), groups{"g": root}, attest.RuleCritical, invalid, 0},
		{"another common name", certs(leaf(t, "dev-2", root)), certs(root), groups{"g": root}, attest.RuleCommonName, invalid, 0},
		{"common name that folds outside ASCII", certs(leaf(t, "\u212Aelvin", root)), certs(root), groups{"g": root}, attest.RuleCommonName, invalid, 0},
		{"two common names", certs(leaf(t, "", root, names("dev", "dev"))), certs(root), groups{"g": root}, attest.RuleCommonName, invalid, 0},
		{"no common name", certs(leaf(t, "", root)), certs(root), groups{"g": root}, attest.RuleCommonName, invalid, 0},
		{"name constraints", certs(leaf(t, "dev", constrainedCA(t), func(c *x509.Certificate) { c.DNSNames = []string{"dev.evil"} })), lastRoot(), groups{"g": lastForged}, attest.RuleNameConstraints, invalid, 0},
		{"tampered", certs(tamper(t, leaf(t, "dev", root))), certs(root), groups{"g": root}, attest.RuleSignature, invalid, 0},
		{"SHA-1", certs(leaf(t, "dev", root, func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 })), certs(root), groups{"g": root}, attest.RuleSignature, invalid, 0},
		{"Ed25519 leaf", certs(ed25519Leaf(t, root)), certs(root), groups{"g": root}, attest.RuleKey, invalid, 0},
		{"weak RSA leaf", certs(rsaLeaf(t, root, 1024)), certs(root), groups{"g": root}, attest.RuleKey, invalid, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id := "dev"
			if strings.Contains(tt.name, "folds") {
				id = "kelvin"
			}
			m, r := attest.Chain(tt.sent, id, trust(tt.verified, tt.groups), now)
			if r == nil {
				t.Fatalf("accepted by %q", m.GroupID)
			}
			if r.Rule != tt.rule || r.Message != tt.message || r.Status != 401 {
				t.Errorf("refused with %d %q by rule %q (expected %s); want %q by rule %q",
					r.Status, r.Message, r.Rule, r.Expected, tt.message, tt.rule)
			}
			if len(tt.sent) > 0 && (r.Certificate.Position != tt.position || len(r.Certificate.Thumbprint) != 40) {
				t.Errorf("about %+v, want position %d", r.Certificate, tt.position)
			}
			if r.Expected == "" || r.Fix == "" {
				t.Errorf("refusal explains nothing: %+v", r)
			}
		})
	}
}

// TestUploadedButNotVerified wants the explanation that helps most: one that,
// done exactly, lets the device in, or brings up the next thing that is missing.
func TestUploadedButNotVerified(t *testing.T) {
	root := forge(t, "root", nil)
	upper := forge(t, "upper", root)
	ca := forge(t, "int", upper)
	dev := leaf(t, "dev", ca)
	twin := forge(t, "root", nil)
	unnamed := leafWithoutKeyID(t, "dev", root)
	for _, tt := range []struct {
		name               string
		sent, uploaded, ok []*x509.Certificate // ok: verified already
		group              *forged             // nil: none
		rule               refuse.Rule
		about              *forged
		position           int
		expected           string
	}{
		{"root sent", certs(dev, ca, upper, root), certs(root), nil, ca, attest.RuleNotVerified, root, 3, "never verified"},
		{"root not sent", certs(dev, ca, upper), certs(root), nil, ca, attest.RuleNotVerified, root, 3, "never verified"},
		{"root directly above the device", certs(leaf(t, "dev", root)), certs(root), nil, nil, attest.RuleNotVerified, root, 1, "never verified"},
		{"intermediate sent", certs(dev, ca, upper), certs(upper), nil, ca, attest.RuleNotVerified, upper, 2, "never verified"},
		{"signing certificate sent", certs(dev, ca), certs(ca), nil, ca, attest.RuleNotVerified, ca, 1, "never verified"},
		{"intermediate not sent", certs(dev), certs(ca), nil, ca, attest.RuleIncomplete, dev, 0, "it was uploaded"},
		{"verified intermediate not sent", certs(dev), nil, certs(ca), ca, attest.RuleIncomplete, dev, 0, "it was uploaded"},
		{"intermediate above what was sent", certs(dev, ca), certs(upper), nil, nil, attest.RuleIncomplete, ca, 1, "it was uploaded"},
		{"the same with a group", certs(dev, ca), certs(upper), nil, ca, attest.RuleNotVerified, ca, 1, "or a CA above it"},
		{"below the group", certs(dev, ca, upper), certs(ca), nil, upper, attest.RuleNotVerified, upper, 2, "or a CA above it"},
		{"root above what is verified below the group", certs(dev, ca, upper), certs(root), certs(ca), upper, attest.RuleNotVerified, root, 3, "never verified"},
		{"intermediate and root", certs(dev, ca, upper), certs(root, upper), nil, ca, attest.RuleNotVerified, upper, 2, "never verified"},
		{"another root of this name", certs(unnamed), certs(twin), nil, nil, attest.RuleIncomplete, unnamed, 0, "sent or uploaded"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := trust(tt.ok, groups{})
			if tt.group != nil {
				tr = trust(tt.ok, groups{"g": tt.group})
			}
			tr.Unverified = tt.uploaded
			_, r := attest.Chain(tt.sent, "dev", tr, now)
			if r == nil || r.Rule != tt.rule || r.Certificate != refuse.CertificateOf(tt.about.cert, tt.position) || !strings.Contains(r.Expected, tt.expected) {
				t.Fatalf("%+v, want rule %s about %q at %d", r, tt.rule, tt.about.cert.Subject, tt.position)
			}
			if tt.expected != "never verified" {
				return
			}
			// What the fix says is done.
			tr.Verified = append(slices.Clone(tt.ok), tt.about.cert)
			tr.Unverified = nil
			_, r = attest.Chain(tt.sent, "dev", tr, now)
			if tt.group != nil && r != nil || tt.group == nil && (r == nil || r.Rule != attest.RuleNoGroup) {
				t.Errorf("once %q is verified: %+v", tt.about.cert.Subject, r)
			}
		})
	}
	// An upload proves nothing, and does not get in the way of others.
	tr := trust(certs(ca), groups{"g": ca})
	tr.Unverified = certs(root)
	if _, r := attest.Chain(certs(dev, ca), "dev", tr, now); r != nil {
		t.Errorf("with a verified intermediate: %v", r)
	}
}

// lastForged is the CA made by the latest forgeRoot, deepChain or
// constrainedCA, so that a table row can trust what it just made.
var lastForged *forged

func lastRoot() []*x509.Certificate { return certs(lastForged) }

func forgeRoot(t testing.TB, change func(*x509.Certificate)) *forged {
	t.Helper()
	lastForged = forge(t, "special root", nil, change)
	return lastForged
}

func constrainedCA(t testing.TB) *forged {
	t.Helper()
	return forgeRoot(t, func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"good.example"} })
}

// chainOf is a leaf below ca, and ca.
func chainOf(t testing.TB, ca *forged) []*x509.Certificate {
	t.Helper()
	return certs(leaf(t, "dev", ca), ca)
}

// deepChain is leaf, intermediate, root, with a changed root.
func deepChain(t testing.TB, change func(*x509.Certificate)) []*x509.Certificate {
	t.Helper()
	return chainOf(t, forge(t, "int", forgeRoot(t, change)))
}

func leafWithoutKeyID(t testing.TB, name string, parent *forged) *forged {
	t.Helper()
	stripped := *parent.cert
	stripped.SubjectKeyId = nil
	return leaf(t, name, &forged{cert: &stripped, key: parent.key})
}

func critical(c *x509.Certificate) {
	c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
}

func names(list ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		for _, n := range list {
			c.Subject.ExtraNames = append(c.Subject.ExtraNames,
				pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: n})
		}
	}
}

// tamper flips a bit in the signature.
func tamper(t testing.TB, f *forged) *forged {
	t.Helper()
	der := append([]byte{}, f.cert.Raw...)
	der[len(der)-1] ^= 1
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &forged{cert: cert, key: f.key}
}

func ed25519Leaf(t testing.TB, root *forged) *forged {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return forgeKey(t, "dev", root, key, pub, func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, 0 })
}

func rsaLeaf(t testing.TB, root *forged, bits int) *forged {
	t.Helper()
	return forgeKey(t, "dev", root, nil, rsaKey(bits), func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, 0 })
}

// rsaKey is a public key of a size; nobody has the private one.
func rsaKey(bits int) *rsa.PublicKey {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return &rsa.PublicKey{N: n.SetBit(n, 0, 1), E: 65537}
}

func BenchmarkChain(b *testing.B) {
	root := forge(b, "root", nil)
	ca := forge(b, "int", root)
	sent := certs(leaf(b, "dev", ca), ca)
	tr := trust(certs(root), groups{"g": ca})
	for b.Loop() {
		if _, r := attest.Chain(sent, "dev", tr, now); r != nil {
			b.Fatal(r)
		}
	}
}

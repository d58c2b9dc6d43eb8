package pki_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/pkitest"
)

func TestVerify(t *testing.T) {
	now := time.Now()
	b := pkitest.Device(t, "verify")
	backwards := slices.Clone(b.Issuers)
	slices.Reverse(backwards)
	other := mustRoot(t, &pki.CAOptions{CommonName: "unrelated"}).Certificate()
	for name, issuers := range map[string][]*x509.Certificate{
		"in order": b.Issuers, "backwards": backwards, "with others": append([]*x509.Certificate{other, nil}, backwards...),
		"with itself": append([]*x509.Certificate{b.Certificate}, b.Issuers...),
		"twice":       append(slices.Clone(b.Issuers), b.Issuers...),
	} {
		if err := pki.Verify(b.Certificate, issuers, now); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := pki.Verify(pkitest.Root(t).Certificate(), nil, now); err != nil {
		t.Errorf("a root alone: %v", err)
	}
}

func TestVerifyExplains(t *testing.T) {
	now := time.Now()
	b := pkitest.Device(t, "explain")
	mid, root := b.Issuers[0], b.Issuers[1]
	sameName := mustRoot(t, nil).Certificate() // another root of the same name
	noCA := rawCA(t, func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, 0 })
	belowNoCA := rawSigned(t, &noCA, leafNamed("below"))
	a, _ := cycle(t)
	belowCycle := rawSigned(t, &a, leafNamed("below"))
	cycleA, cycleB := cycle(t)
	_ = cycleB
	short := rawCA(t, func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = 0, true })
	middle := rawSigned(t, &short, func(c *x509.Certificate) { c.Subject.CommonName = "middle" })
	tooDeep := rawSigned(t, &middle, leafNamed("deep"))
	constrained := rawCA(t, func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"example.com"} })
	outside := rawSigned(t, &constrained, func(c *x509.Certificate) {
		leafNamed("outside")(c)
		c.DNSNames = []string{"example.org"}
	})
	critical := rawCA(t, func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
	})
	tests := []struct {
		name    string
		leaf    *x509.Certificate
		issuers []*x509.Certificate
		now     time.Time
		is      error
		want    string
	}{
		{"nothing", nil, nil, now, nil, "no certificate given"},
		{"expired leaf", b.Certificate, b.Issuers, now.AddDate(1, 0, 0), pki.ErrExpired, `certificate "explain"`},
		{"not yet", b.Certificate, b.Issuers, now.AddDate(-1, 0, 0), pki.ErrNotYetValid, `certificate "explain"`},
		{"intermediate missing", b.Certificate, []*x509.Certificate{root}, now, pki.ErrIncompleteChain, `issued by "CN=` + pki.DefaultIntermediateCN},
		{"root missing", b.Certificate, []*x509.Certificate{mid}, now, pki.ErrIncompleteChain, `issued by "CN=` + pki.DefaultRootCN},
		{"root of the same name", b.Certificate, []*x509.Certificate{mid, sameName}, now, pki.ErrBadSignature, pki.DefaultRootCN},
		{"issuer is no CA", belowNoCA.cert, []*x509.Certificate{noCA.cert}, now, pki.ErrNotCA, `it issued "below"`},
		{"path length", tooDeep.cert, []*x509.Certificate{middle.cert, short.cert}, now, pki.ErrNotCA, "path length 0"},
		{"cycle", belowCycle.cert, []*x509.Certificate{a.cert}, now, pki.ErrIncompleteChain, `issued by "CN=b"`},
		{"a CA of a cycle alone", cycleA.cert, nil, now, pki.ErrIncompleteChain, ""},
		{"name constraint", outside.cert, []*x509.Certificate{constrained.cert}, now, nil, "not permitted"},
		{"unknown critical extension", critical.cert, nil, now, nil, "critical extension"},
		{"too many", b.Certificate, slices.Repeat(b.Issuers, 51), now, nil, "more than the limit of 100"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := pki.Verify(tt.leaf, tt.issuers, tt.now)
			if err == nil || tt.is != nil && !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.want) ||
				strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %v with %q", err, tt.is, tt.want)
			}
		})
	}
}

func leafNamed(cn string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.Subject.CommonName, c.IsCA, c.KeyUsage = cn, false, 0 }
}

// A closed cycle has no root; every certificate in it has its issuer.
func TestVerifyCycle(t *testing.T) {
	a, b := cycle(t)
	leaf := rawSigned(t, &a, leafNamed("leaf"))
	err := pki.Verify(leaf.cert, []*x509.Certificate{a.cert, b.cert, a.cert}, time.Now())
	if !errors.Is(err, pki.ErrIncompleteChain) {
		t.Errorf("got %v, want ErrIncompleteChain", err)
	}
}

// An issuer that expired is named, not the leaf.
func TestVerifyNamesTheLevel(t *testing.T) {
	root := mustRoot(t, &pki.CAOptions{Validity: pki.Validity{Days: 100}})
	mid, err := root.NewIntermediate(&pki.CAOptions{Validity: pki.Validity{Days: 10}})
	if err != nil {
		t.Fatal(err)
	}
	b := pkitest.Issue(t, mid, pki.IssueRequest{CommonName: "leaf"})
	long := *b.Certificate
	long.NotAfter = long.NotAfter.AddDate(0, 0, 50)
	err = pki.Verify(&long, b.Issuers, time.Now().AddDate(0, 0, 20))
	if !errors.Is(err, pki.ErrExpired) || !strings.Contains(err.Error(), `certificate "`+pki.DefaultIntermediateCN) {
		t.Errorf("got %v, want that the intermediate has expired", err)
	}
}

// Keys of absurd sizes are refused before they cost time.
func TestVerifyHugeKey(t *testing.T) {
	b := pkitest.Device(t, "huge")
	fake := *b.Issuers[0]
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 1<<18))
	if err != nil {
		t.Fatal(err)
	}
	fake.PublicKey = &rsa.PublicKey{N: n.SetBit(n, 1<<18, 1), E: 65537}
	start := time.Now()
	err = pki.Verify(b.Certificate, slices.Repeat([]*x509.Certificate{&fake}, 90), time.Now())
	if !errors.Is(err, pki.ErrUnsupportedKey) || !strings.Contains(err.Error(), "262145 bits") {
		t.Errorf("got %v, want ErrUnsupportedKey", err)
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("it took %s", d)
	}
}

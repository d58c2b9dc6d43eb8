package pki_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/pkitest"
)

func pathLen(n int) *int { return &n }

func mustRoot(t *testing.T, opts *pki.CAOptions) *pki.Authority {
	t.Helper()
	root, err := pki.NewRoot(opts)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func TestIntermediateNames(t *testing.T) {
	ca := pkitest.Root(t)
	for _, want := range []string{
		pki.DefaultIntermediateCN, pki.DefaultIntermediateCN + " 2", pki.DefaultIntermediateCN + " 3",
	} {
		next, err := ca.NewIntermediate(nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := next.Certificate().Subject.CommonName; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if got := len(next.Chain()); got != len(ca.Chain())+1 {
			t.Errorf("the chain has %d certificates", got)
		}
		ca = next
	}
	b := pkitest.Issue(t, ca, pki.IssueRequest{CommonName: "deep"})
	if len(b.Issuers) != 4 || b.Root() != pkitest.Root(t).Certificate() {
		t.Errorf("got %d issuers, want 4 up to the root", len(b.Issuers))
	}
	if err := pki.Verify(b.Certificate, b.Issuers, time.Now()); err != nil {
		t.Error(err)
	}
	if _, err := ca.NewIntermediate(&pki.CAOptions{CommonName: ca.Certificate().Subject.CommonName}); err == nil {
		t.Error("an intermediate got the name of its issuer")
	}
}

func TestPathLength(t *testing.T) {
	zero := mustRoot(t, &pki.CAOptions{MaxPathLen: pathLen(0)})
	if c := zero.Certificate(); c.MaxPathLen != 0 || !c.MaxPathLenZero {
		t.Errorf("path length is %d", c.MaxPathLen)
	}
	if _, err := zero.Issue(pki.IssueRequest{CommonName: "d"}); err != nil {
		t.Errorf("a leaf below path length 0: %v", err)
	}
	for name, err := range map[string]error{
		"intermediate": second(zero.NewIntermediate(nil)),
		"edge ca":      second(zero.Issue(pki.IssueRequest{Profile: pki.ProfileEdgeCA, CommonName: "gw"})),
	} {
		if !errors.Is(err, pki.ErrNotCA) || !strings.Contains(err.Error(), "path length 0 leaves no room for a CA") {
			t.Errorf("%s below path length 0: got %v, want ErrNotCA with the reason", name, err)
		}
	}
	one := mustRoot(t, &pki.CAOptions{MaxPathLen: pathLen(1)})
	mid, err := one.NewIntermediate(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mid.NewIntermediate(nil); !errors.Is(err, pki.ErrNotCA) {
		t.Errorf("second CA below path length 1: got %v, want ErrNotCA", err)
	}
	if _, err := pki.NewRoot(&pki.CAOptions{MaxPathLen: pathLen(-1)}); err == nil {
		t.Error("a negative path length was taken")
	}
}

// A CA cannot promise more room than those above it leave.
func TestPathLengthTooLarge(t *testing.T) {
	three := mustRoot(t, &pki.CAOptions{MaxPathLen: pathLen(3)})
	free, err := three.NewIntermediate(nil)
	if err != nil {
		t.Fatal(err)
	}
	tight, err := free.NewIntermediate(&pki.CAOptions{MaxPathLen: pathLen(1)})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		ca   *pki.Authority
		most int // -1: no limit
	}{
		{"below a root without limit", mustRoot(t, nil), -1},
		{"below the limit", three, 2},
		{"two below the limit", free, 1},
		{"below the smaller of two limits", tight, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.most < 0 {
				if _, err := tt.ca.NewIntermediate(&pki.CAOptions{MaxPathLen: pathLen(100)}); err != nil {
					t.Error(err)
				}
				return
			}
			if _, err := tt.ca.NewIntermediate(&pki.CAOptions{MaxPathLen: pathLen(tt.most)}); err != nil {
				t.Error(err)
			}
			_, err := tt.ca.NewIntermediate(&pki.CAOptions{MaxPathLen: pathLen(tt.most + 1)})
			want := fmt.Sprintf("leaves %d at most", tt.most)
			if !errors.Is(err, pki.ErrPathLenTooLarge) || !strings.Contains(err.Error(), want) {
				t.Errorf("path length %d = %v, want ErrPathLenTooLarge and %q", tt.most+1, err, want)
			}
		})
	}
}

// Path lengths for exactly one depth: 2, 1, 0. Each CA does its work, and nothing more.
func TestPathLengthForDepth(t *testing.T) {
	cas := []*pki.Authority{mustRoot(t, &pki.CAOptions{MaxPathLen: pathLen(2)})}
	for n := 1; n >= 0; n-- {
		ca, err := cas[len(cas)-1].NewIntermediate(&pki.CAOptions{MaxPathLen: pathLen(n)})
		if err != nil {
			t.Fatal(err)
		}
		cas = append(cas, ca)
	}
	for i, ca := range cas {
		if got := ca.Certificate(); got.MaxPathLen != 2-i || got.MaxPathLenZero != (i == 2) {
			t.Errorf("ca %d has path length %d, want %d", i, got.MaxPathLen, 2-i)
		}
		b, err := ca.Issue(pki.IssueRequest{CommonName: "d"})
		if err != nil {
			t.Fatalf("a device below ca %d: %v", i, err)
		}
		if err := pki.Verify(b.Certificate, b.Issuers, time.Now()); err != nil {
			t.Errorf("the chain of a device below ca %d: %v", i, err)
		}
	}
	_, err := cas[2].NewIntermediate(nil)
	if !errors.Is(err, pki.ErrPathLen) || !errors.Is(err, pki.ErrNotCA) ||
		!strings.Contains(err.Error(), `"Azure IoT Hub Intermediate Cert Test Only 2"`) {
		t.Errorf("a CA below the last one: got %v, want ErrPathLen and the name of the CA that forbids it", err)
	}
	if _, err := cas[1].NewIntermediate(nil); err != nil {
		t.Errorf("another CA beside the last one: %v", err)
	}
	if _, err := cas[0].NewIntermediate(nil); err != nil {
		t.Errorf("another CA below the root: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestLoadAuthority(t *testing.T) {
	mid := pkitest.Intermediate(t)
	other := mustRoot(t, &pki.CAOptions{CommonName: "other"})
	device := pkitest.Device(t, "leaf")
	deep, err := mid.NewIntermediate(nil)
	if err != nil {
		t.Fatal(err)
	}
	mixed := deep.Chain()
	slices.Reverse(mixed[1:])

	for name, chain := range map[string][]*x509.Certificate{
		"in order": deep.Chain(), "root first": mixed, "alone": deep.Chain()[:1],
		"twice the same": append(deep.Chain(), deep.Chain()...),
	} {
		a, err := pki.LoadAuthority(chain, deep.Key())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := deep.Chain()
		if name == "alone" {
			want = want[:1]
		}
		if !slices.EqualFunc(a.Chain(), want, (*x509.Certificate).Equal) {
			t.Errorf("%s: the chain is not in order", name)
		}
	}

	noSign := rawCA(t, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature })
	noBasic := rawCA(t, func(c *x509.Certificate) { c.BasicConstraintsValid, c.IsCA = false, false })
	tests := []struct {
		name  string
		chain []*x509.Certificate
		key   *pki.Authority
		is    error
		want  string
	}{
		{"nothing", nil, mid, nil, "no certificate given"},
		{"nil", []*x509.Certificate{nil}, mid, nil, "no certificate given"},
		{"leaf", []*x509.Certificate{device.Certificate}, mid, pki.ErrNotCA, "CA:FALSE"},
		{"key of another", mid.Chain(), other, pki.ErrKeyMismatch, "does not belong"},
		{"unrelated issuer", append(mid.Chain(), other.Certificate()), mid, nil, `"other" is not one of its issuers`},
		{"no keyCertSign", []*x509.Certificate{noSign.cert}, nil, pki.ErrNotCA, "lacks keyCertSign"},
		{"no basic constraints", []*x509.Certificate{noBasic.cert}, nil, pki.ErrNotCA, "no basic constraints"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := pki.LoadAuthority(tt.chain, keyOf(tt.key))
			if err == nil || a != nil || tt.is != nil && !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %v with %q", err, tt.is, tt.want)
			}
		})
	}
	if _, err := pki.LoadAuthority(mid.Chain(), nil); !errors.Is(err, pki.ErrKeyMismatch) {
		t.Errorf("without a key: got %v, want ErrKeyMismatch", err)
	}
}

func keyOf(a *pki.Authority) *ecdsa.PrivateKey {
	if a == nil {
		return nil
	}
	return a.Key().(*ecdsa.PrivateKey)
}

type rawCert struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// rawCA makes a self-signed certificate that package pki would not make.
func rawCA(t *testing.T, change func(*x509.Certificate)) rawCert {
	t.Helper()
	return rawSigned(t, nil, change)
}

func rawSigned(t *testing.T, issuer *rawCert, change func(*x509.Certificate)) rawCert {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "raw"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true, IsCA: true, MaxPathLen: -1,
		KeyUsage: x509.KeyUsageCertSign,
	}
	if change != nil {
		change(tmpl)
	}
	parent, signer := tmpl, key
	if issuer != nil {
		parent, signer = issuer.cert, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return rawCert{cert, key}
}

// A CA of a customer may have no subject key identifier; the leaf still names its key.
func TestIssueBelowForeignCA(t *testing.T) {
	raw := rawCA(t, func(c *x509.Certificate) {
		c.Subject = pkix.Name{Organization: []string{"Contoso"}, CommonName: "factory"}
		c.SubjectKeyId = []byte{1, 2, 3}
	})
	a, err := pki.LoadAuthority([]*x509.Certificate{raw.cert}, raw.key)
	if err != nil {
		t.Fatal(err)
	}
	b := pkitest.Issue(t, a, pki.IssueRequest{Profile: pki.ProfileVerification, CommonName: "factory"})
	if string(b.Certificate.AuthorityKeyId) != "\x01\x02\x03" {
		t.Errorf("authority key identifier is %x", b.Certificate.AuthorityKeyId)
	}
	if err := pki.Verify(b.Certificate, b.Issuers, time.Now()); err != nil {
		t.Error(err)
	}
	if got := a.Bundle(); got.Profile != pki.ProfileRoot || got.Certificate != raw.cert {
		t.Errorf("bundle of the authority: %+v", got)
	}
}

// A CA without a subject key identifier: the leaf names the SHA-1 hash of its key instead.
func TestIssueBelowCAWithoutKeyID(t *testing.T) {
	raw := rawCA(t, func(c *x509.Certificate) {
		// CreateCertificate adds an identifier when IsCA is set, so the constraint is spelled out.
		c.IsCA, c.BasicConstraintsValid = false, false
		c.ExtraExtensions = []pkix.Extension{{Id: []int{2, 5, 29, 19}, Critical: true, Value: []byte{0x30, 3, 1, 1, 0xff}}}
	})
	if len(raw.cert.SubjectKeyId) != 0 || !raw.cert.IsCA {
		t.Fatal("the certificate of this test is wrong")
	}
	a, err := pki.LoadAuthority([]*x509.Certificate{raw.cert}, raw.key)
	if err != nil {
		t.Fatal(err)
	}
	b := pkitest.Issue(t, a, pki.IssueRequest{CommonName: "leaf"})
	own := pkitest.Issue(t, a, pki.IssueRequest{CommonName: "same-key", Key: raw.key})
	if want := own.Certificate.SubjectKeyId; string(b.Certificate.AuthorityKeyId) != string(want) || len(want) != 20 {
		t.Errorf("authority key identifier is %x, want %x", b.Certificate.AuthorityKeyId, want)
	}
	if err := pki.Verify(b.Certificate, b.Issuers, time.Now()); err != nil {
		t.Error(err)
	}
}

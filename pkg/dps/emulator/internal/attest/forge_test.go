package attest_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"
)

// now is the time at which tests judge.
var now = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)

// forged is a certificate with its key. Package pki refuses to make most of
// what these tests need.
type forged struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// forge makes a certificate signed by parent (nil: by itself). change may
// alter the template, which is that of a CA.
func forge(t testing.TB, name string, parent *forged, change ...func(*x509.Certificate)) *forged {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return forgeKey(t, name, parent, key, key.Public(), change...)
}

func forgeKey(t testing.TB, name string, parent *forged, key crypto.Signer, pub crypto.PublicKey, change ...func(*x509.Certificate)) *forged {
	t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
	}
	for _, f := range change {
		f(tmpl)
	}
	issuer, signer := tmpl, key
	if parent != nil {
		issuer, signer = parent.cert, parent.key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, issuer, pub, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &forged{cert: cert, key: key}
}

// leaf makes a device certificate below parent.
func leaf(t testing.TB, name string, parent *forged, change ...func(*x509.Certificate)) *forged {
	t.Helper()
	device := func(c *x509.Certificate) {
		c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	return forge(t, name, parent, append([]func(*x509.Certificate){device}, change...)...)
}

func plain(c *x509.Certificate) {
	c.BasicConstraintsValid, c.IsCA, c.KeyUsage, c.ExtKeyUsage = false, false, 0, nil
}
func expired(c *x509.Certificate)  { c.NotAfter = now.Add(-time.Minute) }
func tooYoung(c *x509.Certificate) { c.NotBefore = now.Add(time.Minute) }
func notCA(c *x509.Certificate)    { c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature }
func pathLen(n int) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = n, n == 0 }
}

func certs(list ...*forged) []*x509.Certificate {
	var out []*x509.Certificate
	for _, f := range list {
		out = append(out, f.cert)
	}
	return out
}

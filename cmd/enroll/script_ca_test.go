package main

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/dpskit/dpskit/pkg/pki"
)

// makeCAs writes CAs into a folder in the forms in which people have them. The
// pass phrase of what is encrypted is "pw".
//
//	root.pem root.key.pem root.key.der root.enc.key.pem   certificate and key apart
//	root.pfx root.both.pem root.der                       PFX, both in one PEM, DER
//	deep.chain.pem deep.key.pem                           the third level with root and issuer before it
//	deep.enc.pem                                          all that in one file, the key encrypted
//	expired.pem expired.key.pem future.pem future.key.pem not valid now
//	leaf.pem leaf.key.pem                                 no CA
//	plain.pem plain.key.pem                               a root without any extension
//	plainleaf.pem plainleaf.key.pem                       a certificate below the root without any extension
//	rsa1024.pem rsa1024.key.pem ed.pem ed.key.pem         CAs with keys that the service does not take
func makeCAs(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: make-cas DIR")
	}
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o700))
	write := func(name string, parts ...[]byte) {
		ts.Check(os.WriteFile(filepath.Join(dir, name), slices.Concat(parts...), 0o600))
	}
	key := func(ca *pki.Authority) []byte {
		data, err := pki.EncodeKeyPEM(ca.Key())
		ts.Check(err)
		return data
	}
	locked := func(ca *pki.Authority) []byte {
		data, err := pki.EncodeEncryptedKeyPEM(ca.Key(), []byte("pw"))
		ts.Check(err)
		return data
	}
	root, err := pki.NewRoot(nil)
	ts.Check(err)
	cert := pki.EncodeCertificatesPEM(root.Certificate())
	write("root.pem", cert)
	write("root.der", root.Certificate().Raw)
	write("root.key.pem", key(root))
	der, err := x509.MarshalPKCS8PrivateKey(root.Key())
	ts.Check(err)
	write("root.key.der", der)
	write("root.enc.key.pem", locked(root))
	write("root.both.pem", key(root), cert)
	pfx, err := root.Bundle().PFX(pki.PFXOptions{Password: "pw"})
	ts.Check(err)
	write("root.pfx", pfx)

	middle, err := root.NewIntermediate(nil)
	ts.Check(err)
	deep, err := middle.NewIntermediate(&pki.CAOptions{CommonName: "Deep CA"})
	ts.Check(err)
	chain := pki.EncodeCertificatesPEM(root.Certificate(), middle.Certificate(), deep.Certificate())
	write("deep.chain.pem", chain)
	write("deep.key.pem", key(deep))
	write("deep.enc.pem", chain, locked(deep))

	for name, days := range map[string]int{"expired": -10, "future": 10} {
		begin := time.Now().AddDate(0, 0, days)
		ca, err := pki.NewRoot(&pki.CAOptions{Validity: pki.Validity{NotBefore: begin, NotAfter: begin.AddDate(0, 0, 5)}})
		ts.Check(err)
		write(name+".pem", pki.EncodeCertificatesPEM(ca.Certificate()))
		write(name+".key.pem", key(ca))
	}
	_, small, err := ed25519.GenerateKey(rand.Reader)
	ts.Check(err)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	ts.Check(err)
	p256, err := pki.GenerateKey("")
	ts.Check(err)
	for _, c := range []struct {
		name   string
		key    crypto.Signer
		ca     bool
		issuer *pki.Authority
	}{{"plain", p256, false, nil}, {"plainleaf", p256, false, root}, {"rsa1024", weak, true, nil}, {"ed", small, true, nil}} {
		tmpl := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: c.name}, IsCA: c.ca, BasicConstraintsValid: c.ca,
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		}
		parent, signer := tmpl, c.key
		if c.issuer != nil {
			parent, signer = c.issuer.Certificate(), c.issuer.Key()
		}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, c.key.Public(), signer)
		ts.Check(err)
		write(c.name+".pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
		der, err = x509.MarshalPKCS8PrivateKey(c.key)
		ts.Check(err)
		write(c.name+".key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	leaf, err := root.Issue(pki.IssueRequest{CommonName: "dev-1"})
	ts.Check(err)
	leafKey, err := leaf.KeyPEM()
	ts.Check(err)
	write("leaf.pem", leaf.CertificatePEM())
	write("leaf.key.pem", leafKey)
}

package pki_test

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/pkitest"
)

const testCode = "85B436805DB8ADF3DD8868994970F6AA13BAA9B296A768CA"

func generate(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := pki.GenerateKey("")
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// versionOne makes a self-signed certificate of X.509 version 1, which crypto/x509
// reads but does not write.
func versionOne(t *testing.T, cn string, key crypto.Signer) *x509.Certificate {
	t.Helper()
	must := func(der []byte, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	name := asn1.RawValue{FullBytes: must(asn1.Marshal(pkix.Name{CommonName: cn}.ToRDNSequence()))}
	algorithm := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}} // ecdsa-with-SHA256
	tbs := must(asn1.Marshal(struct {
		Serial    *big.Int
		Algorithm pkix.AlgorithmIdentifier
		Issuer    asn1.RawValue
		Validity  struct{ NotBefore, NotAfter time.Time }
		Subject   asn1.RawValue
		PublicKey asn1.RawValue
	}{
		big.NewInt(1), algorithm, name, struct{ NotBefore, NotAfter time.Time }{time.Now().Add(-time.Hour).UTC(), time.Now().Add(time.Hour).UTC()},
		name, asn1.RawValue{FullBytes: must(x509.MarshalPKIXPublicKey(key.Public()))},
	}))
	digest := sha256.Sum256(tbs)
	signature := must(key.Sign(rand.Reader, digest[:], crypto.SHA256))
	cert, err := x509.ParseCertificate(must(asn1.Marshal(struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{asn1.RawValue{FullBytes: tbs}, algorithm, asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}})))
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// signed makes a certificate by a template alone, below itself or an issuer.
func signed(t *testing.T, tmpl *x509.Certificate, key crypto.Signer, issuer *pki.Authority) *x509.Certificate {
	t.Helper()
	tmpl.SerialNumber, tmpl.Subject = big.NewInt(1), pkix.Name{CommonName: "a CA"}
	tmpl.NotBefore = time.Now().Add(-time.Hour)
	if tmpl.NotAfter.IsZero() {
		tmpl.NotAfter = time.Now().Add(time.Hour)
	}
	parent, signer := tmpl, key
	if issuer != nil {
		parent, signer = issuer.Certificate(), issuer.Key()
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestSignVerification(t *testing.T) {
	key := generate(t)
	root := pkitest.Root(t)
	one := versionOne(t, "Old Root", key)
	if one.Version != 1 {
		t.Fatalf("version %d", one.Version)
	}
	tests := []struct {
		name string
		ca   *x509.Certificate
		key  crypto.Signer
		want error
	}{
		{"root", root.Certificate(), root.Key(), nil},
		{"intermediate", pkitest.Intermediate(t).Certificate(), pkitest.Intermediate(t).Key(), nil},
		{"version 1", one, key, nil},
		{"no extensions", signed(t, &x509.Certificate{}, key, nil), key, nil},
		{"CA:FALSE", signed(t, &x509.Certificate{BasicConstraintsValid: true}, key, nil), key, pki.ErrNotCA},
		{"for signatures", signed(t, &x509.Certificate{KeyUsage: x509.KeyUsageDigitalSignature}, key, nil), key, pki.ErrNotCA},
		{"for clients", signed(t, &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, key, nil), key, pki.ErrNotCA},
		{"a leaf without extensions", signed(t, &x509.Certificate{}, key, root), key, pki.ErrNotCA},
		{"the key of another", one, root.Key(), pki.ErrKeyMismatch},
		{"expired", signed(t, &x509.Certificate{NotAfter: time.Now().Add(-time.Minute)}, key, nil), key, pki.ErrExpired},
		{"another's key, a CA", root.Certificate(), key, pki.ErrKeyMismatch},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, err := pki.SignVerification(tt.ca, tt.key, testCode, nil)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if tt.want != nil {
				if b != nil {
					t.Error("there is a certificate beside the error")
				}
				return
			}
			proof := b.Certificate
			if proof.Subject.String() != "CN="+testCode || proof.IsCA || string(proof.RawIssuer) != string(tt.ca.RawSubject) {
				t.Errorf("subject %q, issuer %q", proof.Subject, proof.Issuer)
			}
			if err := tt.ca.CheckSignature(proof.SignatureAlgorithm, proof.RawTBSCertificate, proof.Signature); err != nil {
				t.Error(err)
			}
		})
	}
	if _, err := pki.SignVerification(nil, key, testCode, nil); err == nil {
		t.Error("no certificate at all was taken")
	}
	if _, err := pki.SignVerification(one, key, "a/b", nil); !errors.Is(err, pki.ErrInvalidID) {
		t.Errorf("a code that is none: %v", err)
	}
	// Nothing else is loosened.
	if _, err := pki.LoadAuthority([]*x509.Certificate{one}, key); !errors.Is(err, pki.ErrNotCA) {
		t.Errorf("LoadAuthority of version 1: %v", err)
	}
}

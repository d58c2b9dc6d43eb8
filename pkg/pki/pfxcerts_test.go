package pki_test

import (
	"crypto/x509"
	"errors"
	"os"
	"slices"
	"testing"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/pkitest"
)

func TestDecodePFXCertificates(t *testing.T) {
	b := pkitest.Device(t, "dev-1")
	want := append([]*x509.Certificate{b.Certificate}, b.Issuers...)
	backwards := slices.Clone(want)
	slices.Reverse(backwards)
	for name, encoder := range map[string]*pkcs12.Encoder{
		"modern": pkcs12.Modern2023, "legacy": pkcs12.LegacyDES, "without password": pkcs12.Passwordless,
	} {
		t.Run(name, func(t *testing.T) {
			password := "x"
			if encoder == pkcs12.Passwordless {
				password = ""
			}
			trust, err := encoder.EncodeTrustStore(backwards, password)
			if err != nil {
				t.Fatal(err)
			}
			got, err := pki.DecodePFXCertificates(trust, password)
			if err != nil || !slices.EqualFunc(got, want, (*x509.Certificate).Equal) {
				t.Errorf("got %d certificates, %v; want %d, the device first", len(got), err, len(want))
			}
			if _, err := pki.DecodePFX(trust, password); !errors.Is(err, pki.ErrNoPrivateKey) {
				t.Errorf("DecodePFX: got %v, want %v", err, pki.ErrNoPrivateKey)
			}
			if got, err := pki.DecodePFXCertificates(trust, "wrong"); err == nil || got != nil {
				t.Errorf("wrong password: got %d certificates", len(got))
			}
		})
	}
	// A key is no hindrance.
	data, err := b.PFX(pki.PFXOptions{Password: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := pki.DecodePFXCertificates(data, "x"); err != nil || !slices.EqualFunc(got, want, (*x509.Certificate).Equal) {
		t.Errorf("with a key: got %d certificates, %v", len(got), err)
	}
}

func TestDecodePFXCertificatesRefuses(t *testing.T) {
	b := pkitest.Device(t, "dev-1")
	trust, err := pkcs12.Modern2023.EncodeTrustStore(b.Issuers, "x")
	if err != nil {
		t.Fatal(err)
	}
	many, err := pkcs12.Modern2023.EncodeTrustStore(slices.Repeat(b.Issuers[:1], 101), "x")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name     string
		in       []byte
		password string
		is       error
	}{
		{"wrong password", trust, "y", pki.ErrWrongPassphrase},
		{"no password", trust, "", pki.ErrWrongPassphrase},
		{"password that cannot be", trust, "😀", pki.ErrPFXPassword},
		{"nothing", nil, "", nil},
		{"a certificate", b.Certificate.Raw, "", nil},
		{"too many", many, "x", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := pki.DecodePFXCertificates(tt.in, tt.password)
			if err == nil || got != nil || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("got %d certificates, error %v, want %v", len(got), err, tt.is)
			}
		})
	}
}

// openssl marks no certificate as trusted, and can leave the container unencrypted.
func TestDecodePFXCertificatesOfOpenSSL(t *testing.T) {
	b := pkitest.Device(t, "dev-1")
	chain := save(t, "chain.pem", b.FullChainPEM())
	for _, args := range [][]string{nil, {"-certpbe", "NONE"}, {"-nomac", "-certpbe", "NONE"}} {
		out := save(t, "out.pfx", nil)
		password := "x"
		if slices.Contains(args, "-nomac") {
			password = ""
		}
		if text, err := openssl(t, append([]string{"pkcs12", "-export", "-nokeys", "-in", chain, "-out", out, "-passout", "pass:" + password}, args...)...); err != nil {
			t.Fatal(err, text)
		}
		data, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		got, err := pki.DecodePFXCertificates(data, password)
		if err != nil || len(got) != 1+len(b.Issuers) || !got[0].Equal(b.Certificate) {
			t.Errorf("%q: got %d certificates, %v", args, len(got), err)
		}
	}
}

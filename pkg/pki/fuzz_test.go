package pki_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/pkitest"
)

// seeds adds every fixture, and the given inputs.
func seeds(f *testing.F, more ...[]byte) {
	f.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "intake", "*"))
	if err != nil || len(files) == 0 {
		f.Fatalf("no fixtures: %v", err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, data := range more {
		f.Add(data)
	}
}

// oneLine checks the form of every error.
func oneLine(t *testing.T, err error) {
	t.Helper()
	if msg := err.Error(); strings.ContainsAny(msg, "\n\r\x00\x1b") || len(msg) > 1000 {
		t.Errorf("the error is not one short line: %q", msg)
	}
}

func FuzzParseCertificates(f *testing.F) {
	b := pkitest.Device(f, "fuzz")
	seeds(f, b.FullChainPEM(), b.Certificate.Raw, utf16LE(string(b.CertificatePEM())))
	f.Fuzz(func(t *testing.T, data []byte) {
		certs, err := pki.ParseCertificates(data)
		if err != nil {
			oneLine(t, err)
			return
		}
		if len(certs) == 0 {
			t.Fatal("no certificates and no error")
		}
		again, err := pki.ParseCertificates(pki.EncodeCertificatesPEM(certs...))
		if err != nil || !slices.EqualFunc(certs, again, (*x509.Certificate).Equal) {
			t.Errorf("the certificates do not come back from PEM: %v", err)
		}
		if err := pki.Verify(certs[0], certs[1:], time.Now()); err != nil {
			oneLine(t, err)
		}
		_ = pki.GuessProfile(certs[0])
	})
}

func FuzzParseCertificateRequest(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		csr, err := pki.ParseCertificateRequest(data)
		if err != nil {
			oneLine(t, err)
			return
		}
		if err := csr.CheckSignature(); err != nil {
			t.Errorf("a request with a bad signature came through: %v", err)
		}
	})
}

func FuzzParseKey(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, secret := range [][]byte{nil, []byte("1234")} {
			key, err := pki.ParseKey(data, secret)
			if err != nil {
				oneLine(t, err)
				continue
			}
			text, err := pki.EncodeKeyPEM(key)
			if err != nil {
				t.Fatal(err)
			}
			again, err := pki.ParseKey(text, nil)
			if err != nil {
				t.Fatal(err)
			}
			if twice, err := pki.EncodeKeyPEM(again); err != nil || !bytes.Equal(text, twice) {
				t.Errorf("the key does not come back: %v", err)
			}
		}
	})
}

func FuzzDecodePFX(f *testing.F) {
	b := pkitest.Device(f, "fuzz")
	for _, profile := range pki.AllPFXProfiles() {
		data, err := b.PFX(pki.PFXOptions{Profile: profile, Password: "1234"})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		if name := pki.PFXFriendlyName(data); len(name) > 3*256 || !utf8.ValidString(name) {
			t.Errorf("the friendly name is %q", name)
		}
		for _, password := range []string{"1234", ""} {
			got, err := pki.DecodePFX(data, password)
			if err != nil {
				oneLine(t, err)
				continue
			}
			if !pki.KeyMatches(got.Certificate, got.Key) {
				t.Error("the key does not belong to the certificate")
			}
		}
	})
}

// A name is taken as it is or refused, and a certificate holds exactly the name.
func FuzzNames(f *testing.F) {
	for _, s := range []string{"dev-1", "../x", "a:b", "CON", "", "\ufeffABC\n", "a\x00", "münchen", strings.Repeat("a", 65)} {
		f.Add(s)
	}
	key, err := pki.GenerateKey("")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name string) {
		for _, profile := range []pki.Profile{pki.ProfileDevice, pki.ProfileVerification, pki.ProfileServer, pki.ProfileEdgeCA} {
			want, err := profile.CommonName(name)
			if err != nil {
				if !errors.Is(err, pki.ErrInvalidID) {
					t.Errorf("%s: %v is not ErrInvalidID", profile, err)
				}
				oneLine(t, err)
				continue
			}
			b, err := pki.SelfSigned(pki.IssueRequest{
				Profile: profile, CommonName: name, Key: key, DNSNames: sanFor(profile),
			})
			if err != nil {
				t.Fatalf("%s %q: %v", profile, name, err)
			}
			if got := b.Certificate.Subject.CommonName; got != want {
				t.Errorf("%s: the certificate is for %q, want %q", profile, got, want)
			}
		}
	})
}

func sanFor(p pki.Profile) []string {
	if p == pki.ProfileServer {
		return []string{"localhost"}
	}
	return nil
}

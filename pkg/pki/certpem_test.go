package pki_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/pkitest"
)

// fixture returns a file that OpenSSL wrote.
func fixture(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "intake", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func fixtureCert(t testing.TB) *x509.Certificate {
	t.Helper()
	certs, err := pki.ParseCertificates(fixture(t, "ec.cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return certs[0]
}

func utf16LE(s string) []byte {
	out := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(s)) {
		out = append(out, byte(u), byte(u>>8))
	}
	return out
}

func utf16BE(s string) []byte {
	out := []byte{0xfe, 0xff}
	for _, u := range utf16.Encode([]rune(s)) {
		out = append(out, byte(u>>8), byte(u))
	}
	return out
}

func TestParseCertificates(t *testing.T) {
	b := pkitest.Device(t, "parse")
	key, err := b.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	leaf, chain := string(b.CertificatePEM()), string(b.FullChainPEM())
	der := b.Certificate.Raw
	b64 := base64.StdEncoding.EncodeToString(der)
	all := append([]*x509.Certificate{b.Certificate}, b.Issuers...)
	tests := []struct {
		name string
		in   []byte
		want []*x509.Certificate
	}{
		{"pem", []byte(leaf), all[:1]},
		{"pem chain", []byte(chain), all},
		{"windows line ends", []byte(strings.ReplaceAll(chain, "\n", "\r\n")), all},
		{"utf-8 byte order mark", []byte("\ufeff" + chain), all},
		{"utf-16 little endian", utf16LE(chain), all},
		{"utf-16 big endian", utf16BE(strings.ReplaceAll(chain, "\n", "\r\n")), all},
		{"text around", []byte("Subject: x\n" + leaf + "\nsome notes\n" + string(pki.EncodeCertificatesPEM(all[1]))), all[:2]},
		{"no last line end", []byte(strings.TrimSpace(leaf)), all[:1]},
		{"key before", append(slices.Clone(key), leaf...), all[:1]},
		{"key after", append([]byte(chain), key...), all},
		{"one line with \\n", []byte(strings.ReplaceAll(chain, "\n", `\n`)), all},
		{"one line with \\r\\n", []byte(strings.ReplaceAll(leaf, "\n", `\r\n`)), all[:1]},
		{"other block name", []byte(strings.ReplaceAll(leaf, " CERTIFICATE", " X509 CERTIFICATE")), all[:1]},
		{"der", der, all[:1]},
		{"der of two", append(slices.Clone(der), all[1].Raw...), all[:2]},
		{"base64", []byte(b64), all[:1]},
		{"base64 in lines", []byte(b64[:64] + "\r\n" + b64[64:] + "\n"), all[:1]},
		{"base64 of pem", []byte(base64.StdEncoding.EncodeToString([]byte(chain))), all},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := pki.ParseCertificates(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.EqualFunc(got, tt.want, (*x509.Certificate).Equal) {
				t.Errorf("got %d certificates, want %d in file order", len(got), len(tt.want))
			}
		})
	}
}

func TestParseCertificatesRefuses(t *testing.T) {
	b := pkitest.Device(t, "parse")
	key, err := b.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	chain := string(b.FullChainPEM())
	cut := chain[:len(chain)-40]
	middle := strings.Replace(chain, "-----END CERTIFICATE-----", "-----END CERTIFICAT-----", 2)
	csr := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: []byte{0x30, 0}})
	keyDER, _ := pem.Decode(key)
	tests := []struct {
		name string
		in   []byte
		want string
	}{
		{"nothing", nil, "the input is empty"},
		{"white space", []byte(" \r\n"), "the input is empty"},
		{"byte order mark", []byte("\ufeff"), "the input is empty"},
		{"key only", key, "private key and no certificate"},
		{"encrypted key only", fixture(t, "ec.legacy.pem"), "private key and no certificate"},
		{"der key", keyDER.Bytes, "is a key"},
		{"request", csr, "certificate request"},
		{"other block", []byte("-----BEGIN X-----\nAAAA\n-----END X-----\n"), `"X" and no certificate`},
		{"trusted format", []byte("-----BEGIN TRUSTED CERTIFICATE-----\nAAAA\n-----END TRUSTED CERTIFICATE-----\n"), "-trustout"},
		{"cut short", []byte(cut), "PEM block 3 of 3 is damaged"},
		{"damaged in the middle", []byte(middle), "of 3 is damaged"},
		{"not a certificate inside", []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "certificate 1: x509"},
		{"text", []byte("hello, this is no certificate"), "neither PEM nor DER nor base64"},
		{"base64 of something", []byte(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("x"), 99))), "neither PEM"},
		{"der cut short", b.Certificate.Raw[:100], "neither PEM nor DER"},
		{"der with more behind", append(slices.Clone(b.Certificate.Raw), 1, 2, 3), "neither PEM nor DER"},
		{"secp256k1", fixture(t, "k1.cert.pem"), "secp256k1, which the service"},
		{"pfx", fixture(t, "ec.pfx"), "neither PEM nor DER"},
		{"too many", bytes.Repeat(pki.EncodeCertificatesPEM(b.Certificate), 101), "101 certificates are more than"},
		{"too large", bytes.Repeat([]byte("x"), 1<<20+1), "more than the limit of 1048576"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			certs, err := pki.ParseCertificates(tt.in)
			if err == nil || certs != nil {
				t.Fatalf("got %d certificates, %v, want an error", len(certs), err)
			}
			if msg := err.Error(); !strings.Contains(msg, tt.want) || strings.Contains(msg, "\n") || len(msg) > 400 {
				t.Errorf("got %q, want one short line with %q", msg, tt.want)
			}
		})
	}
}

// Input made to be slow must not be.
func TestParseCertificatesIsBounded(t *testing.T) {
	inputs := map[string][]byte{
		"100 MB":      make([]byte, 100<<20),
		"BEGIN lines": bytes.Repeat([]byte("-----BEGIN CERTIFICATE-----\n"), 1_000_000),
		"BEGIN within limit": bytes.Repeat([]byte("-----BEGIN CERTIFICATE-----\n"),
			390),
		"dashes":      bytes.Repeat([]byte("-"), 1<<20),
		"END lines":   bytes.Repeat([]byte("-----END CERTIFICATE-----\n"), 40_000),
		"long base64": bytes.Repeat([]byte("A"), 1<<20),
		"header lines": append([]byte("-----BEGIN CERTIFICATE-----\n"), bytes.Repeat([]byte("a: b\n"),
			200_000)...),
	}
	for name, in := range inputs {
		start := time.Now()
		if _, err := pki.ParseCertificates(in); err == nil {
			t.Errorf("%s: no error", name)
		}
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("%s took %s", name, d)
		}
	}
}

func TestEncodeCertificatesPEM(t *testing.T) {
	cert := fixtureCert(t)
	if got, want := pki.EncodeCertificatesPEM(nil, cert, nil), fixture(t, "ec.cert.pem"); !bytes.Equal(got, want) {
		t.Errorf("got\n%s\nwant what OpenSSL wrote:\n%s", got, want)
	}
}

func TestParseCertificateRequest(t *testing.T) {
	key, err := pki.GenerateKey("")
	if err != nil {
		t.Fatal(err)
	}
	der := makeCSR(t, key)
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	for name, in := range map[string][]byte{
		"pem": text, "old name": bytes.ReplaceAll(text, []byte("CERTIFICATE REQUEST"), []byte("NEW CERTIFICATE REQUEST")),
		"der": der, "base64": []byte(base64.StdEncoding.EncodeToString(der)), "utf-16": utf16LE(string(text)),
	} {
		csr, err := pki.ParseCertificateRequest(in)
		if err != nil || csr.Subject.CommonName != "csr" {
			t.Errorf("%s: %v", name, err)
		}
	}
	forged := slices.Clone(der)
	forged[len(forged)-1] ^= 1
	for name, tt := range map[string]struct {
		in   []byte
		want string
	}{
		"forged":      {forged, "not signed by its own key"},
		"certificate": {fixture(t, "ec.cert.pem"), "no certificate request"},
		"nothing":     {nil, "the input is empty"},
		"damaged":     {text[:60], "damaged"},
		"large":       {make([]byte, 1<<20+1), "more than the limit"},
	} {
		if _, err := pki.ParseCertificateRequest(tt.in); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
}

// PKCS#7 is told from what is merely damaged.
func TestParseCertificatesPKCS7(t *testing.T) {
	chain := save(t, "chain.pem", pkitest.Device(t, "dev-1").FullChainPEM())
	for _, form := range []string{"pem", "der"} {
		text, err := openssl(t, "crl2pkcs7", "-nocrl", "-certfile", chain, "-outform", form)
		if err != nil {
			t.Fatal(err)
		}
		if certs, err := pki.ParseCertificates([]byte(text)); !errors.Is(err, pki.ErrPKCS7) {
			t.Errorf("%s: got %d certificates, %v; want %v", form, len(certs), err, pki.ErrPKCS7)
		}
	}
	for _, text := range []string{"x", "0\x82", "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02", ""} {
		if _, err := pki.ParseCertificates([]byte(text)); err == nil || errors.Is(err, pki.ErrPKCS7) {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

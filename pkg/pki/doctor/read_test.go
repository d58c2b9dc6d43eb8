package doctor_test

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/doctor"
)

func keyPEM(t testing.TB, b *pki.Bundle) []byte {
	t.Helper()
	data, err := b.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func pfx(t testing.TB, b *pki.Bundle, password string) []byte {
	t.Helper()
	data, err := b.PFX(pki.PFXOptions{Password: password})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func secret(s string) func() ([]byte, error) { return func() ([]byte, error) { return []byte(s), nil } }

func toUTF16(text []byte) []byte {
	out := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(string(text))) {
		out = append(out, byte(u), byte(u>>8))
	}
	return out
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// Whatever dress the certificates come in, the same is found in them.
func TestRead(t *testing.T) {
	b := newDevice(t, "dev-1")
	chain, key := b.FullChainPEM(), keyPEM(t, b)
	keyDER, _ := pem.Decode(key)
	locked, err := pki.EncodeEncryptedKeyPEM(b.Key, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	opts := &doctor.ReadOptions{PFXPassword: secret("pw"), KeyPassphrase: secret("x")}
	tests := []struct {
		name   string
		data   []byte
		opts   *doctor.ReadOptions
		format doctor.Format
		certs  int
		key    bool
		locked bool
	}{
		{"PEM", chain, nil, doctor.FormatPEM, 3, false, false},
		{"PEM with key", join(key, chain), nil, doctor.FormatPEM, 3, true, false},
		{"PEM with key behind", join(chain, key), nil, doctor.FormatPEM, 3, true, false},
		{"byte order mark", join([]byte("\ufeff"), chain), nil, doctor.FormatPEM, 3, false, false},
		{"Windows line ends", bytes.ReplaceAll(join(chain, key), []byte("\n"), []byte("\r\n")), nil, doctor.FormatPEM, 3, true, false},
		{"UTF-16", toUTF16(join(chain, key)), nil, doctor.FormatPEM, 3, true, false},
		{"text around", join([]byte("Bag Attributes\n  x: y\n"), chain, []byte("\nend\n")), nil, doctor.FormatPEM, 3, false, false},
		{"one line", bytes.ReplaceAll(chain, []byte("\n"), []byte(`\n`)), nil, doctor.FormatPEM, 3, false, false},
		{"DER", b.Certificate.Raw, nil, doctor.FormatDER, 1, false, false},
		{"base64", []byte(base64.StdEncoding.EncodeToString(b.Certificate.Raw)), nil, doctor.FormatBase64, 1, false, false},
		{"key", key, nil, doctor.FormatPEM, 0, true, false},
		{"key in DER", keyDER.Bytes, nil, doctor.FormatDER, 0, true, false},
		{"encrypted key", locked, opts, doctor.FormatPEM, 0, true, false},
		{"encrypted key, no pass phrase", join(locked, chain), nil, doctor.FormatPEM, 3, false, true},
		{"PFX", pfx(t, b, "pw"), opts, doctor.FormatPFX, 3, true, false},
		{"PFX without password", pfx(t, b, ""), nil, doctor.FormatPFX, 3, true, false},
		{"PFX in base64, marked", join([]byte("\ufeff"), []byte(base64.StdEncoding.EncodeToString(pfx(t, b, "pw"))), []byte("\r\n")), opts, doctor.FormatPFX, 3, true, false},
		{"PFX in base64", []byte(base64.StdEncoding.EncodeToString(pfx(t, b, "pw"))), opts, doctor.FormatPFX, 3, true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := doctor.Read("file", tt.data, tt.opts)
			if err != nil || s.Err != nil {
				t.Fatalf("got %v, %v", err, s.Err)
			}
			if s.Name != "file" || s.Format != tt.format || len(s.Certificates) != tt.certs || (s.Key != nil) != tt.key || s.KeyLocked != tt.locked {
				t.Errorf("got %q, %s, %d certificates, key %T, locked %v", s.Name, s.Format, len(s.Certificates), s.Key, s.KeyLocked)
			}
			if s.Key != nil && !pki.KeyMatches(b.Certificate, s.Key) || len(s.Certificates) > 0 && !s.Certificates[0].Equal(b.Certificate) {
				t.Error("another certificate or key was read")
			}
		})
	}
}

// Wrong and missing passwords are errors, because nobody can say what is in the file.
func TestReadPasswords(t *testing.T) {
	b := newDevice(t, "dev-1")
	locked, err := pki.EncodeEncryptedKeyPEM(b.Key, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	torn := errors.New("the terminal is gone")
	failing := func() ([]byte, error) { return nil, torn }
	tests := []struct {
		name string
		data []byte
		opts *doctor.ReadOptions
		want error
	}{
		{"PFX, none", pfx(t, b, "pw"), nil, pki.ErrPassphraseRequired},
		{"PFX, wrong", pfx(t, b, "pw"), &doctor.ReadOptions{PFXPassword: secret("x"), KeyPassphrase: secret("pw")}, pki.ErrWrongPassphrase},
		{"PFX, unreadable", pfx(t, b, "pw"), &doctor.ReadOptions{PFXPassword: failing}, torn},
		{"key, wrong", locked, &doctor.ReadOptions{PFXPassword: secret("x"), KeyPassphrase: secret("pw")}, pki.ErrWrongPassphrase},
		{"key, unreadable", locked, &doctor.ReadOptions{KeyPassphrase: failing}, torn},
	}
	for _, tt := range tests {
		s, err := doctor.Read("file", tt.data, tt.opts)
		if !errors.Is(err, tt.want) || s.Name != "" || !strings.HasPrefix(err.Error(), `read "file": `) {
			t.Errorf("%s: got %+v, %v", tt.name, s, err)
		}
	}
}

// bomb returns a PFX whose authentication asks for two thousand million rounds.
func bomb(t testing.TB, data []byte) []byte {
	t.Helper()
	var file struct {
		Version  int
		AuthSafe asn1.RawValue
		MAC      struct {
			Digest asn1.RawValue
			Salt   []byte
			Rounds int `asn1:"optional,default:1"`
		}
	}
	if _, err := asn1.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	file.MAC.Rounds = 1<<31 - 1
	out, err := asn1.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// otherCurve returns the certificate with the curve secp256k1 in the place of P-256.
func otherCurve(t testing.TB, cert *x509.Certificate) []byte {
	t.Helper()
	p256 := []byte{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7}
	i := bytes.Index(cert.Raw, p256)
	if i < 0 {
		t.Fatal("no curve")
	}
	// The name of secp256k1 is three bytes shorter: every length around it shrinks.
	k1 := []byte{6, 5, 0x2b, 0x81, 4, 0, 0x0a}
	spki := bytes.Replace(cert.RawSubjectPublicKeyInfo, p256, k1, 1)
	spki[1], spki[3] = spki[1]-3, spki[3]-3
	var outer, tbs asn1.RawValue
	if _, err := asn1.Unmarshal(cert.Raw, &outer); err != nil {
		t.Fatal(err)
	}
	rest, err := asn1.Unmarshal(outer.Bytes, &tbs)
	if err != nil {
		t.Fatal(err)
	}
	wrap := func(parts ...[]byte) []byte {
		der, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: join(parts...)})
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	return wrap(wrap(bytes.Replace(tbs.Bytes, cert.RawSubjectPublicKeyInfo, spki, 1)), rest)
}

// A PFX whose key belongs to none of its certificates is refused as a whole.
func TestSourceErrors(t *testing.T) {
	s := doctor.Source{Name: "file", Err: fmt.Errorf("decode pfx: %w: none of the 2 certificates has the public key", pki.ErrKeyMismatch)}
	r := check(one(s, source("c", nil, newFamily(t, nil, nil, nil).leaf)), doctor.Options{})
	expect(t, r, doctor.CheckKeyMatch, "fatal", `"file" cannot be used: the private key does not belong to the certificate: none`, noTLS)
	r = check(one(s), doctor.Options{}) // and nothing else is there
	expectOnly(t, r, doctor.CheckKeyMatch)
	r = check(one(source("key", newKey(t))), doctor.Options{})
	expect(t, r, doctor.CheckInput, "fatal", "no certificate was given", "")
	s.Err = errors.New("input/output error")
	r = check(one(s), doctor.Options{})
	expect(t, r, doctor.CheckInput, "fatal", `"file" cannot be used: input/output error`, "")
	if len(r.Findings) != 1 || r.Predicted != nil {
		t.Errorf("got %v\n%s", r.Predicted, describe(r))
	}
}

// Content that cannot be used becomes a finding, at once, and the other files are checked all the same.
func TestReadUnusable(t *testing.T) {
	b := newDevice(t, "dev-1")
	chain, key := b.FullChainPEM(), keyPEM(t, b)
	weak, err := pki.SelfSignedBroken(pki.IssueRequest{CommonName: "weak", Now: clock}, pki.FaultWeakKey)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(nil, &x509.CertificateRequest{}, b.Key)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name      string
		data      []byte
		check     doctor.CheckID
		word      string
		predicted string
	}{
		{"empty", nil, doctor.CheckInput, "the input is empty", ""},
		{"garbage", []byte("\x00\x01\x02garbage that is not a certificate"), doctor.CheckInput, "neither PEM nor DER", ""},
		{"100 MB", bytes.Repeat([]byte("-----BEGIN CERTIFICATE-----\n"), 100<<20/28), doctor.CheckInput, "more than the limit of 1048576", ""},
		{"BEGIN lines", bytes.Repeat([]byte("-----BEGIN CERTIFICATE-----\n"), 20000), doctor.CheckInput, "PEM block", ""},
		{"cut short", chain[:len(chain)-100], doctor.CheckInput, "damaged or cut short", ""},
		{"request", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}), doctor.CheckInput, "a certificate request, not a certificate", ""},
		{"public key", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte{1}}), doctor.CheckInput, `holds "PUBLIC KEY"`, ""},
		{"damaged key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{0x30, 0}}), doctor.CheckInput, "cannot be read", noTLS},
		{"two keys", join(key, key, chain), doctor.CheckInput, "more than one private key", noTLS},
		{"weak key", keyPEM(t, weak), doctor.CheckKeyType, "RSA with 1024 bits", invalid},
		{"weak key beside a chain", join(keyPEM(t, weak), chain), doctor.CheckKeyType, "RSA with 1024 bits", invalid},
		{"PFX with weak key", pfx(t, weak, ""), doctor.CheckKeyType, "RSA with 1024 bits", invalid},
		{"curve of no use", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: otherCurve(t, b.Certificate)}), doctor.CheckKeyType, "secp256k1", invalid},
		{"PFX cut short", pfx(t, b, "")[:500], doctor.CheckInput, "cut short", ""},
		{"PFX bomb", bomb(t, pfx(t, b, "")), doctor.CheckInput, "2147483647 rounds", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Now()
			s, err := doctor.Read("file", tt.data, &doctor.ReadOptions{PFXPassword: secret("")})
			if err != nil {
				t.Fatal(err)
			}
			good, err := doctor.Read("good", join(chain, key), nil)
			if err != nil {
				t.Fatal(err)
			}
			r := check(one(s, good), doctor.Options{})
			expect(t, r, tt.check, "fatal", tt.word, tt.predicted)
			if f := r.Find(tt.check); !strings.Contains(f.What, `"file"`) {
				t.Errorf("the file is not named: %s", f.What)
			}
			checkTexts(t, r)
			if r.Find(doctor.CheckChainComplete) == nil {
				t.Error("the other file was not checked")
			}
			expect(t, check(one(s), doctor.Options{}), tt.check, "fatal", tt.word, tt.predicted)
			if d := time.Since(start); d > 3*time.Second {
				t.Errorf("took %v", d)
			}
		})
	}
}

package pki_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/pki"
)

func makeCSR(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "csr"},
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func derOf(t *testing.T, data []byte) []byte {
	t.Helper()
	block, _ := pem.Decode(data)
	if block == nil {
		t.Fatal("no PEM block")
	}
	return block.Bytes
}

func TestParseKey(t *testing.T) {
	cert := fixtureCert(t)
	sec1 := fixture(t, "ec.sec1.pem")
	pkcs8 := fixture(t, "ec.pkcs8.pem")
	enc := fixture(t, "ec.enc.pem")
	secret := []byte("1234")
	tests := []struct {
		name   string
		in     []byte
		secret []byte
	}{
		{"SEC 1 with parameters", sec1, nil},
		{"PKCS#8", pkcs8, nil},
		{"pass phrase not needed", pkcs8, secret},
		{"windows line ends and mark", append([]byte("\ufeff"), bytes.ReplaceAll(pkcs8, []byte("\n"), []byte("\r\n"))...), nil},
		{"utf-16", utf16LE(string(pkcs8)), nil},
		{"one line with \\n", bytes.ReplaceAll(bytes.TrimSpace(pkcs8), []byte("\n"), []byte(`\n`)), nil},
		{"certificate before", append(fixture(t, "ec.cert.pem"), pkcs8...), nil},
		{"certificate after", append(slices.Clone(pkcs8), fixture(t, "ec.cert.pem")...), nil},
		{"PKCS#8 der", derOf(t, pkcs8), nil},
		{"PKCS#8 base64", []byte(base64.StdEncoding.EncodeToString(derOf(t, pkcs8))), nil},
		{"AES-256, HMAC-SHA-256", enc, secret},
		{"AES-128, HMAC-SHA-1", fixture(t, "ec.enc.sha1.pem"), secret},
		{"3DES", fixture(t, "ec.enc.des3.pem"), secret},
		{"encrypted der", derOf(t, enc), secret},
		{"encrypted base64", []byte(base64.StdEncoding.EncodeToString(derOf(t, enc))), secret},
		{"DEK-Info of OpenSSL 1", fixture(t, "ec.legacy.pem"), secret},
		{"explicit key length", withKeyLength(t, derOf(t, enc), 32), secret},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			key, err := pki.ParseKey(tt.in, tt.secret)
			if err != nil {
				t.Fatal(err)
			}
			if !pki.KeyMatches(cert, key) {
				t.Error("it is another key")
			}
		})
	}
	key, err := pki.ParseKey(fixture(t, "rsa.legacy.pem"), secret)
	if err != nil {
		t.Fatal(err)
	}
	if typ, err := pki.KeyTypeOf(key.Public()); err != nil || typ != pki.KeyRSA2048 {
		t.Errorf("RSA key of OpenSSL 1: %s, %v", typ, err)
	}
}

// Parts of an encrypted PKCS#8 key that tests change.
type (
	testEncrypted struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	testPBES2  struct{ KDF, Scheme pkix.AlgorithmIdentifier }
	testPBKDF2 struct {
		Salt      []byte
		Rounds    int
		KeyLength int `asn1:"optional"`
		PRF       pkix.AlgorithmIdentifier
	}
)

// changed returns an encrypted key with one part of its encryption parameters changed.
func changed(t *testing.T, der []byte, fn func(e *testEncrypted, p *testPBES2, k *testPBKDF2)) []byte {
	t.Helper()
	var e testEncrypted
	var p testPBES2
	var k testPBKDF2
	must := func(_ []byte, err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	must(asn1.Unmarshal(der, &e))
	must(asn1.Unmarshal(e.Algorithm.Parameters.FullBytes, &p))
	must(asn1.Unmarshal(p.KDF.Parameters.FullBytes, &k))
	fn(&e, &p, &k)
	marshal := func(v any) []byte {
		out, err := asn1.Marshal(v)
		must(nil, err)
		return out
	}
	p.KDF.Parameters.FullBytes = marshal(k)
	e.Algorithm.Parameters.FullBytes = marshal(p)
	return marshal(e)
}

func withKeyLength(t *testing.T, der []byte, n int) []byte {
	t.Helper()
	return changed(t, der, func(_ *testEncrypted, _ *testPBES2, k *testPBKDF2) { k.KeyLength = n })
}

func TestParseKeyRefuses(t *testing.T) {
	pkcs8 := fixture(t, "ec.pkcs8.pem")
	enc := derOf(t, fixture(t, "ec.enc.pem"))
	octets := func(n int) []byte { return append([]byte{4, byte(n)}, make([]byte, n)...) }
	secret := []byte("1234")
	tests := []struct {
		name   string
		in     []byte
		secret []byte
		is     error
		want   string
	}{
		{"nothing", nil, nil, nil, "empty"},
		{"white space", []byte("\n\t "), nil, nil, "empty"},
		{"certificate only", fixture(t, "ec.cert.pem"), nil, nil, "a certificate and no private key"},
		{"certificate der", fixtureCert(t).Raw, nil, nil, "is a certificate"},
		{"request", []byte("-----BEGIN X-----\nAAAA\n-----END X-----\n"), nil, nil, "no private key"},
		{"two keys", append(slices.Clone(pkcs8), fixture(t, "ec.sec1.pem")...), nil, nil, "more than one private key"},
		{"text", []byte("this is not a key at all"), nil, nil, "not a private key"},
		{"cut short", pkcs8[:100], nil, nil, "damaged"},
		{"public key", publicDER(t), nil, nil, "public key"},
		{"OpenSSH", []byte("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"), nil, pki.ErrUnsupportedKey, "openssl pkcs8"},
		{"large", make([]byte, 1<<20+1), nil, nil, "more than the limit"},
		{"no pass phrase, PKCS#8", enc, nil, pki.ErrPassphraseRequired, ""},
		{"no pass phrase, DEK-Info", fixture(t, "ec.legacy.pem"), nil, pki.ErrPassphraseRequired, ""},
		{"wrong pass phrase, PKCS#8", enc, []byte("12345"), pki.ErrWrongPassphrase, ""},
		{"wrong pass phrase, DEK-Info", fixture(t, "ec.legacy.pem"), []byte("12345"), pki.ErrWrongPassphrase, ""},
		{"HMAC-SHA-512", fixture(t, "ec.enc.sha512.pem"), secret, pki.ErrUnsupportedKey, "hash 1.2.840.113549.2.11"},
		{"PKCS#5 1.5", fixture(t, "ec.enc.pbe1.pem"), secret, pki.ErrUnsupportedKey, "algorithm 1.2.840.113549.1.12.1.3"},
		{"scrypt", fixture(t, "ec.enc.scrypt.pem"), secret, pki.ErrUnsupportedKey, "key derivation 1.3.6.1.4.1.11591.4.11"},
		{"secp256k1", fixture(t, "k1.sec1.pem"), nil, pki.ErrUnsupportedKey, "secp256k1"},
		{"P-224", pkcs8Of(t, p224(t)), nil, pki.ErrUnsupportedKey, "EC on P-224"},
		{"Ed25519", pkcs8Of(t, ed(t)), nil, pki.ErrUnsupportedKey, "ed25519"},
		{"rounds", changed(t, enc, func(_ *testEncrypted, _ *testPBES2, k *testPBKDF2) { k.Rounds = 1<<31 - 1 }), secret, nil, "2147483647 rounds"},
		{"no rounds", changed(t, enc, func(_ *testEncrypted, _ *testPBES2, k *testPBKDF2) { k.Rounds = 0 }), secret, nil, "0 rounds"},
		{"negative rounds", changed(t, enc, func(_ *testEncrypted, _ *testPBES2, k *testPBKDF2) { k.Rounds = -5 }), secret, nil, "-5 rounds"},
		{"key length", withKeyLength(t, enc, 16), secret, nil, "key length is wrong"},
		{"short vector", changed(t, enc, func(_ *testEncrypted, p *testPBES2, _ *testPBKDF2) { p.Scheme.Parameters.FullBytes = octets(8) }), secret, nil, "initialisation vector"},
		{"no vector", changed(t, enc, func(_ *testEncrypted, p *testPBES2, _ *testPBKDF2) { p.Scheme.Parameters = asn1.NullRawValue }), secret, nil, "initialisation vector"},
		{"torn block", changed(t, enc, func(e *testEncrypted, _ *testPBES2, _ *testPBKDF2) { e.Data = e.Data[:len(e.Data)-1] }), secret, nil, "its length is wrong"},
		{"no data", changed(t, enc, func(e *testEncrypted, _ *testPBES2, _ *testPBKDF2) { e.Data = nil }), secret, nil, "its length is wrong"},
		{"unknown cipher", changed(t, enc, func(_ *testEncrypted, p *testPBES2, _ *testPBKDF2) {
			p.Scheme.Algorithm = asn1.ObjectIdentifier{1, 2, 3}
		}), secret, pki.ErrUnsupportedKey, "cipher 1.2.3"},
		{"damaged data", changed(t, enc, func(e *testEncrypted, _ *testPBES2, _ *testPBKDF2) { e.Data[0] ^= 1 }), secret, pki.ErrWrongPassphrase, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Now()
			key, err := pki.ParseKey(tt.in, tt.secret)
			if err == nil || key != nil {
				t.Fatal("got a key, want an error")
			}
			msg := err.Error()
			if tt.is != nil && !errors.Is(err, tt.is) || !strings.Contains(msg, tt.want) || strings.Contains(msg, "\n") {
				t.Errorf("got %q, want %v with %q", msg, tt.is, tt.want)
			}
			if strings.Contains(msg, "1234") {
				t.Errorf("the error shows the pass phrase: %q", msg)
			}
			if d := time.Since(start); d > 2*time.Second {
				t.Errorf("it took %s", d)
			}
		})
	}
}

func publicDER(t *testing.T) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(fixtureCert(t).PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func pkcs8Of(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func p224(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func ed(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestEncodeKey(t *testing.T) {
	for _, typ := range []pki.KeyType{pki.KeyECP256, pki.KeyECP384, pki.KeyRSA2048} {
		key, err := pki.GenerateKey(typ)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := pki.EncodeKeyPEM(key)
		if err != nil || !bytes.HasPrefix(plain, []byte("-----BEGIN PRIVATE KEY-----\n")) {
			t.Fatalf("%s: not PKCS#8 PEM: %v", typ, err)
		}
		if got, err := pki.ParseKey(plain, nil); err != nil || !sameKey(key, got) {
			t.Errorf("%s: the key does not come back: %v", typ, err)
		}
		if typ != pki.KeyECP256 { // the encryption is the same and takes its time
			continue
		}
		secret, err := pki.EncodeEncryptedKeyPEM(key, []byte("correct horse"))
		if err != nil || !bytes.HasPrefix(secret, []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\n")) {
			t.Fatalf("%s: not encrypted PKCS#8 PEM: %v", typ, err)
		}
		if got, err := pki.ParseKey(secret, []byte("correct horse")); err != nil || !sameKey(key, got) {
			t.Errorf("%s: the encrypted key does not come back: %v", typ, err)
		}
		if _, err := pki.ParseKey(secret, []byte("wrong horse")); !errors.Is(err, pki.ErrWrongPassphrase) {
			t.Errorf("%s: got %v, want ErrWrongPassphrase", typ, err)
		}
	}
}

func sameKey(a, b crypto.Signer) bool {
	return a.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(b.Public())
}

func TestEncodeKeyRefuses(t *testing.T) {
	key, err := pki.GenerateKey("")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pki.EncodeEncryptedKeyPEM(key, nil); err == nil || !strings.Contains(err.Error(), "pass phrase is empty") {
		t.Errorf("empty pass phrase: got %v", err)
	}
	secret := ed(t)
	for name, bad := range map[string]crypto.Signer{
		"nil": nil, "nil EC": (*ecdsa.PrivateKey)(nil), "nil RSA": (*rsa.PrivateKey)(nil), "Ed25519": secret,
	} {
		data, err := pki.EncodeKeyPEM(bad)
		if err == nil || data != nil {
			t.Errorf("%s: got %d bytes, want an error", name, len(data))
			continue
		}
		if len(err.Error()) > 80 {
			t.Errorf("%s: the error may show the key: %q", name, err)
		}
	}
}

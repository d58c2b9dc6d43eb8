package pki_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/pkitest"
)

func TestParseKeyType(t *testing.T) {
	for _, want := range pki.AllKeyTypes() {
		for _, spelling := range []string{string(want), strings.ToUpper(string(want))} {
			got, err := pki.ParseKeyType(spelling)
			if err != nil || got != want {
				t.Errorf("ParseKeyType(%q) = %q, %v", spelling, got, err)
			}
		}
	}
	for _, bad := range []string{"", "rsa", "rsa-1024", "rsa-16384", "ec-p224", "ec-p256 ", "ed25519", "dsa"} {
		if got, err := pki.ParseKeyType(bad); err == nil {
			t.Errorf("ParseKeyType(%q) = %q, want an error", bad, got)
		} else if !strings.Contains(err.Error(), "ec-p256, ec-p384, rsa-2048, rsa-3072, rsa-4096") {
			t.Errorf("ParseKeyType(%q): error %q does not list the known types", bad, err)
		}
	}
}

func TestGenerateKey(t *testing.T) {
	for _, want := range []pki.KeyType{"", pki.KeyECP256, pki.KeyECP384, pki.KeyRSA2048} {
		key, err := pki.GenerateKey(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := pki.KeyTypeOf(key.Public())
		if want == "" {
			want = pki.DefaultKeyType
		}
		if err != nil || got != want {
			t.Errorf("KeyTypeOf(GenerateKey(%q)) = %q, %v", want, got, err)
		}
	}
	for _, bad := range []pki.KeyType{"rsa-512", "EC-P256", "x"} {
		if _, err := pki.GenerateKey(bad); err == nil {
			t.Errorf("GenerateKey(%q) made a key", bad)
		}
	}
}

func TestKeyTypeOfRefuses(t *testing.T) {
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edPub, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		pub  crypto.PublicKey
		want string
	}{
		{"nothing", nil, "no key"},
		{"P-224", p224.Public(), "EC on P-224"},
		{"Ed25519", edPub, "ed25519.PublicKey"},
		{"RSA-1024", &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537}, "RSA with 1024 bits"},
		{"zero EC key", &ecdsa.PublicKey{}, "EC without a curve"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := pki.KeyTypeOf(tt.pub)
			if !errors.Is(err, pki.ErrUnsupportedKey) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want ErrUnsupportedKey with %q", err, tt.want)
			}
		})
	}
}

func TestKeyMatches(t *testing.T) {
	one, two := pkitest.Device(t, "one"), pkitest.Device(t, "two")
	if !pki.KeyMatches(one.Certificate, one.Key) {
		t.Error("a key does not match its own certificate")
	}
	if pki.KeyMatches(one.Certificate, two.Key) || pki.KeyMatches(nil, one.Key) || pki.KeyMatches(one.Certificate, nil) {
		t.Error("a foreign or missing key matches")
	}
}

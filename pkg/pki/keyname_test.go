package pki_test

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"math/big"
	"testing"

	"github.com/dpskit/dpskit/pkg/pki"
)

func TestKeyName(t *testing.T) {
	curve := func(c elliptic.Curve) crypto.PublicKey {
		key, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key.Public()
	}
	modulus := func(bits uint) crypto.PublicKey {
		return &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), bits-1), E: 65537}
	}
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		pub  crypto.PublicKey
		want string
	}{
		{curve(elliptic.P256()), string(pki.KeyECP256)},
		{curve(elliptic.P384()), string(pki.KeyECP384)},
		{curve(elliptic.P224()), "ec-p224"},
		{modulus(2048), string(pki.KeyRSA2048)},
		{modulus(1024), "rsa-1024"},
		{ed, "ed25519"},
		{x.PublicKey(), ""},
		{&ecdsa.PublicKey{}, ""},
		{nil, ""},
	} {
		if got := pki.KeyName(tt.pub); got != tt.want {
			t.Errorf("KeyName(%T) = %q, want %q", tt.pub, got, tt.want)
		}
	}
}

package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"strings"

	"go.step.sm/crypto/keyutil"
)

// KeyType names the algorithm and size of a key as the command line spells it.
type KeyType string

// The key types that can be generated. The service takes RSA from 2048 bits and the curves P-256 and P-384.
const (
	KeyECP256  KeyType = "ec-p256" // the default: small, fast, accepted by every official device SDK
	KeyECP384  KeyType = "ec-p384"
	KeyRSA2048 KeyType = "rsa-2048"
	KeyRSA3072 KeyType = "rsa-3072"
	KeyRSA4096 KeyType = "rsa-4096" // what the original certGen.sh made; about a second per key
)

// DefaultKeyType is what an empty [KeyType] stands for.
const DefaultKeyType = KeyECP256

// Bounds of an RSA key that is taken from outside. Larger ones make every signature check slow.
const (
	minRSABits = 2048
	maxRSABits = 8192
)

// AllKeyTypes returns every key type that can be generated, the default first.
func AllKeyTypes() []KeyType {
	return []KeyType{KeyECP256, KeyECP384, KeyRSA2048, KeyRSA3072, KeyRSA4096}
}

// ParseKeyType returns the key type with the given name, in any letter case. The error lists the known names.
func ParseKeyType(s string) (KeyType, error) {
	names := make([]string, 0, len(AllKeyTypes()))
	for _, t := range AllKeyTypes() {
		if strings.EqualFold(s, string(t)) {
			return t, nil
		}
		names = append(names, string(t))
	}
	return "", fmt.Errorf("parse key type %q: known types are %s", clip(s), strings.Join(names, ", "))
}

// KeyTypeOf returns the type of a public key. A key outside [AllKeyTypes] gives [ErrUnsupportedKey].
func KeyTypeOf(pub crypto.PublicKey) (KeyType, error) {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return KeyECP256, nil
		case elliptic.P384():
			return KeyECP384, nil
		}
	case *rsa.PublicKey:
		switch k.N.BitLen() {
		case 2048:
			return KeyRSA2048, nil
		case 3072:
			return KeyRSA3072, nil
		case 4096:
			return KeyRSA4096, nil
		}
	}
	return "", fmt.Errorf("classify key: %w: %s", ErrUnsupportedKey, describeKey(pub))
}

// GenerateKey makes a new key with the random source of the operating system. The empty type means ec-p256.
func GenerateKey(t KeyType) (crypto.Signer, error) {
	if t == "" {
		t = DefaultKeyType
	}
	kty, curve, size := "", "", 0
	switch t {
	case KeyECP256:
		kty, curve = "EC", "P-256"
	case KeyECP384:
		kty, curve = "EC", "P-384"
	case KeyRSA2048:
		kty, size = "RSA", 2048
	case KeyRSA3072:
		kty, size = "RSA", 3072
	case KeyRSA4096:
		kty, size = "RSA", 4096
	default:
		if _, err := ParseKeyType(string(t)); err != nil {
			return nil, fmt.Errorf("generate key: %w", err)
		}
		return nil, fmt.Errorf("generate key: %w: spell the type in lower case, got %q", ErrUnsupportedKey, string(t))
	}
	key, err := keyutil.GenerateSigner(kty, curve, size)
	if err != nil {
		return nil, fmt.Errorf("generate %s key: %v", t, err)
	}
	return key, nil
}

// KeyMatches reports whether key is the private key of cert. It is false when either is nil.
func KeyMatches(cert *x509.Certificate, key crypto.Signer) bool {
	if cert == nil || key == nil {
		return false
	}
	return keyutil.VerifyPair(cert.PublicKey, key) == nil
}

// checkPublicKey refuses keys that the service or its TLS stack does not take, or that are too weak or too slow.
func checkPublicKey(pub crypto.PublicKey) error {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
			return nil
		}
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < minRSABits || bits > maxRSABits || bits%8 != 0 {
			return fmt.Errorf("%w: RSA with %d bits, want %d to %d", ErrUnsupportedKey, bits, minRSABits, maxRSABits)
		}
		return nil
	}
	return fmt.Errorf("%w: %s, want RSA or EC on P-256, P-384 or P-521", ErrUnsupportedKey, describeKey(pub))
}

// describeKey names a key by algorithm and size and never shows its value.
func describeKey(pub crypto.PublicKey) string {
	switch k := pub.(type) {
	case nil:
		return "no key"
	case *ecdsa.PublicKey:
		if k.Curve == nil {
			return "EC without a curve"
		}
		return "EC on " + k.Curve.Params().Name
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA with %d bits", k.N.BitLen())
	default:
		return strings.TrimPrefix(fmt.Sprintf("%T", pub), "*")
	}
}

// clip shortens text from users before it goes into an error.
func clip(s string) string {
	const limit = 100
	if len(s) <= limit {
		return s
	}
	return s[:limit] + "…"
}

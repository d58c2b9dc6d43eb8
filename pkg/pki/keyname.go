package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"fmt"
	"strings"
)

// KeyName names the kind of a public key in the way of [KeyType], also one that no certificate for the service should
// have: rsa-1024, ec-p224, ed25519. It is empty for a key of another algorithm.
func KeyName(pub crypto.PublicKey) string {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("rsa-%d", k.N.BitLen())
	case *ecdsa.PublicKey:
		if k.Curve != nil {
			return "ec-" + strings.ToLower(strings.ReplaceAll(k.Curve.Params().Name, "-", ""))
		}
	case ed25519.PublicKey:
		return "ed25519"
	}
	return ""
}

package doctor

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"errors"
)

// maxSignatureChecks bounds the work of one report. A chain of ten certificates needs about thirty.
const maxSignatureChecks = 600

// Bounds of RSA keys that signatures are checked with. The upper one keeps a check below a millisecond.
const (
	minRSACheck = 1024
	maxRSACheck = 8192
)

// verdict is the result of a signature check.
type verdict int

const (
	signed        verdict = iota // the signature is that of the issuer
	notSigned                    // it is not
	notVerifiable                // the algorithm or key is too weak, too big or unknown, or too much was asked already
)

// verifier checks signatures and remembers the results.
type verifier struct {
	known map[[2]*x509.Certificate]verdict
	spent int
}

// check says whether the key of issuer signed cert, whatever their names are.
func (v *verifier) check(cert, issuer *x509.Certificate) verdict {
	pair := [2]*x509.Certificate{cert, issuer}
	if got, ok := v.known[pair]; ok {
		return got
	}
	if v.spent >= maxSignatureChecks || !canVerify(issuer.PublicKey) {
		return notVerifiable
	}
	v.spent++
	got := notSigned
	err := issuer.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature)
	var insecure x509.InsecureAlgorithmError
	switch {
	case err == nil:
		got = signed
	case errors.As(err, &insecure), errors.Is(err, x509.ErrUnsupportedAlgorithm):
		got = notVerifiable
	}
	if v.known == nil {
		v.known = map[[2]*x509.Certificate]verdict{}
	}
	v.known[pair] = got
	return got
}

// canVerify reports whether a signature can be checked with the key within reason.
func canVerify(pub any) bool {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() >= minRSACheck && k.N.BitLen() <= maxRSACheck
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	}
	return false
}

package attest

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
)

// Limits on what is looked at.
const (
	// MaxSent is the number of certificates a device may send.
	MaxSent = 64
	// minRSABits and maxRSABits bound RSA keys; the upper bound is the one of
	// Go's TLS, so that a leaf and its issuers are treated alike.
	minRSABits = 2048
	maxRSABits = 8192
)

// Rules of this package.
const (
	RuleNoCertificate   refuse.Rule = "certificate-missing"
	RuleTooMany         refuse.Rule = "chain-too-long"
	RuleKey             refuse.Rule = "key-not-accepted"
	RuleSignature       refuse.Rule = "chain-signature"
	RuleIncomplete      refuse.Rule = "chain-incomplete"
	RuleTooComplex      refuse.Rule = "chain-too-complex"
	RuleNotVerified     refuse.Rule = "ca-not-verified"
	RuleNoGroup         refuse.Rule = "no-enrollment-group"
	RuleNotEnrolled     refuse.Rule = "leaf-not-enrolled"
	RuleNotYetValid     refuse.Rule = "not-yet-valid"
	RuleExpired         refuse.Rule = "expired"
	RuleNotCA           refuse.Rule = "issuer-not-ca"
	RulePathLength      refuse.Rule = "path-length"
	RuleKeyUsage        refuse.Rule = "key-usage"
	RuleExtKeyUsage     refuse.Rule = "extended-key-usage"
	RuleLeafIsCA        refuse.Rule = "leaf-is-ca"
	RuleCritical        refuse.Rule = "critical-extension"
	RuleNameConstraints refuse.Rule = "name-constraints"
	RulePolicy          refuse.Rule = "certificate-policy"
	RuleCommonName      refuse.Rule = "common-name"
	RuleProofIssuer     refuse.Rule = "proof-issuer"
	RuleProofSignature  refuse.Rule = "proof-signature"
	RuleProofCode       refuse.Rule = "proof-code"
	RuleProofNoCode     refuse.Rule = "proof-no-code"
)

// checkKey refuses keys that are too weak, too costly or of a kind that the
// service's TLS stack does not take.
func checkKey(cert *x509.Certificate) (problem, expected string) {
	expected = fmt.Sprintf("RSA of %d to %d bits, or ECDSA on P-256, P-384 or P-521", minRSABits, maxRSABits)
	switch pub := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		if n := pub.N.BitLen(); n < minRSABits || n > maxRSABits {
			return fmt.Sprintf("RSA key of %d bits", n), expected
		}
	case *ecdsa.PublicKey:
		if n := pub.Curve.Params().BitSize; n < 256 {
			return fmt.Sprintf("ECDSA key of %d bits", n), expected
		}
	default:
		return "key algorithm " + cert.PublicKeyAlgorithm.String(), expected
	}
	return "", ""
}

// checkSignature verifies that parent signed child. Unlike
// x509.Certificate.CheckSignatureFrom it does not look at the parent's
// extensions: those have rules of their own here. Like it, it takes no SHA-1.
func checkSignature(child, parent *x509.Certificate) error {
	switch child.SignatureAlgorithm {
	case x509.SHA1WithRSA, x509.ECDSAWithSHA1:
		return x509.InsecureAlgorithmError(child.SignatureAlgorithm)
	}
	return parent.CheckSignature(child.SignatureAlgorithm, child.RawTBSCertificate, child.Signature)
}

// checkDates returns a rule if cert is not valid at now.
func checkDates(cert *x509.Certificate, now time.Time) (rule refuse.Rule, expected string) {
	period := fmt.Sprintf("the time %s between %s and %s",
		stamp(now), stamp(cert.NotBefore), stamp(cert.NotAfter))
	switch {
	case now.Before(cert.NotBefore):
		return RuleNotYetValid, period
	case now.After(cert.NotAfter):
		return RuleExpired, period
	}
	return "", ""
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

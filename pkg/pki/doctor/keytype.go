package doctor

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
)

const (
	whyKeyType = "the service and its TLS stack take RSA from 2048 bits and EC on P-256 or P-384"
	fixKeyType = "make a new key, ec-p256 or rsa-2048, and issue the certificate again"
)

// checkKeyTypes checks that the service takes every key of the chain.
func (e *exam) checkKeyTypes() {
	for _, it := range e.judged() {
		f := Finding{Check: CheckKeyType, Why: whyKeyType, Fix: fixKeyType}
		kind, known, accepted := describeKey(it.cert.PublicKey)
		switch {
		case accepted:
			continue
		case known:
			f.Severity = SeverityFatal
			f.Predicted = &answerInvalid
			f.What = fmt.Sprintf("%s has a key that is not accepted: %s", name(it.cert), kind)
		default:
			f.Severity = SeverityWarning
			f.What = fmt.Sprintf("%s has a key of which it is not known whether the service takes it: %s", name(it.cert), kind)
		}
		e.add(f, it)
	}
	kind, _, _ := describeKey(e.subject.cert.PublicKey)
	e.ok(CheckKeyType, "%s has a key that is accepted: %s", name(e.subject.cert), kind)
}

// describeKey names a public key, and says whether it is known what the service does with such keys and whether it
// accepts them.
func describeKey(pub any) (kind string, known, accepted bool) {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		bits := k.N.BitLen()
		return fmt.Sprintf("RSA with %d bits", bits), true, bits >= 2048 && bits <= maxRSACheck
	case *ecdsa.PublicKey:
		curve := k.Curve.Params()
		return "EC on " + curve.Name, curve.BitSize < 521, curve.BitSize == 256 || curve.BitSize == 384
	case ed25519.PublicKey:
		return "Ed25519", true, false
	case nil:
		return "of an unknown algorithm", true, false
	}
	return fmt.Sprintf("%T", pub), true, false
}

// checkHashes checks how the certificates were signed. The signature of a root on itself protects nothing.
func (e *exam) checkHashes() {
	for _, it := range e.judged() {
		if selfIssued(it.cert) && (it != e.subject || e.role == RoleGroup) {
			continue
		}
		f := Finding{
			Severity: SeverityFatal, Check: CheckSignatureHash, Predicted: &answerInvalid,
			What: fmt.Sprintf("%s is signed with a weak hash: %s", name(it.cert), it.cert.SignatureAlgorithm),
			Why:  "such signatures can be forged; TLS libraries refuse them, and the service documents SHA-256 only",
			Fix:  "issue the certificate again with SHA-256",
		}
		switch it.cert.SignatureAlgorithm {
		case x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1, x509.MD5WithRSA, x509.MD2WithRSA:
			e.add(f, it)
		}
	}
	e.ok(CheckSignatureHash, "no signature uses a weak hash")
}

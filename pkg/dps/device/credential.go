package device

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Credential is how a device proves its identity: [X509], [SymmetricKey] or
// [GroupKey].
type Credential interface {
	// prepare checks the credential and makes ready what one device needs of it.
	prepare(scope, registrationID string) (identity, error)
}

// identity is a checked credential: a certificate, or a key that signs tokens.
// Its fields are functions where they hold a secret, because package fmt would
// print the secret itself.
type identity struct {
	// certificate returns the client certificate with its leaf parsed; nil for a
	// symmetric key.
	certificate func() *tls.Certificate
	// token returns a shared access signature made at now; nil for a certificate.
	token func(now time.Time) (string, error)
	// detail is what the credential is, for the explanation of a refusal.
	detail string
	// chain names the certificates that are sent; "" for a symmetric key.
	chain string
}

// X509 proves the identity with a client certificate: the leaf first, then
// every intermediate, nearest first, and the private key.
func X509(cert tls.Certificate) Credential {
	return credentialFunc(func(_, registrationID string) (identity, error) {
		checked, err := checkCertificate(cert)
		if err != nil {
			return identity{}, err
		}
		detail, names := describe(checked, registrationID)
		return identity{
			certificate: func() *tls.Certificate { return &checked },
			detail:      detail, chain: strings.Join(names, ", "),
		}, nil
	})
}

type credentialFunc func(scope, registrationID string) (identity, error)

func (f credentialFunc) prepare(scope, registrationID string) (identity, error) {
	return f(scope, registrationID)
}

// checkCertificate finds what TLS would report late and dimly.
func checkCertificate(cert tls.Certificate) (tls.Certificate, error) {
	if len(cert.Certificate) == 0 {
		return cert, errors.New("no client certificate")
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		return cert, errors.New("the client certificate cannot be parsed")
	}
	cert.Leaf = leaf
	signer, ok := cert.PrivateKey.(crypto.Signer)
	if !ok {
		return cert, errors.New("no private key for the client certificate")
	}
	public, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(signer.Public()) {
		return cert, errors.New("the private key does not belong to the client certificate")
	}
	return cert, nil
}

// describe says what was presented, for the explanation of a refusal, and the
// names of the certificates.
func describe(cert tls.Certificate, registrationID string) (text string, names []string) {
	var notes []string
	leaf := cert.Leaf
	switch all := commonNames(leaf); {
	case len(all) > 1:
		notes = append(notes, fmt.Sprintf("the certificate has %d common names (%s), and may have one", len(all), strings.Join(all, ", ")))
	case !strings.EqualFold(leaf.Subject.CommonName, registrationID):
		notes = append(notes, fmt.Sprintf("the certificate's common name %q is not the registration id %q",
			leaf.Subject.CommonName, registrationID))
	}
	names = []string{fmt.Sprintf("%q", leaf.Subject.CommonName)}
	last := leaf
	for _, der := range cert.Certificate[1:] {
		next, err := x509.ParseCertificate(der)
		if err != nil {
			notes = append(notes, "the chain holds a certificate that cannot be parsed")
			break
		}
		if string(last.RawIssuer) != string(next.RawSubject) {
			notes = append(notes, fmt.Sprintf("the chain is out of order: %q is issued by %q, but %q follows",
				last.Subject.CommonName, last.Issuer.CommonName, next.Subject.CommonName))
		}
		names = append(names, fmt.Sprintf("%q", next.Subject.CommonName))
		last = next
	}
	sent := "the device sent " + strings.Join(names, ", ")
	if string(last.RawIssuer) != string(last.RawSubject) {
		sent += fmt.Sprintf("; the issuer of the last one is %q", last.Issuer.CommonName)
	}
	return strings.Join(append(notes, sent), "; "), names
}

// commonNames returns every common name of the subject, quoted; crypto/x509 keeps
// the last in Subject.CommonName.
func commonNames(cert *x509.Certificate) []string {
	var out []string
	for _, a := range cert.Subject.Names {
		if text, ok := a.Value.(string); ok && a.Type.Equal(asn1.ObjectIdentifier{2, 5, 4, 3}) {
			out = append(out, fmt.Sprintf("%q", text))
		}
	}
	return out
}

package pki

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"fmt"
)

// Bundle is a certificate with everything that belongs to it.
type Bundle struct {
	Profile     Profile
	Certificate *x509.Certificate
	Key         crypto.Signer       // nil when the certificate was made for a public key
	Issuers     []*x509.Certificate // nearest first, root last; empty when self-signed
}

// chain is the certificate and its issuers.
func (b *Bundle) chain() []*x509.Certificate {
	if b.Certificate == nil {
		return nil
	}
	return append([]*x509.Certificate{b.Certificate}, b.Issuers...)
}

// CertificatePEM returns the certificate alone as PEM.
func (b *Bundle) CertificatePEM() []byte { return EncodeCertificatesPEM(b.Certificate) }

// FullChainPEM returns the certificate, then every intermediate, then the root. The service needs the intermediates
// and does not mind the root.
func (b *Bundle) FullChainPEM() []byte { return EncodeCertificatesPEM(b.chain()...) }

// KeyPEM returns the private key as unencrypted PKCS#8 PEM.
func (b *Bundle) KeyPEM() ([]byte, error) {
	if b.Key == nil {
		return nil, fmt.Errorf("encode key of %q: the bundle has no private key", subjectName(b.Certificate))
	}
	return EncodeKeyPEM(b.Key)
}

// TLSCertificate returns what a TLS client presents: the certificate and the intermediates. The self-signed root is
// left out, because the other side has it or does not trust it.
func (b *Bundle) TLSCertificate() (tls.Certificate, error) {
	if b.Certificate == nil {
		return tls.Certificate{}, fmt.Errorf("make tls certificate: the bundle has no certificate")
	}
	if !KeyMatches(b.Certificate, b.Key) {
		return tls.Certificate{}, fmt.Errorf("make tls certificate %q: %w", subjectName(b.Certificate), ErrKeyMismatch)
	}
	out := tls.Certificate{
		Certificate: [][]byte{b.Certificate.Raw}, PrivateKey: b.Key, Leaf: b.Certificate,
	}
	for _, cert := range b.Issuers {
		if !isSelfSigned(cert) {
			out.Certificate = append(out.Certificate, cert.Raw)
		}
	}
	return out, nil
}

// Root returns the last certificate of the chain, which is the root when the chain is complete.
func (b *Bundle) Root() *x509.Certificate {
	if n := len(b.Issuers); n > 0 {
		return b.Issuers[n-1]
	}
	return b.Certificate
}

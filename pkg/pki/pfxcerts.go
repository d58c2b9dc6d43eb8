package pki

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"software.sslmate.com/src/go-pkcs12"
)

var (
	// ErrNoPrivateKey means that a PKCS#12 file holds certificates alone, as the one of a trust store does.
	ErrNoPrivateKey = errors.New("the file holds certificates and no private key")
	// ErrPFXPassword means that a password has a character beyond U+FFFF, or bytes that are not UTF-8: PKCS#12 holds
	// passwords in 16-bit characters.
	ErrPFXPassword = errors.New("the password has a character that PKCS#12 cannot hold")
)

// DecodePFXCertificates reads the certificates of a PKCS#12 file that need not have a private key, as
// openssl pkcs12 -nokeys and the exports of trust stores make them. The one that issued no other comes first, its
// issuers behind it, and then the rest. The bounds and errors are those of [DecodePFX].
func DecodePFXCertificates(data []byte, password string) ([]*x509.Certificate, error) {
	_, certs, err := openPFX(data, password)
	if err != nil {
		return nil, fmt.Errorf("decode pfx: %w", err)
	}
	lowest := slices.IndexFunc(certs, func(c *x509.Certificate) bool {
		return !slices.ContainsFunc(certs, func(other *x509.Certificate) bool {
			return !other.Equal(c) && sameName(other.RawIssuer, c.RawSubject)
		})
	})
	lowest = max(lowest, 0) // in a circle of issuers the first is as good as any
	chain, rest := orderChain(certs[lowest], slices.Delete(slices.Clone(certs), lowest, lowest+1))
	return append(chain, rest...), nil
}

// openPFX returns what a file holds, in its order; the key is nil when there is none.
func openPFX(data []byte, password string) (key any, certs []*x509.Certificate, err error) {
	if err := checkPFXPassword(password); err != nil {
		return nil, nil, err
	}
	found, err := boundPFX(data, password)
	if err != nil {
		return nil, nil, err
	}
	key, first, others, err := pkcs12.DecodeChain(data, password)
	switch {
	case err == nil:
		certs = append([]*x509.Certificate{first}, others...)
	case err.Error() == "pkcs12: private key missing" && len(found) > 0:
		key, certs = nil, found // the password is right, or the decoder would have said so before
	default:
		return nil, nil, pfxError(err)
	}
	if len(certs) > maxCertificates {
		return nil, nil, fmt.Errorf("%d certificates are more than the limit of %d", len(certs), maxCertificates)
	}
	return key, certs, nil
}

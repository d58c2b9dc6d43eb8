package pki

import (
	"crypto"
	_ "crypto/sha1" //nolint:gosec // the service shows SHA-1 thumbprints
	_ "crypto/sha256"
	"crypto/x509"
	"strings"

	"go.step.sm/crypto/fingerprint"
)

// SHA1Thumbprint returns the SHA-1 hash of the certificate as 40 upper-case hexadecimal digits, the way the service
// and the portal show it. It identifies the certificate; nothing relies on its strength. A nil certificate gives "".
func SHA1Thumbprint(cert *x509.Certificate) string { return thumbprint(cert, crypto.SHA1) }

// SHA256Thumbprint returns the SHA-256 hash of the certificate as 64 upper-case hexadecimal digits, the way IoT Hub
// shows it. A nil certificate gives "".
func SHA256Thumbprint(cert *x509.Certificate) string { return thumbprint(cert, crypto.SHA256) }

func thumbprint(cert *x509.Certificate, h crypto.Hash) string {
	if cert == nil {
		return ""
	}
	fp, err := fingerprint.New(cert.Raw, h, fingerprint.HexFingerprint)
	if err != nil {
		return "" // both hashes are linked in above
	}
	return strings.ToUpper(fp)
}

package state

import (
	"crypto/x509"
	"fmt"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/store"
)

// CA is a certificate that was uploaded to the service.
type CA struct {
	Name string `json:"name"`
	DER  []byte `json:"der"`
	// Content is the uploaded text in base64; "" when PEM text was uploaded
	// as it is.
	Content  string    `json:"content,omitempty"`
	Verified bool      `json:"verified"`
	Code     string    `json:"code,omitempty"` // the open verification code
	ETag     string    `json:"etag"`
	Created  time.Time `json:"created"`
	Updated  time.Time `json:"updated"`
}

// Certificate parses the stored certificate.
func (c CA) Certificate() (*x509.Certificate, error) {
	cert, err := x509.ParseCertificate(c.DER)
	if err != nil {
		return nil, fmt.Errorf("parse certificate %q: %w", c.Name, err)
	}
	return cert, nil
}

// GetCA finds an uploaded certificate.
func GetCA(r store.Reader, name string) (CA, bool, error) {
	return load[CA](r, tableCAs, Fold(name))
}

// PutCA writes c.
func PutCA(tx store.Tx, c CA) error {
	return save(tx, tableCAs, Fold(c.Name), c)
}

// DeleteCA removes an uploaded certificate.
func DeleteCA(tx store.Tx, name string) {
	tx.Delete(tableCAs, Fold(name))
}

// CAs returns every uploaded certificate. There are at most MaxCAs.
func CAs(r store.Reader) ([]CA, error) {
	all, _, err := page[CA](r, tableCAs, "", "", MaxCAs+1)
	return all, err
}

// Quotas of one service instance.
const (
	// MaxCAs is the number of certificates that may be uploaded.
	MaxCAs = 25
	// MaxGroups is the number of enrollment groups of each kind, X.509 and
	// symmetric key.
	MaxGroups = 100
)

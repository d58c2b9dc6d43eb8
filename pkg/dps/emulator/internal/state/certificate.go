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

// CAList is one list of CA certificates: that of the provisioning service, or
// that of an IoT hub.
type CAList struct{ table, prefix string }

// ServiceCAs is the list of the provisioning service. Only these certificates
// matter to devices that register.
func ServiceCAs() CAList { return CAList{table: tableCAs} }

// HubCAs is the list of the IoT hub with this resource name.
func HubCAs(hub string) CAList { return CAList{table: tableHubCAs, prefix: Fold(hub) + "/"} }

// Get finds an uploaded certificate.
func (l CAList) Get(r store.Reader, name string) (CA, bool, error) {
	return load[CA](r, l.table, l.prefix+Fold(name))
}

// Put writes c.
func (l CAList) Put(tx store.Tx, c CA) error {
	return save(tx, l.table, l.prefix+Fold(c.Name), c)
}

// Delete removes an uploaded certificate.
func (l CAList) Delete(tx store.Tx, name string) {
	tx.Delete(l.table, l.prefix+Fold(name))
}

// All returns every uploaded certificate. There are at most MaxCAs.
func (l CAList) All(r store.Reader) ([]CA, error) {
	all, _, err := page[CA](r, l.table, l.prefix, "", MaxCAs+1)
	return all, err
}

// GetCA finds a certificate of the provisioning service.
func GetCA(r store.Reader, name string) (CA, bool, error) { return ServiceCAs().Get(r, name) }

// PutCA writes a certificate of the provisioning service.
func PutCA(tx store.Tx, c CA) error { return ServiceCAs().Put(tx, c) }

// DeleteCA removes a certificate of the provisioning service.
func DeleteCA(tx store.Tx, name string) { ServiceCAs().Delete(tx, name) }

// CAs returns every certificate of the provisioning service.
func CAs(r store.Reader) ([]CA, error) { return ServiceCAs().All(r) }

// Quotas of one service instance.
const (
	// MaxCAs is the number of certificates that may be uploaded, to an IoT hub
	// as well.
	MaxCAs = 25
	// MaxGroups is the number of enrollment groups of each kind, X.509 and
	// symmetric key.
	MaxGroups = 100
)

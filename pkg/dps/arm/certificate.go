package arm

import (
	"crypto/sha1" //nolint:gosec // the service identifies certificates by SHA-1 thumbprint
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"strings"
	"time"
)

// Certificate is a CA certificate stored in a provisioning service or an IoT
// hub.
type Certificate struct {
	// Name is the resource name.
	Name string
	// Subject is the common name; older versions of the service wrote "CN=…".
	Subject string
	// Thumbprint is the SHA-1 of the certificate in upper-case hex.
	Thumbprint string
	// ETag is opaque and changes with every write, also with a new code.
	ETag string
	// Verified says whether possession of the key was proven or vouched for.
	Verified bool
	// Expiry is the end of the certificate's validity.
	Expiry time.Time
	// Created and Updated are zero if the service does not know.
	Created, Updated time.Time
	// Certificate may be nil: the service does not always return it.
	Certificate *x509.Certificate
}

// MarshalJSON gives the members lower-case names and leaves out what is unknown.
// The certificate itself appears as PEM.
func (c Certificate) MarshalJSON() ([]byte, error) {
	out := struct {
		Name        string    `json:"name"`
		Subject     string    `json:"subject"`
		Thumbprint  string    `json:"thumbprint"`
		ETag        string    `json:"etag"`
		Verified    bool      `json:"verified"`
		Expiry      time.Time `json:"expiry,omitzero"`
		Created     time.Time `json:"created,omitzero"`
		Updated     time.Time `json:"updated,omitzero"`
		Certificate string    `json:"certificate,omitempty"`
	}{c.Name, c.Subject, c.Thumbprint, c.ETag, c.Verified, c.Expiry, c.Created, c.Updated, ""}
	if c.Certificate != nil {
		out.Certificate = string(encodePEM(c.Certificate))
	}
	return json.Marshal(out)
}

// known maps the "Mon, 01 Jan 0001" of some storage back ends to the zero time.
func known(t time.Time) time.Time {
	if t.Year() <= 1 {
		return time.Time{}
	}
	return t.UTC()
}

func rfc1123(text string) time.Time {
	t, err := time.Parse(time.RFC1123, text)
	if err != nil {
		return time.Time{}
	}
	return known(t)
}

// parse reads what the service returns: PEM, DER, or base64 of either. What
// cannot be read is treated as not returned.
func parse(data []byte) *x509.Certificate {
	for range 3 {
		if block, _ := pem.Decode(data); block != nil {
			data = block.Bytes
			break
		}
		inner, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(data)))
		if err != nil || len(inner) == 0 {
			break
		}
		data = inner
	}
	cert, err := x509.ParseCertificate(data)
	if err != nil {
		return nil
	}
	return cert
}

// encodePEM returns the one form that every version of the service accepts,
// once it is base64-encoded on the wire.
func encodePEM(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}

// thumbprint is the service's way to identify a certificate.
func thumbprint(cert *x509.Certificate) string {
	sum := sha1.Sum(cert.Raw) //nolint:gosec // see the import
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

func deref[T any](p *T) T {
	if p == nil {
		return *new(T)
	}
	return *p
}

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

	armdps "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/deviceprovisioningservices/armdeviceprovisioningservices"
)

// Certificate is a CA certificate stored in the service.
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

// fromResponse converts the answer to a get, put, list or verify.
func fromResponse(r armdps.CertificateResponse) Certificate {
	p := deref(r.Properties)
	return Certificate{
		Name: deref(r.Name), ETag: deref(r.Etag),
		Subject: deref(p.Subject), Thumbprint: strings.ToUpper(deref(p.Thumbprint)), Verified: deref(p.IsVerified),
		Expiry: known(deref(p.Expiry)), Created: known(deref(p.Created)), Updated: known(deref(p.Updated)),
		Certificate: parse(p.Certificate),
	}
}

// fromCode converts the answer to a request for a verification code, whose
// dates the official client leaves as text.
func fromCode(r armdps.VerificationCodeResponse) Certificate {
	p := deref(r.Properties)
	return Certificate{
		Name: deref(r.Name), ETag: deref(r.Etag),
		Subject: deref(p.Subject), Thumbprint: strings.ToUpper(deref(p.Thumbprint)), Verified: deref(p.IsVerified),
		Expiry: rfc1123(deref(p.Expiry)), Created: rfc1123(deref(p.Created)), Updated: rfc1123(deref(p.Updated)),
		Certificate: parse(p.Certificate),
	}
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

// parse reads the bytes that the service returns: PEM, DER or base64 of DER.
// What cannot be read is treated as not returned.
func parse(data []byte) *x509.Certificate {
	if block, _ := pem.Decode(data); block != nil {
		data = block.Bytes
	} else if der, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(data))); err == nil && len(der) > 0 {
		data = der
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

package service

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"time"

	"github.com/dpskit/dpskit/pkg/dps"
)

// AttestationType is how a device proves its identity.
type AttestationType string

// Values of AttestationType.
const (
	AttestationNone         AttestationType = "none"
	AttestationTPM          AttestationType = "tpm"
	AttestationX509         AttestationType = "x509"
	AttestationSymmetricKey AttestationType = "symmetricKey"
)

// Attestation is how the devices of an enrollment prove their identity: its
// Type names the one member that is set. Build it with [SigningCertificate],
// [CAReference], [ClientCertificate], [SymmetricKeys] or [EndorsementKey].
type Attestation struct {
	Type         AttestationType          `dps:"type"`
	TPM          *TPMAttestation          `dps:"tpm"`
	X509         *X509Attestation         `dps:"x509"`
	SymmetricKey *SymmetricKeyAttestation `dps:"symmetricKey"`
	// Unknown members survive; see EnrollmentGroup.Unknown.
	Unknown map[string]json.RawMessage
}

// X509Attestation has exactly one of its members.
type X509Attestation struct {
	// ClientCertificates are those of the device, for an individual enrollment.
	ClientCertificates *X509Certificates `dps:"clientCertificates"`
	// SigningCertificates are a root or intermediate CA, for a group.
	SigningCertificates *X509Certificates `dps:"signingCertificates"`
	// CAReferences name certificates uploaded to the service, for a group.
	CAReferences *X509CAReferences `dps:"caReferences"`
	// Unknown members survive; see EnrollmentGroup.Unknown.
	Unknown map[string]json.RawMessage
}

// X509Certificates are one or two certificates; the second is for rollover.
type X509Certificates struct {
	Primary   *X509CertificateWithInfo `dps:"primary"`
	Secondary *X509CertificateWithInfo `dps:"secondary"`
	// Unknown members survive; see EnrollmentGroup.Unknown.
	Unknown map[string]json.RawMessage
}

// X509CertificateWithInfo is a certificate on its way in, or a description of
// one on its way out: the service never returns the certificate itself, and
// keeps the one it has if only the description is sent back.
type X509CertificateWithInfo struct {
	// Certificate is PEM, or base64 of DER.
	Certificate string `dps:"certificate"`
	// Info is set by the service.
	Info *X509CertificateInfo `dps:"info"`
	// Unknown members survive; see EnrollmentGroup.Unknown.
	Unknown map[string]json.RawMessage
}

// X509CertificateInfo describes a stored certificate.
type X509CertificateInfo struct {
	SubjectName string `dps:"subjectName"`
	// SHA1Thumbprint and SHA256Thumbprint are upper-case hex over the DER form.
	SHA1Thumbprint   string    `dps:"sha1Thumbprint"`
	SHA256Thumbprint string    `dps:"sha256Thumbprint"`
	IssuerName       string    `dps:"issuerName"`
	NotBeforeUTC     time.Time `dps:"notBeforeUtc"`
	NotAfterUTC      time.Time `dps:"notAfterUtc"`
	// SerialNumber is upper-case hex.
	SerialNumber string `dps:"serialNumber"`
	// Version is 3 for a modern certificate.
	Version int `dps:"version"`
	// Unknown members survive; see EnrollmentGroup.Unknown.
	Unknown map[string]json.RawMessage
}

// X509CAReferences name one or two certificates uploaded to the service. They
// must be verified, or be signed by a verified one.
type X509CAReferences struct {
	Primary   string `dps:"primary"`
	Secondary string `dps:"secondary"`
	// Unknown members survive; see EnrollmentGroup.Unknown.
	Unknown map[string]json.RawMessage
}

// SymmetricKeyAttestation are two keys of 16 to 64 bytes as base64 text. Absent
// keys are made by the service on creation. The service returns them only from
// a PUT and from GetGroupAttestation or GetEnrollmentAttestation.
type SymmetricKeyAttestation struct {
	PrimaryKey   dps.Secret `dps:"primaryKey"`
	SecondaryKey dps.Secret `dps:"secondaryKey"`
	// Unknown members survive; see EnrollmentGroup.Unknown.
	Unknown map[string]json.RawMessage
}

// TPMAttestation is for an individual enrollment.
type TPMAttestation struct {
	// EndorsementKey is the public part of the TPM's key, base64.
	EndorsementKey string `dps:"endorsementKey"`
	// StorageRootKey is optional, base64.
	StorageRootKey string `dps:"storageRootKey"`
	// Unknown members survive; see EnrollmentGroup.Unknown.
	Unknown map[string]json.RawMessage
}

// MarshalJSON returns the attestation with its keys redacted.
func (a Attestation) MarshalJSON() ([]byte, error) { return encodeModel(a, formDisplay) }

// UnmarshalJSON reads the service's form.
func (a *Attestation) UnmarshalJSON(data []byte) error { return decodeModel(data, a) }

// SigningCertificate is the attestation of a group by the CA that signs its
// devices. The CA, or one above it, must be verified in the service. The
// secondary may be nil.
func SigningCertificate(primary, secondary *x509.Certificate) Attestation {
	return Attestation{Type: AttestationX509, X509: &X509Attestation{SigningCertificates: certificates(primary, secondary)}}
}

// CAReference is the attestation of a group by the names of CA certificates
// uploaded to the service. The secondary may be empty.
func CAReference(primary, secondary string) Attestation {
	return Attestation{Type: AttestationX509, X509: &X509Attestation{
		CAReferences: &X509CAReferences{Primary: primary, Secondary: secondary}}}
}

// ClientCertificate is the attestation of one device by its own certificate,
// which may be self-signed. The secondary may be nil.
func ClientCertificate(primary, secondary *x509.Certificate) Attestation {
	return Attestation{Type: AttestationX509, X509: &X509Attestation{ClientCertificates: certificates(primary, secondary)}}
}

// SymmetricKeys is the attestation by two keys, base64 text of 16 to 64 bytes.
// Empty ones are made by the service.
func SymmetricKeys(primary, secondary dps.Secret) Attestation {
	a := Attestation{Type: AttestationSymmetricKey}
	if primary != "" || secondary != "" {
		a.SymmetricKey = &SymmetricKeyAttestation{PrimaryKey: primary, SecondaryKey: secondary}
	}
	return a
}

// EndorsementKey is the attestation of one device by its TPM. Both keys are
// base64; the storage root key may be empty.
func EndorsementKey(endorsementKey, storageRootKey string) Attestation {
	return Attestation{Type: AttestationTPM, TPM: &TPMAttestation{
		EndorsementKey: endorsementKey, StorageRootKey: storageRootKey}}
}

func certificates(primary, secondary *x509.Certificate) *X509Certificates {
	one := func(c *x509.Certificate) *X509CertificateWithInfo {
		if c == nil {
			return nil
		}
		block := &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}
		return &X509CertificateWithInfo{Certificate: string(pem.EncodeToMemory(block))}
	}
	return &X509Certificates{Primary: one(primary), Secondary: one(secondary)}
}

// secrets lists the keys that a refusal must not repeat.
func (a Attestation) secrets() []dps.Secret {
	if a.SymmetricKey == nil {
		return nil
	}
	return []dps.Secret{a.SymmetricKey.PrimaryKey, a.SymmetricKey.SecondaryKey}
}

// lacksKeys reports a symmetric-key attestation as GET returns it.
func (a Attestation) lacksKeys() bool {
	return a.Type == AttestationSymmetricKey && (a.SymmetricKey == nil ||
		a.SymmetricKey.PrimaryKey == "" && a.SymmetricKey.SecondaryKey == "")
}

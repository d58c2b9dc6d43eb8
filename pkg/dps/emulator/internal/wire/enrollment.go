package wire

import "encoding/json"

// Values of AttestationMechanism.Type.
const (
	TypeTPM          = "tpm"
	TypeX509         = "x509"
	TypeSymmetricKey = "symmetricKey"
)

// Values of ProvisioningStatus.
const (
	StatusEnabled  = "enabled"
	StatusDisabled = "disabled"
)

// Values of AllocationPolicy.
const (
	AllocateHashed     = "hashed"
	AllocateGeoLatency = "geoLatency"
	AllocateStatic     = "static"
	AllocateCustom     = "custom"
)

// IndividualEnrollment is the enrollment of one device.
type IndividualEnrollment struct {
	RegistrationID            string             `json:"registrationId"`
	DeviceID                  string             `json:"deviceId,omitempty"`
	RegistrationState         *RegistrationState `json:"registrationState,omitempty"`
	OptionalDeviceInformation json.RawMessage    `json:"optionalDeviceInformation,omitempty"`
	Common
}

// EnrollmentGroup is the enrollment of every device under one CA or key.
type EnrollmentGroup struct {
	EnrollmentGroupID string `json:"enrollmentGroupId"`
	Common
}

// Common is what both kinds of enrollment have.
type Common struct {
	Attestation                *Attestation                `json:"attestation"`
	Capabilities               *Capabilities               `json:"capabilities,omitempty"`
	IotHubHostName             string                      `json:"iotHubHostName,omitempty"`
	InitialTwin                *InitialTwin                `json:"initialTwin,omitempty"`
	ETag                       string                      `json:"etag,omitempty"`
	ProvisioningStatus         ProvisioningStatus          `json:"provisioningStatus"`
	ReprovisionPolicy          *ReprovisionPolicy          `json:"reprovisionPolicy,omitempty"`
	CreatedDateTimeUTC         Time                        `json:"createdDateTimeUtc"`
	LastUpdatedDateTimeUTC     Time                        `json:"lastUpdatedDateTimeUtc"`
	AllocationPolicy           string                      `json:"allocationPolicy,omitempty"`
	IotHubs                    []string                    `json:"iotHubs,omitempty"`
	CustomAllocationDefinition *CustomAllocationDefinition `json:"customAllocationDefinition,omitempty"`
	CredentialPolicyName       string                      `json:"credentialPolicyName,omitempty"`
}

// ProvisioningStatus is `enabled` or `disabled`. Absent means enabled; an
// explicit null is kept and echoed, as the service does.
type ProvisioningStatus struct {
	Value string
	Null  bool
}

// MarshalJSON writes the value, or null if null was sent.
func (s ProvisioningStatus) MarshalJSON() ([]byte, error) {
	if s.Null {
		return []byte("null"), nil
	}
	if s.Value == "" {
		return json.Marshal(StatusEnabled)
	}
	return json.Marshal(s.Value)
}

// UnmarshalJSON tells null from a value.
func (s *ProvisioningStatus) UnmarshalJSON(data []byte) error {
	*s = ProvisioningStatus{Null: string(data) == "null"}
	if s.Null {
		return nil
	}
	return json.Unmarshal(data, &s.Value)
}

// Disabled reports whether devices are refused.
func (s ProvisioningStatus) Disabled() bool { return s.Value == StatusDisabled }

// Attestation is AttestationMechanism: how a device proves who it is.
type Attestation struct {
	Type         string        `json:"type"`
	TPM          *TPM          `json:"tpm,omitempty"`
	X509         *X509         `json:"x509,omitempty"`
	SymmetricKey *SymmetricKey `json:"symmetricKey,omitempty"`
}

// TPM is TpmAttestation; both members are base64.
type TPM struct {
	EndorsementKey string `json:"endorsementKey"`
	StorageRootKey string `json:"storageRootKey,omitempty"`
}

// X509 is X509Attestation: exactly one member is set.
type X509 struct {
	ClientCertificates  *CertificatePair `json:"clientCertificates,omitempty"`
	SigningCertificates *CertificatePair `json:"signingCertificates,omitempty"`
	CAReferences        *CAReferences    `json:"caReferences,omitempty"`
}

// CertificatePair is X509Certificates: one to use, one to roll over to.
type CertificatePair struct {
	Primary   *Certificate `json:"primary,omitempty"`
	Secondary *Certificate `json:"secondary,omitempty"`
}

// Certificate is X509CertificateWithInfo. Clients send Certificate (PEM,
// base64 of DER, or base64 of PEM); answers carry Info only.
type Certificate struct {
	Certificate string           `json:"certificate,omitempty"`
	Info        *CertificateInfo `json:"info,omitempty"`
}

// CAReferences names certificates that were uploaded to the service.
type CAReferences struct {
	Primary   string `json:"primary,omitempty"`
	Secondary string `json:"secondary,omitempty"`
}

// SymmetricKey is SymmetricKeyAttestation; both keys are base64.
type SymmetricKey struct {
	PrimaryKey   string `json:"primaryKey,omitempty"`
	SecondaryKey string `json:"secondaryKey,omitempty"`
}

// Capabilities is DeviceCapabilities.
type Capabilities struct {
	IotEdge bool `json:"iotEdge"`
}

// InitialTwin is what a device twin starts with; parts that the client left
// out stay out.
type InitialTwin struct {
	Tags       json.RawMessage `json:"tags,omitempty"`
	Properties *TwinProperties `json:"properties,omitempty"`
}

// TwinProperties holds the desired properties of an InitialTwin.
type TwinProperties struct {
	Desired json.RawMessage `json:"desired,omitempty"`
}

// ReprovisionPolicy says what happens when a device registers again. Members
// default to true.
type ReprovisionPolicy struct {
	UpdateHubAssignment *bool `json:"updateHubAssignment,omitempty"`
	MigrateDeviceData   *bool `json:"migrateDeviceData,omitempty"`
}

// CustomAllocationDefinition names the webhook of allocation policy `custom`.
type CustomAllocationDefinition struct {
	WebhookURL string `json:"webhookUrl"`
	APIVersion string `json:"apiVersion"`
}

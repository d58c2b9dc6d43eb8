package wire

import "encoding/json"

// Values of RegistrationState.Status.
const (
	RegistrationUnassigned = "unassigned"
	RegistrationAssigning  = "assigning"
	RegistrationAssigned   = "assigned"
	RegistrationFailed     = "failed"
	RegistrationDisabled   = "disabled"
)

// Values of RegistrationState.Substatus.
const (
	SubstatusInitial       = "initialAssignment"
	SubstatusMigrated      = "deviceDataMigrated"
	SubstatusReset         = "deviceDataReset"
	SubstatusReprovisioned = "reprovisionedToInitialAssignment"
)

// RegistrationState is DeviceRegistrationState, the service plane's view of a
// registration record.
type RegistrationState struct {
	RegistrationID         string          `json:"registrationId"`
	CreatedDateTimeUTC     *Time           `json:"createdDateTimeUtc,omitempty"`
	AssignedHub            string          `json:"assignedHub,omitempty"`
	DeviceID               string          `json:"deviceId,omitempty"`
	Status                 string          `json:"status"`
	Substatus              string          `json:"substatus,omitempty"`
	ErrorCode              int             `json:"errorCode,omitempty"`
	ErrorMessage           string          `json:"errorMessage,omitempty"`
	LastUpdatedDateTimeUTC *Time           `json:"lastUpdatedDateTimeUtc,omitempty"`
	ETag                   string          `json:"etag,omitempty"`
	Payload                json.RawMessage `json:"payload,omitempty"`
}

// DeviceRegistration is what a device sends. Payload is any JSON value; TPM are
// the keys of a device with a TPM.
type DeviceRegistration struct {
	RegistrationID string          `json:"registrationId"`
	Payload        json.RawMessage `json:"payload,omitempty"`
	TPM            *TPM            `json:"tpm,omitempty"`
}

// DeviceResult is DeviceRegistrationResult, the device plane's view of a
// registration record. While Status is assigning only RegistrationID and
// Status are set; some official clients fail on anything else.
type DeviceResult struct {
	X509                   *DeviceX509 `json:"x509,omitempty"`
	SymmetricKey           *DeviceKey  `json:"symmetricKey,omitempty"`
	RegistrationID         string      `json:"registrationId"`
	CreatedDateTimeUTC     *Time       `json:"createdDateTimeUtc,omitempty"`
	AssignedHub            string      `json:"assignedHub,omitempty"`
	DeviceID               string      `json:"deviceId,omitempty"`
	Status                 string      `json:"status"`
	Substatus              string      `json:"substatus,omitempty"`
	ErrorCode              int         `json:"errorCode,omitempty"`
	ErrorMessage           string      `json:"errorMessage,omitempty"`
	LastUpdatedDateTimeUTC *Time       `json:"lastUpdatedDateTimeUtc,omitempty"`
	ETag                   string      `json:"etag,omitempty"`
	// Payload is an object: some official clients fail on anything else.
	Payload json.RawMessage `json:"payload,omitempty"`
}

// DeviceX509 is `{}` for an individual enrollment.
type DeviceX509 struct {
	EnrollmentGroupID string `json:"enrollmentGroupId,omitempty"`
}

// DeviceKey names the group of a device with a derived key.
type DeviceKey struct {
	EnrollmentGroupID string `json:"enrollmentGroupId,omitempty"`
}

// OperationStatus is RegistrationOperationStatus.
type OperationStatus struct {
	OperationID       string        `json:"operationId"`
	Status            string        `json:"status"`
	RegistrationState *DeviceResult `json:"registrationState,omitempty"`
}

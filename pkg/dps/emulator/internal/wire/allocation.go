package wire

import "encoding/json"

// AllocationRequest is what the webhook of a custom allocation gets.
// https://learn.microsoft.com/azure/iot-dps/concepts-custom-allocation
type AllocationRequest struct {
	IndividualEnrollment *IndividualEnrollment `json:"individualEnrollment,omitempty"`
	EnrollmentGroup      *EnrollmentGroup      `json:"enrollmentGroup,omitempty"`
	DeviceRuntimeContext DeviceRuntimeContext  `json:"deviceRuntimeContext"`
	LinkedHubs           []string              `json:"linkedHubs"`
}

// DeviceRuntimeContext is the device that registers. The current members are
// those of its assignment before this one.
type DeviceRuntimeContext struct {
	RegistrationID        string          `json:"registrationId"`
	CurrentIotHubHostName string          `json:"currentIotHubHostName,omitempty"`
	CurrentDeviceID       string          `json:"currentDeviceId,omitempty"`
	X509                  *RuntimeX509    `json:"x509,omitempty"`
	SymmetricKey          *struct{}       `json:"symmetricKey,omitempty"` // keys are never sent
	Payload               json.RawMessage `json:"payload,omitempty"`
}

// RuntimeX509 describes the certificate of the device.
type RuntimeX509 struct {
	CertificateInfo *CertificateInfo `json:"certificateInfo,omitempty"`
}

// AllocationResponse is what the webhook answers.
type AllocationResponse struct {
	IotHubHostName string          `json:"iotHubHostName"`
	InitialTwin    *InitialTwin    `json:"initialTwin"`
	Payload        json.RawMessage `json:"payload"`
}

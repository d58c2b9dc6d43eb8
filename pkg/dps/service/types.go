package service

import (
	"encoding/json"
	"time"
)

// ProvisioningStatus says whether devices may register with an enrollment.
type ProvisioningStatus string

// Values of ProvisioningStatus. Absent means enabled.
const (
	ProvisioningEnabled  ProvisioningStatus = "enabled"
	ProvisioningDisabled ProvisioningStatus = "disabled"
)

// AllocationPolicy chooses the IoT hub of a device
// (https://learn.microsoft.com/azure/iot-dps/how-to-use-allocation-policies).
type AllocationPolicy string

// Values of AllocationPolicy. Absent means the policy of the service.
const (
	AllocationHashed     AllocationPolicy = "hashed"
	AllocationGeoLatency AllocationPolicy = "geoLatency"
	AllocationStatic     AllocationPolicy = "static"
	AllocationCustom     AllocationPolicy = "custom"
)

// AllAllocationPolicies lists the values in the order of the documentation.
func AllAllocationPolicies() []AllocationPolicy {
	return []AllocationPolicy{AllocationHashed, AllocationGeoLatency, AllocationStatic, AllocationCustom}
}

// EnrollmentGroup lets every device register whose certificate chain contains
// the group's signing certificate or CA, or whose key derives from the group's.
// It is the 2021-10-01 model.
type EnrollmentGroup struct {
	// EnrollmentGroupID is compared without regard to case; see dps.CheckID.
	EnrollmentGroupID string `dps:"enrollmentGroupId"`
	// Attestation is X.509 by signing certificate or CA reference, or symmetric
	// key. Never TPM or a client certificate.
	Attestation Attestation `dps:"attestation,always"`
	// Capabilities of the devices; nil for none.
	Capabilities *DeviceCapabilities `dps:"capabilities"`
	// IoTHubHostName is the older form of a static allocation to one hub.
	IoTHubHostName string `dps:"iotHubHostName"`
	// InitialTwin is given to a device at its first assignment.
	InitialTwin *InitialTwin `dps:"initialTwin"`
	// ETag is the version as the service spelled it. It is opaque, and PutGroup
	// and DeleteGroup send it back unchanged, as a header.
	ETag string `dps:"etag,etag"`
	// ProvisioningStatus absent means enabled.
	ProvisioningStatus ProvisioningStatus `dps:"provisioningStatus"`
	// ReprovisionPolicy absent behaves as true, true.
	ReprovisionPolicy *ReprovisionPolicy `dps:"reprovisionPolicy"`
	// CreatedDateTimeUTC and LastUpdatedDateTimeUTC are set by the service.
	CreatedDateTimeUTC     time.Time `dps:"createdDateTimeUtc,readonly"`
	LastUpdatedDateTimeUTC time.Time `dps:"lastUpdatedDateTimeUtc,readonly"`
	// AllocationPolicy absent means the policy of the service.
	AllocationPolicy AllocationPolicy `dps:"allocationPolicy"`
	// IoTHubs are the host names to choose from; nil for all linked ones.
	IoTHubs []string `dps:"iotHubs"`
	// CustomAllocationDefinition belongs to the policy "custom".
	CustomAllocationDefinition *CustomAllocationDefinition `dps:"customAllocationDefinition"`
	// Unknown are members that this model does not have, by name. They are sent
	// back byte for byte.
	Unknown map[string]json.RawMessage
}

// IndividualEnrollment lets one device register. It is the 2021-10-01 model.
type IndividualEnrollment struct {
	// RegistrationID is compared without regard to case; see dps.CheckID. With
	// X.509 it must equal the common name of the device certificate.
	RegistrationID string `dps:"registrationId"`
	// DeviceID is the identity in the IoT hub; absent means RegistrationID.
	DeviceID string `dps:"deviceId"`
	// RegistrationState is filled only by GetEnrollment; its Status is
	// "unassigned" before the first registration.
	RegistrationState *RegistrationState `dps:"registrationState,readonly"`
	// OptionalDeviceInformation is a free JSON object of the owner's.
	OptionalDeviceInformation json.RawMessage `dps:"optionalDeviceInformation"`
	// Attestation is X.509 by client certificate, TPM or symmetric key.
	Attestation Attestation `dps:"attestation,always"`
	// Capabilities of the device; nil for none.
	Capabilities *DeviceCapabilities `dps:"capabilities"`
	// IoTHubHostName is the older form of a static allocation to one hub.
	IoTHubHostName string `dps:"iotHubHostName"`
	// InitialTwin is given to the device at its first assignment.
	InitialTwin *InitialTwin `dps:"initialTwin"`
	// ETag is the version as the service spelled it; see EnrollmentGroup.ETag.
	ETag string `dps:"etag,etag"`
	// ProvisioningStatus absent means enabled.
	ProvisioningStatus ProvisioningStatus `dps:"provisioningStatus"`
	// ReprovisionPolicy absent behaves as true, true.
	ReprovisionPolicy *ReprovisionPolicy `dps:"reprovisionPolicy"`
	// CreatedDateTimeUTC and LastUpdatedDateTimeUTC are set by the service.
	CreatedDateTimeUTC     time.Time `dps:"createdDateTimeUtc,readonly"`
	LastUpdatedDateTimeUTC time.Time `dps:"lastUpdatedDateTimeUtc,readonly"`
	// AllocationPolicy absent means the policy of the service.
	AllocationPolicy AllocationPolicy `dps:"allocationPolicy"`
	// IoTHubs are the host names to choose from; nil for all linked ones.
	IoTHubs []string `dps:"iotHubs"`
	// CustomAllocationDefinition belongs to the policy "custom".
	CustomAllocationDefinition *CustomAllocationDefinition `dps:"customAllocationDefinition"`
	// Unknown are members that this model does not have, by name. They are sent
	// back byte for byte.
	Unknown map[string]json.RawMessage
}

// DeviceCapabilities are the capabilities of a device identity.
type DeviceCapabilities struct {
	// IoTEdge makes the identity an IoT Edge device.
	IoTEdge bool `dps:"iotEdge,always"`
	// Unknown members survive; see EnrollmentGroup.Unknown.
	Unknown map[string]json.RawMessage
}

// InitialTwin is the device twin at the first assignment. Its parts are free
// JSON objects and stay as they are, numbers and member order included.
type InitialTwin struct {
	Tags       json.RawMessage        `dps:"tags"`
	Properties *InitialTwinProperties `dps:"properties"`
	// Unknown members survive; see EnrollmentGroup.Unknown.
	Unknown map[string]json.RawMessage
}

// InitialTwinProperties holds the desired properties of an InitialTwin.
type InitialTwinProperties struct {
	Desired json.RawMessage `dps:"desired"`
	// Unknown members survive; see EnrollmentGroup.Unknown.
	Unknown map[string]json.RawMessage
}

// ReprovisionPolicy says what happens when a device registers again
// (https://learn.microsoft.com/azure/iot-dps/concepts-device-reprovision).
type ReprovisionPolicy struct {
	// UpdateHubAssignment lets the device move to another hub.
	UpdateHubAssignment bool `dps:"updateHubAssignment,always"`
	// MigrateDeviceData takes the twin along; otherwise the initial twin is set.
	MigrateDeviceData bool `dps:"migrateDeviceData,always"`
	// Unknown members survive; see EnrollmentGroup.Unknown.
	Unknown map[string]json.RawMessage
}

// CustomAllocationDefinition is the webhook of the policy "custom".
type CustomAllocationDefinition struct {
	WebhookURL string `dps:"webhookUrl"`
	// APIVersion of the request to the webhook, such as "2019-03-31".
	APIVersion string `dps:"apiVersion"`
	// Unknown members survive; see EnrollmentGroup.Unknown.
	Unknown map[string]json.RawMessage
}

// RegistrationState is the record of a device's registration. The service
// writes it; it can only be read and deleted.
type RegistrationState struct {
	RegistrationID string `dps:"registrationId"`
	// CreatedDateTimeUTC is the time of the first registration.
	CreatedDateTimeUTC time.Time `dps:"createdDateTimeUtc"`
	// AssignedHub is the host name of the IoT hub.
	AssignedHub string `dps:"assignedHub"`
	// DeviceID is the identity in that hub.
	DeviceID string `dps:"deviceId"`
	// Status is unassigned, assigning, assigned, failed or disabled.
	Status string `dps:"status"`
	// Substatus tells how an assigned device got there, such as
	// "initialAssignment" or "deviceDataMigrated".
	Substatus string `dps:"substatus"`
	// ErrorCode and ErrorMessage say why Status is failed.
	ErrorCode    int    `dps:"errorCode"`
	ErrorMessage string `dps:"errorMessage"`
	// LastUpdatedDateTimeUTC is the time of the last change.
	LastUpdatedDateTimeUTC time.Time `dps:"lastUpdatedDateTimeUtc"`
	ETag                   string    `dps:"etag"`
	// Payload is what a custom allocation webhook returned for the device.
	Payload json.RawMessage `dps:"payload"`
	// Unknown are members that this model does not have.
	Unknown map[string]json.RawMessage
}

// MarshalJSON returns the group with its keys redacted: the form to show, not
// the one that is sent.
func (g EnrollmentGroup) MarshalJSON() ([]byte, error) { return encodeModel(g, formDisplay) }

// UnmarshalJSON reads the service's form.
func (g *EnrollmentGroup) UnmarshalJSON(data []byte) error { return decodeModel(data, g) }

// MarshalJSON returns the enrollment with its keys redacted: the form to show,
// not the one that is sent.
func (e IndividualEnrollment) MarshalJSON() ([]byte, error) { return encodeModel(e, formDisplay) }

// UnmarshalJSON reads the service's form.
func (e *IndividualEnrollment) UnmarshalJSON(data []byte) error { return decodeModel(data, e) }

// MarshalJSON returns the service's form.
func (s RegistrationState) MarshalJSON() ([]byte, error) { return encodeModel(s, formDisplay) }

// UnmarshalJSON reads the service's form.
func (s *RegistrationState) UnmarshalJSON(data []byte) error { return decodeModel(data, s) }

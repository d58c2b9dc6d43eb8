package enrollment

import (
	"encoding/json"

	"github.com/dpskit/dpskit/pkg/dps/service"
)

// Object is an enrollment of either kind.
type Object interface {
	service.EnrollmentGroup | service.IndividualEnrollment
}

// Fields points to the members of an enrollment of either kind, so that code
// that reads or changes them is written once.
type Fields struct {
	// Individual is false for a group.
	Individual bool
	// ID is the registration id or the id of the group.
	ID                         *string
	ETag                       *string
	Attestation                *service.Attestation
	Capabilities               **service.DeviceCapabilities
	IoTHubHostName             *string
	InitialTwin                **service.InitialTwin
	ProvisioningStatus         *service.ProvisioningStatus
	ReprovisionPolicy          **service.ReprovisionPolicy
	AllocationPolicy           *service.AllocationPolicy
	IoTHubs                    *[]string
	CustomAllocationDefinition **service.CustomAllocationDefinition
	Unknown                    *map[string]json.RawMessage
	// DeviceID and OptionalDeviceInformation are nil for a group.
	DeviceID                  *string
	OptionalDeviceInformation *json.RawMessage
}

// Of returns pointers into the object.
func Of[T Object](object *T) Fields {
	switch o := any(object).(type) {
	case *service.EnrollmentGroup:
		return Fields{
			ID: &o.EnrollmentGroupID, ETag: &o.ETag, Attestation: &o.Attestation,
			Capabilities: &o.Capabilities, IoTHubHostName: &o.IoTHubHostName, InitialTwin: &o.InitialTwin,
			ProvisioningStatus: &o.ProvisioningStatus, ReprovisionPolicy: &o.ReprovisionPolicy,
			AllocationPolicy: &o.AllocationPolicy, IoTHubs: &o.IoTHubs,
			CustomAllocationDefinition: &o.CustomAllocationDefinition, Unknown: &o.Unknown,
		}
	case *service.IndividualEnrollment:
		return Fields{
			Individual: true,
			ID:         &o.RegistrationID, ETag: &o.ETag, Attestation: &o.Attestation,
			Capabilities: &o.Capabilities, IoTHubHostName: &o.IoTHubHostName, InitialTwin: &o.InitialTwin,
			ProvisioningStatus: &o.ProvisioningStatus, ReprovisionPolicy: &o.ReprovisionPolicy,
			AllocationPolicy: &o.AllocationPolicy, IoTHubs: &o.IoTHubs,
			CustomAllocationDefinition: &o.CustomAllocationDefinition, Unknown: &o.Unknown,
			DeviceID: &o.DeviceID, OptionalDeviceInformation: &o.OptionalDeviceInformation,
		}
	}
	return Fields{} // no other type satisfies Object
}

// idMember is the name of the member that holds the id.
func (f Fields) idMember() string {
	if f.Individual {
		return "registrationId"
	}
	return "enrollmentGroupId"
}

// SetTags sets the tags of the initial twin; nil removes them.
func (f Fields) SetTags(tags json.RawMessage) { f.setTwin(tags, nil, true, false) }

// SetDesired sets the desired properties of the initial twin; nil removes them.
func (f Fields) SetDesired(desired json.RawMessage) { f.setTwin(nil, desired, false, true) }

// setTwin writes into a copy, because twins are shared between objects that
// were copied, and leaves no empty shell behind.
func (f Fields) setTwin(tags, desired json.RawMessage, setTags, setDesired bool) {
	var twin service.InitialTwin
	var properties service.InitialTwinProperties
	if old := *f.InitialTwin; old != nil {
		twin = *old
		if old.Properties != nil {
			properties = *old.Properties
		}
	}
	if setTags {
		twin.Tags = tags
	}
	if setDesired {
		properties.Desired = desired
	}
	twin.Properties = nil
	if properties.Desired != nil || len(properties.Unknown) > 0 {
		twin.Properties = &properties
	}
	*f.InitialTwin = nil
	if twin.Tags != nil || twin.Properties != nil || len(twin.Unknown) > 0 {
		*f.InitialTwin = &twin
	}
}

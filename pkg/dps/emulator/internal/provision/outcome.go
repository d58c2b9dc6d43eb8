package provision

import (
	"strings"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/state"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"
)

// verdict is where a device goes, or why it goes nowhere.
type verdict struct {
	hub string
	// twin and payload come from a webhook.
	twin    *wire.InitialTwin
	payload []byte
	refused *refused
}

// outcome decides how the registration ends, given the record of the one
// before (the zero value if there is none). With custom allocation that is not
// decided yet.
func (s *Service) outcome(call Call, g grant, old state.Registration) (reg state.Registration, refusal *refused) {
	now := s.stamp()
	reg = state.Registration{
		RegistrationID: call.RegistrationID, GroupID: g.groupID, Attestation: g.attestation,
		Created: now, Updated: now, ETag: state.NewETag(now), Device: old.LastDevice(),
	}
	if old.RegistrationID != "" {
		reg.RegistrationID, reg.Created = old.RegistrationID, old.Created
	}
	var v verdict
	last := reg.Device
	switch {
	case g.common.ProvisioningStatus.Disabled():
		v.refused = enrollmentDisabled(g)
	case last != nil && sticky(g.common.ReprovisionPolicy, call.APIVersion) && s.linked(last.Hub) >= 0:
		v.hub = last.Hub
	case s.policy(g.common) == wire.AllocateCustom:
		reg.Status, reg.Waiting = wire.RegistrationAssigning, true
		return reg, nil
	default:
		if v.hub = s.allocate(call.RegistrationID, g.common); v.hub == "" {
			v.refused = noHub(g.common, s.Hubs)
		}
	}
	settle(&reg, v, g)
	return reg, v.refused
}

// settle writes v into reg, whose Device is what the hub has so far.
func settle(reg *state.Registration, v verdict, g grant) {
	reg.Waiting = false
	if v.refused != nil {
		reg.Status, reg.ErrorCode, reg.ErrorMessage = v.refused.status, v.refused.Code, v.refused.text()
		return
	}
	c, last := g.common, reg.Device
	reg.Status, reg.AssignedHub, reg.DeviceID, reg.Payload = wire.RegistrationAssigned, v.hub, g.deviceID, v.payload
	reg.Substatus = substatus(c.ReprovisionPolicy, v, last)
	reg.Device = &state.Device{
		Hub: v.hub, ID: g.deviceID, Certificate: g.leaf, IotEdge: c.Capabilities != nil && c.Capabilities.IotEdge,
		Twin: twin(c, v, reg.Substatus, g.deviceID, last),
	}
}

// substatus says what a device should make of the assignment. A twin from a
// webhook is no migration, whatever the policy says.
func substatus(policy *wire.ReprovisionPolicy, v verdict, last *state.Device) string {
	switch {
	case last == nil:
		return wire.SubstatusInitial
	case strings.EqualFold(last.Hub, v.hub):
		return wire.SubstatusReprovisioned
	case v.twin != nil, policy != nil && policy.MigrateDeviceData != nil && !*policy.MigrateDeviceData:
		return wire.SubstatusReset
	default:
		return wire.SubstatusMigrated
	}
}

// twin is what the device's twin started with. It stays where the identity
// stays, or is moved along with its data.
func twin(c wire.Common, v verdict, substatus, deviceID string, last *state.Device) *wire.InitialTwin {
	switch {
	case v.twin != nil:
		return v.twin
	case last == nil || last.ID != deviceID:
		return c.InitialTwin
	case substatus == wire.SubstatusReset:
		return c.InitialTwin
	}
	return last.Twin
}

// sticky reports whether a device stays on its hub whatever the allocation
// says: by policy, or because its client predates reprovisioning and the
// enrollment has no policy.
func sticky(policy *wire.ReprovisionPolicy, apiVersion string) bool {
	if policy == nil {
		return apiVersion <= "2018-04-01"
	}
	return policy.UpdateHubAssignment != nil && !*policy.UpdateHubAssignment
}

// Result is the device plane's view of a registration at time now. API versions
// before 2021-10-01 do not know the substatus of a return to the same hub.
func Result(reg state.Registration, apiVersion string, now time.Time) *wire.DeviceResult {
	if reg.Assigning(now) {
		return &wire.DeviceResult{RegistrationID: reg.RegistrationID, Status: wire.RegistrationAssigning}
	}
	created, updated := wire.At(reg.Created), wire.At(reg.Updated)
	out := &wire.DeviceResult{
		RegistrationID:         reg.RegistrationID,
		CreatedDateTimeUTC:     &created,
		LastUpdatedDateTimeUTC: &updated,
		AssignedHub:            reg.AssignedHub,
		DeviceID:               reg.DeviceID,
		Status:                 reg.Status,
		Substatus:              reg.Substatus,
		ErrorCode:              reg.ErrorCode,
		ErrorMessage:           reg.ErrorMessage,
		ETag:                   reg.ETag,
		Payload:                reg.Payload,
	}
	if out.Substatus == wire.SubstatusReprovisioned && apiVersion < "2021-10-01" {
		out.Substatus = wire.SubstatusInitial
	}
	switch {
	case reg.Attestation == wire.TypeX509:
		out.X509 = &wire.DeviceX509{EnrollmentGroupID: reg.GroupID}
	case reg.Attestation == wire.TypeSymmetricKey && reg.GroupID != "":
		out.SymmetricKey = &wire.DeviceKey{EnrollmentGroupID: reg.GroupID}
	}
	return out
}

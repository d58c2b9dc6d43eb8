package provision

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/state"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"
)

// Codes of registrations that fail after they were accepted.
const (
	codeCustomAllocation = 400207
	codeNoHub            = 400208
)

// outcome decides how the registration ends, given the record of the one
// before (the zero value if there is none).
func (s *Service) outcome(call Call, g grant, old state.Registration) state.Registration {
	now := s.stamp()
	reg := state.Registration{
		RegistrationID: call.RegistrationID, GroupID: g.groupID, Attestation: g.attestation,
		Created: now, Updated: now, ETag: state.NewETag(now),
	}
	if old.RegistrationID != "" {
		reg.RegistrationID, reg.Created = old.RegistrationID, old.Created
	}
	if g.common.ProvisioningStatus.Disabled() {
		reg.Status = wire.RegistrationDisabled
		return reg
	}
	hub, code, message := s.allocate(call, g.common, old)
	if code != 0 {
		reg.Status, reg.ErrorCode, reg.ErrorMessage = wire.RegistrationFailed, code, message
		return reg
	}
	reg.Status, reg.AssignedHub, reg.DeviceID = wire.RegistrationAssigned, hub, g.deviceID
	reg.Substatus = substatus(g.common.ReprovisionPolicy, hub, old)
	return reg
}

// substatus says what a device should make of the assignment.
func substatus(policy *wire.ReprovisionPolicy, hub string, old state.Registration) string {
	switch {
	case old.AssignedHub == "":
		return wire.SubstatusInitial
	case old.AssignedHub == hub:
		return wire.SubstatusReprovisioned
	case policy != nil && policy.MigrateDeviceData != nil && !*policy.MigrateDeviceData:
		return wire.SubstatusReset
	default:
		return wire.SubstatusMigrated
	}
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

// allocate picks a hub, or returns the code and message of a failure.
func (s *Service) allocate(call Call, c wire.Common, old state.Registration) (hub string, code int, message string) {
	hubs := s.candidates(c)
	switch {
	case old.AssignedHub != "" && sticky(c.ReprovisionPolicy, call.APIVersion) && slices.Contains(s.Hubs, old.AssignedHub):
		return old.AssignedHub, 0, ""
	case c.AllocationPolicy == wire.AllocateCustom:
		return "", codeCustomAllocation,
			"Custom allocation failed with status code: 404. The emulator makes no outbound connections."
	case len(hubs) == 0:
		return "", codeNoHub, "No linked IoT hub is available for this enrollment."
	case c.AllocationPolicy == wire.AllocateStatic || c.IotHubHostName != "":
		return hubs[0], 0, ""
	default:
		return rendezvous(state.Fold(call.RegistrationID), hubs), 0, ""
	}
}

// candidates are the linked hubs that the enrollment allows, in its order; all
// linked hubs if it names none. Static allocation needs a name.
func (s *Service) candidates(c wire.Common) []string {
	wanted := c.IotHubs
	if c.IotHubHostName != "" {
		wanted = []string{c.IotHubHostName}
	}
	if len(wanted) == 0 && c.AllocationPolicy != wire.AllocateStatic {
		return s.Hubs
	}
	var hubs []string
	for _, name := range wanted {
		i := slices.IndexFunc(s.Hubs, func(hub string) bool { return strings.EqualFold(hub, name) })
		if i >= 0 {
			hubs = append(hubs, s.Hubs[i])
		}
	}
	return hubs
}

// rendezvous gives each device one hub, evenly, and moves as few devices as
// possible when hubs come and go.
func rendezvous(registrationKey string, hubs []string) string {
	best, top := "", uint64(0)
	for _, hub := range hubs {
		sum := sha256.Sum256([]byte(strings.ToLower(hub) + "\x00" + registrationKey))
		if score := binary.BigEndian.Uint64(sum[:8]); best == "" || score > top {
			best, top = hub, score
		}
	}
	return best
}

package enrollment

import (
	"encoding/json"
	"fmt"
	"maps"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

// Overlay returns the stored object with every member that wanted has, and keeps
// what wanted leaves out: the form of an update from a file that lists a few
// settings. The result has the stored ETag, so that putting it updates exactly
// the version that was read.
//
// The kind of attestation cannot change that way: a device that attests by TPM
// does not become one with keys by an update. Then the error matches
// dps.ErrConflict.
func Overlay[T Object](stored, wanted T) (T, error) {
	s, w := Of(&stored), Of(&wanted)
	if err := overlayAttestation(s.Attestation, *w.Attestation); err != nil {
		return *new(T), err
	}
	over(s.Capabilities, *w.Capabilities)
	over(s.ProvisioningStatus, *w.ProvisioningStatus)
	over(s.ReprovisionPolicy, *w.ReprovisionPolicy)
	if s.Individual {
		over(s.DeviceID, *w.DeviceID)
		if len(*w.OptionalDeviceInformation) > 0 {
			*s.OptionalDeviceInformation = *w.OptionalDeviceInformation
		}
	}
	if twin := *w.InitialTwin; twin != nil {
		if twin.Tags != nil {
			s.SetTags(twin.Tags)
		}
		if twin.Properties != nil && twin.Properties.Desired != nil {
			s.SetDesired(twin.Properties.Desired)
		}
	}
	overlayAllocation(s, w)
	*s.Unknown = mergeUnknown(*s.Unknown, *w.Unknown)
	return stored, nil
}

// over replaces a value if there is one to replace it with.
func over[V comparable](target *V, value V) {
	var zero V
	if value != zero {
		*target = value
	}
}

// overlayAllocation replaces hubs, policy and webhook, and drops what no longer
// goes with them: a webhook without the policy custom, the older single hub.
func overlayAllocation(s, w Fields) {
	over(s.IoTHubHostName, *w.IoTHubHostName)
	over(s.AllocationPolicy, *w.AllocationPolicy)
	if len(*w.IoTHubs) > 0 {
		*s.IoTHubs = *w.IoTHubs
	}
	over(s.CustomAllocationDefinition, *w.CustomAllocationDefinition)
	if *w.AllocationPolicy == "" && len(*w.IoTHubs) == 0 {
		return
	}
	s.SettleAllocation()
}

// SettleAllocation drops what does not go with the allocation policy any more,
// after the policy was set: the webhook of another policy and the single hub of
// the older model.
func (f Fields) SettleAllocation() {
	if *f.AllocationPolicy == "" {
		return
	}
	*f.IoTHubHostName = ""
	if *f.AllocationPolicy != service.AllocationCustom {
		*f.CustomAllocationDefinition = nil
	}
}

func overlayAttestation(stored *service.Attestation, wanted service.Attestation) error {
	switch {
	case wanted.Type == "" || wanted.Type == stored.Type && wanted.Type == service.AttestationSymmetricKey && wanted.SymmetricKey == nil:
		return nil
	case wanted.Type != stored.Type:
		return fmt.Errorf("attestation: %w: stored is %s, wanted %s; an update cannot change the kind: delete the enrollment and create it again",
			dps.ErrConflict, stored.Type, wanted.Type)
	case wanted.Type == service.AttestationX509:
		if wanted.X509 != nil {
			overlayX509(stored, wanted)
		}
		return nil
	}
	unknown := mergeUnknown(stored.Unknown, wanted.Unknown)
	*stored = wanted
	stored.Unknown = unknown
	return nil
}

// overlayX509 keeps a stored secondary certificate if only a primary is wanted.
func overlayX509(stored *service.Attestation, wanted service.Attestation) {
	merged := *wanted.X509
	if stored.X509 != nil {
		merged.ClientCertificates = overlayPair(stored.X509.ClientCertificates, merged.ClientCertificates)
		merged.SigningCertificates = overlayPair(stored.X509.SigningCertificates, merged.SigningCertificates)
		merged.Unknown = mergeUnknown(stored.X509.Unknown, merged.Unknown)
	}
	stored.X509 = &merged
}

func overlayPair(stored, wanted *service.X509Certificates) *service.X509Certificates {
	if stored == nil || wanted == nil {
		return wanted
	}
	merged := *stored
	over(&merged.Primary, wanted.Primary)
	over(&merged.Secondary, wanted.Secondary)
	return &merged
}

func mergeUnknown(stored, wanted map[string]json.RawMessage) map[string]json.RawMessage {
	if len(wanted) == 0 {
		return stored
	}
	merged := maps.Clone(stored)
	if merged == nil {
		merged = map[string]json.RawMessage{}
	}
	maps.Copy(merged, wanted)
	return merged
}

// Replace returns wanted as an update of stored: what wanted leaves out is
// removed, but for what only the service has. Kept are members that the model
// does not know, symmetric keys if wanted names none, and certificates that
// wanted only describes. The result has the stored ETag.
func Replace[T Object](stored, wanted T) T {
	s, w := Of(&stored), Of(&wanted)
	*w.ID, *w.ETag = *s.ID, *s.ETag
	*w.Unknown = mergeUnknown(*s.Unknown, *w.Unknown)
	if w.Attestation.Type == s.Attestation.Type {
		w.Attestation.Unknown = mergeUnknown(s.Attestation.Unknown, w.Attestation.Unknown)
	}
	return wanted
}

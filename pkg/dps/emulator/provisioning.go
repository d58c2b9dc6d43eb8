package emulator

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/provision"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/state"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/store"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/webhook"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"
)

// MaxHubWeight is the largest allocation weight of the service.
const MaxHubWeight = 1000

// checkAllocation checks what decides which hub a device gets.
func (s *settings) checkAllocation() error {
	policies := []string{"", wire.AllocateHashed, wire.AllocateGeoLatency, wire.AllocateStatic}
	if !slices.Contains(policies, s.AllocationPolicy) {
		return badOption("AllocationPolicy", s.AllocationPolicy, "want hashed, geoLatency or static")
	}
	for i, name := range s.Hubs {
		if isLinked(s.Hubs[:i], name) {
			return badOption("Hubs", name, "it is given twice")
		}
	}
	for name, h := range s.HubSettings {
		switch {
		case !isLinked(s.Hubs, name):
			return badOption("HubSettings", name, "it is not among the linked hubs")
		case h.Weight != nil && (*h.Weight < 0 || *h.Weight > MaxHubWeight):
			return badOption("HubSettings", name, "weight %d: want 0 to %d", *h.Weight, MaxHubWeight)
		case h.Latency < 0:
			return badOption("HubSettings", name, "latency %v: want 0 or more", h.Latency)
		}
	}
	return nil
}

// isLinked looks for a hub without regard to case.
func isLinked(hubs []string, name string) bool {
	return slices.ContainsFunc(hubs, func(hub string) bool { return strings.EqualFold(hub, name) })
}

// hub returns the settings of a linked hub.
func (s *settings) hub(name string) HubSettings {
	for n, h := range s.HubSettings {
		if strings.EqualFold(n, name) {
			return h
		}
	}
	return HubSettings{}
}

// hubWeights are the weights that were set.
func (s *settings) hubWeights() map[string]int {
	weights := map[string]int{}
	for _, name := range s.Hubs {
		if w := s.hub(name).Weight; w != nil {
			weights[name] = *w
		}
	}
	return weights
}

// provisioning is the service behind the device plane, whatever the transport.
func (s *settings) provisioning(st store.Store) *provision.Service {
	service := &provision.Service{
		Store: st, IDScope: s.IDScope, AllocationPolicy: s.AllocationPolicy,
		Webhook: webhook.New(webhook.Config{
			AllowRemote: s.AllowRemoteWebhooks, RootCAs: s.WebhookRootCAs, Timeout: s.WebhookTimeout,
		}),
		Logger: s.Logger, Now: s.Now, Pace: s.RetryAfter / 2, MaxInFlight: s.MaxRegistrations,
	}
	for _, name := range s.Hubs {
		hub := provision.Hub{Name: name, Weight: 1, Latency: s.hub(name).Latency}
		if w := s.hub(name).Weight; w != nil {
			hub.Weight = *w
		}
		service.Hubs = append(service.Hubs, hub)
	}
	return service
}

// Device is the identity that the last successful registration of a device has
// left on an IoT hub. The emulator has no hub; this is what one would have.
type Device struct {
	RegistrationID string
	// Hub is the host name of the hub, ID the device id there.
	Hub, ID string
	// CertificateThumbprint is SHA-256 over the certificate that the hub
	// accepts, lower-case hex. The identity has authentication type
	// selfSigned then, even if a CA issued the certificate. "" means that the
	// device has a symmetric key.
	CertificateThumbprint string
	// IotEdge is set for an IoT Edge device.
	IotEdge bool
	// Tags and Desired are what the twin started with, JSON objects; nil if
	// nothing was asked for. A twin that was migrated keeps what it had.
	Tags, Desired json.RawMessage
	// Updated is when the record was written last.
	Updated time.Time
}

// Device returns what the registration of a device has left on a hub, also
// while it still shows as assigning; false if it was never assigned, or if its
// record was deleted. A device whose last registration failed is still where an
// earlier one has put it.
func (e *Emulator) Device(ctx context.Context, registrationID string) (Device, bool, error) {
	var reg state.Registration
	err := e.store.View(ctx, func(r store.Reader) (err error) {
		reg, _, err = state.GetRegistration(r, registrationID)
		return err
	})
	if err != nil {
		return Device{}, false, fmt.Errorf("read device %q: %w", registrationID, err)
	}
	d := reg.LastDevice()
	if d == nil {
		return Device{}, false, nil
	}
	out := Device{
		RegistrationID: reg.RegistrationID, Hub: d.Hub, ID: d.ID, CertificateThumbprint: d.Certificate,
		IotEdge: d.IotEdge, Updated: reg.Updated,
	}
	if d.Twin != nil {
		out.Tags = slices.Clone(d.Twin.Tags)
		if d.Twin.Properties != nil {
			out.Desired = slices.Clone(d.Twin.Properties.Desired)
		}
	}
	return out, true, nil
}

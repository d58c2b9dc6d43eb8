package armapi

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/web"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"
)

// location is the region of the emulated service.
const location = "emulator"

func (a *api) listServices(*web.Request) (*web.Response, error) {
	return web.OK(wire.List[wire.ServiceResource]{Value: []wire.ServiceResource{a.resource()}})
}

func (a *api) getService(*web.Request) (*web.Response, error) {
	return web.OK(a.resource())
}

// resource describes the one service of the emulator. The host names are those
// where this emulator listens, so that clients which read them find it.
func (a *api) resource() wire.ServiceResource {
	hubs := make([]wire.LinkedHub, 0, len(a.Hubs))
	for _, hub := range a.Hubs {
		hubs = append(hubs, a.linkedHub(hub))
	}
	version := sha256.Sum256([]byte(strings.Join(append([]string{a.Name, a.IDScope}, a.Hubs...), "\n")))
	return wire.ServiceResource{
		ETag:     base64.StdEncoding.EncodeToString(version[:8]),
		Name:     a.Name,
		Location: location,
		Properties: wire.ServiceProperties{
			State: "Active", ProvisioningState: "Succeeded", IotHubs: hubs, AllocationPolicy: a.allocationPolicy(),
			ServiceOperationsHostName: a.HostName, DeviceProvisioningHostName: a.HostName, IDScope: a.IDScope,
		},
		ResourceGroup:  a.ResourceGroup,
		Type:           "Microsoft.Devices/provisioningServices",
		ID:             a.id(),
		SubscriptionID: a.SubscriptionID,
		Tags:           map[string]string{},
		SKU:            wire.SKU{Name: "S1", Tier: "Standard", Capacity: 1},
	}
}

// linkedHub describes a hub. Weight and participation show only if they were
// set, as in the service.
func (a *api) linkedHub(name string) wire.LinkedHub {
	hub := wire.LinkedHub{
		Name:             name,
		ConnectionString: fmt.Sprintf("HostName=%s;SharedAccessKeyName=iothubowner;SharedAccessKey=****", name),
		Location:         location,
	}
	weight, set := a.HubWeights[name]
	switch {
	case set && weight > 0:
		hub.AllocationWeight = weight
	case set:
		hub.ApplyAllocationPolicy = new(bool)
	}
	return hub
}

// allocationPolicy is the policy of the service in the spelling of this plane.
func (a *api) allocationPolicy() string {
	switch a.AllocationPolicy {
	case wire.AllocateGeoLatency:
		return "GeoLatency"
	case wire.AllocateStatic:
		return "Static"
	}
	return "Hashed"
}

// id is the resource identifier of the service.
func (a *api) id() string {
	return fmt.Sprintf("/subscriptions/%s/resourceGroups/%s/providers/Microsoft.Devices/provisioningServices/%s",
		a.SubscriptionID, a.ResourceGroup, a.Name)
}

func (a *api) listKeys(*web.Request) (*web.Response, error) {
	return web.OK(wire.List[wire.AccessKey]{Value: []wire.AccessKey{a.accessKey()}})
}

func (a *api) getKey(req *web.Request) (*web.Response, error) {
	name := req.Param("key")
	if !strings.EqualFold(name, a.KeyName) {
		return nil, provider(http.StatusNotFound, 404001, "key-name", fmt.Sprintf("Key name not found: %s.", name))
	}
	return web.OK(a.accessKey())
}

func (a *api) accessKey() wire.AccessKey {
	return wire.AccessKey{
		KeyName: a.KeyName, PrimaryKey: a.PrimaryKey, SecondaryKey: a.SecondaryKey,
		Rights: "ServiceConfig, DeviceConnect, EnrollmentWrite",
	}
}

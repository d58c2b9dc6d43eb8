package armapi

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/web"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"
)

// The linked hubs exist as resources of the same group, with CA certificates of
// their own. The resource name is the first part of the host name.

// hubName is the resource name of the hub with this host name.
func hubName(host string) string {
	name, _, _ := strings.Cut(host, ".")
	return name
}

// hubHost finds the linked hub with this resource name.
func (a *api) hubHost(name string) (host string, found bool) {
	for _, host := range a.Hubs {
		if strings.EqualFold(hubName(host), name) {
			return host, true
		}
	}
	return "", false
}

// hubID is the resource identifier of a linked hub, with the name as the hub
// has it.
func (a *api) hubID(name string) string {
	if host, found := a.hubHost(name); found {
		name = hubName(host)
	}
	return fmt.Sprintf("/subscriptions/%s/resourceGroups/%s/providers/Microsoft.Devices/IotHubs/%s",
		a.SubscriptionID, a.ResourceGroup, name)
}

func (a *api) listHubs(*web.Request) (*web.Response, error) {
	list := wire.List[wire.HubResource]{Value: []wire.HubResource{}}
	for _, host := range a.Hubs {
		list.Value = append(list.Value, a.hub(host))
	}
	return web.OK(list)
}

func (a *api) getHub(req *web.Request) (*web.Response, error) {
	host, _ := a.hubHost(req.Param("hub")) // checkScope has found it
	return web.OK(a.hub(host))
}

func (a *api) hub(host string) wire.HubResource {
	version := sha256.Sum256([]byte(host))
	return wire.HubResource{
		ID: a.hubID(hubName(host)), Name: hubName(host), Type: "Microsoft.Devices/IotHubs", Location: location,
		Tags: map[string]string{}, SubscriptionID: a.SubscriptionID, ResourceGroup: a.ResourceGroup,
		ETag:       base64.StdEncoding.EncodeToString(version[:8]),
		Properties: wire.HubProperties{State: "Active", ProvisioningState: "Succeeded", HostName: host},
		SKU:        wire.SKU{Name: "S1", Tier: "Standard", Capacity: 1},
	}
}

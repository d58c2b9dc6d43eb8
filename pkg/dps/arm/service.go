package arm

import (
	"context"
	"errors"
	"fmt"

	azarm "github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	armdps "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/deviceprovisioningservices/armdeviceprovisioningservices"
	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/internal/rest"
)

// Service describes a provisioning service.
type Service struct {
	Name string `json:"name"`
	// SubscriptionID and ResourceGroup are where it lies, see [Service.Scope].
	SubscriptionID string `json:"subscriptionId"`
	ResourceGroup  string `json:"resourceGroup"`
	// IDScope is what devices send; empty while the service is being created.
	IDScope string `json:"idScope"`
	// ServiceHost is the endpoint of the service API, for package service.
	ServiceHost string `json:"serviceHost"`
	// DeviceHost is the endpoint of the device API, for package device.
	DeviceHost string `json:"deviceHost"`
	// State is "Active" when the service is ready.
	State    string `json:"state"`
	Location string `json:"location"`
	// AllocationPolicy is Hashed, GeoLatency or Static.
	AllocationPolicy string `json:"allocationPolicy"`
	// Hubs are the host names of the linked IoT hubs.
	Hubs []string `json:"hubs"`
}

// Scope names the service, for [NewClient].
func (s Service) Scope() Scope {
	return Scope{SubscriptionID: s.SubscriptionID, ResourceGroup: s.ResourceGroup, ServiceName: s.Name}
}

// ConnectionString is what a program needs to use the service API with this
// key, in the form in which the portal shows it. It is a secret.
func (s Service) ConnectionString(k Key) dps.Secret {
	return dps.Secret(fmt.Sprintf("HostName=%s;SharedAccessKeyName=%s;SharedAccessKey=%s", s.ServiceHost, k.Name, k.Primary.Reveal()))
}

// GetService returns the data of the service. Keys are never part of it.
func (c *Client) GetService(ctx context.Context) (Service, error) {
	call := &rest.Call{Op: fmt.Sprintf("get provisioning service %q", c.scope.ServiceName)}
	ctx, cancel := c.config.Start(ctx, call)
	defer cancel()
	resp, err := c.services.Get(ctx, c.scope.ServiceName, c.scope.ResourceGroup, nil)
	if err != nil {
		return Service{}, finish(call.Op, err)
	}
	if resp.Properties == nil {
		return Service{}, finish(call.Op, errors.New("no properties in it"))
	}
	s := fromDescription(resp.ProvisioningServiceDescription)
	// The caller knows where the service lies; an answer without an id is rare.
	for _, part := range []struct{ field, known *string }{
		{&s.Name, &c.scope.ServiceName}, {&s.SubscriptionID, &c.scope.SubscriptionID}, {&s.ResourceGroup, &c.scope.ResourceGroup},
	} {
		if *part.field == "" {
			*part.field = *part.known
		}
	}
	return s, nil
}

// fromDescription converts the resource.
func fromDescription(d armdps.ProvisioningServiceDescription) Service {
	p := deref(d.Properties)
	s := Service{
		Name: deref(d.Name), Location: deref(d.Location),
		IDScope: deref(p.IDScope), State: string(deref(p.State)), AllocationPolicy: string(deref(p.AllocationPolicy)),
		ServiceHost: deref(p.ServiceOperationsHostName), DeviceHost: deref(p.DeviceProvisioningHostName),
		Hubs: []string{},
	}
	s.SubscriptionID, s.ResourceGroup = place(deref(d.ID))
	for _, hub := range p.IotHubs {
		if name := deref(deref(hub).Name); name != "" {
			s.Hubs = append(s.Hubs, name)
		}
	}
	return s
}

// place reads subscription and resource group from a resource id.
func place(id string) (subscription, group string) {
	parsed, err := azarm.ParseResourceID(id)
	if err != nil {
		return "", ""
	}
	return parsed.SubscriptionID, parsed.ResourceGroupName
}

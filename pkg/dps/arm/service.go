package arm

import (
	"context"
	"fmt"

	"github.com/dpskit/dpskit/pkg/dps/internal/rest"
)

// Service describes a provisioning service.
type Service struct {
	Name string `json:"name"`
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

// GetService returns the data of the service. Keys are never part of it.
func (c *Client) GetService(ctx context.Context) (Service, error) {
	call := &rest.Call{Op: fmt.Sprintf("get provisioning service %q", c.scope.ServiceName)}
	ctx, cancel := c.config.Start(ctx, call)
	defer cancel()
	resp, err := c.services.Get(ctx, c.scope.ServiceName, c.scope.ResourceGroup, nil)
	if err != nil {
		return Service{}, finish(call.Op, err)
	}
	p := deref(resp.Properties)
	s := Service{
		Name: deref(resp.Name), Location: deref(resp.Location),
		IDScope: deref(p.IDScope), State: string(deref(p.State)), AllocationPolicy: string(deref(p.AllocationPolicy)),
		ServiceHost: deref(p.ServiceOperationsHostName), DeviceHost: deref(p.DeviceProvisioningHostName),
		Hubs: []string{},
	}
	for _, hub := range p.IotHubs {
		s.Hubs = append(s.Hubs, deref(deref(hub).Name))
	}
	return s, nil
}

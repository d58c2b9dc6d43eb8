package arm

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/iothub/armiothub"
	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/internal/rest"
)

// HubScope names one IoT hub.
type HubScope struct {
	// SubscriptionID is a GUID.
	SubscriptionID string
	ResourceGroup  string
	// HubName is the resource name, the first part of the host name.
	HubName string
}

func (s HubScope) check() error {
	return checkSegments("subscription id", s.SubscriptionID, "resource group", s.ResourceGroup, "hub name", s.HubName)
}

// HubClient manages the CA certificates of one IoT hub, which devices that
// connect to the hub without provisioning need. It is safe for concurrent use.
type HubClient struct {
	CertificateClient

	scope HubScope
	hubs  *armiothub.ResourceClient
}

// NewHubClient returns a client for the hub that scope names. It sends nothing
// yet.
func NewHubClient(scope HubScope, cred azcore.TokenCredential, opts *ClientOptions) (*HubClient, error) {
	const op = "create ARM client"
	if err := scope.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	p, azOptions, err := newPlane(cred, opts)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	factory, err := armiothub.NewClientFactory(scope.SubscriptionID, rest.Credential(cred), azOptions)
	if err != nil {
		return nil, fmt.Errorf("%s: %v", op, err)
	}
	return &HubClient{
		CertificateClient: CertificateClient{plane: p, certificates: hubBackend{factory.NewCertificatesClient(), scope}},
		scope:             scope, hubs: factory.NewResourceClient(),
	}, nil
}

// Hub describes an IoT hub.
type Hub struct {
	Name           string `json:"name"`
	SubscriptionID string `json:"subscriptionId"`
	ResourceGroup  string `json:"resourceGroup"`
	HostName       string `json:"hostName"`
	State          string `json:"state"`
	Location       string `json:"location"`
}

// Scope names the hub, for [NewHubClient].
func (h Hub) Scope() HubScope {
	return HubScope{SubscriptionID: h.SubscriptionID, ResourceGroup: h.ResourceGroup, HubName: h.Name}
}

// GetHub returns the data of the hub.
func (c *HubClient) GetHub(ctx context.Context) (Hub, error) {
	call := &rest.Call{Op: fmt.Sprintf("get IoT hub %q", c.scope.HubName)}
	ctx, cancel := c.config.Start(ctx, call)
	defer cancel()
	resp, err := c.hubs.Get(ctx, c.scope.ResourceGroup, c.scope.HubName, nil)
	if err != nil {
		return Hub{}, finish(call.Op, err)
	}
	if resp.Properties == nil {
		return Hub{}, finish(call.Op, errors.New("no properties in it"))
	}
	return fromHubDescription(resp.Description), nil
}

// Hubs lists the IoT hubs, in no particular order. The first error ends the
// sequence.
func (c *SubscriptionClient) Hubs(ctx context.Context, opts *ListOptions) iter.Seq2[Hub, error] {
	const op = "list IoT hubs"
	group := ""
	if opts != nil {
		group = opts.ResourceGroup
	}
	if group == "" {
		return pages(ctx, c.plane, op, c.hubs.NewListBySubscriptionPager(nil), func(r armiothub.ResourceClientListBySubscriptionResponse) ([]Hub, *string, error) {
			return listed(r.Value, r.NextLink, fromHubDescription)
		})
	}
	if err := checkSegment("resource group", group); err != nil {
		return func(yield func(Hub, error) bool) { yield(Hub{}, fmt.Errorf("%s: %w", op, err)) }
	}
	return pages(ctx, c.plane, op, c.hubs.NewListByResourceGroupPager(group, nil), func(r armiothub.ResourceClientListByResourceGroupResponse) ([]Hub, *string, error) {
		return listed(r.Value, r.NextLink, fromHubDescription)
	})
}

// FindHub looks for the IoT hub with this name, or this host name, in the whole
// subscription. Names are compared without case. It fails with dps.ErrNotFound
// if there is none.
func (c *SubscriptionClient) FindHub(ctx context.Context, name string) (Hub, error) {
	for h, err := range c.Hubs(ctx, nil) {
		if err != nil {
			return Hub{}, err
		}
		if strings.EqualFold(h.Name, name) || h.HostName != "" && strings.EqualFold(h.HostName, name) {
			return h, nil
		}
	}
	return Hub{}, fmt.Errorf("find IoT hub %q: %w in subscription %s", name, dps.ErrNotFound, c.subscription)
}

func fromHubDescription(d armiothub.Description) Hub {
	p := deref(d.Properties)
	h := Hub{Name: deref(d.Name), HostName: deref(p.HostName), State: deref(p.State), Location: deref(d.Location)}
	h.SubscriptionID, h.ResourceGroup = place(deref(d.ID))
	return h
}

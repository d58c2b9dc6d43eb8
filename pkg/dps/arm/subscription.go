package arm

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	armdps "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/deviceprovisioningservices/armdeviceprovisioningservices"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/iothub/armiothub"
	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/internal/rest"
)

// maxPages bounds a list, so that a server which always has one more page does
// not keep the caller for ever.
const maxPages = 1000

// SubscriptionClient finds resources in one subscription. It is safe for
// concurrent use.
type SubscriptionClient struct {
	plane        plane
	subscription string
	services     *armdps.IotDpsResourceClient
	hubs         *armiothub.ResourceClient
}

// NewSubscriptionClient returns a client for a subscription, a GUID. It sends
// nothing yet. ClientOptions.APIVersion must be left empty if both services and
// hubs are looked for: their versions differ.
func NewSubscriptionClient(subscriptionID string, cred azcore.TokenCredential, opts *ClientOptions) (*SubscriptionClient, error) {
	const op = "create ARM client"
	if err := checkSegment("subscription id", subscriptionID); err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	p, azOptions, err := newPlane(cred, opts)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	factory, err := armdps.NewClientFactory(subscriptionID, rest.Credential(cred), azOptions)
	if err != nil {
		return nil, fmt.Errorf("%s: %v", op, err)
	}
	hubs, err := armiothub.NewResourceClient(subscriptionID, rest.Credential(cred), azOptions)
	if err != nil {
		return nil, fmt.Errorf("%s: %v", op, err)
	}
	return &SubscriptionClient{plane: p, subscription: subscriptionID, services: factory.NewIotDpsResourceClient(), hubs: hubs}, nil
}

// ListOptions are the choices of a list.
type ListOptions struct {
	// ResourceGroup restricts the list to one group; empty lists the whole
	// subscription.
	ResourceGroup string
}

// Services lists the provisioning services, in no particular order. The first
// error ends the sequence.
func (c *SubscriptionClient) Services(ctx context.Context, opts *ListOptions) iter.Seq2[Service, error] {
	const op = "list provisioning services"
	group := ""
	if opts != nil {
		group = opts.ResourceGroup
	}
	if group == "" {
		pager := c.services.NewListBySubscriptionPager(nil)
		return pages(ctx, c.plane, op, pager, func(r armdps.IotDpsResourceClientListBySubscriptionResponse) ([]Service, *string, error) {
			return listed(r.Value, r.NextLink, fromDescription)
		})
	}
	if err := checkSegment("resource group", group); err != nil {
		return func(yield func(Service, error) bool) { yield(Service{}, fmt.Errorf("%s: %w", op, err)) }
	}
	pager := c.services.NewListByResourceGroupPager(group, nil)
	return pages(ctx, c.plane, op, pager, func(r armdps.IotDpsResourceClientListByResourceGroupResponse) ([]Service, *string, error) {
		return listed(r.Value, r.NextLink, fromDescription)
	})
}

// FindService looks for the provisioning service with this name in the whole
// subscription, as its owner may not know the resource group. Names are
// compared without case. It fails with dps.ErrNotFound if there is none.
func (c *SubscriptionClient) FindService(ctx context.Context, name string) (Service, error) {
	for s, err := range c.Services(ctx, nil) {
		if err != nil {
			return Service{}, err
		}
		if strings.EqualFold(s.Name, name) {
			return s, nil
		}
	}
	return Service{}, fmt.Errorf("find provisioning service %q: %w in subscription %s", name, dps.ErrNotFound, c.subscription)
}

// listed converts a page of a list. An answer without a list is none.
func listed[A, T any](value []*A, next *string, convert func(A) T) ([]T, *string, error) {
	if value == nil {
		return nil, nil, errors.New("no list in it")
	}
	items := make([]T, 0, len(value))
	for _, item := range value {
		items = append(items, convert(deref(item)))
	}
	return items, next, nil
}

// pages walks through the pages of a list. A link to the next page leads to the
// same host, or the token would go elsewhere.
func pages[R, T any](ctx context.Context, p plane, op string, pager *runtime.Pager[R], read func(R) ([]T, *string, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		seen := map[string]bool{}
		for pager.More() {
			call := &rest.Call{Op: op}
			callCtx, cancel := p.config.Start(ctx, call)
			resp, err := pager.NextPage(callCtx)
			cancel()
			if err != nil {
				yield(*new(T), finish(op, err))
				return
			}
			items, next, err := read(resp)
			if err != nil {
				yield(*new(T), finish(op, err))
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			link := deref(next)
			err = p.checkLink(link)
			if err == nil && link != "" && (seen[link] || len(seen) >= maxPages) {
				err = errors.New("the list does not end")
			}
			if err != nil {
				yield(*new(T), finish(op, err))
				return
			}
			seen[link] = true
		}
	}
}

// checkLink refuses a next page on another host.
func (p plane) checkLink(link string) error {
	if link == "" {
		return nil
	}
	u, err := url.Parse(link)
	if err != nil || u.Scheme != "https" || !strings.EqualFold(withPort(u.Host), withPort(p.host)) || u.User != nil {
		return errors.New("the next page is on another host")
	}
	return nil
}

// withPort adds the port that https leaves out: links of Azure carry it.
func withPort(host string) string {
	if strings.HasSuffix(host, ":443") {
		return host
	}
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		return host
	}
	return host + ":443"
}

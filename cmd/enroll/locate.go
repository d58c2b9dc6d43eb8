package main

import (
	"context"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps/arm"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
)

// locate completes what is known of the DPS resource for Azure Resource
// Manager. A name alone, or the host in a connection string, is looked up in
// the subscription; an emulator has one service only.
func (ep *endpoint) locate(ctx context.Context) error {
	if ep.opts.Name == "" && !ep.emulator {
		ep.opts.Name = nameInHost(ep.host)
	}
	switch {
	case ep.emulator && ep.opts.Name == "":
		return ep.locateEmulated(ctx)
	case ep.emulator, ep.opts.ResourceGroup != "", ep.opts.Name == "", ep.opts.Subscription == "":
		return nil // known, or what is missing is asked of the user
	}
	client, err := ep.subscription()
	if err != nil {
		return err
	}
	svc, err := client.FindService(ctx, ep.opts.Name)
	if err != nil {
		return noService(err)
	}
	ep.opts.Name, ep.opts.ResourceGroup = svc.Name, svc.ResourceGroup
	return nil
}

func (ep *endpoint) locateEmulated(ctx context.Context) error {
	client, err := ep.subscription()
	if err != nil {
		return err
	}
	for svc, err := range client.Services(ctx, nil) {
		if err != nil {
			return err
		}
		ep.opts.Name = svc.Name
		fillEmpty(&ep.opts.ResourceGroup, svc.ResourceGroup)
		break
	}
	return nil
}

// nameInHost is the name of the resource with this service host, if it is in one
// of Azure's clouds.
func nameInHost(host string) string {
	for _, c := range clouds() {
		if name, found := strings.CutSuffix(hostName(host), c.suffix); found && !strings.Contains(name, ".") {
			return name
		}
	}
	return ""
}

// noService adds to a name that the subscription does not have what can be done.
func noService(err error) error {
	if exitCodeOf(err) != cliapp.ExitNotFound {
		return err
	}
	return cliapp.WithHint(err, "see what there is with 'enroll service list', or name another subscription with --%s", flagSubscription)
}

// subscription returns the client that finds resources by their name.
func (ep *endpoint) subscription() (*arm.SubscriptionClient, error) {
	subscription := ep.opts.Subscription
	if ep.emulator {
		fillEmpty(&subscription, emulator.DefaultSubscriptionID)
	}
	if subscription == "" {
		return nil, noSubscription()
	}
	token, err := ep.token()
	if err != nil {
		return nil, err
	}
	return arm.NewSubscriptionClient(subscription, token, ep.armOptions())
}

// armOptions are the options of every client of Azure Resource Manager.
func (ep *endpoint) armOptions() *arm.ClientOptions {
	opts := &arm.ClientOptions{HTTPClient: ep.client, Logger: ep.opts.Logger, APIVersion: ep.opts.ARMVersion, Timeout: ep.opts.Timeout,
		Lost: ep.waits.lost}
	if ep.emulator {
		opts.Endpoint = "https://" + ep.host
	} else if chosen, err := chooseCloud(ep.opts.Cloud, ep.host); err == nil { // else token has refused it
		opts.Endpoint = chosen.config.Services[cloud.ResourceManager].Endpoint
	}
	return opts
}

// hub returns the client of an IoT hub, which may be named by its resource name
// or by its host name. Without a resource group it is looked up in the
// subscription.
func (ep *endpoint) hub(ctx context.Context, name string) (*arm.HubClient, error) {
	scope := arm.HubScope{SubscriptionID: ep.opts.Subscription, ResourceGroup: ep.opts.ResourceGroup}
	scope.HubName, _, _ = strings.Cut(name, ".")
	if ep.emulator {
		fillEmpty(&scope.SubscriptionID, emulator.DefaultSubscriptionID)
		fillEmpty(&scope.ResourceGroup, emulator.DefaultResourceGroup)
	}
	if scope.ResourceGroup == "" {
		finder, err := ep.subscription()
		if err != nil {
			return nil, err
		}
		hub, err := finder.FindHub(ctx, name)
		if err != nil {
			return nil, noHub(err)
		}
		scope = hub.Scope()
	}
	if scope.SubscriptionID == "" {
		return nil, noSubscription()
	}
	token, err := ep.token()
	if err != nil {
		return nil, err
	}
	return arm.NewHubClient(scope, token, ep.armOptions())
}

func noHub(err error) error {
	if exitCodeOf(err) != cliapp.ExitNotFound {
		return err
	}
	return cliapp.WithHint(err, "'az iot hub list' shows the hubs; name another subscription with --%s", flagSubscription)
}

func noSubscription() error {
	return cliapp.WithHint(cliapp.Usagef("no subscription given: give --%s or set %s", flagSubscription, envSubscription),
		"'az account show --query id' prints that of your sign-in")
}

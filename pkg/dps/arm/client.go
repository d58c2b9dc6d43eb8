package arm

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	azarm "github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	armdps "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/deviceprovisioningservices/armdeviceprovisioningservices"
	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/internal/rest"
)

// Scope names one provisioning service.
type Scope struct {
	// SubscriptionID is a GUID.
	SubscriptionID string
	ResourceGroup  string
	// ServiceName is the resource name, not a host name.
	ServiceName string
}

// check refuses what cannot be one segment of a resource id.
func (s Scope) check() error {
	return checkSegments("subscription id", s.SubscriptionID, "resource group", s.ResourceGroup, "service name", s.ServiceName)
}

// checkSegments checks pairs of a name and a value.
func checkSegments(pairs ...string) error {
	for i := 0; i < len(pairs); i += 2 {
		if err := checkSegment(pairs[i], pairs[i+1]); err != nil {
			return err
		}
	}
	return nil
}

func checkSegment(name, value string) error {
	switch {
	case value == "":
		return fmt.Errorf("%s is empty: %w", name, ErrInvalidScope)
	case len(value) > 90 || !segment.MatchString(value) || strings.Trim(value, ".") == "":
		return fmt.Errorf("%s is %w", name, ErrInvalidScope)
	}
	return nil
}

// ErrInvalidScope marks a subscription, a group or a name that cannot be part
// of a resource id.
var ErrInvalidScope = errors.New("not valid in a resource id")

// segment is what a resource group may be called; the other parts are narrower
// (https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules).
var segment = regexp.MustCompile(`^[\p{L}\p{N}._()-]+$`)

// ClientOptions are the choices of a [Client]. Nil and zero fields mean the
// defaults; a duration of 0 never means "forever".
type ClientOptions struct {
	// Endpoint is the URL of Azure Resource Manager; default the public cloud,
	// https://management.azure.com.
	Endpoint string
	// Audience is what access tokens are asked for; default that of the
	// endpoint's cloud, and the endpoint itself if it is none of Azure's.
	Audience string
	// APIVersion overrides the version of the official client, 2022-02-05 for a
	// provisioning service and 2023-06-30 for an IoT hub. Only later versions have
	// the same bodies.
	APIVersion string
	// HTTPClient sends the requests: set its transport to trust a private root.
	// The default trusts the roots of the system and heeds the proxy variables
	// of the environment. Redirects are never followed, whatever it says.
	HTTPClient *http.Client
	// Logger receives a debug record per request, without headers and bodies;
	// nil discards.
	Logger *slog.Logger
	// Now is the clock; default time.Now.
	Now func() time.Time
	// MaxRetries is the number of further attempts after the first; default 4,
	// negative for none.
	MaxRetries int
	// RetryDelay is the first delay of an exponential back-off with jitter;
	// default 0.8 s.
	RetryDelay time.Duration
	// MaxRetryDelay caps each delay, also one that the service asks for with
	// Retry-After; default one minute.
	MaxRetryDelay time.Duration
	// TryTimeout bounds one request; default one minute.
	TryTimeout time.Duration
	// Timeout bounds one operation with its retries; default five minutes. Prove
	// is several operations.
	Timeout time.Duration
	// Lost, which may be nil, is called when a request got no usable answer and
	// will be sent again, with one line that says why. It may be called by several
	// goroutines at once.
	Lost func(host, cause string)
}

// plane is the way to Azure Resource Manager that the clients share.
type plane struct {
	config rest.Config
	now    func() time.Time
	host   string // of the endpoint, with a port if it has one
}

// newPlane checks what every client of this package needs and returns the
// options for the official ones.
func newPlane(cred azcore.TokenCredential, opts *ClientOptions) (plane, *azarm.ClientOptions, error) {
	if opts == nil {
		opts = &ClientOptions{}
	}
	if cred == nil {
		return plane{}, nil, errors.New("no credential")
	}
	services, host, err := services(opts.Endpoint, opts.Audience)
	if err != nil {
		return plane{}, nil, err
	}
	p := plane{host: host, now: opts.Now, config: rest.Config{
		HTTPClient: opts.HTTPClient, Logger: opts.Logger, Now: opts.Now,
		MaxRetries: opts.MaxRetries, RetryDelay: opts.RetryDelay, MaxRetryDelay: opts.MaxRetryDelay,
		TryTimeout: opts.TryTimeout, Timeout: opts.Timeout, Lost: opts.Lost,
	}}
	if p.now == nil {
		p.now = time.Now
	}
	// Registering the provider in the subscription is the owner's decision.
	azOptions := &azarm.ClientOptions{ClientOptions: p.config.ClientOptions(), DisableRPRegistration: true}
	azOptions.Cloud = services
	azOptions.APIVersion = opts.APIVersion
	return p, azOptions, nil
}

// Client manages one provisioning service: its CA certificates, its data, its
// keys. It is safe for concurrent use.
type Client struct {
	CertificateClient

	scope    Scope
	services *armdps.IotDpsResourceClient
}

// NewClient returns a client for the service that scope names. It sends
// nothing yet.
func NewClient(scope Scope, cred azcore.TokenCredential, opts *ClientOptions) (*Client, error) {
	if err := scope.check(); err != nil {
		return nil, fmt.Errorf("create ARM client: %w", err)
	}
	p, azOptions, err := newPlane(cred, opts)
	if err != nil {
		return nil, fmt.Errorf("create ARM client: %w", err)
	}
	factory, err := armdps.NewClientFactory(scope.SubscriptionID, rest.Credential(cred), azOptions)
	if err != nil {
		return nil, fmt.Errorf("create ARM client: %v", err)
	}
	return &Client{
		CertificateClient: CertificateClient{plane: p, certificates: serviceBackend{factory.NewDpsCertificateClient(), scope}},
		scope:             scope, services: factory.NewIotDpsResourceClient(),
	}, nil
}

// services returns the cloud that an endpoint belongs to, and its host.
func services(endpoint, audience string) (config cloud.Configuration, host string, err error) {
	public := cloud.AzurePublic.Services[cloud.ResourceManager]
	if endpoint == "" {
		endpoint = public.Endpoint
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return cloud.Configuration{}, "", errors.New("endpoint is not an https URL of a host")
	}
	if err := dps.CheckHost(u.Host); err != nil {
		return cloud.Configuration{}, "", fmt.Errorf("endpoint: %w", err)
	}
	endpoint = strings.TrimSuffix(endpoint, "/")
	if audience == "" {
		audience = "https://" + u.Host
		for _, known := range []cloud.Configuration{cloud.AzurePublic, cloud.AzureGovernment, cloud.AzureChina} {
			if s := known.Services[cloud.ResourceManager]; strings.EqualFold(s.Endpoint, endpoint) {
				audience = s.Audience
			}
		}
	}
	return cloud.Configuration{Services: map[cloud.ServiceName]cloud.ServiceConfiguration{
		cloud.ResourceManager: {Endpoint: endpoint, Audience: audience},
	}}, u.Host, nil
}

package service

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/internal/rest"
)

// DefaultAPIVersion is the newest version that the service documents as stable.
const DefaultAPIVersion = "2021-10-01"

// ClientOptions are the choices of a [Client]. Nil and zero fields mean the
// defaults; a duration of 0 never means "forever".
type ClientOptions struct {
	// APIVersion is sent as api-version; default [DefaultAPIVersion].
	APIVersion string
	// HTTPClient sends the requests: set its transport to trust a private root.
	// The default trusts the roots of the system and heeds the proxy variables
	// of the environment. Redirects are never followed, whatever it says.
	HTTPClient *http.Client
	// Logger receives a debug record per request, without headers and bodies;
	// nil discards.
	Logger *slog.Logger
	// Now is the clock that signs tokens; default time.Now.
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
	// Timeout bounds one operation with its retries, a page of a list counting
	// as one; default five minutes. The context may end it earlier.
	Timeout time.Duration
	// Lost, which may be nil, is called when a request got no usable answer and
	// will be sent again, with one line that says why. It may be called by several
	// goroutines at once.
	Lost func(host, cause string)
}

// Client manages enrollments, enrollment groups and registration records of
// one provisioning service. It is safe for concurrent use.
type Client struct {
	rest *rest.Client
	host string
}

// NewClient returns a client for the service at host, which is
// NAME.azure-devices-provisioning.net, or an emulator's name:port. It sends
// nothing yet. A wrong kind of host and an unusable key are refused here.
func NewClient(host string, cred Credential, opts *ClientOptions) (*Client, error) {
	if opts == nil {
		opts = &ClientOptions{}
	}
	if err := dps.CheckServiceHost(host); err != nil {
		return nil, fmt.Errorf("create service client: %w", err)
	}
	if cred == nil {
		return nil, errors.New("create service client: no credential")
	}
	config := rest.Config{
		HTTPClient: opts.HTTPClient, Logger: opts.Logger, Now: opts.Now,
		MaxRetries: opts.MaxRetries, RetryDelay: opts.RetryDelay, MaxRetryDelay: opts.MaxRetryDelay,
		TryTimeout: opts.TryTimeout, Timeout: opts.Timeout, Lost: opts.Lost,
	}
	auth, err := cred.policy(host, opts.Now)
	if err != nil {
		return nil, fmt.Errorf("create service client: %w", err)
	}
	version := opts.APIVersion
	if version == "" {
		version = DefaultAPIVersion
	}
	return &Client{rest: rest.NewClient("service", host, version, auth, config), host: host}, nil
}

// Host returns the host that the client speaks to.
func (c *Client) Host() string { return c.host }

package device

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"time"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/internal/rest"
)

// Defaults of ClientOptions.
const (
	// DefaultAPIVersion is what two of the official device SDKs send.
	DefaultAPIVersion = "2021-06-01"
	// DefaultMaxWait bounds one registration.
	DefaultMaxWait = 10 * time.Minute
)

// ClientOptions are the choices of a [Client]. Nil and zero fields mean the
// defaults; a duration of 0 never means "forever".
type ClientOptions struct {
	// Host is the device endpoint, with a port if it is not 443; default
	// dps.GlobalDeviceHost. The service's own host serves the device API too.
	Host string
	// RootCAs are trusted for the server's certificate; nil for the roots of the
	// system.
	RootCAs *x509.CertPool
	// APIVersion is sent as api-version; default [DefaultAPIVersion].
	APIVersion string
	// Logger receives a debug record per request, without headers and bodies;
	// nil discards.
	Logger *slog.Logger
	// Now is the clock for Retry-After dates and clock skew; default time.Now.
	Now func() time.Time
	// MaxWait bounds a registration from the first request to the assignment,
	// retries included; default [DefaultMaxWait]. The context may end it earlier.
	MaxWait time.Duration
	// MaxRetries is the number of further attempts after a lost connection, 409,
	// 429 or 5xx, for each request; default 4, negative for none.
	MaxRetries int
	// RetryDelay is the first delay of an exponential back-off with jitter;
	// default 0.8 s.
	RetryDelay time.Duration
	// MaxRetryDelay caps each delay, also one that the service asks for with
	// Retry-After; default one minute.
	MaxRetryDelay time.Duration
	// DialContext opens the connections, for a tunnel or to reach a test server
	// under another name; nil dials Host. The proxy variables of the environment
	// are heeded only then.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
}

// Client registers one device. It is safe for concurrent use.
type Client struct {
	scope, id string
	rest      *rest.Client
	transport *http.Transport
	maxWait   time.Duration
	maxDelay  time.Duration
	identity  identity
	handshake *handshake
	now       func() time.Time
}

// idScope is the widest form that a path segment should take; every known one
// is "0ne" and eight hex digits.
var idScope = regexp.MustCompile(`^[0-9A-Za-z_-]{1,64}$`)

// NewClient returns a client for the device registrationID in the service with
// this id scope. It sends nothing yet. A certificate without its key, or with
// another's, a symmetric key that is not base64, and ids that no service can
// accept are refused here; whether the credential fits the id is left to the
// service.
func NewClient(scope, registrationID string, cred Credential, opts *ClientOptions) (*Client, error) {
	if opts == nil {
		opts = &ClientOptions{}
	}
	host := opts.Host
	if host == "" {
		host = dps.GlobalDeviceHost
	}
	id, err := checkArguments(scope, registrationID, host, cred)
	if err != nil {
		return nil, fmt.Errorf("create device client: %w", err)
	}
	now := opts.Now
	if now == nil {
		now = time.Now
	}
	shake := &handshake{}
	transport := newTransport(id, shake, opts)
	config := rest.Config{
		HTTPClient: &http.Client{Transport: transport}, Logger: opts.Logger, Now: now,
		MaxRetries: opts.MaxRetries, RetryDelay: opts.RetryDelay, MaxRetryDelay: opts.MaxRetryDelay,
	}
	version := opts.APIVersion
	if version == "" {
		version = DefaultAPIVersion
	}
	c := &Client{
		scope: scope, id: registrationID, transport: transport, handshake: shake,
		rest:    rest.NewClient("device", host, version, signer(id, now), config),
		maxWait: opts.MaxWait, maxDelay: opts.MaxRetryDelay, now: now, identity: id,
	}
	if c.maxWait <= 0 {
		c.maxWait = DefaultMaxWait
	}
	if c.maxDelay <= 0 {
		c.maxDelay = rest.DefaultMaxRetryDelay
	}
	return c, nil
}

func checkArguments(scope, registrationID, host string, cred Credential) (identity, error) {
	if !idScope.MatchString(scope) {
		return identity{}, fmt.Errorf("id scope %q is not of the form 0ne00000000", scope)
	}
	if err := dps.CheckID(registrationID); err != nil {
		return identity{}, fmt.Errorf("registration id %q: %w", registrationID, err)
	}
	if err := dps.CheckHost(host); err != nil {
		return identity{}, err
	}
	if cred == nil {
		return identity{}, errors.New("no credential")
	}
	return cred.prepare(scope, registrationID)
}

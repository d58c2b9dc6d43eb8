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
	// Host is the device endpoint, with a port if it is not that of the transport;
	// default dps.GlobalDeviceHost. The service's own host serves the device API
	// too.
	Host string
	// Transport is how to reach it; default [TransportHTTPS].
	Transport Transport
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
	// are heeded only then, and not by TransportMQTT.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// Gate, if not nil, is passed before each request. Clients that share one can
	// be held back together. 429 does not count against MaxRetries then: it is for
	// who holds the gate, and MaxWait, to end it.
	Gate Gate
}

// Gate lets requests through, or makes them wait.
type Gate interface {
	// Wait returns when a request may be sent, or with the error of ctx.
	Wait(ctx context.Context) error
}

// Client registers one device. It is safe for concurrent use.
type Client struct {
	scope, id string
	opts      ClientOptions // defaults filled in
	config    rest.Config   // defaults filled in
	identity  identity
	handshake *handshake

	rest *rest.Client    // of TransportHTTPS
	http *http.Transport // likewise
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
	c := &Client{scope: scope, id: registrationID, handshake: &handshake{}}
	if opts != nil {
		c.opts = *opts
	}
	c.opts.setDefaults()
	var err error
	if c.identity, err = checkArguments(scope, registrationID, c.opts.Host, cred); err == nil {
		_, err = ParseTransport(string(c.opts.Transport))
	}
	if err != nil {
		return nil, fmt.Errorf("create device client: %w", err)
	}
	c.config = rest.Config{
		Logger: c.opts.Logger, Now: c.opts.Now,
		MaxRetries: c.opts.MaxRetries, RetryDelay: c.opts.RetryDelay, MaxRetryDelay: c.opts.MaxRetryDelay,
	}.WithDefaults()
	if c.opts.Transport == TransportHTTPS {
		c.http = newHTTPTransport(c)
		c.config.HTTPClient = &http.Client{Transport: c.http}
		once := c.config
		once.MaxRetries = -1 // see registration.ask
		c.rest = rest.NewClient("device", c.opts.Host, c.opts.APIVersion, signer(c.identity, c.config.Now), once)
	}
	return c, nil
}

func (o *ClientOptions) setDefaults() {
	if o.Host == "" {
		o.Host = dps.GlobalDeviceHost
	}
	if o.Transport == "" {
		o.Transport = TransportHTTPS
	}
	if o.APIVersion == "" {
		o.APIVersion = DefaultAPIVersion
	}
	if o.MaxWait <= 0 {
		o.MaxWait = DefaultMaxWait
	}
}

// newExchange returns what carries the requests of one registration.
func (c *Client) newExchange(op string) exchange {
	if c.opts.Transport == TransportHTTPS {
		return &httpsExchange{client: c, op: op}
	}
	return &mqttExchange{client: c, op: op}
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

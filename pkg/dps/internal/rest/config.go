package rest

import (
	"log/slog"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// Defaults of Config.
const (
	DefaultMaxRetries    = 4
	DefaultRetryDelay    = 800 * time.Millisecond
	DefaultMaxRetryDelay = time.Minute
	DefaultTryTimeout    = time.Minute
	DefaultTimeout       = 5 * time.Minute
)

// Config holds what a client lets its user choose. Zero fields take the
// defaults; no duration of 0 means "forever".
type Config struct {
	// HTTPClient sends the requests; nil takes one with the system's roots. Its
	// CheckRedirect is replaced: redirects are never followed.
	HTTPClient *http.Client
	// Logger receives one debug record per attempt; nil discards.
	Logger *slog.Logger
	// Now is the clock for Retry-After dates and clock skew; nil is time.Now.
	Now func() time.Time
	// MaxRetries is the number of further attempts; negative for none.
	MaxRetries int
	// RetryDelay is the first delay of the exponential back-off.
	RetryDelay time.Duration
	// MaxRetryDelay caps every delay, one asked for by Retry-After too.
	MaxRetryDelay time.Duration
	// TryTimeout bounds one attempt, Timeout one operation with its retries.
	TryTimeout, Timeout time.Duration
	// Jitter returns numbers in [0,1); nil takes random ones. It spreads the
	// delays that the server asked for, never below what was asked.
	Jitter func() float64
	// Lost, which may be nil, is called when a request without a usable answer is
	// going to be sent again, with one line that says why.
	Lost func(host, cause string)
}

// WithDefaults returns c with every default filled in.
func (c Config) WithDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.MaxRetries == 0 {
		c.MaxRetries = DefaultMaxRetries
	}
	if c.RetryDelay <= 0 {
		c.RetryDelay = DefaultRetryDelay
	}
	if c.MaxRetryDelay <= 0 {
		c.MaxRetryDelay = DefaultMaxRetryDelay
	}
	if c.TryTimeout <= 0 {
		c.TryTimeout = DefaultTryTimeout
	}
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Jitter == nil {
		c.Jitter = rand.Float64
	}
	return c
}

// retryOptions are azcore's part of the rules. Its own cap stands above ours,
// because it stops retrying when an asked delay exceeds it.
func (c Config) retryOptions() policy.RetryOptions {
	retries := int32(min(c.MaxRetries, 100))
	if retries <= 0 {
		retries = -1
	}
	return policy.RetryOptions{
		MaxRetries:    retries,
		RetryDelay:    c.RetryDelay,
		MaxRetryDelay: 2 * c.MaxRetryDelay,
		TryTimeout:    c.TryTimeout,
	}
}

// ClientOptions returns the options for an azcore pipeline that behaves as this
// package promises. Requests through it need a context from [Config.Start].
func (c Config) ClientOptions() policy.ClientOptions {
	c = c.WithDefaults()
	return policy.ClientOptions{
		Retry:            c.retryOptions(),
		Telemetry:        policy.TelemetryOptions{ApplicationID: "dpskit"},
		Transport:        newTransport(c.HTTPClient),
		PerCallPolicies:  []policy.Policy{outcome{}},
		PerRetryPolicies: []policy.Policy{attempt{c}},
	}
}

package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"github.com/dpskit/dpskit/pkg/dps"
)

// MaxAnswer is the most that is read of an answer, in bytes.
const MaxAnswer = 256 << 10

// Config says whom to call and how long to wait.
type Config struct {
	// AllowRemote permits addresses other than loopback.
	AllowRemote bool
	// RootCAs are trusted for https; nil means those of the system.
	RootCAs *x509.CertPool
	// Timeout bounds one call, from the dial to the last byte.
	Timeout time.Duration
}

// Client calls webhooks.
type Client struct {
	http        *http.Client
	timeout     time.Duration
	allowRemote bool
}

// Errors that callers tell apart.
var (
	// ErrAddress: the address is not loopback, and others are not allowed.
	ErrAddress = errors.New("address is not loopback")
	// ErrURL: not a URL that can be called.
	ErrURL = errors.New("not an http or https URL")
	// ErrTimeout: no complete answer in time.
	ErrTimeout = errors.New("no answer in time")
	// ErrSize: the answer is longer than MaxAnswer.
	ErrSize = errors.New("answer is too long")
)

// StatusError is an answer other than 200.
type StatusError struct{ Status int }

// Error gives the status code.
func (e *StatusError) Error() string { return fmt.Sprintf("status code %d", e.Status) }

// New returns a client.
func New(c Config) *Client {
	dialer := &net.Dialer{Timeout: c.Timeout}
	if !c.AllowRemote {
		dialer.Control = loopbackOnly
	}
	return &Client{
		timeout:     c.Timeout,
		allowRemote: c.AllowRemote,
		http: &http.Client{
			Transport: &http.Transport{
				DialContext:            dialer.DialContext,
				TLSClientConfig:        &tls.Config{RootCAs: c.RootCAs, MinVersion: tls.VersionTLS12},
				TLSHandshakeTimeout:    c.Timeout,
				MaxIdleConns:           16,
				MaxIdleConnsPerHost:    16,
				IdleConnTimeout:        30 * time.Second,
				MaxResponseHeaderBytes: 64 << 10,
				DisableCompression:     true,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// loopbackOnly looks at the address after names were resolved, right before the
// connection is made.
func loopbackOnly(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil || !ap.Addr().Unmap().IsLoopback() {
		return ErrAddress
	}
	return nil
}

// Post sends body, a JSON document, and returns the body of a 200.
func (c *Client) Post(ctx context.Context, target string, body []byte) ([]byte, error) {
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return nil, ErrURL
	}
	if !c.allowRemote && !dps.IsLoopbackHost(u.Hostname()) { // before a name is looked up
		return nil, fmt.Errorf("call webhook at %q: %w", u.Host, ErrAddress)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout, ErrTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, ErrURL
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("User-Agent", "dpskit-emulator")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, call(ctx, u, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, &StatusError{resp.StatusCode}
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, MaxAnswer+1))
	switch {
	case err != nil:
		return nil, call(ctx, u, err)
	case len(data) > MaxAnswer:
		return nil, ErrSize
	}
	return data, nil
}

// call explains why a call failed, without the query of its URL.
func call(ctx context.Context, u *url.URL, err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	var timeout net.Error
	switch {
	case errors.Is(err, ErrAddress):
		return fmt.Errorf("call webhook at %q: %w", u.Host, ErrAddress)
	case errors.Is(context.Cause(ctx), ErrTimeout), errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("call webhook at %q: %w", u.Host, ErrTimeout)
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return fmt.Errorf("call webhook at %q: %v", u.Host, err)
}

// Close gives up connections that wait for another call.
func (c *Client) Close() { c.http.CloseIdleConnections() }

package device

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/internal/oneline"
	"github.com/dpskit/dpskit/pkg/dps/internal/rest"
)

// newHTTPTransport presents the certificate of the client, if it has one, on
// every connection. HTTP/2 is off: it forbids the renegotiation by which some
// servers ask for a certificate late.
func newHTTPTransport(c *Client) *http.Transport {
	t := &http.Transport{
		DialContext:         c.opts.DialContext,
		MaxIdleConns:        2,
		IdleConnTimeout:     30 * time.Second,
		TLSHandshakeTimeout: dialTimeout,
		TLSClientConfig:     newTLSConfig(c.identity, c.handshake, c.opts.RootCAs),
	}
	if t.DialContext == nil {
		t.Proxy = http.ProxyFromEnvironment
	}
	return t
}

// httpsExchange shares the connections of its client.
type httpsExchange struct {
	client *Client
	op     string
}

func (x *httpsExchange) try(ctx context.Context, call *rest.Call, q question, attempt int) (operation, time.Duration, *dps.Error) {
	c := x.client
	// The poll address is built from the operation id: the service's Location
	// header has pointed elsewhere.
	path := rest.Path(c.scope, "registrations", c.id)
	request := rest.Request{Method: http.MethodGet, Path: path + rest.Path("operations", q.operationID)}
	if q.register() {
		request = rest.Request{Method: http.MethodPut, Path: path + "/register", Body: q.body}
	}
	resp, err := c.rest.Do(ctx, call, request)
	var op operation
	if err == nil {
		var wrong string
		if op, wrong = decodeAnswer(resp.Body, q); wrong != "" {
			err = rest.Unexpected(call, resp, wrong)
		}
	}
	if err != nil {
		var refusal *dps.Error
		if !errors.As(err, &refusal) {
			refusal = &dps.Error{Op: call.Op, Attempts: attempt, Host: c.opts.Host, Message: oneline.Clean(err.Error(), 1024), Err: err}
		}
		return operation{}, 0, refusal
	}
	now := c.config.Now()
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		now = date
	}
	return op, c.delay(resp.Header.Get("Retry-After"), now), nil
}

func (x *httpsExchange) close() { x.client.http.CloseIdleConnections() }

// delay is what an answer asks for, within the cap; defaultPoll if it does not.
func (c *Client) delay(retryAfter string, now time.Time) time.Duration {
	asked, ok := dps.ParseRetryAfter(retryAfter, now)
	if !ok {
		return defaultPoll
	}
	return min(asked, c.config.MaxRetryDelay)
}

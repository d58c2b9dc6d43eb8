package rest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/internal/oneline"
)

// Call describes one operation and records what happened to it. It travels in
// the context of the request, because the official clients offer no other way
// to reach the pipeline.
type Call struct {
	// Op names the operation in errors, such as `get enrollment "dev-1"`.
	Op string
	// Once marks an operation that must not be repeated when the outcome of an
	// attempt is unknown. It is sent again only after 429 or a failed dial.
	Once bool
	// RetryStatus are further statuses to retry, beside 408, 429 and most 5xx.
	RetryStatus []int
	// FinalCodes are codes of the service that no repetition helps against.
	FinalCodes []int
	// Secrets are cut from everything that the server says.
	Secrets []dps.Secret

	attempts  int
	host      string
	lost      error      // why the latest attempt had no answer, if not for lack of time
	ambiguous bool       // an earlier attempt may have taken effect unnoticed
	failed    *dps.Error // the latest refusal
	delay     time.Duration
	cut       []string // what must not be shown; see secretsOf
}

// Ambiguous reports whether an attempt before the last one may have taken
// effect although no answer told so: a lost connection, a 5xx. The caller then
// reads back what a refusal means.
func (c *Call) Ambiguous() bool { return c.ambiguous }

// Attempts returns the number of requests sent.
func (c *Call) Attempts() int { return c.attempts }

// Clean makes text from an answer fit to be shown: one line, without the secrets
// of the call.
func (c *Call) Clean(text string) string { return scrub(oneline.Clean(text, 1024), c.cut) }

type callKey struct{}

// callFrom returns the call of a request, a new one if it has none.
func callFrom(ctx context.Context) (call *Call, found bool) {
	if c, ok := ctx.Value(callKey{}).(*Call); ok {
		return c, true
	}
	return &Call{Op: "call service"}, false
}

// Start returns a context that carries call, its deadline and its retry rules.
func (c Config) Start(ctx context.Context, call *Call) (context.Context, context.CancelFunc) {
	c = c.WithDefaults()
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	retry := c.retryOptions()
	deadline, _ := ctx.Deadline()
	retry.ShouldRetry = func(resp *http.Response, err error) bool {
		if err != nil {
			again := call.MayRetry(0, err)
			if again && c.Lost != nil && call.attempts <= c.MaxRetries && ctx.Err() == nil {
				c.Lost(call.host, call.Clean(err.Error()))
			}
			return again
		}
		// A delay beyond the deadline ends the call now, with the refusal as its
		// error, not later with a bare timeout. ctx.Deadline is on the real clock.
		if !call.MayRetry(resp.StatusCode, nil) || call.attempts > c.MaxRetries {
			return false
		}
		left := time.Until(deadline)
		if left <= call.delay && call.failed != nil {
			call.failed.Message = strings.TrimPrefix(fmt.Sprintf("%s; not tried again, because the wait of %s that it asks for is longer than what is left of the time allowed (%s)",
				call.failed.Message, call.failed.RetryAfter.Round(time.Second), max(left, 0).Round(time.Second)), "; ")
		}
		return left > call.delay
	}
	return context.WithValue(policy.WithRetryOptions(ctx, retry), callKey{}, call), cancel
}

// MayRetry tells whether a request that ended with this status, or without an
// answer and with err, may be sent again. It is the same for every transport.
func (c *Call) MayRetry(status int, err error) bool {
	if err != nil {
		return c.retryError(err) && !(errors.Is(err, syscall.ECONNREFUSED) && isLoopbackDial(err))
	}
	return c.retryStatus(status)
}

// retryStatus tells whether an answer with this status may be asked for again.
func (c *Call) retryStatus(status int) bool {
	if c.failed != nil && slices.Contains(c.FinalCodes, c.failed.Code) {
		return false
	}
	if slices.Contains(c.RetryStatus, status) || status == http.StatusTooManyRequests {
		return true
	}
	switch status {
	case http.StatusRequestTimeout, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return !c.Once
	}
	return false
}

// retryError tells whether a request without an answer may be sent again.
func (c *Call) retryError(err error) bool {
	var name *net.DNSError
	switch {
	case errors.Is(err, errCutOff):
		return !c.Once
	case dps.IsUntrustedServer(err), errors.Is(err, dps.ErrUnexpectedAnswer), errors.Is(err, dps.ErrUnauthorized):
		return false
	case errors.As(err, &name) && name.IsNotFound:
		return false // a misspelt host does not appear within seconds
	case dps.IsNotTLS(err):
		return false
	case c.Once:
		return isDial(err)
	}
	return true
}

// record notes the outcome of one attempt.
func (c *Call) record(refusal *dps.Error, err error) {
	c.failed, c.lost = refusal, nil
	switch {
	case err != nil:
		c.ambiguous = c.ambiguous || !isDial(err)
		if !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
			c.lost = err
		}
	case refusal != nil:
		c.ambiguous = c.ambiguous || refusal.StatusCode >= 500 || refusal.StatusCode == http.StatusRequestTimeout
	}
}

// isDial reports whether the connection was never made, so that the server
// cannot have seen the request.
func isDial(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// isLoopbackDial reports whether the refused address is on this machine: no
// server will start there within a few seconds unless someone starts it.
func isLoopbackDial(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Addr != nil && dps.IsLoopbackHost(op.Addr.String())
}

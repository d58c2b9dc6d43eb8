package rest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/internal/oneline"
)

// attempt runs once per request sent: it counts, logs, decodes a refusal and
// prepares the delay before the next one.
type attempt struct{ config Config }

func (a attempt) Do(req *policy.Request) (*http.Response, error) {
	call, _ := callFrom(req.Raw().Context())
	call.attempts++
	call.host = req.Raw().URL.Host
	lost := call.lost
	call.delay = 0
	start := time.Now()
	resp, err := req.Next()
	call.cut = secretsOf(call, req.Raw())
	var refusal *dps.Error
	if err == nil {
		refusal = a.decode(call, resp)
	}
	if call.record(refusal, err); err != nil && call.lost == nil {
		call.lost = lost // the time was up, or the caller went: the attempt before says more
	}
	a.log(req.Raw(), call, resp, err, time.Since(start))
	return resp, err
}

// decode turns a refusal into an Error; nil for a success.
func (a attempt) decode(call *Call, resp *http.Response) *dps.Error {
	asked, known := a.retryAfter(resp)
	if resp.StatusCode < 300 {
		return nil
	}
	body, _ := io.ReadAll(resp.Body) // in memory already, see transport
	e := dps.ParseErrorBody(resp.StatusCode, body)
	e.Op, e.Attempts = call.Op, call.attempts
	if resp.Request != nil {
		e.Host = resp.Request.URL.Host
	}
	if e.TrackingID == "" {
		e.TrackingID = oneline.Clean(resp.Header.Get("x-ms-request-id"), 64)
	}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		e.ClockSkew = a.config.Now().Sub(date).Truncate(time.Second)
	}
	if resp.StatusCode < 400 {
		e.Message = "redirect to " + redirectHost(resp) + " refused"
		e.Err = dps.ErrUnexpectedAnswer
	}
	if m := retryText.FindStringSubmatch(e.Message); m != nil && !known {
		asked, known = dps.ParseRetryAfter(m[1], time.Time{})
	}
	if known {
		e.RetryAfter = asked
		a.delayNext(call, resp, asked)
	}
	scrubError(e, call.cut)
	return e
}

// retryText is the advice of Azure Resource Manager, whose 429 has been seen
// without the header: "Please try again after '6' seconds."
var retryText = regexp.MustCompile(`try again after '([0-9]{1,6})' seconds`)

// retryAfter takes the delay out of the headers, so that azcore sees only what
// delayNext puts there. The server's own Date is the reference of a date.
func (a attempt) retryAfter(resp *http.Response) (delay time.Duration, known bool) {
	now := a.config.Now()
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		now = date
	}
	for _, name := range []string{"Retry-After-Ms", "X-Ms-Retry-After-Ms"} {
		if ms, err := strconv.ParseUint(resp.Header.Get(name), 10, 32); err == nil && !known {
			delay, known = time.Duration(ms)*time.Millisecond, true
		}
		resp.Header.Del(name)
	}
	if !known {
		delay, known = dps.ParseRetryAfter(resp.Header.Get("Retry-After"), now)
	}
	if resp.StatusCode >= 300 {
		resp.Header.Del("Retry-After")
	}
	return delay, known
}

// delayNext caps the asked delay and adds up to a tenth, at most two seconds,
// so that many clients told the same do not return together.
func (a attempt) delayNext(call *Call, resp *http.Response, asked time.Duration) {
	if asked <= 0 {
		return // azcore backs off by itself
	}
	delay := min(asked, a.config.MaxRetryDelay)
	delay += time.Duration(a.config.Jitter() * float64(min(delay/10, 2*time.Second)))
	call.delay = delay
	resp.Header.Set("Retry-After-Ms", strconv.FormatInt(max(delay.Milliseconds(), 1), 10))
}

// log writes one record. Headers and bodies are never part of it.
func (a attempt) log(req *http.Request, call *Call, resp *http.Response, err error, took time.Duration) {
	attrs := []any{"method", req.Method, "host", req.URL.Host, "path", req.URL.Path,
		"attempt", call.attempts, "duration", took.Round(time.Millisecond)}
	if resp != nil {
		attrs = append(attrs, "status", resp.StatusCode)
	}
	if call.failed != nil {
		attrs = append(attrs, "code", call.failed.Code, "tracking_id", call.failed.TrackingID,
			"retry_after", call.failed.RetryAfter)
	}
	if err != nil {
		attrs = append(attrs, "error", call.Clean(err.Error()))
	}
	a.config.Logger.DebugContext(req.Context(), "request sent", attrs...)
}

// redirectHost names the target of a redirect without its path and query.
func redirectHost(resp *http.Response) string {
	target, err := url.Parse(resp.Header.Get("Location"))
	switch {
	case err != nil || resp.Header.Get("Location") == "":
		return "nowhere"
	case target.Host == "":
		return "the same host"
	}
	return strconv.Quote(oneline.Clean(target.Host, 128))
}

// outcome runs once per operation, around the retries: whatever ends badly
// leaves it as *dps.Error.
type outcome struct{}

func (outcome) Do(req *policy.Request) (*http.Response, error) {
	call, found := callFrom(req.Raw().Context())
	if !found { // a request of an official client's own
		req = req.Clone(context.WithValue(req.Raw().Context(), callKey{}, call))
	}
	resp, err := req.Next()
	if err == nil {
		if call.failed != nil {
			return nil, call.failed
		}
		return resp, nil
	}
	if call.failed != nil && errors.Is(err, context.DeadlineExceeded) {
		call.failed.Err = err // the refusal says more than the timeout
		return nil, call.failed
	}
	if call.lost != nil && errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("%w; then the time was up: %w", call.lost, err)
	}
	text := call.Clean(err.Error())
	return nil, &dps.Error{Op: call.Op, Attempts: call.attempts, Host: req.Raw().URL.Host, Message: text, Err: err}
}

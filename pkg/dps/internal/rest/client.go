package rest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/internal/oneline"
)

// Version is the version that requests name in their User-Agent.
const Version = "v0.1.0"

// Client sends JSON requests to one host.
type Client struct {
	config     Config
	pipeline   runtime.Pipeline
	base       string
	apiVersion string
}

// NewClient returns a client for https://host. The name goes into the
// User-Agent; auth, which may be nil, runs on every attempt.
func NewClient(name, host, apiVersion string, auth policy.Policy, config Config) *Client {
	config = config.WithDefaults()
	options := config.ClientOptions()
	var perRetry []policy.Policy
	if auth != nil {
		perRetry = append(perRetry, auth)
	}
	options.PerRetryPolicies = append(options.PerRetryPolicies, perRetry...)
	return &Client{
		config:     config,
		pipeline:   runtime.NewPipeline("dpskit/"+name, Version, runtime.PipelineOptions{}, &options),
		base:       "https://" + host,
		apiVersion: apiVersion,
	}
}

// Request is one request of a Call.
type Request struct {
	Method string
	// Path has its segments escaped, see [Path].
	Path   string
	Header http.Header
	// Body is sent as JSON; nil sends none.
	Body []byte
}

// Response is a successful answer.
type Response struct {
	StatusCode int
	Header     http.Header
	Body       []byte
}

// Path joins segments, each escaped, so that no id can add a segment.
func Path(segments ...string) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteString("/" + url.PathEscape(s))
	}
	return b.String()
}

// Do sends the request, with retries as call allows. Every error is, or wraps,
// *dps.Error, except those of a request that cannot be built.
func (c *Client) Do(ctx context.Context, call *Call, r Request) (*Response, error) {
	ctx, cancel := c.config.Start(ctx, call)
	defer cancel()
	req, err := runtime.NewRequest(ctx, r.Method, c.base+r.Path+"?api-version="+url.QueryEscape(c.apiVersion))
	if err != nil {
		return nil, &dps.Error{Op: call.Op, Message: oneline.Clean(err.Error(), 256), Err: dps.ErrBadRequest}
	}
	for name, values := range r.Header {
		req.Raw().Header[name] = values
	}
	req.Raw().Header.Set("Accept", "application/json")
	if r.Body != nil {
		if err := req.SetBody(streaming.NopCloser(bytes.NewReader(r.Body)), "application/json; charset=utf-8"); err != nil {
			return nil, &dps.Error{Op: call.Op, Message: oneline.Clean(err.Error(), 256), Err: dps.ErrBadRequest}
		}
	}
	resp, err := c.pipeline.Do(req)
	if err != nil {
		return nil, err
	}
	body, _ := io.ReadAll(resp.Body) // in memory already, see transport
	return &Response{StatusCode: resp.StatusCode, Header: resp.Header, Body: body}, nil
}

// Unexpected reports an answer of the right status that does not speak the API.
func Unexpected(call *Call, resp *Response, cause string) error {
	return &dps.Error{Op: call.Op, StatusCode: resp.StatusCode, Attempts: call.attempts,
		Message: call.Clean(cause), Err: dps.ErrUnexpectedAnswer}
}

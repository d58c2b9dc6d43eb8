package rest_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/internal/rest"
)

func TestPathHoldsItsSegments(t *testing.T) {
	for want, segments := range map[string][]string{
		"/enrollments/dev-1":         {"enrollments", "dev-1"},
		"/a%2Fb/c":                   {"a/b", "c"},
		"/a%3Fx=1/%23":               {"a?x=1", "#"},
		"/0ne/registrations/a:b_c.d": {"0ne", "registrations", "a:b_c.d"},
		"/%25":                       {"%"},
		"":                           nil,
	} {
		if got := rest.Path(segments...); got != want {
			t.Errorf("%q: got %s, want %s", segments, got, want)
		}
	}
}

func TestRequestThatCannotBeBuilt(t *testing.T) {
	_, err := rest.NewClient("test", "a b", "v", nil, rest.Config{}).Do(t.Context(), &rest.Call{Op: "o"}, rest.Request{Method: "GET", Path: "/x"})
	if !errors.Is(err, dps.ErrBadRequest) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
}

func TestVersionIsEscaped(t *testing.T) {
	s := &server{answers: []answer{ok}}
	c := rest.NewClient("test", "h", "2021&x=1", nil, rest.Config{HTTPClient: &http.Client{Transport: s}})
	if _, err := get(t.Context(), c, &rest.Call{Op: "o"}); err != nil {
		t.Fatal(err)
	}
	if got := s.requests[0].URL.RawQuery; got != "api-version=2021%26x%3D1" {
		t.Errorf("got %s", got)
	}
}

func TestUnexpected(t *testing.T) {
	s := &server{answers: []answer{ok}}
	call := &rest.Call{Op: "read it", Secrets: []dps.Secret{canary}}
	resp, err := get(t.Context(), newClient(s), call)
	if err != nil {
		t.Fatal(err)
	}
	err = rest.Unexpected(call, resp, "this\nholds "+canary)
	var e *dps.Error
	if !errors.Is(err, dps.ErrUnexpectedAnswer) || !errors.As(err, &e) || e.Attempts != 1 {
		t.Errorf("got %+v", e)
	}
	if got, want := err.Error(), "read it: 200 OK: this holds REDACTED"; got != want {
		t.Errorf("got %s", got)
	}
}

// TestDefaultClient: without a client of its own the system's roots count, and
// they do not know a test server.
func TestDefaultClient(t *testing.T) {
	reached := false
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	c := rest.NewClient("test", strings.TrimPrefix(server.URL, "https://"), "v", authorization("Bearer "+canary), rest.Config{})
	if _, err := get(t.Context(), c, &rest.Call{Op: "o"}); !errors.Is(err, dps.ErrUntrustedServer) || reached {
		t.Errorf("reached %v, %v", reached, err)
	}
}

// TestPipelineWithoutACall: an official client is given the options of this
// package; a request that it makes without Start is still safe.
func TestPipelineWithoutACall(t *testing.T) {
	s := &server{answers: []answer{{status: 404, body: `{"errorCode":404204,"message":"gone"}`}}}
	options := rest.Config{HTTPClient: &http.Client{Transport: s}}.ClientOptions()
	pipeline := runtime.NewPipeline("m", "v1.0.0", runtime.PipelineOptions{}, &options)
	req, err := runtime.NewRequest(t.Context(), http.MethodGet, "https://h/x")
	if err != nil {
		t.Fatal(err)
	}
	_, err = pipeline.Do(req)
	var e *dps.Error
	if !errors.As(err, &e) || e.Code != 404204 || e.Op == "" {
		t.Errorf("got %v", err)
	}
}

func TestCredentialAfterTheDeadline(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := rest.Credential(tokens{errors.New("the request was canceled")}).GetToken(ctx, policy.TokenRequestOptions{})
	if !errors.Is(err, context.Canceled) || errors.Is(err, dps.ErrUnauthorized) {
		t.Errorf("got %v", err)
	}
}

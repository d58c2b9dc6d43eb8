package arm_test

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/arm"
	"github.com/dpskit/dpskit/pkg/dps/dpstest"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/pki"
)

// staticToken is a token credential with one token; empty fails.
type staticToken string

func (s staticToken) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	if s == "" {
		return azcore.AccessToken{}, errors.New("nobody is signed in:\n\tscope " + strings.Join(o.Scopes, " "))
	}
	return azcore.AccessToken{Token: string(s), ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func start(t *testing.T) (*emulator.Emulator, *arm.Client) {
	t.Helper()
	e := dpstest.Start(t)
	return e, connect(t, e)
}

// connect returns a client of the emulator's ARM plane; wrap may change its
// transport.
func connect(t *testing.T, e *emulator.Emulator, wrap ...func(http.RoundTripper) http.RoundTripper) *arm.Client {
	t.Helper()
	return connectAs(t, e, scopeOf(e), staticToken(e.Info().Token), wrap...)
}

func connectAs(t *testing.T, e *emulator.Emulator, scope arm.Scope, cred azcore.TokenCredential, wrap ...func(http.RoundTripper) http.RoundTripper) *arm.Client {
	t.Helper()
	client := e.HTTPClient()
	t.Cleanup(client.CloseIdleConnections)
	transport := client.Transport
	for _, f := range wrap {
		transport = f(transport)
	}
	c, err := arm.NewClient(scope, cred, &arm.ClientOptions{
		Endpoint: e.Info().ARMEndpoint, HTTPClient: &http.Client{Transport: transport}, RetryDelay: 1})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func scopeOf(e *emulator.Emulator) arm.Scope {
	info := e.Info()
	return arm.Scope{SubscriptionID: info.SubscriptionID, ResourceGroup: info.ResourceGroup, ServiceName: info.Name}
}

// roundTripper is a transport made of a function.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// loseAnswer lets the first request that matches reach the server, and drops
// the answer.
func loseAnswer(lost *int, match func(*http.Request) bool) func(http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(req)
			if err != nil || *lost > 0 || !match(req) {
				return resp, err
			}
			*lost++
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			return nil, errors.New("connection reset by peer")
		})
	}
}

func isMethod(method, suffix string) func(*http.Request) bool {
	return func(req *http.Request) bool { return req.Method == method && strings.HasSuffix(req.URL.Path, suffix) }
}

// scripted answers in memory: each request gets the next answer, the last one
// repeats.
type scripted struct {
	answers  []answer
	requests []*http.Request
	bodies   []string
}

type answer struct {
	status int
	body   string
}

func (s *scripted) RoundTrip(req *http.Request) (*http.Response, error) {
	body := ""
	if req.Body != nil {
		raw, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		body = string(raw)
	}
	s.requests = append(s.requests, req)
	s.bodies = append(s.bodies, body)
	a := s.answers[min(len(s.requests), len(s.answers))-1]
	return &http.Response{StatusCode: a.status, Header: http.Header{}, Request: req, Body: io.NopCloser(strings.NewReader(a.body))}, nil
}

var testScope = arm.Scope{SubscriptionID: "00000000-0000-0000-0000-000000000001", ResourceGroup: "rg(1)", ServiceName: "name"}

func scriptedClient(t *testing.T, opts *arm.ClientOptions, answers ...answer) (*scripted, *arm.Client) {
	t.Helper()
	s, scriptOpts := script(answers...)
	if opts == nil {
		opts = &arm.ClientOptions{}
	}
	opts.HTTPClient, opts.RetryDelay = scriptOpts.HTTPClient, scriptOpts.RetryDelay
	c, err := arm.NewClient(testScope, staticToken("tok"), opts)
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

// script returns a transport with these answers and the options that use it.
func script(answers ...answer) (*scripted, *arm.ClientOptions) {
	s := &scripted{answers: answers}
	return s, &arm.ClientOptions{HTTPClient: &http.Client{Transport: s}, RetryDelay: 1}
}

func newRoot(t *testing.T) *pki.Authority {
	t.Helper()
	root, err := pki.NewRoot(nil)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// signer signs verification certificates with a CA.
func signer(ca *pki.Authority) func(context.Context, string) (*x509.Certificate, error) {
	return func(_ context.Context, code string) (*x509.Certificate, error) {
		b, err := ca.Issue(pki.IssueRequest{Profile: pki.ProfileVerification, CommonName: code})
		if err != nil {
			return nil, err
		}
		return b.Certificate, nil
	}
}

func proof(t *testing.T, ca *pki.Authority, code string) *x509.Certificate {
	t.Helper()
	cert, err := signer(ca)(t.Context(), code)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// wantError fails unless err matches sentinel and has this code.
func wantError(t *testing.T, err, sentinel error, code int) {
	t.Helper()
	var e *dps.Error
	switch {
	case !errors.Is(err, sentinel):
		t.Errorf("got %v, want %v", err, sentinel)
	case code != 0 && (!errors.As(err, &e) || e.Code != code):
		t.Errorf("got %v, want code %d", err, code)
	case strings.Contains(err.Error(), "\n"):
		t.Errorf("more than one line: %q", err)
	}
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

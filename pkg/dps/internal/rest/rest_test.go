package rest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/dpskit/dpskit/pkg/dps/internal/rest"
)

// answer is one scripted reply: an error, or a status with headers and a body.
type answer struct {
	err    error
	status int
	header http.Header
	body   string
}

// server answers in memory, so that it runs in a synctest bubble. The last
// answer repeats.
type server struct {
	mu      sync.Mutex
	answers []answer
	// requests holds the requests as received, bodies the bodies.
	requests []*http.Request
	bodies   []string
}

func (s *server) RoundTrip(req *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	body := ""
	if req.Body != nil {
		raw, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		body = string(raw)
	}
	s.requests = append(s.requests, req.Clone(context.WithoutCancel(req.Context())))
	s.bodies = append(s.bodies, body)
	a := s.answers[min(len(s.requests), len(s.answers))-1]
	if a.err != nil {
		return nil, a.err
	}
	header := a.header.Clone()
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: a.status, Header: header, Request: req,
		Body: io.NopCloser(strings.NewReader(a.body)), ContentLength: int64(len(a.body))}, nil
}

// ok is a plain success.
var ok = answer{status: 200, body: `{}`}

func status(code int, headers ...string) answer {
	a := answer{status: code, header: http.Header{}, body: `{"errorCode":` + http.StatusText(code) + `}`}
	for i := 0; i+1 < len(headers); i += 2 {
		a.header.Set(headers[i], headers[i+1])
	}
	return a
}

// newClient returns a client of the scripted server, without jitter.
func newClient(s http.RoundTripper, change ...func(*rest.Config)) *rest.Client {
	config := rest.Config{HTTPClient: &http.Client{Transport: s}, Jitter: func() float64 { return 0 }}
	for _, f := range change {
		f(&config)
	}
	return rest.NewClient("test", "service.example", "2021-10-01", nil, config)
}

// withAuth returns a client that sends an Authorization header.
func withAuth(s http.RoundTripper, value string, change ...func(*rest.Config)) *rest.Client {
	config := rest.Config{HTTPClient: &http.Client{Transport: s}, Jitter: func() float64 { return 0 }}
	for _, f := range change {
		f(&config)
	}
	return rest.NewClient("test", "service.example", "2021-10-01", authorization(value), config)
}

type authorization string

func (a authorization) Do(req *policy.Request) (*http.Response, error) {
	req.Raw().Header.Set("Authorization", string(a))
	return req.Next()
}

func get(ctx context.Context, c *rest.Client, call *rest.Call) (*rest.Response, error) {
	return c.Do(ctx, call, rest.Request{Method: http.MethodGet, Path: rest.Path("a", "b")})
}

func TestRequestIsBuilt(t *testing.T) {
	s := &server{answers: []answer{ok}}
	resp, err := newClient(s).Do(t.Context(), &rest.Call{Op: "o"}, rest.Request{
		Method: http.MethodPut, Path: rest.Path("groups", "a/b?c#d e%"), Header: http.Header{"If-Match": {"etag"}}, Body: []byte(`{"x":1}`)})
	if err != nil {
		t.Fatal(err)
	}
	req := s.requests[0]
	if got, want := req.URL.String(), "https://service.example/groups/a%2Fb%3Fc%23d%20e%25?api-version=2021-10-01"; got != want {
		t.Errorf("URL %s, want %s", got, want)
	}
	for name, want := range map[string]string{"If-Match": "etag", "Accept": "application/json", "Content-Type": "application/json; charset=utf-8"} {
		if got := req.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if !strings.HasPrefix(req.Header.Get("User-Agent"), "dpskit ") {
		t.Errorf("User-Agent %q", req.Header.Get("User-Agent"))
	}
	if s.bodies[0] != `{"x":1}` || string(resp.Body) != `{}` || resp.StatusCode != 200 {
		t.Errorf("body %q, answer %+v", s.bodies[0], resp)
	}
}

func TestBodyIsSentAgainWhole(t *testing.T) {
	s := &server{answers: []answer{status(503, "Retry-After-Ms", "1"), {err: errors.New("reset")}, ok}}
	call := &rest.Call{Op: "o"}
	_, err := newClient(s, quick).Do(t.Context(), call, rest.Request{Method: http.MethodPut, Path: "/x", Body: []byte(`{"x":1}`)})
	if err != nil {
		t.Fatal(err)
	}
	for i, body := range s.bodies {
		if body != `{"x":1}` {
			t.Errorf("attempt %d sent %q", i+1, body)
		}
	}
	if call.Attempts() != 3 || !call.Ambiguous() {
		t.Errorf("attempts %d, ambiguous %v", call.Attempts(), call.Ambiguous())
	}
}

// quick makes retries come at once.
func quick(c *rest.Config) { c.RetryDelay = 1 }

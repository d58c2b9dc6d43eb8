package service_test

import (
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/arm"
	"github.com/dpskit/dpskit/pkg/dps/dpstest"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/dps/service"
	"github.com/dpskit/dpskit/pkg/pki"
)

// start runs an emulator and returns a client of its service plane.
func start(t *testing.T, change ...func(*service.ClientOptions)) (*emulator.Emulator, *service.Client) {
	t.Helper()
	e := dpstest.Start(t)
	return e, connect(t, e, change...)
}

// connect returns one more client.
func connect(t *testing.T, e *emulator.Emulator, change ...func(*service.ClientOptions)) *service.Client {
	t.Helper()
	cs, err := dps.ParseConnectionString(e.Info().ConnectionString)
	if err != nil {
		t.Fatal(err)
	}
	return connectAs(t, e, service.SharedKey(cs.SharedAccessKeyName, cs.SharedAccessKey), change...)
}

func connectAs(t *testing.T, e *emulator.Emulator, cred service.Credential, change ...func(*service.ClientOptions)) *service.Client {
	t.Helper()
	opts := &service.ClientOptions{HTTPClient: e.HTTPClient(), RetryDelay: 1}
	t.Cleanup(opts.HTTPClient.CloseIdleConnections)
	for _, f := range change {
		f(opts)
	}
	c, err := service.NewClient(e.Info().HostName, cred, opts)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// lossy sends each request on, and drops the answer of those that lose picks:
// the server has done what it was asked, and nobody knows.
type lossy struct {
	next http.RoundTripper
	lose func(*http.Request) bool

	mu   sync.Mutex
	lost int
}

func (l *lossy) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := l.next.RoundTrip(req)
	if err != nil || !l.lose(req) {
		return resp, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost++
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return nil, errors.New("connection reset by peer")
}

// loseFirst loses the answer to the first request with this method.
func loseFirst(method string) func(*http.Request) bool {
	var once sync.Once
	return func(req *http.Request) (lose bool) {
		if req.Method == method {
			once.Do(func() { lose = true })
		}
		return lose
	}
}

func lossyClient(lose func(*http.Request) bool) (*lossy, func(*service.ClientOptions)) {
	l := &lossy{lose: lose}
	return l, func(o *service.ClientOptions) {
		l.next = o.HTTPClient.Transport
		o.HTTPClient = &http.Client{Transport: l}
	}
}

// scripted answers in memory: each request gets the next answer, the last one
// repeats. A status below 100 is a lost connection.
type scripted struct {
	answers  []scriptedAnswer
	requests []*http.Request
	bodies   []string
}

type scriptedAnswer struct {
	status int
	body   string
	header http.Header
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
	if a.status < 100 {
		return nil, errors.New("connection reset by peer")
	}
	header := a.header
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: a.status, Header: header, Request: req, Body: io.NopCloser(strings.NewReader(a.body))}, nil
}

const testKey = "dGVzdC10ZXN0LXRlc3QtdGVzdC10ZXN0LXRlc3QtMTI="

func scriptedClient(t *testing.T, answers ...scriptedAnswer) (*scripted, *service.Client) {
	t.Helper()
	s := &scripted{answers: answers}
	c, err := service.NewClient("name.azure-devices-provisioning.net", service.SharedKey("owner", testKey),
		&service.ClientOptions{HTTPClient: &http.Client{Transport: s}, RetryDelay: 1})
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

// newCA returns a root and an intermediate below it.
func newCA(t *testing.T) (root, intermediate *pki.Authority) {
	t.Helper()
	root, err := pki.NewRoot(nil)
	if err != nil {
		t.Fatal(err)
	}
	intermediate, err = root.NewIntermediate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return root, intermediate
}

func selfSigned(t *testing.T, id string) *x509.Certificate {
	t.Helper()
	b, err := pki.SelfSigned(pki.IssueRequest{CommonName: id})
	if err != nil {
		t.Fatal(err)
	}
	return b.Certificate
}

// wantError fails unless err is a refusal with this code that matches sentinel.
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

func clientOf(rt http.RoundTripper) *http.Client { return &http.Client{Transport: rt} }

func parseUnix(t *testing.T, text string) time.Time {
	t.Helper()
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Unix(n, 0)
}

// trust uploads a CA to the emulator and vouches for it.
func trust(t *testing.T, e *emulator.Emulator, name string, ca *pki.Authority) {
	t.Helper()
	info := e.Info()
	c := must[*arm.Client](t)(arm.NewClient(arm.Scope{SubscriptionID: info.SubscriptionID, ResourceGroup: info.ResourceGroup, ServiceName: info.Name},
		staticToken(info.Token), &arm.ClientOptions{Endpoint: info.ARMEndpoint, HTTPClient: e.HTTPClient()}))
	must[arm.Certificate](t)(c.UploadCertificate(t.Context(), name, ca.Certificate(), &arm.UploadOptions{Verified: true}))
}

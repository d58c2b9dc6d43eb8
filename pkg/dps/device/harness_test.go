package device_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/arm"
	"github.com/dpskit/dpskit/pkg/dps/device"
	"github.com/dpskit/dpskit/pkg/dps/dpstest"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/dps/service"
	"github.com/dpskit/dpskit/pkg/pki"
)

type staticToken string

func (s staticToken) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: string(s), ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// world is an emulator that trusts a root, with an intermediate below it.
type world struct {
	t                  *testing.T
	e                  *emulator.Emulator
	service            *service.Client
	root, intermediate *pki.Authority
}

func newWorld(t *testing.T, opts ...func(*emulator.Options)) *world {
	t.Helper()
	w := &world{t: t, e: dpstest.Start(t, opts...)}
	info, client := w.e.Info(), w.e.HTTPClient()
	t.Cleanup(client.CloseIdleConnections)
	cs := must[dps.ConnectionString](t)(dps.ParseConnectionString(info.ConnectionString))
	w.service = must[*service.Client](t)(service.NewClient(cs.HostName, service.SharedKey(cs.SharedAccessKeyName, cs.SharedAccessKey),
		&service.ClientOptions{HTTPClient: client}))
	w.root = must[*pki.Authority](t)(pki.NewRoot(nil))
	w.intermediate = must[*pki.Authority](t)(w.root.NewIntermediate(nil))
	control := must[*arm.Client](t)(arm.NewClient(
		arm.Scope{SubscriptionID: info.SubscriptionID, ResourceGroup: info.ResourceGroup, ServiceName: info.Name},
		staticToken(info.Token), &arm.ClientOptions{Endpoint: info.ARMEndpoint, HTTPClient: client}))
	must[arm.Certificate](t)(control.UploadCertificate(t.Context(), "root", w.root.Certificate(), &arm.UploadOptions{Verified: true}))
	return w
}

// group makes an enrollment group on a signing certificate.
func (w *world) group(id string, ca *pki.Authority, change ...func(*service.EnrollmentGroup)) {
	w.t.Helper()
	g := service.EnrollmentGroup{EnrollmentGroupID: id, Attestation: service.SigningCertificate(ca.Certificate(), nil)}
	for _, f := range change {
		f(&g)
	}
	must[service.EnrollmentGroup](w.t)(w.service.PutGroup(w.t.Context(), g, nil))
}

func (w *world) individual(e service.IndividualEnrollment) {
	w.t.Helper()
	must[service.IndividualEnrollment](w.t)(w.service.PutEnrollment(w.t.Context(), e, nil))
}

// register registers id with cert.
func (w *world) register(id string, cert tls.Certificate, opts *device.RegisterOptions) (device.Result, error) {
	w.t.Helper()
	return w.client(id, cert).Register(w.t.Context(), opts)
}

func (w *world) client(id string, cert tls.Certificate, change ...func(*device.ClientOptions)) *device.Client {
	w.t.Helper()
	opts := &device.ClientOptions{Host: w.e.Info().HostName, RootCAs: w.e.CAPool(), RetryDelay: 1}
	for _, f := range change {
		f(opts)
	}
	return must[*device.Client](w.t)(device.NewClient(w.e.Info().IDScope, id, device.X509(cert), opts))
}

// issue makes a device certificate with its chain.
func issue(t *testing.T, ca *pki.Authority, req pki.IssueRequest) tls.Certificate {
	t.Helper()
	return must[tls.Certificate](t)(must[*pki.Bundle](t)(ca.Issue(req)).TLSCertificate())
}

func selfSigned(t *testing.T, id string) (tls.Certificate, *x509.Certificate) {
	t.Helper()
	b := must[*pki.Bundle](t)(pki.SelfSigned(pki.IssueRequest{CommonName: id}))
	return must[tls.Certificate](t)(b.TLSCertificate()), b.Certificate
}

// memory is a device endpoint on net.Pipe, so that TLS and HTTP run whole inside
// a synctest bubble.
type memory struct {
	conns chan net.Conn
	done  chan struct{}
	pool  *x509.CertPool
	cert  tls.Certificate // a client certificate that fits
	auth  tls.ClientAuthType
}

const memoryHost = "device.example"

func newMemory(t *testing.T) (*memory, *tls.Config) {
	t.Helper()
	ca := must[*pki.Authority](t)(pki.NewRoot(nil))
	m := &memory{conns: make(chan net.Conn), done: make(chan struct{}), pool: x509.NewCertPool(),
		auth: tls.RequestClientCert}
	m.pool.AddCert(ca.Certificate())
	m.cert = issue(t, ca, pki.IssueRequest{CommonName: "dev-1"})
	return m, &tls.Config{Certificates: []tls.Certificate{
		issue(t, ca, pki.IssueRequest{Profile: pki.ProfileServer, CommonName: memoryHost, DNSNames: []string{memoryHost}})}}
}

func serveMemory(t *testing.T, handler http.HandlerFunc) *memory {
	t.Helper()
	m, config := newMemory(t)
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		each := config.Clone()
		each.ClientAuth = m.auth
		return each, nil
	}
	server := &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0), TLSConfig: config}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.ServeTLS(m, "", "")
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	return m
}

func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.done:
		return nil, net.ErrClosed
	}
}

func (m *memory) Close() error {
	close(m.done)
	return nil
}

func (m *memory) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443} }

func (m *memory) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case m.conns <- server:
		return client, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (m *memory) client(t *testing.T, change ...func(*device.ClientOptions)) *device.Client {
	t.Helper()
	opts := &device.ClientOptions{Host: memoryHost, RootCAs: m.pool, DialContext: m.dial}
	for _, f := range change {
		f(opts)
	}
	return must[*device.Client](t)(device.NewClient("0ne00000000", "dev-1", device.X509(m.cert), opts))
}

// wantError fails unless err matches sentinel and has this code.
func wantError(t *testing.T, err, sentinel error, code int) *dps.Error {
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
	errors.As(err, &e)
	return e
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

// refuseDial notes the address and fails.
func refuseDial(address *string) func(context.Context, string, string) (net.Conn, error) {
	return func(_ context.Context, _, addr string) (net.Conn, error) {
		*address = addr
		return nil, errors.New("no network here")
	}
}

// settled passes on the outcome of a registration once the server has nothing
// more to do for it, so that a test may look at what the server saw. It is for
// synctest bubbles.
func settled(result device.Result, err error) (device.Result, error) {
	synctest.Wait()
	return result, err
}

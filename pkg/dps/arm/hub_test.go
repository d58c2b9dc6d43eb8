package arm_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/arm"
	"github.com/dpskit/dpskit/pkg/dps/dpstest"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/pki"
)

// startHubs returns clients of two hubs of one emulator, and of its service.
func startHubs(t *testing.T, wrap ...func(http.RoundTripper) http.RoundTripper) (first, second *arm.HubClient, svc *arm.Client) {
	t.Helper()
	e := dpstest.Start(t, func(o *emulator.Options) { o.Hubs = []string{"Hub-A.azure-devices.net", "hub-b.azure-devices.net"} })
	client := e.HTTPClient()
	t.Cleanup(client.CloseIdleConnections)
	transport := client.Transport
	for _, f := range wrap {
		transport = f(transport)
	}
	hub := func(name string) *arm.HubClient {
		scope := arm.HubScope{SubscriptionID: e.Info().SubscriptionID, ResourceGroup: e.Info().ResourceGroup, HubName: name}
		return must[*arm.HubClient](t)(arm.NewHubClient(scope, staticToken(e.Info().Token), &arm.ClientOptions{
			Endpoint: e.Info().ARMEndpoint, HTTPClient: &http.Client{Transport: transport}, RetryDelay: 1}))
	}
	return hub("hub-a"), hub("hub-b"), connect(t, e)
}

func TestHubCertificateLifeCycle(t *testing.T) {
	c, other, svc := startHubs(t)
	root := newRoot(t)
	if list := must[[]arm.Certificate](t)(c.ListCertificates(t.Context())); list == nil || len(list) != 0 {
		t.Errorf("got %v, want an empty list", list)
	}
	up := must[arm.Certificate](t)(c.UploadCertificate(t.Context(), "root", root.Certificate(), nil))
	if up.Name != "root" || up.Verified || up.Thumbprint != pki.SHA1Thumbprint(root.Certificate()) || !up.Expiry.Equal(root.Certificate().NotAfter) ||
		up.Certificate == nil || !up.Certificate.Equal(root.Certificate()) {
		t.Errorf("got %+v", up)
	}
	_, err := c.UploadCertificate(t.Context(), "root", newRoot(t).Certificate(), nil)
	wantError(t, err, dps.ErrPrecondition, 412001)
	code, coded, err := c.GenerateCode(t.Context(), "root", up.ETag)
	if err != nil || len(code) != 48 || coded.ETag == up.ETag || coded.Expiry.IsZero() {
		t.Fatalf("code %q, %+v, %v", code, coded, err)
	}
	_, err = c.VerifyCertificate(t.Context(), "root", proof(t, newRoot(t), code), coded.ETag)
	wantError(t, err, arm.ErrProof, 400053)
	_, err = c.VerifyCertificate(t.Context(), "root", proof(t, root, code), up.ETag)
	wantError(t, err, dps.ErrPrecondition, 412001)
	verified := must[arm.Certificate](t)(c.VerifyCertificate(t.Context(), "root", proof(t, root, code), coded.ETag))
	if got := must[arm.Certificate](t)(c.GetCertificate(t.Context(), "root")); !verified.Verified || !got.Verified || got.ETag != verified.ETag {
		t.Errorf("got %+v, %+v", verified, got)
	}
	// Neither the other hub nor the service has it.
	for name, list := range map[string]func() ([]arm.Certificate, error){
		"other hub": func() ([]arm.Certificate, error) { return other.ListCertificates(t.Context()) },
		"service":   func() ([]arm.Certificate, error) { return svc.ListCertificates(t.Context()) },
	} {
		if got := must[[]arm.Certificate](t)(list()); len(got) != 0 {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	wantError(t, c.DeleteCertificate(t.Context(), "root", coded.ETag), dps.ErrPrecondition, 412001)
	if err := c.DeleteCertificate(t.Context(), "root", ""); err != nil {
		t.Fatal(err)
	}
	_, err = c.GetCertificate(t.Context(), "root")
	wantError(t, err, dps.ErrNotFound, 404000)
}

func TestHubProve(t *testing.T) {
	lost := 0
	c, _, _ := startHubs(t, loseAnswer(&lost, isMethod(http.MethodPost, "/verify")))
	root := newRoot(t)
	intermediate := must[*pki.Authority](t)(root.NewIntermediate(nil))
	for name, ca := range map[string]*pki.Authority{"root": root, "intermediate": intermediate} {
		got := must[arm.ProveResult](t)(c.Prove(t.Context(), name, ca.Certificate(), signer(ca), nil))
		again := must[arm.ProveResult](t)(c.Prove(t.Context(), name, ca.Certificate(), signer(ca), nil))
		if !got.Uploaded || !got.Certificate.Verified || !again.AlreadyVerified {
			t.Errorf("%s: got %+v, then %+v", name, got, again)
		}
	}
	if lost != 1 {
		t.Errorf("%d answers lost", lost)
	}
	_, err := c.Prove(t.Context(), "root", newRoot(t).Certificate(), signer(root), nil)
	wantError(t, err, dps.ErrConflict, 0)
	up := must[arm.Certificate](t)(c.UploadCertificate(t.Context(), "vouched", newRoot(t).Certificate(), &arm.UploadOptions{Verified: true}))
	if !up.Verified {
		t.Errorf("got %+v", up)
	}
}

// TestHubWire checks what goes over the wire: an IoT hub wants the same text in
// the upload and in the proof.
func TestHubWire(t *testing.T) {
	root := newRoot(t)
	text := base64.StdEncoding.EncodeToString(pki.EncodeCertificatesPEM(root.Certificate()))
	s, opts := script(answer{200, `{"etag":"e1","properties":{"certificate":"` + text + `"}}`})
	c := must[*arm.HubClient](t)(arm.NewHubClient(arm.HubScope{SubscriptionID: subscription, ResourceGroup: "rg", HubName: "hub"}, staticToken("tok"), opts))
	up := must[arm.Certificate](t)(c.UploadCertificate(t.Context(), "a", root.Certificate(), &arm.UploadOptions{IfMatch: "AAA=", Verified: true}))
	must[arm.Certificate](t)(c.UploadCertificate(t.Context(), "b", root.Certificate(), nil))
	must[arm.Certificate](t)(c.VerifyCertificate(t.Context(), "a", root.Certificate(), "BBB="))
	const base = "/subscriptions/" + subscription + "/resourceGroups/rg/providers/Microsoft.Devices/IotHubs/hub/certificates/"
	for i, want := range []struct{ method, path, ifMatch, body string }{
		{"PUT", base + "a", "AAA=", `{"properties":{"certificate":"` + text + `","isVerified":true}}`},
		{"PUT", base + "b", "", `{"properties":{"certificate":"` + text + `"}}`},
		{"POST", base + "a/verify", "BBB=", `{"certificate":"` + text + `"}`},
	} {
		req := s.requests[i]
		if req.Method != want.method || req.URL.Path != want.path || req.Header.Get("If-Match") != want.ifMatch || s.bodies[i] != want.body {
			t.Errorf("%d: %s %s If-Match %q\n%s", i, req.Method, req.URL.Path, req.Header.Get("If-Match"), s.bodies[i])
		}
		if got := req.URL.RawQuery; got != "api-version=2023-06-30" {
			t.Errorf("%d: query %s", i, got)
		}
	}
	if up.Certificate == nil || !up.Certificate.Equal(root.Certificate()) {
		t.Error("the certificate in the answer was not read")
	}
}

// TestHubErrorForm: the newest IoT Hub provider sends the status as a number.
func TestHubErrorForm(t *testing.T) {
	_, opts := script(answer{400, `{"code":400053,"httpStatusCode":400,"message":"Proof-Of-Possession failed."}`})
	c := must[*arm.HubClient](t)(arm.NewHubClient(arm.HubScope{SubscriptionID: subscription, ResourceGroup: "rg", HubName: "hub"}, staticToken("tok"), opts))
	_, err := c.VerifyCertificate(t.Context(), "a", newRoot(t).Certificate(), "e")
	wantError(t, err, arm.ErrProof, 400053)
}

func TestFindHub(t *testing.T) {
	e := dpstest.Start(t, func(o *emulator.Options) { o.Hubs = []string{"Hub-A.azure-devices.net", "hub-b.azure-devices.net"} })
	c := must[*arm.SubscriptionClient](t)(arm.NewSubscriptionClient(e.Info().SubscriptionID, staticToken(e.Info().Token),
		&arm.ClientOptions{Endpoint: e.Info().ARMEndpoint, HTTPClient: e.HTTPClient()}))
	want := arm.Hub{Name: "Hub-A", SubscriptionID: e.Info().SubscriptionID, ResourceGroup: e.Info().ResourceGroup,
		HostName: "Hub-A.azure-devices.net", State: "Active", Location: "emulator"}
	for _, name := range []string{"hub-a", "HUB-A.azure-devices.NET"} {
		if d := cmp.Diff(want, must[arm.Hub](t)(c.FindHub(t.Context(), name))); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
	for _, name := range []string{"hub-c", "", "hub-a.azure-devices.cn"} {
		_, err := c.FindHub(t.Context(), name)
		wantError(t, err, dps.ErrNotFound, 0)
	}
	n := 0
	for _, err := range c.Hubs(t.Context(), &arm.ListOptions{ResourceGroup: strings.ToUpper(e.Info().ResourceGroup)}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 2 {
		t.Errorf("%d hubs", n)
	}
	for _, err := range c.Hubs(t.Context(), &arm.ListOptions{ResourceGroup: "a/b"}) {
		if !errors.Is(err, arm.ErrInvalidScope) {
			t.Errorf("got %v", err)
		}
	}
	hub := must[*arm.HubClient](t)(arm.NewHubClient(want.Scope(), staticToken(e.Info().Token), &arm.ClientOptions{Endpoint: e.Info().ARMEndpoint, HTTPClient: e.HTTPClient()}))
	if d := cmp.Diff(want, must[arm.Hub](t)(hub.GetHub(t.Context()))); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	absent := want.Scope()
	absent.HubName = "hub-c"
	hub = must[*arm.HubClient](t)(arm.NewHubClient(absent, staticToken(e.Info().Token), &arm.ClientOptions{Endpoint: e.Info().ARMEndpoint, HTTPClient: e.HTTPClient()}))
	_, err := hub.GetHub(t.Context())
	wantError(t, err, dps.ErrNotFound, 0)
	_, err = hub.ListCertificates(t.Context())
	wantError(t, err, dps.ErrNotFound, 0)
}

func TestNewHubClientRefuses(t *testing.T) {
	for _, scope := range []arm.HubScope{{}, {"s", "g", ""}, {"s", "", "h"}, {"s", "g", "h/x"}} {
		if _, err := arm.NewHubClient(scope, staticToken("x"), nil); !errors.Is(err, arm.ErrInvalidScope) {
			t.Errorf("%+v: got %v", scope, err)
		}
	}
	if _, err := arm.NewHubClient(arm.HubScope{"s", "g", "h"}, nil, nil); err == nil {
		t.Error("no error without a credential")
	}
}

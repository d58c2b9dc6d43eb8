package emulator_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/iothub/armiothub"

	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/pki"
)

const hubVersion = "2023-06-30"

func twoHubs(o *emulator.Options) {
	o.Hubs = []string{"Hub-A.azure-devices.net", "hub-b.azure-devices.net"}
}

// hub calls the Azure Resource Manager plane below an IoT hub.
func (w *world) hub(method, path, version string, body any, header map[string]string) answer {
	w.t.Helper()
	h := map[string]string{"Authorization": "Bearer " + w.info.Token}
	for k, v := range header {
		h[k] = v
	}
	return w.do(call{method: method, path: w.hubPath(path), version: version, body: body, header: h})
}

func (w *world) hubPath(path string) string {
	return fmt.Sprintf("/subscriptions/%s/resourceGroups/%s/providers/Microsoft.Devices/IotHubs%s", w.info.SubscriptionID, w.info.ResourceGroup, path)
}

// TestHubCertificateForms pins from which version a hub knows what: not the
// same as for the provisioning service.
func TestHubCertificateForms(t *testing.T) {
	w := newWorld(t, twoHubs)
	root := newPKI(t).root.Certificate()
	sent, der := base64PEM(root), base64.StdEncoding.EncodeToString(root.Raw)
	for i, tt := range []struct {
		version      string
		body         map[string]any
		status, code int
		get          string // properties.certificate: absent, null or the value
		verified     bool
	}{
		{"2017-07-01", flat(der), 200, 0, "absent", false},
		{"2018-04-01", flat(sent), 200, 0, "absent", false},
		{"2018-12-01-preview", flat(sent), 200, 0, "null", false},
		{"2019-03-22", flat(pemText(root)), 200, 0, "null", false},
		{"2020-03-01", flat(sent), 200, 0, "null", false},
		{"2020-08-01", nested(sent), 200, 0, "null", false},
		{"2021-03-31", nested(sent), 200, 0, sent, false},
		{"2021-03-31", nested(pemText(root)), 200, 0, der, false},
		{"2021-07-01", nested(sent), 200, 0, sent, true},
		{"2023-06-30-preview", nested(sent), 200, 0, sent, true},
		{"2019-03-22", nested(sent), 400, 400099, "", false},
		{"2020-03-01", nested(sent), 400, 400099, "", false},
		{"2020-08-01", flat(sent), 400, 400099, "", false},
		{"2023-06-30", nested("hello"), 400, 400000, "", false},
	} {
		t.Run(fmt.Sprintf("%d %s", i, tt.version), func(t *testing.T) {
			w := w.in(t)
			if p, ok := tt.body["properties"].(map[string]any); ok {
				p["isVerified"] = true
			} else {
				tt.body["isVerified"] = true
			}
			path := fmt.Sprintf("/hub-a/certificates/c%d", i)
			a := w.hub(http.MethodPut, path, tt.version, tt.body, nil)
			w.want(a, tt.status, tt.code)
			if tt.status != 200 {
				return
			}
			checkMember(t, "PUT", a, tt.get)
			checkMember(t, "GET", w.hub(http.MethodGet, path, tt.version, nil, nil), tt.get)
			if got := a.body["properties"].(map[string]any)["isVerified"]; got != tt.verified {
				t.Errorf("isVerified = %v, want %v", got, tt.verified)
			}
			if a.str("type") != "Microsoft.Devices/IotHubs/Certificates" || a.str("id") != w.hubPath(strings.Replace(path, "hub-a", "Hub-A", 1)) {
				t.Errorf("resource is %s", a.raw)
			}
		})
	}
}

// TestHubStatusForm: only the newest versions repeat the status as a number.
func TestHubStatusForm(t *testing.T) {
	w := newWorld(t, twoHubs)
	for version, want := range map[string]any{"2022-11-15-preview": "NotFound", "2023-06-30": 404.0, "2023-06-30-preview": 404.0} {
		a := w.hub(http.MethodGet, "/hub-a/certificates/none", version, nil, nil)
		w.want(a, 404, 404000)
		if got := a.body["httpStatusCode"]; got != want {
			t.Errorf("%s: httpStatusCode = %v, want %v", version, got, want)
		}
	}
	a := w.arm(http.MethodGet, "/certificates/none", "2023-03-01-preview", nil, nil)
	if got := a.body["httpStatusCode"]; got != "NotFound" {
		t.Errorf("service: httpStatusCode = %v", got)
	}
}

// TestHubsAreApart: a certificate of a hub is nobody else's, and means nothing
// to a device that registers.
func TestHubsAreApart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	w := newWorld(t, twoHubs, func(o *emulator.Options) { o.DataDir = dir })
	p := newPKI(t)
	body := nested(base64PEM(p.root.Certificate()))
	body["properties"].(map[string]any)["isVerified"] = true
	w.want(w.hub(http.MethodPut, "/HUB-A/certificates/Root", hubVersion, body, nil), 200, 0)
	w.want(w.hub(http.MethodGet, "/hub-a/certificates/root", hubVersion, nil, nil), 200, 0)
	w.want(w.hub(http.MethodGet, "/hub-b/certificates/root", hubVersion, nil, nil), 404, 404000)
	w.want(w.arm(http.MethodGet, "/certificates/root", armVersion, nil, nil), 404, 404000)
	w.group("fleet", p.intermediate.Certificate())
	w.want(w.register("dev-1", device(t, p.intermediate, "dev-1")), 401, 401002)
	for path, want := range map[string]int{"/hub-a/certificates": 1, "/hub-b/certificates": 0} {
		if n := len(w.hub(http.MethodGet, path, hubVersion, nil, nil).body["value"].([]any)); n != want {
			t.Errorf("%s lists %d", path, n)
		}
	}
	// It outlives a restart.
	if err := w.e.Close(); err != nil {
		t.Fatal(err)
	}
	w = newWorld(t, twoHubs, func(o *emulator.Options) { o.DataDir = dir })
	a := w.hub(http.MethodGet, "/hub-a/certificates/root", hubVersion, nil, nil)
	if w.want(a, 200, 0); a.str("name") != "Root" {
		t.Errorf("name = %q", a.str("name"))
	}
}

func TestHubResources(t *testing.T) {
	w := newWorld(t, twoHubs)
	a := w.hub(http.MethodGet, "/HUB-A", hubVersion, nil, nil)
	w.want(a, 200, 0)
	if a.str("name") != "Hub-A" || a.str("properties", "hostName") != "Hub-A.azure-devices.net" || a.str("properties", "state") != "Active" {
		t.Errorf("hub is %s", a.raw)
	}
	for _, path := range []string{w.hubPath(""), "/subscriptions/" + w.info.SubscriptionID + "/providers/microsoft.devices/iothubs"} {
		a := w.do(call{method: http.MethodGet, path: path, version: hubVersion, header: map[string]string{"Authorization": "Bearer " + w.info.Token}})
		if w.want(a, 200, 0); len(a.body["value"].([]any)) != 2 {
			t.Errorf("%s: %s", path, a.raw)
		}
	}
	for _, tt := range []struct {
		name, method, path, version string
		header                      map[string]string
		status                      int
		code                        string
	}{
		{"not linked", "GET", "/hub-c/certificates", hubVersion, nil, 404, "ResourceNotFound"},
		{"host name for a name", "GET", "/hub-a.azure-devices.net", hubVersion, nil, 404, "ResourceNotFound"},
		{"no token", "GET", "/hub-a/certificates", hubVersion, map[string]string{"Authorization": ""}, 401, "AuthenticationFailed"},
		{"version of the service", "GET", "/hub-a/certificates", "2022-12-12", nil, 400, "NoRegisteredProviderFound"},
		{"no version", "GET", "/hub-a/certificates", "", nil, 400, "MissingApiVersionParameter"},
		{"method", "DELETE", "/hub-a", hubVersion, nil, 405, "MethodNotAllowed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := w.in(t)
			if a := w.hub(tt.method, tt.path, tt.version, nil, tt.header); a.status != tt.status || a.str("error", "code") != tt.code {
				t.Errorf("got %d %s, want %d %s", a.status, a.raw, tt.status, tt.code)
			}
		})
	}
	a = w.arm(http.MethodGet, "/certificates", hubVersion, nil, nil)
	if a.status != 400 || !strings.Contains(a.str("error", "message"), "for type 'provisioningServices'") {
		t.Errorf("version of the hub at the service: %s", a.raw)
	}
}

// TestOfficialHubClient drives the certificates of a hub with Microsoft's own
// client: upload, code, verify, list, get, delete.
func TestOfficialHubClient(t *testing.T) {
	w := newWorld(t, twoHubs)
	root := newPKI(t).root
	httpClient := w.client(nil)
	t.Cleanup(httpClient.CloseIdleConnections)
	c, err := armiothub.NewCertificatesClient(w.info.SubscriptionID, staticToken(w.info.Token), &arm.ClientOptions{
		ClientOptions: azcore.ClientOptions{
			Cloud: cloud.Configuration{Services: map[cloud.ServiceName]cloud.ServiceConfiguration{
				cloud.ResourceManager: {Endpoint: w.info.ARMEndpoint, Audience: "https://management.azure.com"},
			}},
			Transport: httpClient, Retry: policy.RetryOptions{MaxRetries: -1},
		},
		DisableRPRegistration: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, rg, hub := t.Context(), w.info.ResourceGroup, "hub-a"
	put, err := c.CreateOrUpdate(ctx, rg, hub, "root", armiothub.CertificateDescription{
		Properties: &armiothub.CertificateProperties{Certificate: to.Ptr(base64PEM(root.Certificate()))}}, nil)
	if err != nil || *put.Properties.IsVerified || *put.Properties.Thumbprint != pki.SHA1Thumbprint(root.Certificate()) {
		t.Fatalf("uploaded %+v, %v", put.Properties, err)
	}
	code, err := c.GenerateVerificationCode(ctx, rg, hub, "root", *put.Etag, nil)
	if err != nil || code.Properties.Updated == nil {
		t.Fatal(err)
	}
	proof := issue(t, root, pki.IssueRequest{Profile: pki.ProfileVerification, CommonName: *code.Properties.VerificationCode})
	body := armiothub.CertificateVerificationDescription{Certificate: to.Ptr(base64PEM(proof.Certificate))}
	if _, err = c.Verify(ctx, rg, hub, "root", *put.Etag, body, nil); status(err) != http.StatusPreconditionFailed {
		t.Errorf("verify with the etag of the upload: %v, want 412", err)
	}
	verified, err := c.Verify(ctx, rg, hub, "root", *code.Etag, body, nil)
	if err != nil || !*verified.Properties.IsVerified {
		t.Fatalf("verified %+v, %v", verified.Properties, err)
	}
	list, err := c.ListByIotHub(ctx, rg, hub, nil)
	if err != nil || len(list.Value) != 1 {
		t.Errorf("list: %v, %v", list.Value, err)
	}
	if _, err := c.Delete(ctx, rg, hub, "root", *verified.Etag, nil); err != nil {
		t.Error(err)
	}
	if _, err := c.Get(ctx, rg, hub, "root", nil); status(err) != http.StatusNotFound {
		t.Errorf("get after delete: %v, want 404", err)
	}
}

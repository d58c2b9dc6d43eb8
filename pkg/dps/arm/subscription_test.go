package arm_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/arm"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

const subscription = "00000000-0000-0000-0000-000000000001"

// resource is a service as the real one describes itself (api-version
// 2021-10-15), with lower-case members at the top that no model has.
func resource(group, name, more string) string {
	return fmt.Sprintf(`{"etag":"AAAAAA/P24M=","name":%q,"location":"westus","properties":{"state":"Active","provisioningState":"Succeeded",
		"iotHubs":[{"connectionString":"HostName=h;SharedAccessKey=****","location":"westus","name":"h.azure-devices.net"}],
		"allocationPolicy":"Hashed","serviceOperationsHostName":"%s.azure-devices-provisioning.net",
		"deviceProvisioningHostName":"global.azure-devices-provisioning.net","idScope":"0ne005CB7A6"},
		"resourcegroup":%q,"type":"Microsoft.Devices/provisioningServices",
		"id":"/subscriptions/%s/resourceGroups/%s/providers/Microsoft.Devices/provisioningServices/%s","tags":{}%s}`,
		name, strings.ToLower(name), group, subscription, group, name, more)
}

func subscriptionClient(t *testing.T, answers ...answer) (*scripted, *arm.SubscriptionClient) {
	t.Helper()
	s, opts := script(answers...)
	c, err := arm.NewSubscriptionClient(subscription, staticToken("tok"), opts)
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

func collect(t *testing.T, c *arm.SubscriptionClient, opts *arm.ListOptions) ([]arm.Service, error) {
	t.Helper()
	var list []arm.Service
	for s, err := range c.Services(t.Context(), opts) {
		if err != nil {
			return list, err
		}
		list = append(list, s)
	}
	return list, nil
}

func TestServices(t *testing.T) {
	const next = "https://management.azure.com:443/subscriptions/" + subscription + "/providers/Microsoft.Devices/provisioningServices?api-version=2022-02-05&%24skiptoken=x"
	s, c := subscriptionClient(t,
		answer{200, `{"value":[` + resource("g1", "Alpha", "") + `,null],"nextLink":"` + next + `"}`},
		answer{200, `{"value":[` + resource("g2", "beta", "") + `]}`})
	got, err := collect(t, c, nil)
	if err != nil || len(got) != 3 {
		t.Fatalf("got %+v, %v", got, err)
	}
	want := arm.Service{Name: "Alpha", SubscriptionID: subscription, ResourceGroup: "g1", IDScope: "0ne005CB7A6",
		ServiceHost: "alpha.azure-devices-provisioning.net", DeviceHost: "global.azure-devices-provisioning.net",
		State: "Active", Location: "westus", AllocationPolicy: "Hashed", Hubs: []string{"h.azure-devices.net"}}
	if d := cmp.Diff(want, got[0]); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if got[2].Scope() != (arm.Scope{SubscriptionID: subscription, ResourceGroup: "g2", ServiceName: "beta"}) {
		t.Errorf("scope %+v", got[2].Scope())
	}
	if path := s.requests[0].URL.Path; path != "/subscriptions/"+subscription+"/providers/Microsoft.Devices/provisioningServices" {
		t.Errorf("path %s", path)
	}
	if s.requests[1].URL.Query().Get("$skiptoken") != "x" {
		t.Errorf("second page: %s", s.requests[1].URL)
	}
	s, c = subscriptionClient(t, answer{200, `{"value":[]}`})
	if got, err := collect(t, c, &arm.ListOptions{ResourceGroup: "g1"}); err != nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
	if path := s.requests[0].URL.Path; !strings.Contains(path, "/resourceGroups/g1/providers/") {
		t.Errorf("path %s", path)
	}
}

// TestNextPageStaysHere: the token is not sent to the host that an answer names.
func TestNextPageStaysHere(t *testing.T) {
	for name, link := range map[string]string{
		"another host": "https://evil.example/subscriptions/x", "plain HTTP": "http://management.azure.com/x", "another port": "https://management.azure.com:8443/x",
		"a user": "https://u@management.azure.com/x", "relative": "/subscriptions/x", "no URL": "://",
	} {
		s, c := subscriptionClient(t, answer{200, `{"value":[],"nextLink":"` + link + `"}`}, answer{200, `{"value":[]}`})
		_, err := collect(t, c, nil)
		if wantError(t, err, dps.ErrUnexpectedAnswer, 0); len(s.requests) != 1 {
			t.Errorf("%s: %d requests", name, len(s.requests))
		}
	}
}

func TestListThatDoesNotEnd(t *testing.T) {
	s, c := subscriptionClient(t, answer{200, `{"value":[],"nextLink":"https://management.azure.com/x?api-version=1"}`})
	_, err := collect(t, c, nil)
	if wantError(t, err, dps.ErrUnexpectedAnswer, 0); len(s.requests) != 2 {
		t.Errorf("%d requests", len(s.requests))
	}
}

func TestServicesErrors(t *testing.T) {
	_, c := subscriptionClient(t, answer{403, `{"error":{"code":"AuthorizationFailed","message":"no"}}`})
	_, err := collect(t, c, nil)
	wantError(t, err, dps.ErrUnauthorized, 0)
	_, err = c.FindService(t.Context(), "x")
	wantError(t, err, dps.ErrUnauthorized, 0)
	s, c := subscriptionClient(t, answer{200, `{"value":[]}`})
	if _, err := collect(t, c, &arm.ListOptions{ResourceGroup: "a/../b"}); err == nil || len(s.requests) != 0 {
		t.Errorf("%d requests, %v", len(s.requests), err)
	}
	if _, err := arm.NewSubscriptionClient("", staticToken("x"), nil); err == nil {
		t.Error("no error without a subscription")
	}
	if _, err := arm.NewSubscriptionClient("s", nil, nil); err == nil {
		t.Error("no error without a credential")
	}
	if _, err := arm.NewSubscriptionClient("s", staticToken("x"), &arm.ClientOptions{Endpoint: "http://x"}); err == nil {
		t.Error("no error with plain HTTP")
	}
}

func TestFindService(t *testing.T) {
	_, c := subscriptionClient(t, answer{200, `{"value":[` + resource("g1", "Alpha", "") + `,` + resource("g2", "beta", "") + `]}`})
	if got := must[arm.Service](t)(c.FindService(t.Context(), "BETA")); got.Name != "beta" || got.ResourceGroup != "g2" {
		t.Errorf("got %+v", got)
	}
	_, err := c.FindService(t.Context(), "gamma")
	wantError(t, err, dps.ErrNotFound, 0)
	if !strings.Contains(err.Error(), subscription) || !strings.Contains(err.Error(), `"gamma"`) {
		t.Errorf("got %v", err)
	}
}

// TestConnectionStringFromARM goes from a name to the service plane.
func TestConnectionStringFromARM(t *testing.T) {
	e, _ := start(t)
	opts := &arm.ClientOptions{Endpoint: e.Info().ARMEndpoint, HTTPClient: e.HTTPClient()}
	finder, err := arm.NewSubscriptionClient(e.Info().SubscriptionID, staticToken(e.Info().Token), opts)
	if err != nil {
		t.Fatal(err)
	}
	svc := must[arm.Service](t)(finder.FindService(t.Context(), strings.ToUpper(e.Info().Name)))
	client := must[*arm.Client](t)(arm.NewClient(svc.Scope(), staticToken(e.Info().Token), opts))
	key := must[arm.Key](t)(arm.OwnerKey(must[[]arm.Key](t)(client.Keys(t.Context()))))
	if key.Name != emulator.KeyName || !key.Allows("serviceconfig", "EnrollmentWrite", "DeviceConnect") || key.Allows("EnrollmentWrite", "RegistryWrite") {
		t.Errorf("key %q with rights %q", key.Name, key.Rights)
	}
	text := svc.ConnectionString(key)
	if text.Reveal() != e.Info().ConnectionString {
		t.Errorf("got %q", text.Reveal())
	}
	cs, err := dps.ParseConnectionString(text.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	plane := must[*service.Client](t)(service.NewClient(cs.HostName, service.SharedKey(cs.SharedAccessKeyName, cs.SharedAccessKey),
		&service.ClientOptions{HTTPClient: e.HTTPClient()}))
	for _, err := range plane.Groups(t.Context(), nil) {
		t.Error(err)
	}
	if shown := fmt.Sprintf("%v %+v %#v %s", key, key, text, text); strings.Contains(shown, key.Primary.Reveal()) {
		t.Errorf("the key is in %s", shown)
	}
}

func TestOwnerKey(t *testing.T) {
	rule := func(name, rights string) string {
		return fmt.Sprintf(`{"keyName":%q,"primaryKey":"cA==","secondaryKey":"cw==","rights":%q}`, name, rights)
	}
	for name, tt := range map[string]struct {
		rules string
		want  string
	}{
		"the first that may":   {rule("reader", "EnrollmentRead") + `,` + rule("a", "EnrollmentWrite, ServiceConfig") + `,` + rule("b", "ServiceConfig, EnrollmentWrite"), "a"},
		"no space":             {rule("a", "ServiceConfig,EnrollmentWrite"), "a"},
		"one right each":       {rule("a", "ServiceConfig") + `,` + rule("b", "EnrollmentWrite"), ""},
		"a longer word":        {rule("a", "ServiceConfigX, EnrollmentWriteX"), ""},
		"a policy without key": {`{"keyName":"a","rights":"ServiceConfig, EnrollmentWrite"}`, ""},
		"none":                 {"", ""},
		"null":                 {"null", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, c := scriptedClient(t, nil, answer{200, `{"value":[` + tt.rules + `]}`})
			keys := must[[]arm.Key](t)(c.Keys(t.Context()))
			got, err := arm.OwnerKey(keys)
			if got.Name != tt.want || (err == nil) != (tt.want != "") || err != nil && !errors.Is(err, arm.ErrNoPolicy) {
				t.Errorf("got %q, %v", got.Name, err)
			}
			if req := s.requests[0]; req.Method != "POST" || !strings.HasSuffix(req.URL.Path, "/provisioningServices/name/listkeys") {
				t.Errorf("%s %s", req.Method, req.URL)
			}
		})
	}
}

func TestKeysRefused(t *testing.T) {
	_, c := scriptedClient(t, nil, answer{403, `{"error":{"code":"AuthorizationFailed","message":"no listkeys/action"}}`})
	_, err := c.Keys(t.Context())
	wantError(t, err, dps.ErrUnauthorized, 0)
	_, c = scriptedClient(t, nil, answer{200, `{"value":[{"keyName":"a","primaryKey":"cGF"`})
	_, err = c.Keys(t.Context())
	if wantError(t, err, dps.ErrUnavailable, 0); strings.Contains(err.Error(), "cGF") {
		t.Errorf("a piece of the key is in %v", err)
	}
}

package arm_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/arm"
	"github.com/dpskit/dpskit/pkg/pki"
)

func TestNewClientRefuses(t *testing.T) {
	good := testScope
	for name, tt := range map[string]struct {
		scope arm.Scope
		opts  *arm.ClientOptions
		want  string
	}{
		"no subscription":   {arm.Scope{"", "g", "s"}, nil, "subscription id is empty"},
		"no group":          {arm.Scope{"s", "", "s"}, nil, "resource group is empty"},
		"no name":           {arm.Scope{"s", "g", ""}, nil, "service name is empty"},
		"path in the group": {arm.Scope{"s", "g/../x", "n"}, nil, "resource group is not valid"},
		"dots":              {arm.Scope{"s", "..", "n"}, nil, "resource group is not valid"},
		"query in the name": {arm.Scope{"s", "g", "n?x=1"}, nil, "service name is not valid"},
		"newline":           {arm.Scope{"s\n", "g", "n"}, nil, "subscription id is not valid"},
		"plain http":        {good, &arm.ClientOptions{Endpoint: "http://management.azure.com"}, "https"},
		"no host":           {good, &arm.ClientOptions{Endpoint: "https://"}, "https URL"},
		"no URL":            {good, &arm.ClientOptions{Endpoint: "management.azure.com"}, "https URL"},
		"user part":         {good, &arm.ClientOptions{Endpoint: "https://u:p@x"}, "https URL"},
		"bad port":          {good, &arm.ClientOptions{Endpoint: "https://x:99999"}, "port"},
	} {
		if c, err := arm.NewClient(tt.scope, staticToken("x"), tt.opts); err == nil || c != nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := arm.NewClient(arm.Scope{"s", "g/x", "n"}, staticToken("x"), nil); !errors.Is(err, arm.ErrInvalidScope) {
		t.Errorf("got %v", err)
	}
	if _, err := arm.NewClient(good, nil, nil); err == nil {
		t.Error("no error without a credential")
	}
	if _, err := arm.NewClient(good, staticToken("x"), nil); err != nil {
		t.Error(err)
	}
}

func TestAudience(t *testing.T) {
	for name, tt := range map[string]struct {
		opts arm.ClientOptions
		want string
	}{
		"public":     {arm.ClientOptions{}, "https://management.core.windows.net//.default"},
		"spelled":    {arm.ClientOptions{Endpoint: "https://Management.azure.com/"}, "https://management.core.windows.net//.default"},
		"government": {arm.ClientOptions{Endpoint: "https://management.usgovcloudapi.net"}, "https://management.core.usgovcloudapi.net//.default"},
		"china":      {arm.ClientOptions{Endpoint: "https://management.chinacloudapi.cn"}, "https://management.core.chinacloudapi.cn//.default"},
		"other":      {arm.ClientOptions{Endpoint: "https://localhost:8443"}, "https://localhost:8443/.default"},
		"chosen":     {arm.ClientOptions{Endpoint: "https://localhost:8443", Audience: "https://x"}, "https://x/.default"},
	} {
		c, err := arm.NewClient(testScope, staticToken(""), &tt.opts)
		if err != nil {
			t.Fatal(err)
		}
		// The credential fails and names the scope that it was asked for.
		_, err = c.ListCertificates(t.Context())
		if wantError(t, err, dps.ErrUnauthorized, 0); !strings.HasSuffix(fmt.Sprint(err), "scope "+tt.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestWire checks what goes over the wire against the specification: the two
// encodings of a certificate, paths, versions, etags.
func TestWire(t *testing.T) {
	root := newRoot(t)
	text := base64.StdEncoding.EncodeToString(pki.EncodeCertificatesPEM(root.Certificate()))
	s, c := scriptedClient(t, nil, answer{200, `{"etag":"e1","properties":{}}`})
	must[arm.Certificate](t)(c.UploadCertificate(t.Context(), "a.b_c", root.Certificate(), nil))
	must[arm.Certificate](t)(c.UploadCertificate(t.Context(), "a", root.Certificate(), &arm.UploadOptions{IfMatch: "AAA=", Verified: true}))
	must[arm.Certificate](t)(c.VerifyCertificate(t.Context(), "a", root.Certificate(), "BBB="))
	const base = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg%281%29/providers/Microsoft.Devices/provisioningServices/name/certificates/"
	for i, want := range []struct{ method, path, ifMatch, body string }{
		{"PUT", base + "a.b_c", "", `{"properties":{"certificate":"` + text + `"}}`},
		{"PUT", base + "a", "AAA=", `{"properties":{"certificate":"` + text + `","isVerified":true}}`},
		{"POST", base + "a/verify", "BBB=", `{"certificate":"` + text + `"}`},
	} {
		req := s.requests[i]
		if req.Method != want.method || !samePath(req.URL.EscapedPath(), want.path) || req.Header.Get("If-Match") != want.ifMatch {
			t.Errorf("%d: %s %s If-Match %q", i, req.Method, req.URL.EscapedPath(), req.Header.Get("If-Match"))
		}
		if s.bodies[i] != want.body {
			t.Errorf("%d: body %s\nwant %s", i, s.bodies[i], want.body)
		}
		if got := req.URL.RawQuery; got != "api-version=2022-02-05" {
			t.Errorf("%d: query %s", i, got)
		}
		if got := req.Header.Get("Authorization"); got != "Bearer tok" {
			t.Errorf("%d: Authorization %s", i, got)
		}
	}
	s, c = scriptedClient(t, &arm.ClientOptions{APIVersion: "2022-12-12"}, answer{200, `{"value":[]}`})
	must[[]arm.Certificate](t)(c.ListCertificates(t.Context()))
	if got := s.requests[0].URL.RawQuery; got != "api-version=2022-12-12" {
		t.Errorf("query %s", got)
	}
}

func samePath(a, b string) bool {
	plain := strings.NewReplacer("%28", "(", "%29", ")")
	return plain.Replace(a) == plain.Replace(b)
}

// TestAnswers reads what the service has been seen to send.
func TestAnswers(t *testing.T) {
	root := newRoot(t)
	der, text := root.Certificate().Raw, pki.EncodeCertificatesPEM(root.Certificate())
	const dates = `"expiry":"Fri, 30 Jun 2023 21:25:30 GMT","created":"Mon, 01 Jan 0001 00:00:00 GMT","updated":"Tue, 27 Jun 2023 21:25:31 GMT"`
	for name, tt := range map[string]struct {
		certificate string
		returned    bool
	}{
		"absent":         {"", false},
		"null":           {`,"certificate":null`, false},
		"base64 of PEM":  {`,"certificate":"` + base64.StdEncoding.EncodeToString(text) + `"`, true},
		"base64 of DER":  {`,"certificate":"` + base64.StdEncoding.EncodeToString(der) + `"`, true},
		"base64 twice":   {`,"certificate":"` + base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString(der))) + `"`, true},
		"something else": {`,"certificate":"AAAA"`, false},
	} {
		_, c := scriptedClient(t, nil, answer{200, `{"etag":"e","name":"n","properties":{"subject":"CN","thumbprint":"ab12","isVerified":true,` + dates + tt.certificate + `}}`})
		got := must[arm.Certificate](t)(c.GetCertificate(t.Context(), "n"))
		if (got.Certificate != nil) != tt.returned {
			t.Errorf("%s: certificate %v", name, got.Certificate)
		}
		if got.Thumbprint != "AB12" || !got.Created.IsZero() || got.Expiry.Format("2006-01-02") != "2023-06-30" || got.Updated.IsZero() || !got.Verified {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	_, c := scriptedClient(t, nil, answer{200, `{"etag":"e","properties":{"verificationCode":"ABC","thumbprint":"ab",` + dates + `}}`})
	code, cert, err := c.GenerateCode(t.Context(), "n", "e0")
	if err != nil || code != "ABC" || cert.ETag != "e" || cert.Expiry.IsZero() || !cert.Created.IsZero() {
		t.Errorf("got %q, %+v, %v", code, cert, err)
	}
}

func TestUnreadableAnswers(t *testing.T) {
	for name, body := range map[string]string{
		"web page": "<html>sign in</html>", "truncated": `{"etag":"e"`, "no etag": `{}`, "list": `[1]`,
		"date": `{"etag":"e","properties":{"expiry":"soon"}}`, "empty": "",
	} {
		_, c := scriptedClient(t, nil, answer{200, body})
		_, err := c.GetCertificate(t.Context(), "n")
		want := dps.ErrUnexpectedAnswer
		if name == "truncated" { // a problem of the connection
			want = dps.ErrUnavailable
		}
		wantError(t, err, want, 0)
		_, _, err = c.GenerateCode(t.Context(), "n", "e")
		if name == "date" {
			continue // these dates are not decoded
		}
		wantError(t, err, want, 0)
	}
}

// TestErrorForms decodes the three forms of refusals, which the official client
// cannot.
func TestErrorForms(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"provider":     {412, `{"code":412001,"httpStatusCode":"PreconditionFailed","message":"Invalid ETag supplied."}`, "412 Precondition Failed (code 412001): Invalid ETag supplied."},
		"old provider": {404, `{"Code":"KeyNameNotFound","HttpStatusCode":"NotFound","Message":"m"}`, "404 Not Found (code KeyNameNotFound): m"},
		"front end":    {403, `{"error":{"code":"AuthorizationFailed","message":"The client\ndoes not"}}`, "403 Forbidden (code AuthorizationFailed): The client does not"},
		"html":         {502, `<html>`, "502 Bad Gateway: the answer is a web page, not JSON (a proxy or another server?)"},
	} {
		_, c := scriptedClient(t, nil, answer{tt.status, tt.body})
		_, err := c.ListCertificates(t.Context())
		if want := "list CA certificates: " + tt.want; fmt.Sprint(err) != want {
			t.Errorf("%s: got  %v\nwant %s", name, err, want)
		}
	}
}

func TestInternalErrorIsNotRepeatedBlindly(t *testing.T) {
	root := newRoot(t)
	s, c := scriptedClient(t, nil, answer{500, `{"code":500019,"httpStatusCode":"InternalServerError","message":"Internal Error."}`})
	_, err := c.UploadCertificate(t.Context(), "n", root.Certificate(), nil)
	if wantError(t, err, dps.ErrUnavailable, 500019); len(s.requests) != 1 {
		t.Errorf("%d requests", len(s.requests))
	}
	s, c = scriptedClient(t, nil, answer{503, ""}, answer{200, `{"etag":"e"}`})
	must[arm.Certificate](t)(c.UploadCertificate(t.Context(), "n", root.Certificate(), nil))
	if len(s.requests) != 2 || s.bodies[0] != s.bodies[1] {
		t.Errorf("%d requests", len(s.requests))
	}
}

func TestMissingRegistrationIsOnlyReported(t *testing.T) {
	s, c := scriptedClient(t, nil, answer{409, `{"error":{"code":"MissingSubscriptionRegistration","message":"The subscription is not registered."}}`})
	_, err := c.ListCertificates(t.Context())
	if wantError(t, err, dps.ErrConflict, 0); len(s.requests) != 1 {
		t.Errorf("%d requests: the subscription was changed", len(s.requests))
	}
}

func TestGetService(t *testing.T) {
	e, c := start(t)
	got := must[arm.Service](t)(c.GetService(t.Context()))
	info := e.Info()
	if got.Name != info.Name || got.IDScope != info.IDScope || got.ServiceHost != info.HostName || got.State != "Active" ||
		len(got.Hubs) != 1 || got.DeviceHost == "" || got.Location == "" {
		t.Errorf("got %+v", got)
	}
	scope := scopeOf(e)
	scope.ServiceName = "none"
	_, err := connectAs(t, e, scope, staticToken(info.Token)).GetService(t.Context())
	wantError(t, err, dps.ErrNotFound, 0)
	_, c = scriptedClient(t, nil, answer{200, `{"properties":{"state":"Activating","idScope":null,"iotHubs":[null]}}`})
	if got := must[arm.Service](t)(c.GetService(t.Context())); got.IDScope != "" || got.State != "Activating" {
		t.Errorf("got %+v", got)
	}
}

func TestCertificateJSON(t *testing.T) {
	root := newRoot(t)
	out := must[[]byte](t)(json.Marshal(arm.Certificate{Name: "n", ETag: "e", Certificate: root.Certificate()}))
	var got map[string]any
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	text, _ := got["certificate"].(string)
	if block, _ := pem.Decode([]byte(text)); block == nil || got["etag"] != "e" || got["expiry"] != nil {
		t.Errorf("got %s", out)
	}
}

func TestTokenIsNeverShown(t *testing.T) {
	const canary = "canary-canary-canary-token"
	reached := false
	thief := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer thief.Close()
	status, location := http.StatusBadRequest, ""
	echo := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if location != "" {
			http.Redirect(w, r, location, http.StatusTemporaryRedirect)
			return
		}
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error":{"code":"X","message":"%v"}}`, r.Header.Get("Authorization"))
	}))
	defer echo.Close()
	var logged bytes.Buffer
	c, err := arm.NewClient(testScope, staticToken(canary), &arm.ClientOptions{Endpoint: echo.URL, HTTPClient: echo.Client(),
		RetryDelay: 1, Logger: slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.ListCertificates(t.Context())
	wantError(t, err, dps.ErrBadRequest, 0)
	shown := fmt.Sprintf("%v %+v %#v %v %+v", err, err, err, c, c)
	location = thief.URL
	_, err = c.ListCertificates(t.Context())
	wantError(t, err, dps.ErrUnexpectedAnswer, 0)
	shown += fmt.Sprintf("%v %+v %s", err, *c, logged.String())
	if strings.Contains(shown, canary) || reached || logged.Len() == 0 {
		t.Errorf("reached %v, shown %s", reached, shown)
	}
}

func TestStaticToken(t *testing.T) {
	const canary = "canary-canary-canary-token"
	cred := arm.StaticToken(canary)
	token, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{})
	if err != nil || token.Token != canary || time.Until(token.ExpiresOn) < 10*time.Minute {
		t.Errorf("got %+v, %v", token, err)
	}
	holder := struct{ cred azcore.TokenCredential }{cred}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		shown := fmt.Sprintf(verb+verb, cred, holder)
		if strings.Contains(shown, canary) || strings.Contains(shown, hex.EncodeToString([]byte(canary))) {
			t.Errorf("%s shows %s", verb, shown)
		}
	}
}

// TestManyAtOnce shares one client between goroutines, as a program may.
func TestManyAtOnce(t *testing.T) {
	_, c := start(t)
	var group sync.WaitGroup
	for i := range 8 {
		root := newRoot(t)
		group.Go(func() {
			name := fmt.Sprint("ca-", i)
			if got, err := c.Prove(t.Context(), name, root.Certificate(), signer(root), nil); err != nil || !got.Certificate.Verified {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	group.Wait()
	list := must[[]arm.Certificate](t)(c.ListCertificates(t.Context()))
	if len(list) != 8 {
		t.Errorf("%d certificates", len(list))
	}
	for _, cert := range list {
		if !cert.Verified {
			t.Errorf("%s is not verified", cert.Name)
		}
	}
}

// TestExpiredCA: the service takes an expired CA, so the client does too; what
// becomes of its proof is the service's decision.
func TestExpiredCA(t *testing.T) {
	_, c := start(t)
	old := must[*pki.Authority](t)(pki.NewRoot(&pki.CAOptions{Validity: pki.Validity{
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-24 * time.Hour)}}))
	up := must[arm.Certificate](t)(c.UploadCertificate(t.Context(), "old", old.Certificate(), nil))
	if !up.Expiry.Before(time.Now()) || up.Verified {
		t.Errorf("got %+v", up)
	}
}

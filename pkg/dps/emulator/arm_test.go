package emulator_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/pki"
)

// nested and flat are the two shapes of an upload.
func nested(text string) map[string]any {
	return map[string]any{"properties": map[string]any{"certificate": text}}
}

func flat(text string) map[string]any { return map[string]any{"certificate": text} }

func TestCertificateForms(t *testing.T) {
	w := newWorld(t)
	root := newPKI(t).root.Certificate()
	der := base64.StdEncoding.EncodeToString(root.Raw)
	chain := base64.StdEncoding.EncodeToString([]byte(pemText(root) + pemText(root)))
	for i, tt := range []struct {
		name, version string
		body          any
		status, code  int
	}{
		{"nested, base64 of PEM", "2022-12-12", nested(base64PEM(root)), 200, 0},
		{"nested, base64 of DER", "2022-02-05", nested(der), 200, 0},
		{"nested, PEM", "2025-02-01-preview", nested(pemText(root)), 200, 0},
		{"nested, CRLF", "2022-12-12", nested(base64.StdEncoding.EncodeToString([]byte(strings.ReplaceAll(pemText(root), "\n", "\r\n")))), 200, 0},
		{"nested, two PEM blocks", "2022-12-12", nested(chain), 200, 0},
		{"flat, base64 of PEM", "2021-10-15", flat(base64PEM(root)), 200, 0},
		{"flat, base64 of DER", "2017-11-15", flat(der), 200, 0},
		{"flat, PEM", "2018-01-22", flat(pemText(root)), 200, 0},
		{"nested body for a flat version", "2021-10-15", nested(base64PEM(root)), 400, 400099},
		{"flat body for a nested version", "2022-12-12", flat(base64PEM(root)), 400, 400099},
		{"empty", "2022-12-12", nested(""), 400, 400099},
		{"null", "2022-12-12", map[string]any{"properties": nil}, 400, 400099},
		{"not a certificate", "2022-12-12", nested("hello world"), 400, 400000},
		{"base64 of text", "2022-12-12", nested("aGVsbG8="), 400, 400000},
		{"private key", "2022-12-12", nested(keyText(t)), 400, 400000},
		{"path of a file", "2022-12-12", nested("./root.pem"), 400, 400000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := w.in(t)
			path := fmt.Sprintf("/certificates/c%d", i)
			a := w.arm(http.MethodPut, path, tt.version, tt.body, nil)
			w.want(a, tt.status, tt.code)
			if tt.status != 200 {
				if strings.Contains(string(a.raw), "PRIVATE") {
					t.Errorf("answer repeats the key: %s", a.raw)
				}
				return
			}
			w.want(w.arm(http.MethodDelete, path, tt.version, nil, map[string]string{"If-Match": a.str("etag")}), 200, 0)
		})
	}
	if strings.Contains(w.logs.String(), "PRIVATE KEY") {
		t.Error("log repeats the key")
	}
}

func keyText(t *testing.T) string {
	t.Helper()
	key, err := pki.GenerateKey("")
	if err != nil {
		t.Fatal(err)
	}
	text, err := pki.EncodeKeyPEM(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestCertificateResource(t *testing.T) {
	w := newWorld(t)
	root := newPKI(t).root.Certificate()
	a := w.upload("My.Root_1", root, false)
	for path, want := range map[string]string{
		"subject":    "Azure IoT Hub CA Cert Test Only",
		"expiry":     root.NotAfter.UTC().Format(http.TimeFormat),
		"thumbprint": pki.SHA1Thumbprint(root),
	} {
		if got := a.str("properties", path); got != want {
			t.Errorf("properties.%s = %q, want %q", path, got, want)
		}
	}
	if a.str("name") != "My.Root_1" || a.str("type") != "Microsoft.Devices/provisioningServices/Certificates" ||
		a.str("id") != w.armPath("/certificates/My.Root_1") {
		t.Errorf("resource is %s", a.raw)
	}
	if a.header.Get("Etag") != "" {
		t.Error("etag is in a header; it belongs in the body only")
	}
	decoded, err := base64.StdEncoding.DecodeString(a.str("etag"))
	if err != nil || !regexp.MustCompile(`^"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"$`).Match(decoded) {
		t.Errorf("etag %q decodes to %q, %v", a.str("etag"), decoded, err)
	}
	if _, err := time.Parse(http.TimeFormat, a.str("properties", "created")); err != nil {
		t.Errorf("created: %v", err)
	}
	order := regexp.MustCompile(`^\{"properties":\{"subject":.*"expiry":.*"thumbprint":.*"isVerified":.*"created":.*"updated":.*\},"id":.*"name":.*"type":.*"etag":.*\}$`)
	if !order.Match(a.raw) {
		t.Errorf("member order: %s", a.raw)
	}
	// The name is compared without case and returned as it was first written.
	a = w.arm(http.MethodGet, "/CERTIFICATES/my.root_1/", armVersion, nil, nil)
	w.want(a, 200, 0)
	if a.str("name") != "My.Root_1" {
		t.Errorf("name = %q", a.str("name"))
	}
	for _, bad := range []string{"a%20b", "a%3Ab", strings.Repeat("a", 65), "%C3%A9"} {
		w.want(w.arm(http.MethodPut, "/certificates/"+bad, armVersion, nested(base64PEM(root)), nil), 400, 400000)
	}
}

// TestCertificateMemberByVersion pins which versions return the certificate.
func TestCertificateMemberByVersion(t *testing.T) {
	w := newWorld(t)
	root := newPKI(t).root.Certificate()
	sent := base64PEM(root)
	for _, tt := range []struct {
		version        string
		get, afterCode string // "absent", "null" or the value
	}{
		{"2017-11-15", "absent", "absent"},
		{"2018-01-22", "null", sent},
		{"2020-03-01", "null", sent},
		{"2021-10-15", "null", sent},
		{"2022-02-05", "absent", sent},
		{"2022-12-12", sent, sent},
		{"2023-03-01-preview", sent, sent},
	} {
		t.Run(tt.version, func(t *testing.T) {
			w := w.in(t)
			name := "/certificates/v" + tt.version
			body := nested(sent)
			if tt.version < "2022-02-05" {
				body = flat(sent)
			}
			a := w.arm(http.MethodPut, name, tt.version, body, nil)
			w.want(a, 200, 0)
			checkMember(t, "PUT", a, tt.get)
			checkMember(t, "GET", w.arm(http.MethodGet, name, tt.version, nil, nil), tt.get)
			a = w.arm(http.MethodPost, name+"/generateVerificationCode", tt.version, nil, map[string]string{"If-Match": a.str("etag")})
			w.want(a, 200, 0)
			checkMember(t, "code", a, tt.afterCode)
			if !strings.HasPrefix(string(a.raw), `{"properties":{"verificationCode":"`) {
				t.Errorf("verificationCode is not the first property: %s", a.raw)
			}
		})
	}
}

func checkMember(t *testing.T, what string, a answer, want string) {
	t.Helper()
	var v struct {
		Properties map[string]json.RawMessage `json:"properties"`
	}
	if err := json.Unmarshal(a.raw, &v); err != nil {
		t.Fatal(err)
	}
	raw, ok := v.Properties["certificate"]
	got := strings.Trim(string(raw), `"`)
	if !ok {
		got = "absent"
	}
	if got != want {
		t.Errorf("%s: certificate = %.40q, want %.40q", what, got, want)
	}
}

func TestPEMComesBackAsDER(t *testing.T) {
	w := newWorld(t)
	root := newPKI(t).root.Certificate()
	a := w.arm(http.MethodPut, "/certificates/r", armVersion, nested(pemText(root)), nil)
	checkMember(t, "PUT", a, base64.StdEncoding.EncodeToString(root.Raw))
}

func TestProofOfPossession(t *testing.T) {
	w := newWorld(t)
	p := newPKI(t)
	stranger := newPKI(t).root // same name, other key
	const name = "/certificates/root"
	put := w.upload("root", p.root.Certificate(), false)
	etags := map[string]bool{put.str("etag"): true}
	fresh := func(a answer) string {
		t.Helper()
		w.want(a, 200, 0)
		if etags[a.str("etag")] {
			t.Errorf("etag %q is not new", a.str("etag"))
		}
		etags[a.str("etag")] = true
		return a.str("etag")
	}
	newCode := func(etag string) (code, next string) {
		t.Helper()
		a := w.arm(http.MethodPost, name+"/generateVerificationCode", armVersion, nil, map[string]string{"If-Match": etag})
		next = fresh(a)
		code = a.str("properties", "verificationCode")
		if !regexp.MustCompile(`^[0-9A-F]{48}$`).MatchString(code) {
			t.Errorf("code = %q, want 48 upper-case hex digits", code)
		}
		return code, next
	}
	proof := func(ca *pki.Authority, code string, change ...func(*pki.IssueRequest)) *x509.Certificate {
		t.Helper()
		req := pki.IssueRequest{Profile: pki.ProfileVerification, CommonName: code}
		for _, f := range change {
			f(&req)
		}
		return issue(t, ca, req).Certificate
	}
	verify := func(etag string, cert *x509.Certificate) answer {
		t.Helper()
		return w.arm(http.MethodPost, name+"/verify", armVersion, flat(base64PEM(cert)), map[string]string{"If-Match": etag})
	}
	refuse := func(a answer, status, code int, rule string) {
		t.Helper()
		w.want(a, status, code)
		if got := w.rule(); got != rule {
			t.Errorf("rule = %q, want %q", got, rule)
		}
	}

	refuse(verify(put.str("etag"), proof(p.root, "NOCODEYET")), 400, 400053, "proof-no-code")
	first, etag1 := newCode(put.str("etag"))
	refuse(w.arm(http.MethodPost, name+"/generateVerificationCode", armVersion, nil, map[string]string{"If-Match": put.str("etag")}), 412, 412001, "etag")
	refuse(w.arm(http.MethodPost, name+"/generateVerificationCode", armVersion, nil, nil), 412, 412001, "etag")
	refuse(verify(put.str("etag"), proof(p.root, first)), 412, 412001, "etag")
	refuse(verify("", proof(p.root, first)), 412, 412001, "etag")

	code, etag := newCode(etag1)
	refuse(verify(etag, proof(p.root, first)), 400, 400053, "proof-code")
	refuse(verify(etag, proof(p.intermediate, code)), 400, 400053, "proof-issuer")
	refuse(verify(etag, proof(stranger, code)), 400, 400053, "proof-signature")
	refuse(verify(etag, proof(p.root, strings.ToLower(code))), 400, 400053, "proof-code")
	refuse(verify(etag, proof(p.root, code, func(r *pki.IssueRequest) {
		r.Validity = pki.Validity{NotBefore: time.Now().Add(-4 * time.Minute), NotAfter: time.Now().Add(-time.Minute)}
	})), 400, 400053, "expired")
	good := proof(p.root, code)
	tampered, err := x509.ParseCertificate(append(good.Raw[:len(good.Raw)-1:len(good.Raw)-1], good.Raw[len(good.Raw)-1]^1))
	if err != nil {
		t.Fatal(err)
	}
	refuse(verify(etag, tampered), 400, 400053, "proof-signature")
	refuse(w.arm(http.MethodPost, name+"/verify", armVersion, flat("garbage"), map[string]string{"If-Match": etag}), 400, 400000, "certificate-content")
	refuse(w.arm(http.MethodPost, "/certificates/other/verify", armVersion, flat(base64PEM(good)), map[string]string{"If-Match": "*"}), 404, 404000, "certificate-not-found")
	if a := w.arm(http.MethodGet, name, armVersion, nil, nil); a.body["properties"].(map[string]any)["isVerified"] != false {
		t.Errorf("refused proofs changed the certificate: %s", a.raw)
	}

	a := verify(etag, good)
	etag = fresh(a)
	if a.body["properties"].(map[string]any)["isVerified"] != true {
		t.Errorf("not verified: %s", a.raw)
	}
	checkMember(t, "verify", a, base64PEM(p.root.Certificate())) // the CA, not the proof
	refuse(verify(etag, good), 400, 400053, "proof-no-code")     // a code is good once

	// A new upload starts over: not verified, and the open code is gone.
	code, etag = newCode(etag)
	a = w.arm(http.MethodPut, name, armVersion, nested(base64PEM(p.root.Certificate())), map[string]string{"If-Match": etag})
	etag = fresh(a)
	if a.body["properties"].(map[string]any)["isVerified"] != false {
		t.Errorf("upload kept the verification: %s", a.raw)
	}
	refuse(verify(etag, proof(p.root, code)), 400, 400053, "proof-no-code")
}

func TestCertificateETags(t *testing.T) {
	w := newWorld(t)
	root := newPKI(t).root.Certificate()
	const name = "/certificates/root"
	put := func(match string) answer {
		t.Helper()
		return w.arm(http.MethodPut, name, armVersion, nested(base64PEM(root)), map[string]string{"If-Match": match})
	}
	// Clients send If-Match on create, some of them empty.
	a := put(`"whatever"`)
	w.want(a, 200, 0)
	w.want(put(""), 412, 412001)
	w.want(put(`"`+a.str("etag")+`"`), 412, 412001) // sent back byte for byte, or not at all
	b := put(a.str("etag"))
	w.want(b, 200, 0)
	if b.str("properties", "created") != a.str("properties", "created") {
		t.Error("created moved on update")
	}
	w.want(w.arm(http.MethodDelete, name, armVersion, nil, nil), 412, 412001)
	w.want(w.arm(http.MethodDelete, name, armVersion, nil, map[string]string{"If-Match": a.str("etag")}), 412, 412001)
	w.want(w.arm(http.MethodGet, name, armVersion, nil, map[string]string{"If-Match": ""}), 200, 0)
	d := w.arm(http.MethodDelete, name, armVersion, nil, map[string]string{"If-Match": "*"})
	w.want(d, 200, 0)
	if len(d.raw) != 0 {
		t.Errorf("DELETE answered %s", d.raw)
	}
	w.want(w.arm(http.MethodGet, name, armVersion, nil, nil), 404, 404000)
	w.want(w.arm(http.MethodDelete, name, armVersion, nil, map[string]string{"If-Match": "*"}), 204, 0)
	w.want(w.arm(http.MethodPost, name+"/generateVerificationCode", armVersion, nil, map[string]string{"If-Match": "*"}), 404, 404000)
}

func TestVerifiedUpload(t *testing.T) {
	w := newWorld(t)
	root := newPKI(t).root.Certificate()
	for i, tt := range []struct {
		version string
		want    bool
	}{{"2020-03-01", true}, {"2021-10-15", true}, {"2018-01-22", false}} {
		body := flat(base64PEM(root))
		body["isVerified"] = true
		a := w.arm(http.MethodPut, fmt.Sprintf("/certificates/r%d", i), tt.version, body, nil)
		w.want(a, 200, 0)
		if got := a.body["properties"].(map[string]any)["isVerified"]; got != tt.want {
			t.Errorf("isVerified under %s = %v, want %v", tt.version, got, tt.want)
		}
	}
	if a := w.upload("n", root, true); a.body["properties"].(map[string]any)["isVerified"] != true {
		t.Errorf("nested isVerified was dropped: %s", a.raw)
	}
}

func TestCertificateListAndQuota(t *testing.T) {
	w := newWorld(t)
	if a := w.arm(http.MethodGet, "/certificates", armVersion, nil, nil); string(a.raw) != `{"value":[]}` {
		t.Errorf("empty list is %s", a.raw)
	}
	root := newPKI(t).root.Certificate()
	for i := range 25 {
		w.upload(fmt.Sprintf("ca-%d", i), root, false) // one certificate under many names is fine
	}
	a := w.arm(http.MethodPut, "/certificates/ca-25", armVersion, nested(base64PEM(root)), nil)
	w.want(a, 400, 400000)
	if w.rule() != "certificate-quota" {
		t.Errorf("rule = %q", w.rule())
	}
	a = w.arm(http.MethodGet, "/certificates", armVersion, nil, nil)
	w.want(a, 200, 0)
	if n := len(a.body["value"].([]any)); n != 25 {
		t.Errorf("list has %d certificates, want 25", n)
	}
}

func TestARMService(t *testing.T) {
	w := newWorld(t, func(o *emulator.Options) { o.Hubs = []string{"a.azure-devices.net", "b.azure-devices.net"} })
	a := w.arm(http.MethodGet, "", armVersion, nil, nil)
	w.want(a, 200, 0)
	for path, want := range map[string]string{
		"idScope": w.info.IDScope, "state": "Active", "serviceOperationsHostName": w.info.HostName,
		"deviceProvisioningHostName": w.info.HostName, "allocationPolicy": "Hashed",
	} {
		if got := a.str("properties", path); got != want {
			t.Errorf("properties.%s = %q, want %q", path, got, want)
		}
	}
	if strings.Contains(string(a.raw), emulator.DevelopmentKey) {
		t.Error("Get shows the key")
	}
	if hubs := a.body["properties"].(map[string]any)["iotHubs"].([]any); len(hubs) != 2 {
		t.Errorf("iotHubs = %v", hubs)
	}
	bearer := map[string]string{"Authorization": "Bearer " + w.info.Token}
	for _, path := range []string{
		"/subscriptions/" + w.info.SubscriptionID + "/providers/Microsoft.Devices/provisioningServices",
		"/subscriptions/" + w.info.SubscriptionID + "/resourcegroups/" + strings.ToUpper(w.info.ResourceGroup) + "/providers/microsoft.devices/ProvisioningServices",
	} {
		a := w.do(call{method: http.MethodGet, path: path, version: armVersion, header: bearer})
		w.want(a, 200, 0)
		if n := len(a.body["value"].([]any)); n != 1 {
			t.Errorf("%s lists %d services", path, n)
		}
	}
	a = w.arm(http.MethodPost, "/listkeys", armVersion, nil, nil)
	w.want(a, 200, 0)
	key := a.body["value"].([]any)[0].(map[string]any)
	if key["keyName"] != "provisioningserviceowner" || key["primaryKey"] != emulator.DevelopmentKey ||
		key["rights"] != "ServiceConfig, DeviceConnect, EnrollmentWrite" {
		t.Errorf("keys = %v", key)
	}
	a = w.arm(http.MethodPost, "/keys/provisioningserviceowner/listkeys", armVersion, nil, nil)
	w.want(a, 200, 0)
	if a.str("secondaryKey") == "" || a.str("secondaryKey") != key["secondaryKey"] {
		t.Errorf("key = %s", a.raw)
	}
	w.want(w.arm(http.MethodPost, "/keys/nobody/listkeys", armVersion, nil, nil), 404, 404001)
	// The secondary key signs as well as the primary one.
	a = w.do(call{method: http.MethodPost, path: "/enrollmentGroups/query", version: serviceVersion, body: `{"query":"*"}`,
		header: map[string]string{"Authorization": sign(t, w.info.HostName, key["secondaryKey"].(string), "provisioningserviceowner", time.Now().Add(time.Hour))}})
	w.want(a, 200, 0)
}

func TestARMFrontEnd(t *testing.T) {
	w := newWorld(t)
	bearer := "Bearer " + w.info.Token
	base := w.armPath("")
	for _, tt := range []struct {
		name, method, path, version, auth string
		body                              any
		status                            int
		code                              string
	}{
		{"no token", "GET", base, armVersion, "", nil, 401, "AuthenticationFailed"},
		{"wrong token", "GET", base, armVersion, "Bearer x" + w.info.Token, nil, 401, "InvalidAuthenticationToken"},
		{"SAS instead of a token", "GET", base, armVersion, w.serviceToken(), nil, 401, "AuthenticationFailed"},
		{"no api-version", "GET", base, "", bearer, nil, 400, "MissingApiVersionParameter"},
		{"unknown api-version", "GET", base, "2016-01-01", bearer, nil, 400, "NoRegisteredProviderFound"},
		{"version that was never served", "GET", base, "2020-09-01-preview", bearer, nil, 400, "NoRegisteredProviderFound"},
		{"other subscription", "GET", strings.Replace(base, w.info.SubscriptionID, "11111111-0000-0000-0000-000000000000", 1), armVersion, bearer, nil, 404, "SubscriptionNotFound"},
		{"other group", "GET", strings.Replace(base, "resourceGroups/"+w.info.ResourceGroup, "resourceGroups/other", 1), armVersion, bearer, nil, 404, "ResourceGroupNotFound"},
		{"other service", "GET", base + "x", armVersion, bearer, nil, 404, "ResourceNotFound"},
		{"unknown path", "GET", base + "/nothing", armVersion, bearer, nil, 404, "ResourceNotFound"},
		{"method", "PATCH", base, armVersion, bearer, "{}", 405, "MethodNotAllowed"},
		{"broken body", "PUT", base + "/certificates/c", armVersion, bearer, `{"properties":`, 400, "InvalidRequestContent"},
		{"duplicate member", "PUT", base + "/certificates/c", armVersion, bearer, `{"properties":{},"properties":{}}`, 400, "InvalidRequestContent"},
		{"huge body", "PUT", base + "/certificates/c", armVersion, bearer, `{"x":"` + strings.Repeat("x", 300<<10) + `"}`, 413, "RequestEntityTooLarge"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := w.in(t)
			a := w.do(call{method: tt.method, path: tt.path, version: tt.version, body: tt.body, header: map[string]string{"Authorization": tt.auth}})
			if a.status != tt.status || a.str("error", "code") != tt.code {
				t.Errorf("got %d %s, want %d %s", a.status, a.raw, tt.status, tt.code)
			}
			if a.header.Get("x-ms-failure-cause") != "gateway" {
				t.Error("x-ms-failure-cause is missing")
			}
			if tt.status == 401 && a.header.Get("WWW-Authenticate") == "" {
				t.Error("401 without WWW-Authenticate")
			}
			if strings.Contains(string(a.raw), w.info.Token) {
				t.Error("answer shows the token")
			}
		})
	}
	if a := w.arm("GET", "/certificates/none", armVersion, nil, nil); a.header.Get("x-ms-failure-cause") != "" {
		t.Error("provider error says that the gateway refused")
	}
}

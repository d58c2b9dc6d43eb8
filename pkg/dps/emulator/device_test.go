package emulator_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/pki"
)

// fleet is an emulator with a verified root and a group on the intermediate.
func fleet(t *testing.T, opts ...func(*emulator.Options)) (*world, testPKI) {
	t.Helper()
	w := newWorld(t, opts...)
	p := newPKI(t)
	w.prove("root", p.root)
	w.group("fleet", p.intermediate.Certificate())
	return w, p
}

func selfSigned(t *testing.T, id string) *pki.Bundle {
	t.Helper()
	b, err := pki.SelfSigned(pki.IssueRequest{CommonName: id})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func identity(t *testing.T, b *pki.Bundle) *tls.Certificate {
	t.Helper()
	cert, err := b.TLSCertificate()
	if err != nil {
		t.Fatal(err)
	}
	return &cert
}

func TestRegisterWire(t *testing.T) {
	w, p := fleet(t, func(o *emulator.Options) { o.RetryAfter = 1500 * time.Millisecond })
	dev := device(t, p.intermediate, "dev-1")
	a := w.register("dev-1", dev)
	w.want(a, 202, 0)
	operation := a.str("operationId")
	if !regexp.MustCompile(`^4\.[0-9a-f]{16}\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`).MatchString(operation) {
		t.Errorf("operationId = %q", operation)
	}
	if want := fmt.Sprintf(`{"operationId":%q,"status":"assigning"}`, operation); string(a.raw) != want {
		t.Errorf("register answered %s, want %s", a.raw, want)
	}
	for name, want := range map[string]string{
		"Retry-After":  "2", // whole seconds, rounded up
		"Location":     "https://" + w.info.HostName + "/" + w.info.IDScope + "/registrations/dev-1/register",
		"Content-Type": "application/json; charset=utf-8",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	// Assigning: exactly what strict clients can parse. A second registration
	// meanwhile joins the first.
	poll := func() answer { return w.device(http.MethodGet, "/operations/"+operation, "dev-1", dev, nil, nil) }
	a = poll()
	w.want(a, 200, 0)
	if want := fmt.Sprintf(`{"operationId":%q,"status":"assigning","registrationState":{"registrationId":"dev-1","status":"assigning"}}`, operation); string(a.raw) != want {
		t.Errorf("poll answered %s, want %s", a.raw, want)
	}
	if a.header.Get("Retry-After") != "2" {
		t.Errorf("Retry-After = %q", a.header.Get("Retry-After"))
	}
	if again := w.register("dev-1", dev); again.str("operationId") != operation {
		t.Error("a registration while assigning got an operation of its own")
	}
	if got := w.service(http.MethodGet, "/registrations/dev-1", nil, nil).str("status"); got != "assigning" {
		t.Errorf("service plane says %q", got)
	}
	deadline := time.Now().Add(10 * time.Second)
	for a = poll(); a.str("status") == "assigning"; a = poll() {
		if time.Now().After(deadline) {
			t.Fatal("still assigning")
		}
	}
	if a.header.Get("Retry-After") != "" {
		t.Error("terminal answer has Retry-After")
	}
	order := regexp.MustCompile(`^\{"operationId":.*,"status":"assigned","registrationState":\{"x509":\{"enrollmentGroupId":"fleet"\},"registrationId":"dev-1",` +
		`"createdDateTimeUtc":"[^"]+Z","assignedHub":"[^"]+","deviceId":"dev-1","status":"assigned","substatus":"initialAssignment","lastUpdatedDateTimeUtc":"[^"]+Z","etag":"[^"]+"\}\}$`)
	if !order.Match(a.raw) {
		t.Errorf("terminal answer = %s", a.raw)
	}
	if again := poll(); string(again.raw) != string(a.raw) {
		t.Error("a second poll answers differently")
	}
}

// TestClientQuirks covers what official clients send beyond the minimum.
func TestClientQuirks(t *testing.T) {
	w, p := fleet(t)
	dev := device(t, p.intermediate, "a:b")
	put := func(path, query, body string, header map[string]string) answer {
		t.Helper()
		client := w.client(dev)
		defer client.CloseIdleConnections()
		return w.do(call{method: http.MethodPut, path: "/" + w.info.IDScope + "/registrations/" + path + "/register", version: deviceVersion + query, body: body, header: header, client: client})
	}
	for name, a := range map[string]answer{
		"colon as it is":     put("a:b", "", `{"registrationId":"a:b"}`, nil),
		"colon escaped":      put("a%3Ab", "", `{"registrationId":"a:b"}`, nil),
		"trailing slash":     w.device(http.MethodPut, "/register/", "a:b", dev, nil, `{"registrationId":"a:b"}`),
		"REGISTER":           w.device(http.MethodPut, "/REGISTER", "a:b", dev, nil, `{"registrationId":"a:b"}`),
		"forceRegistration":  put("a:b", "&forceRegistration=true", `{"registrationId":"a:b"}`, nil),
		"null payload":       put("a:b", "", `{"payload":null,"registrationId":"a:b"}`, nil),
		"text payload":       put("a:b", "", `{"registrationId":"a:b","payload":"text"}`, nil),
		"object payload":     put("a:b", "", `{"registrationId":"a:b","payload":{"x":[1]}}`, nil),
		"no registration id": put("a:b", "", `{"payload":{}}`, nil),
		"other case":         put("A:B", "", `{"registrationId":"a:B"}`, nil),
		"Content-Encoding":   put("a:b", "", `{"registrationId":"a:b"}`, map[string]string{"Content-Encoding": "utf-8"}),
	} {
		if a.status != 202 {
			t.Errorf("%s: %d %s", name, a.status, a.raw)
		}
	}
	operation := put("a:b", "", `{"registrationId":"a:b"}`, nil).str("operationId")
	w.want(w.device(http.MethodGet, "/operations/"+operation, "a:b", dev, nil, "{}"), 200, 0) // Node sends a body
	w.want(w.device(http.MethodGet, "/operations/"+strings.ToUpper(operation), "A:B", dev, nil, nil), 200, 0)
	for name, tt := range map[string]struct {
		a            answer
		status, code int
	}{
		"other id in the body": {put("a:b", "", `{"registrationId":"other"}`, nil), 400, 400000},
		"empty body":           {put("a:b", "", ``, nil), 400, 400000},
		"array":                {put("a:b", "", `[]`, nil), 400, 400000},
		"too large":            {put("a:b", "", `{"payload":"`+strings.Repeat("x", 97<<10)+`"}`, nil), 413, 413000},
		"XML":                  {put("a:b", "", `<a/>`, map[string]string{"Content-Type": "text/xml"}), 415, 415000},
		"bad registration id":  {put("a@b", "", `{"registrationId":"a@b"}`, nil), 400, 400000},
		"PATCH":                {w.device(http.MethodPatch, "/register", "a:b", dev, nil, "{}"), 405, 405000},
		"GET of register":      {w.device(http.MethodGet, "/register", "a:b", dev, nil, nil), 405, 405000},
		"no api-version":       {w.deviceAt("", http.MethodPut, "/register", "a:b", dev, nil, "{}"), 400, 400000},
		"bad api-version":      {w.deviceAt("v1", http.MethodPut, "/register", "a:b", dev, nil, "{}"), 400, 400000},
	} {
		if tt.a.status != tt.status || tt.a.code() != tt.code {
			t.Errorf("%s: %d %s, want %d (%d)", name, tt.a.status, tt.a.raw, tt.status, tt.code)
		}
	}
	client := w.client(dev)
	defer client.CloseIdleConnections()
	w.want(w.do(call{method: http.MethodPut, path: "/0ne00000000/registrations/a:b/register", version: deviceVersion, body: `{}`, client: client}), 401, 401002)
}

func TestRefusedDevices(t *testing.T) {
	w, p := fleet(t)
	other := newPKI(t)
	noIssuers := identity(t, issue(t, p.intermediate, pki.IssueRequest{CommonName: "dev"}))
	noIssuers.Certificate = noIssuers.Certificate[:1]
	below, err := p.intermediate.NewIntermediate(&pki.CAOptions{CommonName: "below"})
	if err != nil {
		t.Fatal(err)
	}
	missing := device(t, below, "dev")
	missing.Certificate = missing.Certificate[:1]
	expired := identity(t, issue(t, p.intermediate, pki.IssueRequest{CommonName: "dev", Validity: pki.Validity{
		NotBefore: time.Now().Add(-4 * time.Minute), NotAfter: time.Now().Add(-time.Minute)}}))
	young := identity(t, issue(t, p.intermediate, pki.IssueRequest{CommonName: "dev", Validity: pki.Validity{
		NotBefore: time.Now().Add(time.Hour), NotAfter: time.Now().Add(2 * time.Hour)}}))
	server := identity(t, issue(t, p.intermediate, pki.IssueRequest{Profile: pki.ProfileServer, CommonName: "dev"}))
	asCA := &tls.Certificate{Certificate: [][]byte{p.intermediate.Certificate().Raw, p.root.Certificate().Raw}, PrivateKey: p.intermediate.Key()}
	const invalid, unknown = "Invalid certificate.", "CA certificate not found."
	for _, tt := range []struct {
		name     string
		identity *tls.Certificate
		code     int
		message  string
		rule     string
	}{
		{"no certificate", nil, 401000, "Unauthorized", "credential-missing"},
		{"another root with the same names", device(t, other.intermediate, "dev"), 401002, unknown, "chain-incomplete"},
		{"another root", device(t, namedCA(t, "elsewhere"), "dev"), 401002, unknown, "chain-incomplete"},
		{"self-signed", identity(t, selfSigned(t, "dev")), 401002, invalid, "leaf-not-enrolled"},
		{"missing intermediate", noIssuers, 401002, unknown, "chain-incomplete"},
		{"missing lower intermediate", missing, 401002, unknown, "chain-incomplete"},
		{"below the root, beside the group", device(t, p.root, "dev"), 401002, "Signing certificate info did not match chain elements.", "no-enrollment-group"},
		{"expired", expired, 401002, invalid, "expired"},
		{"not yet valid", young, 401002, invalid, "not-yet-valid"},
		{"for servers", server, 401002, invalid, "extended-key-usage"},
		{"CA as a device", asCA, 401002, "Signing certificate info did not match chain elements.", "no-enrollment-group"},
		{"another common name", device(t, p.intermediate, "dev-2"), 401002, invalid, "common-name"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := w.in(t)
			a := w.register("dev", tt.identity)
			w.want(a, 401, tt.code)
			if a.str("message") != tt.message || a.str("trackingId") != a.header.Get("x-ms-request-id") || a.str("timestampUtc") == "" {
				t.Errorf("answer = %s, want message %q", a.raw, tt.message)
			}
			if got := w.rule(); got != tt.rule {
				t.Errorf("rule = %q, want %q", got, tt.rule)
			}
			rec := w.logs.refusals(t)
			last := rec[len(rec)-1]
			if last["fix"] == nil || last["expected"] == nil {
				t.Errorf("record explains nothing: %v", last)
			}
			if tt.identity != nil && (last["certificate_thumbprint"] == nil || last["certificate_subject"] == nil || last["certificate_position"] == nil) {
				t.Errorf("record does not name the certificate: %v", last)
			}
		})
	}
	w.want(w.service(http.MethodGet, "/registrations/dev", nil, nil), 404, 404202)
}

func namedCA(t *testing.T, name string) *pki.Authority {
	t.Helper()
	ca, err := pki.NewRoot(&pki.CAOptions{CommonName: name})
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func TestGroupOnRoot(t *testing.T) {
	w := newWorld(t)
	p := newPKI(t)
	w.group("g", p.root.Certificate())
	dev := device(t, p.intermediate, "dev")
	// Not verified yet.
	w.want(w.register("dev", dev), 401, 401002)
	if w.rule() != "chain-incomplete" {
		t.Errorf("rule = %q", w.rule())
	}
	w.prove("root", p.root)
	w.assigned("dev", dev)
	// The CA is deleted: nobody gets in any more.
	w.want(w.arm(http.MethodDelete, "/certificates/root", armVersion, nil, map[string]string{"If-Match": "*"}), 200, 0)
	w.want(w.register("dev", dev), 401, 401002)
}

func TestGroupByCAReference(t *testing.T) {
	w := newWorld(t)
	p := newPKI(t)
	w.prove("root", p.root)
	body := map[string]any{"enrollmentGroupId": "refs", "attestation": map[string]any{"type": "x509", "x509": map[string]any{"caReferences": map[string]any{"primary": "root"}}}}
	w.want(w.service(http.MethodPut, "/enrollmentGroups/refs", body, nil), 200, 0)
	a := w.assigned("dev", device(t, p.intermediate, "dev"))
	if got := a.str("registrationState", "x509", "enrollmentGroupId"); got != "refs" {
		t.Errorf("group = %q", got)
	}
	// An individual enrollment may refer to a CA, too.
	body = map[string]any{"registrationId": "dev", "deviceId": "mine", "attestation": map[string]any{"type": "x509", "x509": map[string]any{"caReferences": map[string]any{"primary": "root"}}}}
	w.want(w.service(http.MethodPut, "/enrollments/dev", body, nil), 200, 0)
	a = w.assigned("dev", device(t, p.intermediate, "dev"))
	if a.str("registrationState", "deviceId") != "mine" || !strings.Contains(string(a.raw), `"x509":{}`) {
		t.Errorf("answer = %s", a.raw)
	}
	w.want(w.register("dev", device(t, namedCA(t, "x"), "dev")), 401, 401002)
}

func TestNearestGroupDecides(t *testing.T) {
	w, p := fleet(t)
	w.group("far", p.root.Certificate())
	dev := device(t, p.intermediate, "dev")
	if got := w.assigned("dev", dev).str("registrationState", "x509", "enrollmentGroupId"); got != "fleet" {
		t.Errorf("group = %q, want the one nearest to the leaf", got)
	}
	// A disabled group stops, although one farther up would accept.
	g := w.service(http.MethodGet, "/enrollmentGroups/fleet", nil, nil)
	g.body["provisioningStatus"] = "disabled"
	w.want(w.service(http.MethodPut, "/enrollmentGroups/fleet", g.body, map[string]string{"If-Match": g.str("etag")}), 200, 0)
	a := w.assigned("dev", dev)
	if a.str("status") != "disabled" || a.str("registrationState", "status") != "disabled" || a.str("registrationState", "assignedHub") != "" {
		t.Errorf("answer = %s", a.raw)
	}
	if got := w.service(http.MethodGet, "/registrations/dev", nil, nil).str("status"); got != "disabled" {
		t.Errorf("record says %q", got)
	}
	w.want(w.service(http.MethodDelete, "/enrollmentGroups/fleet", nil, nil), 204, 0)
	if got := w.assigned("dev", dev).str("registrationState", "x509", "enrollmentGroupId"); got != "far" {
		t.Errorf("group = %q, want far", got)
	}
}

func TestIndividualEnrollments(t *testing.T) {
	w, p := fleet(t)
	self := selfSigned(t, "own")
	w.individual("own", self.Certificate, map[string]any{"deviceId": "Other"})
	a := w.assigned("own", identity(t, self))
	if a.str("registrationState", "deviceId") != "Other" || !strings.Contains(string(a.raw), `"registrationState":{"x509":{},`) {
		t.Errorf("answer = %s", a.raw)
	}
	if got := w.service(http.MethodGet, "/enrollments/own", nil, nil).str("registrationState", "status"); got != "assigned" {
		t.Errorf("enrollment shows %q", got)
	}
	// The leaf alone is enough, and individual comes before group: here to block one device.
	blocked := issue(t, p.intermediate, pki.IssueRequest{CommonName: "dev"})
	w.individual("dev", blocked.Certificate, map[string]any{"provisioningStatus": "disabled"})
	alone := identity(t, blocked)
	alone.Certificate = alone.Certificate[:1]
	for _, id := range []*tls.Certificate{identity(t, blocked), alone} {
		if got := w.assigned("dev", id).str("status"); got != "disabled" {
			t.Errorf("status = %q, want disabled", got)
		}
	}
	// Another certificate with the same id does not slip into the group.
	w.want(w.register("dev", device(t, p.intermediate, "dev")), 401, 401002)
	if w.rule() != "leaf-not-enrolled" {
		t.Errorf("rule = %q", w.rule())
	}
	// The enrolled certificate is good for its own registration id only.
	w.individual("alias", issue(t, p.intermediate, pki.IssueRequest{CommonName: "real"}).Certificate)
	second := selfSigned(t, "second")
	w.individual("second", second.Certificate)
	w.want(w.register("third", identity(t, second)), 401, 401002)
	if w.rule() != "leaf-of-another-enrollment" {
		t.Errorf("rule = %q", w.rule())
	}
	// CN differs from the id: the PUT above was fine, the device is not.
	stranger := selfSigned(t, "cn")
	w.individual("id", stranger.Certificate)
	w.want(w.register("id", identity(t, stranger)), 401, 401002)
	if w.rule() != "common-name" {
		t.Errorf("rule = %q", w.rule())
	}
	w.want(w.register("second", nil), 401, 401000)
}

func TestNoLinkedHub(t *testing.T) {
	w, p := fleet(t, func(o *emulator.Options) { o.Hubs = []string{} })
	a := w.assigned("dev", device(t, p.intermediate, "dev"))
	if a.str("status") != "failed" || a.body["registrationState"].(map[string]any)["errorCode"] != 400208.0 || a.str("registrationState", "errorMessage") == "" {
		t.Errorf("answer = %s", a.raw)
	}
	if got := w.service(http.MethodGet, "/registrations/dev", nil, nil).str("status"); got != "failed" {
		t.Errorf("record says %q", got)
	}
}

func TestOperationsAreGuarded(t *testing.T) {
	w, p := fleet(t)
	one, two := device(t, p.intermediate, "one"), device(t, p.intermediate, "two")
	operation := w.register("one", one).str("operationId")
	other := w.register("two", two).str("operationId")
	for _, tt := range []struct {
		name         string
		id           string
		operation    string
		identity     *tls.Certificate
		status, code int
	}{
		{"own", "one", operation, one, 200, 0},
		{"own again", "one", operation, one, 200, 0},
		{"without a certificate", "one", operation, nil, 401, 401000},
		{"by another device", "one", operation, two, 401, 401002},
		{"of another device", "one", other, one, 404, 404000},
		{"unknown", "one", "4.0000000000000000.00000000-0000-0000-0000-000000000000", one, 404, 404000},
		{"unknown without a certificate", "one", "x", nil, 401, 401000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := w.in(t)
			w.want(w.device(http.MethodGet, "/operations/"+tt.operation, tt.id, tt.identity, nil, nil), tt.status, tt.code)
		})
	}
	// With the record go its operations.
	w.want(w.service(http.MethodDelete, "/registrations/one", nil, nil), 204, 0)
	w.want(w.device(http.MethodGet, "/operations/"+operation, "one", one, nil, nil), 404, 404000)
	if got := w.assigned("one", one).str("registrationState", "substatus"); got != "initialAssignment" {
		t.Errorf("substatus after deletion = %q", got)
	}
}

func TestLookUp(t *testing.T) {
	w, p := fleet(t)
	dev := device(t, p.intermediate, "dev")
	lookUp := func(identity *tls.Certificate) answer {
		t.Helper()
		return w.device(http.MethodPost, "", "dev", identity, nil, `{"registrationId":"dev"}`)
	}
	w.want(lookUp(dev), 404, 404202)
	w.want(lookUp(nil), 401, 401000)
	w.want(lookUp(device(t, p.intermediate, "other")), 401, 401002)
	w.assigned("dev", dev)
	a := lookUp(dev)
	w.want(a, 200, 0)
	if a.str("registrationId") != "dev" || a.str("status") != "assigned" || a.body["operationId"] != nil {
		t.Errorf("answer = %s", a.raw)
	}
	w.want(w.device(http.MethodPost, "", "dev", dev, nil, `{"registrationId":"x"}`), 400, 400000)
}

package emulator_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/pki"
)

// symmetric is the body of an enrollment or group with symmetric keys.
func symmetric(member, id string, more ...map[string]any) map[string]any {
	body := map[string]any{member: id, "attestation": map[string]any{"type": "symmetricKey"}}
	for _, m := range more {
		for k, v := range m {
			body[k] = v
		}
	}
	return body
}

func keysIn(a answer) (primary, secondary string) {
	return a.str("attestation", "symmetricKey", "primaryKey"), a.str("attestation", "symmetricKey", "secondaryKey")
}

// TestPreconditions runs the same story on both kinds of enrollment.
func TestPreconditions(t *testing.T) {
	for _, kind := range []struct {
		path, member     string
		notFound, exists int
	}{
		{"/enrollments/", "registrationId", 404201, 409201},
		{"/enrollmentGroups/", "enrollmentGroupId", 404204, 409202},
	} {
		t.Run(kind.member, func(t *testing.T) {
			w := newWorld(t)
			path := kind.path + "thing"
			put := func(match string) answer {
				t.Helper()
				h := map[string]string{}
				if match != "" {
					h["If-Match"] = match
				}
				return w.service(http.MethodPut, path, symmetric(kind.member, "thing"), h)
			}
			w.want(w.service(http.MethodGet, path, nil, nil), 404, kind.notFound)
			w.want(w.service(http.MethodDelete, path, nil, nil), 404, kind.notFound)
			w.want(w.service(http.MethodPost, path+"/attestationmechanism", nil, nil), 404, kind.notFound)
			w.want(put("anything"), 412, 412000)
			w.want(put("*"), 412, 412000)
			created := put("")
			w.want(created, 200, 0)
			w.want(put(""), 409, kind.exists)
			w.want(put("stale"), 412, 412000)
			bare := put(created.str("etag"))
			w.want(bare, 200, 0)
			w.want(put(created.str("etag")), 412, 412000)
			quoted := put(`"` + bare.str("etag") + `"`)
			w.want(quoted, 200, 0)
			star := put("*")
			w.want(star, 200, 0)
			seen := map[string]bool{}
			for _, a := range []answer{created, bare, quoted, star} {
				if e := a.str("etag"); seen[e] || e == "" {
					t.Errorf("etag %q is not new", e)
				} else {
					seen[e] = true
				}
				if a.str("createdDateTimeUtc") != created.str("createdDateTimeUtc") {
					t.Error("createdDateTimeUtc moved on update")
				}
			}
			if created.str("createdDateTimeUtc") != created.str("lastUpdatedDateTimeUtc") {
				t.Error("created and lastUpdated differ on create")
			}
			body := symmetric(kind.member, "thing", map[string]any{"etag": `"` + star.str("etag") + `"`})
			a := w.service(http.MethodPut, path, body, map[string]string{"If-Match": star.str("etag")})
			w.want(a, 400, 400000)
			if a.str("message") != "ETag is invalid" {
				t.Errorf("message = %q", a.str("message"))
			}
			w.want(w.service(http.MethodDelete, path, nil, map[string]string{"If-Match": "stale"}), 412, 412000)
			d := w.service(http.MethodDelete, path, nil, map[string]string{"If-Match": `"` + star.str("etag") + `"`})
			w.want(d, 204, 0)
			if len(d.raw) > 0 {
				t.Errorf("DELETE answered %s", d.raw)
			}
			w.want(put(""), 200, 0)
			w.want(w.service(http.MethodDelete, path, nil, nil), 204, 0)
		})
	}
}

func TestETagForm(t *testing.T) {
	w := newWorld(t)
	a := w.service(http.MethodPut, "/enrollments/e", symmetric("registrationId", "e"), nil)
	decoded, err := base64.StdEncoding.DecodeString(a.str("etag"))
	if err != nil || !regexp.MustCompile(`^"[0-9a-f]{8}-[0-9a-f]{4}-0800-[0-9a-f]{4}-[0-9a-f]{8}0000"$`).Match(decoded) {
		t.Errorf("etag %q decodes to %q, %v", a.str("etag"), decoded, err)
	}
	if a.header.Get("Etag") != "" {
		t.Error("etag is in a header")
	}
}

func TestIdentifiers(t *testing.T) {
	w := newWorld(t)
	put := func(path, body string) answer {
		t.Helper()
		return w.service(http.MethodPut, "/enrollments/"+path, symmetric("registrationId", body), nil)
	}
	long := strings.Repeat("a", 128)
	for _, id := range []string{"a", "A-b.c_d:e", "-", "dev-", long, "_x"} {
		w.want(put(id, id), 200, 0)
	}
	w.want(put("%3A1", ":1"), 200, 0) // escaped in the path only
	for _, id := range []string{long + "a", "a@b", "a%20b", "a.", "a_", "a:", "%C3%A9", "a%2Bb"} {
		body := strings.NewReplacer("%20", " ", "%C3%A9", "é", "%2B", "+").Replace(id)
		w.want(put(id, body), 400, 400000)
	}
	w.want(put("x", "y"), 400, 400000)
	w.want(put("x", ""), 400, 400000)
	// Case does not matter; the first spelling stays.
	w.want(put("MiXed", "mixed"), 200, 0)
	w.want(put("mixed", "MIXED"), 409, 409201)
	a := w.service(http.MethodGet, "/enrollments/MIXED", nil, nil)
	w.want(a, 200, 0)
	a = w.service(http.MethodPut, "/enrollments/mIXED", symmetric("registrationId", "mIXED"), map[string]string{"If-Match": a.str("etag")})
	w.want(a, 200, 0)
	if a.str("registrationId") != "mixed" {
		t.Errorf("registrationId = %q, want the first spelling", a.str("registrationId"))
	}
	// Only ASCII letters have case: the Kelvin sign is no k.
	w.want(put("k", "k"), 200, 0)
	w.want(w.service(http.MethodGet, "/enrollments/%E2%84%AA", nil, nil), 404, 404201)
}

func TestSymmetricKeys(t *testing.T) {
	w := newWorld(t)
	put := func(id string, attestation map[string]any, match string) answer {
		t.Helper()
		h := map[string]string{}
		if match != "" {
			h["If-Match"] = match
		}
		return w.service(http.MethodPut, "/enrollmentGroups/"+id, map[string]any{"enrollmentGroupId": id, "attestation": attestation}, h)
	}
	for i, keys := range []any{nil, map[string]any{"primaryKey": nil, "secondaryKey": nil}, map[string]any{"primaryKey": "", "secondaryKey": ""}, map[string]any{}} {
		a := put(fmt.Sprintf("g%d", i), map[string]any{"type": "SYMMETRICKEY", "symmetricKey": keys}, "")
		w.want(a, 200, 0)
		p, s := keysIn(a)
		for _, key := range []string{p, s} {
			if raw, err := base64.StdEncoding.DecodeString(key); err != nil || len(raw) != 64 {
				t.Errorf("%v: generated key has %d bytes, %v; want 64", keys, len(raw), err)
			}
		}
		if p == s {
			t.Error("both keys are the same")
		}
	}
	own := base64.StdEncoding.EncodeToString([]byte("sixteen bytes..."))
	a := put("own", map[string]any{"type": "symmetricKey", "symmetricKey": map[string]any{"primaryKey": own}}, "")
	w.want(a, 200, 0)
	primary, secondary := keysIn(a)
	if primary != own || secondary == "" {
		t.Errorf("keys = %q, %q", primary, secondary)
	}
	// Keys are shown by PUT and attestationmechanism alone.
	if got := w.service(http.MethodGet, "/enrollmentGroups/own", nil, nil); !strings.Contains(string(got.raw), `"attestation":{"type":"symmetricKey"}`) {
		t.Errorf("GET = %s", got.raw)
	}
	if got := w.service(http.MethodPost, "/enrollmentGroups/query", `{"query":"SELECT * FROM enrollmentGroups"}`, nil); strings.Contains(string(got.raw), "primaryKey") {
		t.Errorf("query shows keys: %s", got.raw)
	}
	m := w.service(http.MethodPost, "/enrollmentgroups/own/attestationmechanism", nil, nil)
	w.want(m, 200, 0)
	if m.str("type") != "symmetricKey" || m.str("symmetricKey", "primaryKey") != primary || m.str("symmetricKey", "secondaryKey") != secondary {
		t.Errorf("attestationmechanism = %s", m.raw)
	}
	// An update without keys keeps them.
	a = put("own", map[string]any{"type": "symmetricKey"}, a.str("etag"))
	w.want(a, 200, 0)
	if p, s := keysIn(a); p != primary || s != secondary {
		t.Error("update without keys changed them")
	}
	for _, bad := range []string{"not base64", base64.StdEncoding.EncodeToString(make([]byte, 15)), base64.StdEncoding.EncodeToString(make([]byte, 65))} {
		w.want(put("bad", map[string]any{"type": "symmetricKey", "symmetricKey": map[string]any{"primaryKey": bad, "secondaryKey": own}}, ""), 400, 400000)
	}
	if strings.Contains(w.logs.String(), own) {
		t.Error("log shows a key")
	}
}

func TestCertificateInfo(t *testing.T) {
	w := newWorld(t)
	ca := newPKI(t).root.Certificate()
	for i, text := range []string{
		pemText(ca), base64.StdEncoding.EncodeToString(ca.Raw), base64PEM(ca),
		strings.ReplaceAll(pemText(ca), "\n", "\r\n"),
	} {
		id := fmt.Sprintf("g%d", i)
		a := w.service(http.MethodPut, "/enrollmentGroups/"+id, x509Group(id, map[string]any{"certificate": text}), nil)
		w.want(a, 200, 0)
		primary := a.body["attestation"].(map[string]any)["x509"].(map[string]any)["signingCertificates"].(map[string]any)["primary"].(map[string]any)
		if _, ok := primary["certificate"]; ok {
			t.Error("certificate text is returned")
		}
		info := primary["info"].(map[string]any)
		for k, want := range map[string]any{
			"subjectName":      "CN=Azure IoT Hub CA Cert Test Only",
			"issuerName":       "CN=Azure IoT Hub CA Cert Test Only",
			"sha1Thumbprint":   pki.SHA1Thumbprint(ca),
			"sha256Thumbprint": pki.SHA256Thumbprint(ca),
			"notBeforeUtc":     ca.NotBefore.UTC().Format("2006-01-02T15:04:05Z"),
			"notAfterUtc":      ca.NotAfter.UTC().Format("2006-01-02T15:04:05Z"),
			"version":          3.0,
		} {
			if info[k] != want {
				t.Errorf("info.%s = %v, want %v", k, info[k], want)
			}
		}
		w.want(w.service(http.MethodDelete, "/enrollmentGroups/"+id, nil, nil), 204, 0)
	}
	for name, cert := range map[string]any{
		"text": "hello", "base64 of text": "aGVsbG8=", "key": keyText(t), "empty": "", "broken PEM": pemText(ca)[:200],
	} {
		a := w.service(http.MethodPut, "/enrollmentGroups/bad", x509Group("bad", map[string]any{"certificate": cert}), nil)
		if a.status != 400 {
			t.Errorf("%s: status %d", name, a.status)
		}
	}
}

// x509Group is the body of a group with a primary signing certificate.
func x509Group(id string, primary map[string]any) map[string]any {
	return map[string]any{"enrollmentGroupId": id, "attestation": map[string]any{
		"type": "x509", "x509": map[string]any{"signingCertificates": map[string]any{"primary": primary}},
	}}
}

func TestCertificateUpdates(t *testing.T) {
	w := newWorld(t)
	first, second := newPKI(t), newPKI(t)
	a := w.group("g", first.root.Certificate())
	path := "/enrollmentGroups/g"
	// A fetched object goes back as it is: read-only members, info without text.
	got := w.service(http.MethodGet, path, nil, nil)
	got.body["provisioningStatus"] = "disabled"
	a = w.service(http.MethodPut, path, got.body, map[string]string{"If-Match": a.str("etag")})
	w.want(a, 200, 0)
	if !strings.Contains(string(a.raw), pki.SHA1Thumbprint(first.root.Certificate())) || a.str("provisioningStatus") != "disabled" {
		t.Errorf("update without the text lost the certificate: %s", a.raw)
	}
	// Roll over: primary null, secondary new.
	body := map[string]any{"enrollmentGroupId": "g", "attestation": map[string]any{"type": "x509", "x509": map[string]any{
		"signingCertificates": map[string]any{"primary": nil, "secondary": map[string]any{"certificate": pemText(second.root.Certificate())}},
	}}}
	a = w.service(http.MethodPut, path, body, map[string]string{"If-Match": a.str("etag")})
	w.want(a, 200, 0)
	if strings.Contains(string(a.raw), pki.SHA1Thumbprint(first.root.Certificate())) || strings.Contains(string(a.raw), "primary") {
		t.Errorf("primary is still there: %s", a.raw)
	}
	// Info alone, where nothing is stored, is no certificate.
	body = x509Group("g", map[string]any{"info": map[string]any{"subjectName": "CN=x"}})
	w.want(w.service(http.MethodPut, path, body, map[string]string{"If-Match": a.str("etag")}), 400, 400000)
	// A certificate belongs to one entry; a released one can be used again.
	w.group("other", first.root.Certificate())
	b := w.service(http.MethodPut, "/enrollmentGroups/third", x509Group("third", map[string]any{"certificate": pemText(second.root.Certificate())}), nil)
	w.want(b, 409, 409000)
	if w.rule() != "certificate-in-use" || b.str("info", "certificateThumbprint") != pki.SHA1Thumbprint(second.root.Certificate()) {
		t.Errorf("rule = %q: %s", w.rule(), b.raw)
	}
	w.want(w.service(http.MethodDelete, path, nil, nil), 204, 0)
	w.group("third", second.root.Certificate())
}

func TestCAReferences(t *testing.T) {
	w := newWorld(t)
	p := newPKI(t)
	body := func(id string, refs map[string]any) map[string]any {
		return map[string]any{"enrollmentGroupId": id, "attestation": map[string]any{"type": "x509", "x509": map[string]any{"caReferences": refs}}}
	}
	put := func(id string, refs map[string]any) answer {
		t.Helper()
		return w.service(http.MethodPut, "/enrollmentGroups/"+id, body(id, refs), nil)
	}
	w.want(put("g", map[string]any{"primary": "root"}), 400, 400000)
	w.upload("root", p.root.Certificate(), false)
	w.want(put("g", map[string]any{"primary": "root"}), 400, 400000)
	if w.rule() != "ca-reference" {
		t.Errorf("rule = %q", w.rule())
	}
	w.want(w.arm(http.MethodDelete, "/certificates/root", armVersion, nil, map[string]string{"If-Match": "*"}), 200, 0)
	w.prove("root", p.root)
	w.want(put("g", map[string]any{}), 400, 400000)
	a := put("g", map[string]any{"primary": "ROOT", "secondary": nil})
	w.want(a, 200, 0)
	if !strings.Contains(string(a.raw), `"x509":{"caReferences":{"primary":"ROOT"}}`) {
		t.Errorf("group = %s", a.raw)
	}
	w.want(put("h", map[string]any{"primary": "root"}), 409, 409000)
	w.want(put("h", map[string]any{"primary": "nobody", "secondary": "root"}), 400, 400000)
}

func TestAttestationRules(t *testing.T) {
	w := newWorld(t)
	p := newPKI(t)
	cert := map[string]any{"primary": map[string]any{"certificate": pemText(p.root.Certificate())}}
	ek := base64.StdEncoding.EncodeToString([]byte("endorsement key"))
	for _, tt := range []struct {
		name       string
		individual bool
		att        any
		status     int
	}{
		{"group without attestation", false, nil, 400},
		{"unknown type", false, map[string]any{"type": "password"}, 400},
		{"none", false, map[string]any{"type": "none"}, 400},
		{"x509 without anything", false, map[string]any{"type": "x509"}, 400},
		{"x509 with two", false, map[string]any{"type": "x509", "x509": map[string]any{"signingCertificates": cert, "caReferences": map[string]any{"primary": "r"}}}, 400},
		{"empty pair", false, map[string]any{"type": "x509", "x509": map[string]any{"signingCertificates": map[string]any{}}}, 400},
		{"group with client certificates", false, map[string]any{"type": "x509", "x509": map[string]any{"clientCertificates": cert}}, 400},
		{"group with tpm", false, map[string]any{"type": "tpm", "tpm": map[string]any{"endorsementKey": ek}}, 400},
		{"individual with signing certificates", true, map[string]any{"type": "x509", "x509": map[string]any{"signingCertificates": cert}}, 400},
		{"tpm without key", true, map[string]any{"type": "tpm"}, 400},
		{"tpm key is no base64", true, map[string]any{"type": "tpm", "tpm": map[string]any{"endorsementKey": "?"}}, 400},
		{"individual with tpm", true, map[string]any{"type": "tpm", "tpm": map[string]any{"endorsementKey": ek}}, 200},
		{"group with signing certificates", false, map[string]any{"type": "X509", "x509": map[string]any{"signingCertificates": cert, "clientCertificates": nil}}, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := w.in(t)
			path, body := "/enrollmentGroups/x", map[string]any{"enrollmentGroupId": "x", "attestation": tt.att}
			if tt.individual {
				path, body = "/enrollments/x", map[string]any{"registrationId": "x", "attestation": tt.att}
			}
			code := 0
			if tt.status != 200 {
				code = 400000
			}
			w.want(w.service(http.MethodPut, path, body, nil), tt.status, code)
		})
	}
	if a := w.service(http.MethodGet, "/enrollments/x", nil, nil); a.str("attestation", "tpm", "endorsementKey") != ek {
		t.Errorf("tpm enrollment = %s", a.raw)
	}
}

// TestWhatTheServiceDoesToInput covers defaults, nulls and read-only members.
func TestWhatTheServiceDoesToInput(t *testing.T) {
	w := newWorld(t)
	put := func(id string, more ...map[string]any) answer {
		t.Helper()
		return w.service(http.MethodPut, "/enrollments/"+id, symmetric("registrationId", id, more...), nil)
	}
	a := put("nulls", map[string]any{
		"deviceId": nil, "optionalDeviceInformation": nil, "capabilities": nil, "iotHubHostName": nil, "initialTwin": nil,
		"etag": nil, "provisioningStatus": nil, "reprovisionPolicy": nil, "allocationPolicy": nil, "iotHubs": nil,
		"customAllocationDefinition": nil, "registrationState": nil, "createdDateTimeUtc": nil,
	})
	w.want(a, 200, 0)
	if v, ok := a.body["provisioningStatus"]; !ok || v != nil {
		t.Errorf("explicit null status is %v", v)
	}
	if len(a.body) != 6 { // registrationId, attestation, etag, provisioningStatus, two times
		t.Errorf("nulls were kept: %s", a.raw)
	}
	a = put("twin", map[string]any{
		"deviceId": "Other#Device", "registrationState": map[string]any{"registrationId": "x", "status": "assigned"},
		"initialTwin":               map[string]any{"tags": map[string]any{"a": 1.5, "$version": 7, "additionalProperties": map[string]any{"hello": "world"}}, "properties": map[string]any{"desired": nil}},
		"optionalDeviceInformation": map[string]any{"x": []any{1, nil}},
		"reprovisionPolicy":         map[string]any{"migrateDeviceData": false},
		"capabilities":              map[string]any{"iotEdge": true}, "allocationPolicy": "GEOLATENCY", "provisioningStatus": "Enabled",
		"createdDateTimeUtc": "2001-01-01T00:00:00Z", "unknownMember": 1,
	})
	w.want(a, 200, 0)
	for _, want := range []string{
		`"deviceId":"Other#Device"`, `"initialTwin":{"tags":{"$version":7,"a":1.5,"additionalProperties":{"hello":"world"}},"properties":{}}`,
		`"optionalDeviceInformation":{"x":[1,null]}`, `"reprovisionPolicy":{"updateHubAssignment":true,"migrateDeviceData":false}`,
		`"capabilities":{"iotEdge":true}`, `"allocationPolicy":"geoLatency"`, `"provisioningStatus":"enabled"`,
	} {
		if !strings.Contains(string(a.raw), want) {
			t.Errorf("%s is not in %s", want, a.raw)
		}
	}
	for _, not := range []string{"registrationState", "2001-01-01", "unknownMember"} {
		if strings.Contains(string(a.raw), not) {
			t.Errorf("%s is in %s", not, a.raw)
		}
	}
	if a := w.service(http.MethodGet, "/enrollments/twin", nil, nil); !strings.Contains(string(a.raw), `"registrationState":{"registrationId":"twin","status":"unassigned"}`) {
		t.Errorf("GET = %s", a.raw)
	}
	for name, more := range map[string]map[string]any{
		"status":        {"provisioningStatus": "paused"},
		"policy":        {"allocationPolicy": "nearest"},
		"custom":        {"allocationPolicy": "custom"},
		"custom half":   {"allocationPolicy": "custom", "customAllocationDefinition": map[string]any{"webhookUrl": "https://x"}},
		"hub":           {"iotHubs": []string{"a b"}},
		"hub name":      {"iotHubHostName": "https://x"},
		"tags":          {"initialTwin": map[string]any{"tags": []any{}}},
		"desired":       {"initialTwin": map[string]any{"properties": map[string]any{"desired": "x"}}},
		"information":   {"optionalDeviceInformation": 1},
		"device id":     {"deviceId": "a b"},
		"long id":       {"deviceId": strings.Repeat("a", 129)},
		"iotEdge":       {"capabilities": map[string]any{"iotEdge": "yes"}},
		"time":          {"createdDateTimeUtc": "yesterday"},
		"policy member": {"reprovisionPolicy": map[string]any{"migrateDeviceData": "no"}},
	} {
		a := put("bad", more)
		if a.status != 400 || a.code() != 400000 {
			t.Errorf("%s: %d %s", name, a.status, a.raw)
		}
	}
	w.want(put("static", map[string]any{"allocationPolicy": "static"}), 200, 0)

	// Hubs need a policy, also on update.
	hubs := map[string]any{"iotHubs": []string{"a.azure-devices.net"}}
	for _, more := range []map[string]any{{}, {"allocationPolicy": nil}, {"allocationPolicy": ""}} {
		w.want(put("hubs", hubs, more), 400, 400004)
	}
	w.want(put("no-hubs", map[string]any{"iotHubs": []string{}}), 200, 0)
	w.want(put("one-hub", map[string]any{"iotHubHostName": "a.azure-devices.net"}), 200, 0)
	created := put("hubs", hubs, map[string]any{"allocationPolicy": "hashed"})
	w.want(created, 200, 0)
	a = w.service(http.MethodPut, "/enrollments/hubs", symmetric("registrationId", "hubs", hubs), map[string]string{"If-Match": created.str("etag")})
	w.want(a, 400, 400004)
	if got := a.str("message"); got != "allocationPolicy must be specified when iotHubs are specified" {
		t.Errorf("message %q", got)
	}
}

func TestCredentialPolicyName(t *testing.T) {
	w := newWorld(t)
	body := symmetric("enrollmentGroupId", "g", map[string]any{"credentialPolicyName": "p"})
	put := func(version, match string) answer {
		h := map[string]string{"Authorization": w.serviceToken()}
		if match != "" {
			h["If-Match"] = match
		}
		return w.do(call{method: http.MethodPut, path: "/enrollmentGroups/g", version: version, body: body, header: h})
	}
	a := put("2021-10-01", "")
	w.want(a, 200, 0)
	if a.str("credentialPolicyName") != "" {
		t.Error("2021-10-01 knows credentialPolicyName")
	}
	if a = put("2025-07-01-preview", a.str("etag")); a.str("credentialPolicyName") != "p" {
		t.Errorf("2025-07-01-preview lost credentialPolicyName: %s", a.raw)
	}
}

func TestGroupQuota(t *testing.T) {
	w := newWorld(t)
	for i := range 10 {
		var items []any
		for j := range 10 {
			items = append(items, symmetric("enrollmentGroupId", fmt.Sprintf("g-%d-%d", i, j)))
		}
		a := w.service(http.MethodPost, "/enrollmentGroups", map[string]any{"mode": "create", "enrollmentGroups": items}, nil)
		if string(a.raw) != `{"errors":[],"isSuccessful":true}` {
			t.Fatalf("bulk create: %s", a.raw)
		}
	}
	w.want(w.service(http.MethodPut, "/enrollmentGroups/more", symmetric("enrollmentGroupId", "more"), nil), 400, 400000)
	w.group("x509", newPKI(t).root.Certificate()) // the other kind has its own limit
	a := w.service(http.MethodGet, "/enrollmentGroups/g-0-0", nil, nil)
	w.want(w.service(http.MethodPut, "/enrollmentGroups/g-0-0", symmetric("enrollmentGroupId", "g-0-0"), map[string]string{"If-Match": a.str("etag")}), 200, 0)
}

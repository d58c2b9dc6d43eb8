package emulator_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/dpskit/dpskit/pkg/pki"
)

// swagger is the published description of the service plane, by which every
// answer that a test of this package gets is checked: see world.do.
type swagger struct {
	// schemas holds "METHOD /path status" for each answer; status "default" is
	// every refusal.
	schemas map[string]*jsonschema.Schema
	// empty has those that have no body.
	empty map[string]bool
	paths []string
	errs  *jsonschema.Schema
}

const swaggerFile = "testdata/swagger/dps-service-2021-10-01.json"

// deviations are the places where the service is known to answer otherwise than
// it is described. Everything else is taken strictly: members that are not
// described are mistakes.
var deviations = []struct {
	what string
	fix  func(definitions map[string]any)
}{
	{
		"provisioningStatus that was sent as null is answered as null (recordings of the service)",
		func(d map[string]any) {
			for _, name := range []string{"IndividualEnrollment", "EnrollmentGroup"} {
				status := member(d, name, "properties", "provisioningStatus")
				delete(status, "enum")
				status["type"] = []any{"string", "null"}
				status["enum"] = []any{"enabled", "disabled", nil}
			}
		},
	},
	{
		"a twin holds any JSON, not objects only (recordings: numbers, strings); version, count and metadata are then plain members",
		func(d map[string]any) {
			d["TwinCollection"] = map[string]any{"type": "object", "additionalProperties": true}
		},
	},
}

// loadSwagger makes a JSON schema of each answer. Swagger 2.0 is draft 4 with a
// few words more, so definitions can stay as they are.
var loadSwagger = sync.OnceValues(func() (*swagger, error) {
	data, err := os.ReadFile(swaggerFile)
	if err != nil {
		return nil, err
	}
	var doc map[string]any
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, err
	}
	definitions := doc["definitions"].(map[string]any)
	for _, d := range deviations {
		d.fix(definitions)
	}
	for _, d := range definitions {
		closeObjects(d)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft4)
	c.RegisterFormat(&jsonschema.Format{Name: "int32", Validate: checkInt32})
	c.AssertFormat()
	if err := c.AddResource("swagger.json", doc); err != nil {
		return nil, err
	}
	s := &swagger{schemas: map[string]*jsonschema.Schema{}, empty: map[string]bool{}}
	if s.errs, err = c.Compile("swagger.json#/definitions/ProvisioningServiceErrorDetails"); err != nil {
		return nil, err
	}
	return s, s.compile(c, doc["paths"].(map[string]any))
})

func (s *swagger) compile(c *jsonschema.Compiler, paths map[string]any) error {
	for path, methods := range paths {
		s.paths = append(s.paths, path)
		for method, operation := range methods.(map[string]any) {
			for status, answer := range member(operation, "responses") {
				key := strings.ToUpper(method) + " " + path + " " + status
				if answer.(map[string]any)["schema"] == nil {
					s.empty[key] = true
					continue
				}
				pointer := strings.NewReplacer("~", "~0", "/", "~1").Replace(path)
				schema, err := c.Compile("swagger.json#/paths/" + pointer + "/" + method + "/responses/" + status + "/schema")
				if err != nil {
					return err
				}
				s.schemas[key] = schema
			}
		}
	}
	// The longest first, and `query` before a parameter.
	slices.SortFunc(s.paths, func(a, b string) int {
		return strings.Compare(strings.ReplaceAll(b, "{", "\x00"), strings.ReplaceAll(a, "{", "\x00"))
	})
	return nil
}

// member walks into nested objects.
func member(v any, path ...string) map[string]any {
	m := v.(map[string]any)
	for _, name := range path {
		m = m[name].(map[string]any)
	}
	return m
}

// closeObjects forbids the members that a schema does not have, inside too.
func closeObjects(schema any) {
	m, ok := schema.(map[string]any)
	if !ok {
		return
	}
	properties, _ := m["properties"].(map[string]any)
	if properties != nil && m["additionalProperties"] == nil {
		m["additionalProperties"] = false
	}
	for _, property := range properties {
		closeObjects(property)
	}
	closeObjects(m["items"])
}

func checkInt32(v any) error {
	n, ok := v.(json.Number)
	if !ok {
		return nil
	}
	if i, err := strconv.ParseInt(n.String(), 10, 64); err != nil || i < math.MinInt32 || i > math.MaxInt32 {
		return fmt.Errorf("%s is not a 32-bit integer", n)
	}
	return nil
}

// path finds the described path of a request, as the service does: without case
// and a slash at the end.
func (s *swagger) path(request string) string {
	got := strings.Split(strings.TrimSuffix(request, "/"), "/")
	for _, path := range s.paths {
		want := strings.Split(path, "/")
		if len(want) != len(got) {
			continue
		}
		matches := func(i int) bool { return strings.HasPrefix(want[i], "{") || strings.EqualFold(want[i], got[i]) }
		ok := true
		for i := range want {
			ok = ok && matches(i)
		}
		if ok {
			return path
		}
	}
	return ""
}

// check holds one answer against the description.
func (s *swagger) check(method, path string, status int, header http.Header, body []byte) error {
	described := s.path(path)
	key := fmt.Sprintf("%s %s %d", method, described, status)
	if s.empty[key] {
		if len(body) != 0 {
			return fmt.Errorf("%s has no body, got %s", key, body)
		}
		return nil
	}
	schema := s.schemas[key]
	switch {
	case schema == nil && status < 400:
		return fmt.Errorf("%s is not described", key)
	case schema == nil && (method == http.MethodHead || len(body) == 0 && status == http.StatusMethodNotAllowed):
		return nil
	case schema == nil:
		schema = s.errs
	}
	if got := header.Get("Content-Type"); got != "application/json; charset=utf-8" {
		return fmt.Errorf("%s: Content-Type %q", key, got)
	}
	if strings.HasSuffix(described, "/query") && status == http.StatusOK && header.Get("X-Ms-Item-Type") == "" {
		return fmt.Errorf("%s: no x-ms-item-type", key)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	if err := schema.Validate(value); err != nil {
		return fmt.Errorf("%s: %w\n%s", key, err, body)
	}
	return nil
}

// checkSwagger holds an answer of the service plane against the description, if
// it is one of the version that is described.
func (w *world) checkSwagger(c call, a answer) {
	w.t.Helper()
	first, _, _ := strings.Cut(strings.TrimPrefix(c.path, "/"), "/")
	if !slices.Contains([]string{"enrollments", "enrollmentgroups", "registrations"}, strings.ToLower(first)) || c.version != serviceVersion {
		return
	}
	s, err := loadSwagger()
	if err != nil {
		w.t.Fatal(err)
	}
	path, _, _ := strings.Cut(c.path, "?")
	if err := s.check(c.method, path, a.status, a.header, a.raw); err != nil {
		w.t.Errorf("answer differs from the swagger: %v", err)
	}
	w.answers.Store(fmt.Sprintf("%s %s %d", c.method, s.path(path), a.status), true)
}

// TestSwagger gets every answer that is described, with every member filled in
// that the emulator knows; world.do does the checking.
func TestSwagger(t *testing.T) {
	s, err := loadSwagger()
	if err != nil {
		t.Fatal(err)
	}
	w, p := fleet(t)
	everyAnswer(w, p)
	described := slices.Concat(slices.Collect(maps.Keys(s.schemas)), slices.Collect(maps.Keys(s.empty)))
	for _, key := range described {
		if _, ok := w.answers.Load(key); !ok && !strings.HasSuffix(key, " default") {
			t.Errorf("the emulator did not give the answer %s", key)
		}
	}
	if len(described) < 30 {
		t.Errorf("%d answers are described, want two for each of 15 operations", len(described))
	}
}

// settings has a value for every member that both kinds of enrollment have.
func settings() map[string]any {
	return map[string]any{
		"capabilities":               map[string]any{"iotEdge": true},
		"initialTwin":                map[string]any{"tags": map[string]any{"n": 1.5, "s": "x", "l": []any{1, nil}, "version": "mine"}, "properties": map[string]any{"desired": map[string]any{"a": map[string]any{"b": true}}}},
		"reprovisionPolicy":          map[string]any{"updateHubAssignment": false, "migrateDeviceData": true},
		"allocationPolicy":           "custom",
		"iotHubs":                    []string{"dpskit-emulator-hub.azure-devices.net"},
		"customAllocationDefinition": map[string]any{"webhookUrl": "https://hook.example/api", "apiVersion": "2019-03-31"},
		"provisioningStatus":         "enabled",
	}
}

func everyAnswer(w *world, p testPKI) {
	w.t.Helper()
	const individuals, groups = "/enrollments", "/enrollmentGroups"
	x509 := func(kind string, certs ...string) map[string]any {
		pair := map[string]any{}
		for i, slot := range []string{"primary", "secondary"}[:len(certs)] {
			pair[slot] = map[string]any{"certificate": certs[i]}
		}
		return map[string]any{"attestation": map[string]any{"type": "x509", "x509": map[string]any{kind: pair}}}
	}
	leaf := func(id string) string { return pemText(selfSigned(w.t.(*testing.T), id).Certificate) }
	other, _ := pki.NewRoot(nil)
	put := func(path, member, id string, more ...map[string]any) answer {
		w.t.Helper()
		a := w.service(http.MethodPut, path+"/"+id, symmetric(member, id, more...), nil)
		w.want(a, http.StatusOK, 0)
		return a
	}
	keyed := put(individuals, "registrationId", "keyed", settings(), map[string]any{
		"deviceId": "Device-1", "optionalDeviceInformation": map[string]any{"serial": 7},
	})
	put(individuals, "registrationId", "single-hub", map[string]any{"iotHubHostName": "dpskit-emulator-hub.azure-devices.net", "provisioningStatus": nil})
	put(individuals, "registrationId", "x509", x509("clientCertificates", leaf("x509"), leaf("x509")))
	put(individuals, "registrationId", "reference", map[string]any{"attestation": map[string]any{
		"type": "x509", "x509": map[string]any{"caReferences": map[string]any{"primary": "root"}}}})
	put(individuals, "registrationId", "tpm", map[string]any{"attestation": map[string]any{
		"type": "tpm", "tpm": map[string]any{"endorsementKey": "AToAAQALAAMAsgAgg3GXZ0SEs/gakMyNRqXXJP1S124GUgtk8qHaGzMUaaoABgCAAEMAEAgAAAAAAAEA", "storageRootKey": "AAAA"}}})
	put(groups, "enrollmentGroupId", "keyed", settings())
	put(groups, "enrollmentGroupId", "signed", x509("signingCertificates", pemText(p.root.Certificate()), pemText(other.Certificate())), settings())
	put(groups, "enrollmentGroupId", "reference", map[string]any{"provisioningStatus": nil, "attestation": map[string]any{
		"type": "x509", "x509": map[string]any{"caReferences": map[string]any{"primary": "root", "secondary": "root"}}}})

	// Records of every status.
	w.assigned("dev", device(w.t, p.intermediate, "dev"))
	a := w.register("x509", device(w.t, p.intermediate, "x509")) // another certificate than the enrolled one
	w.want(a, http.StatusUnauthorized, 401002)
	for _, id := range []string{"dev", "unknown"} {
		w.service(http.MethodGet, "/registrations/"+id, nil, nil)
	}
	for path, ids := range map[string][]string{
		individuals: {"keyed", "single-hub", "x509", "reference", "tpm", "unknown", "a,b"},
		groups:      {"keyed", "signed", "reference", "fleet", "unknown"},
	} {
		for _, id := range ids {
			w.service(http.MethodGet, path+"/"+id, nil, nil)
			w.service(http.MethodPost, path+"/"+id+"/attestationmechanism", nil, nil)
			w.service(http.MethodPut, path+"/"+id, "{", nil)
			w.service(http.MethodPatch, path+"/"+id, nil, nil)
		}
		w.service(http.MethodPost, path+"/query", map[string]any{"query": "*"}, map[string]string{"x-ms-max-item-count": "2"})
		w.service(http.MethodPost, path+"/query", map[string]any{"query": "select"}, nil)
		w.service(http.MethodPost, path+"/query", map[string]any{"query": ""}, map[string]string{"Authorization": "none"})
	}
	w.service(http.MethodPost, "/registrations/fleet/query", nil, nil)
	w.service(http.MethodPost, "/registrations/unknown/query", nil, nil)
	for path, item := range map[string]map[string]any{
		individuals: {"mode": "create", "enrollments": []any{symmetric("registrationId", "bulk"), symmetric("registrationId", "keyed")}},
		groups:      {"mode": "create", "enrollmentGroups": []any{symmetric("enrollmentGroupId", "bulk"), symmetric("enrollmentGroupId", "keyed")}},
	} {
		a := w.service(http.MethodPost, path, item, nil)
		if a.status != http.StatusOK || a.body["isSuccessful"] != false || len(a.body["errors"].([]any)) != 1 {
			w.t.Errorf("bulk with one error: %d %s", a.status, a.raw)
		}
		item["mode"] = "delete"
		w.want(w.service(http.MethodPost, path, item, nil), http.StatusOK, 0)
		w.service(http.MethodPost, path, "[]", nil)
	}
	stale := map[string]string{"If-Match": keyed.str("etag")}
	w.want(w.service(http.MethodDelete, individuals+"/tpm", nil, stale), http.StatusPreconditionFailed, 412000)
	for _, path := range []string{individuals + "/tpm", groups + "/signed", "/registrations/dev"} {
		w.want(w.service(http.MethodDelete, path, nil, nil), http.StatusNoContent, 0)
	}
}

// TestSwaggerIsStrict is the test of the test: what is not as described is found.
func TestSwaggerIsStrict(t *testing.T) {
	s, err := loadSwagger()
	if err != nil {
		t.Fatal(err)
	}
	const good = `{"registrationId":"a","attestation":{"type":"tpm","tpm":{"endorsementKey":"k"}},"etag":"e","provisioningStatus":"enabled",` +
		`"createdDateTimeUtc":"2026-01-02T03:04:05.1234567Z","lastUpdatedDateTimeUtc":"2026-01-02T03:04:05Z"}`
	const refusal = `{"errorCode":404201,"trackingId":"t","message":"m","timestampUtc":"2026-01-02T03:04:05Z"}`
	json := http.Header{"Content-Type": {"application/json; charset=utf-8"}}
	for name, tt := range map[string]struct {
		method, path string
		status       int
		header       http.Header
		body         string
		want         string
	}{
		"good":                 {"GET", "/enrollments/a", 200, json, good, ""},
		"other spelling":       {"GET", "/ENROLLMENTS/a/", 200, json, good, ""},
		"null status":          {"PUT", "/enrollments/a", 200, json, strings.Replace(good, `"enabled"`, "null", 1), ""},
		"refusal":              {"GET", "/enrollments/a", 404, json, refusal, ""},
		"nothing":              {"DELETE", "/enrollments/a", 204, http.Header{}, "", ""},
		"refusal elsewhere":    {"GET", "/nothing", 404, json, refusal, ""},
		"misspelt member":      {"GET", "/enrollments/a", 200, json, strings.Replace(good, "etag", "eTag", 1), "eTag"},
		"missing member":       {"GET", "/enrollments/a", 200, json, strings.Replace(good, `"registrationId":"a",`, "", 1), "registrationId"},
		"unknown status":       {"GET", "/enrollments/a", 200, json, strings.Replace(good, "enabled", "Enabled", 1), "provisioningStatus"},
		"null elsewhere":       {"GET", "/enrollments/a", 200, json, strings.Replace(good, `"e"`, "null", 1), "etag"},
		"not a date":           {"GET", "/enrollments/a", 200, json, strings.Replace(good, "2026-01-02T03:04:05Z", "yesterday", 1), "date-time"},
		"member of the inside": {"GET", "/enrollments/a", 200, json, strings.Replace(good, "endorsementKey", "ek", 1), "endorsementKey"},
		"a list for one":       {"GET", "/enrollments/a", 200, json, "[" + good + "]", "want object"},
		"one for a list":       {"POST", "/enrollments/query", 200, json, good, "x-ms-item-type"},
		"text as a number":     {"GET", "/enrollments/a", 404, json, strings.Replace(refusal, "404201", `"404201"`, 1), "errorCode"},
		"a large number":       {"GET", "/enrollments/a", 404, json, strings.Replace(refusal, "404201", "4042010000", 1), "32-bit"},
		"half":                 {"GET", "/enrollments/a", 200, json, good[:40], "EOF"},
		"a body with 204":      {"DELETE", "/enrollments/a", 204, json, "{}", "has no body"},
		"another success":      {"PUT", "/enrollments/a", 201, json, good, "not described"},
		"media type":           {"GET", "/enrollments/a", 200, http.Header{"Content-Type": {"text/html"}}, good, "Content-Type"},
	} {
		err := s.check(tt.method, tt.path, tt.status, tt.header, []byte(tt.body))
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want …%s…", name, err, tt.want)
		}
	}
}

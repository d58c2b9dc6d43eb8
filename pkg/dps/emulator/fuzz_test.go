package emulator_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps/emulator"
)

// fuzzer sends requests to the planes of one emulator without a connection.
type fuzzer struct {
	handler http.Handler
	info    emulator.Info
	leaf    *x509.Certificate
	ca      *x509.Certificate
}

func newFuzzer(f *testing.F) *fuzzer {
	f.Helper()
	e, err := emulator.Start(f.Context(), &emulator.Options{RetryAfter: -1})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { e.Close() })
	handler, err := e.Planes()
	if err != nil {
		f.Fatal(err)
	}
	p := newPKI(f)
	leaf, err := x509.ParseCertificate(device(f, p.intermediate, "dev").Certificate[0])
	if err != nil {
		f.Fatal(err)
	}
	return &fuzzer{handler: handler, info: e.Info(), leaf: leaf, ca: p.intermediate.Certificate()}
}

// send wants an answer that is no server error, and a JSON body if it is a
// refusal of one of the planes.
func (z *fuzzer) send(t *testing.T, method string, target *url.URL, header map[string]string, body string) {
	t.Helper()
	req := httptest.NewRequest(http.MethodGet, "https://localhost/", strings.NewReader(body))
	req.Method, req.URL = method, target
	if !strings.HasPrefix(target.Path, "/"+z.info.IDScope) { // devices come with a certificate
		req.Header.Set("Authorization", "Bearer "+z.info.Token)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	req.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{z.leaf, z.ca}}
	rec := httptest.NewRecorder()
	z.handler.ServeHTTP(rec, req)
	if rec.Code >= 500 {
		t.Fatalf("%s %s %q: %d %s", method, target, body, rec.Code, rec.Body)
	}
	if rec.Header().Get("x-ms-request-id") == "" {
		t.Fatalf("%s %s: no request id", method, target)
	}
	if rec.Header().Get("Content-Type") == "application/json; charset=utf-8" && !json.Valid(rec.Body.Bytes()) {
		t.Fatalf("%s %s: answer is not JSON: %s", method, target, rec.Body)
	}
}

// FuzzBodies sends bodies to every operation that reads one.
func FuzzBodies(f *testing.F) {
	z := newFuzzer(f)
	operations := []struct{ method, path string }{
		{"PUT", "/enrollments/e?api-version=2021-10-01"},
		{"PUT", "/enrollmentGroups/g?api-version=2021-10-01"},
		{"POST", "/enrollments?api-version=2021-10-01"},
		{"POST", "/enrollmentGroups?api-version=2021-10-01"},
		{"POST", "/enrollments/query?api-version=2021-10-01"},
		{"POST", "/enrollmentGroups/query?api-version=2021-10-01"},
		{"POST", "/registrations/g/query?api-version=2021-10-01"},
		{"PUT", armBase(z.info) + "/certificates/c?api-version=2022-12-12"},
		{"PUT", armBase(z.info) + "/certificates/c?api-version=2021-10-15"},
		{"POST", armBase(z.info) + "/certificates/c/verify?api-version=2022-12-12"},
		{"PUT", "/" + z.info.IDScope + "/registrations/dev/register?api-version=2021-06-01"},
		{"POST", "/" + z.info.IDScope + "/registrations/dev?api-version=2021-06-01"},
	}
	cert, err := json.Marshal(pemText(z.ca))
	if err != nil {
		f.Fatal(err)
	}
	for i, seed := range []string{
		`{"registrationId":"e","attestation":{"type":"symmetricKey"},"initialTwin":{"tags":{"a":1}},"iotHubs":["x"]}`,
		`{"enrollmentGroupId":"g","attestation":{"type":"x509","x509":{"signingCertificates":{"primary":{"certificate":` + string(cert) + `}}}}}`,
		`{"mode":"create","enrollments":[{"registrationId":"e"},{"registrationId":"f","attestation":{"type":"tpm","tpm":{"endorsementKey":"AAAA"}}}]}`,
		`{"mode":"delete","enrollmentGroups":[{"enrollmentGroupId":"g"}]}`,
		`{"query":"select * from enrollments"}`, `{"query":null}`, ``,
		`{"properties":{"certificate":` + string(cert) + `,"isVerified":true}}`, `{"certificate":` + string(cert) + `}`, `{"certificate":"AAAA"}`,
		`{"registrationId":"dev","payload":{"a":[]}}`, `{"registrationId":"DEV"}`,
	} {
		f.Add(uint8(i), seed)
	}
	f.Fuzz(func(t *testing.T, operation uint8, body string) {
		op := operations[int(operation)%len(operations)]
		target, err := url.Parse("https://localhost" + op.path)
		if err != nil {
			t.Fatal(err)
		}
		z.send(t, op.method, target, map[string]string{"If-Match": "*"}, body)
		z.send(t, op.method, target, nil, body)
	})
}

func armBase(info emulator.Info) string {
	return "/subscriptions/" + info.SubscriptionID + "/resourceGroups/" + info.ResourceGroup +
		"/providers/Microsoft.Devices/provisioningServices/" + info.Name
}

// FuzzPaths sends requests to any path with any method, version and paging.
func FuzzPaths(f *testing.F) {
	z := newFuzzer(f)
	for _, seed := range []string{
		"/enrollments/a?api-version=2021-10-01", "/registrations//?api-version=2021-10-01", "/enrollmentGroups/%2e%2e/query",
		"/" + z.info.IDScope + "/registrations/dev/operations/4.x?api-version=2021-06-01", armBase(z.info) + "/keys/%00/listkeys?api-version=2022-12-12",
		"/healthz", "/readyz/", "/../x", "/%", "/a?b;c", "",
	} {
		f.Add("GET", seed, "")
		f.Add("POST", seed, "W3sidG9rZW4iOiJlbnJvbGxtZW50cyNhIn1d")
	}
	f.Fuzz(func(t *testing.T, method, path, token string) {
		target, err := url.Parse("https://localhost/" + strings.TrimPrefix(path, "/"))
		if err != nil {
			return
		}
		z.send(t, method, target, map[string]string{"x-ms-continuation": token, "x-ms-max-item-count": token, "If-Match": token, "Content-Type": token}, "{}")
	})
}

package emulator_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/dpstest"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/pki"
)

// api-versions used where a test is not about versions.
const (
	serviceVersion = "2021-10-01"
	armVersion     = "2022-12-12"
	deviceVersion  = "2021-06-01"
)

// world is an emulator with the clients that tests drive it by: plain net/http
// and crypto/tls, no client of this module.
type world struct {
	t    testing.TB
	e    *emulator.Emulator
	info emulator.Info
	logs *logBuffer
	// anonymous has no client certificate and keeps its connections.
	anonymous *http.Client
	// answers are those of the service plane so far; see checkSwagger.
	answers *sync.Map
}

func newWorld(t testing.TB, opts ...func(*emulator.Options)) *world {
	t.Helper()
	logs := &logBuffer{}
	opts = append([]func(*emulator.Options){func(o *emulator.Options) {
		o.Logger = slog.New(slog.NewJSONHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}}, opts...)
	e := dpstest.Start(t, opts...)
	w := &world{t: t, e: e, info: e.Info(), logs: logs, anonymous: e.HTTPClient(), answers: &sync.Map{}}
	t.Cleanup(w.anonymous.CloseIdleConnections)
	return w
}

// in returns w for use in a subtest.
func (w *world) in(t testing.TB) *world {
	sub := *w
	sub.t = t
	return &sub
}

// logBuffer collects log records.
type logBuffer struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	wake chan struct{} // closed by the next Write; nil if nobody waits
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.wake != nil {
		close(b.wake)
		b.wake = nil
	}
	return b.buf.Write(p)
}

// more returns a channel that is closed by the next Write.
func (b *logBuffer) more() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.wake == nil {
		b.wake = make(chan struct{})
	}
	return b.wake
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// refusals returns the log records of refused requests.
func (b *logBuffer) refusals(t testing.TB) []map[string]any {
	t.Helper()
	var out []map[string]any
	for line := range strings.Lines(b.String()) {
		var rec map[string]any
		if err := json.Unmarshal([]byte(line), &rec); err != nil {
			t.Fatalf("log line %q: %v", line, err)
		}
		if rec["msg"] == "request refused" {
			out = append(out, rec)
		}
	}
	return out
}

// answer is a decoded HTTP answer.
type answer struct {
	status int
	header http.Header
	raw    []byte
	body   map[string]any
}

// code returns the numeric error code of any plane.
func (a answer) code() int {
	for _, name := range []string{"errorCode", "code"} {
		if n, ok := a.body[name].(float64); ok {
			return int(n)
		}
	}
	return 0
}

func (a answer) str(path ...string) string {
	var v any = a.body
	for _, p := range path {
		m, _ := v.(map[string]any)
		v = m[p]
	}
	s, _ := v.(string)
	return s
}

// call describes one request.
type call struct {
	method, path string
	version      string
	header       map[string]string
	body         any // string and []byte go out as they are
	client       *http.Client
}

func (w *world) do(c call) answer {
	w.t.Helper()
	target := "https://" + w.info.HostName + c.path
	if c.version != "" {
		target += "?api-version=" + c.version
	}
	req, err := http.NewRequestWithContext(w.t.Context(), c.method, target, encodeBody(w.t, c.body))
	if err != nil {
		w.t.Fatal(err)
	}
	if c.body != nil {
		req.Header.Set("Content-Type", "application/json; charset=utf-8")
	}
	for k, v := range c.header {
		if v == "" {
			req.Header.Del(k)
		} else {
			req.Header.Set(k, v)
		}
	}
	client := c.client
	if client == nil {
		client = w.anonymous
	}
	resp, err := client.Do(req)
	if err != nil {
		w.t.Fatalf("%s %s: %v", c.method, c.path, err)
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header}
	if a.raw, err = io.ReadAll(resp.Body); err != nil {
		w.t.Fatal(err)
	}
	_ = json.Unmarshal(a.raw, &a.body)
	w.checkLog(c, a)
	w.checkSwagger(c, a)
	return a
}

// checkLog wants a request id on every answer, and exactly one record for
// every refusal, with its rule, what was expected, and what to do.
func (w *world) checkLog(c call, a answer) {
	w.t.Helper()
	id := a.header.Get("x-ms-request-id")
	if id == "" {
		w.t.Errorf("%s %s: no x-ms-request-id", c.method, c.path)
	}
	if a.status < 400 {
		return
	}
	records := 0
	for _, rec := range w.logs.refusals(w.t) {
		if rec["request_id"] == id {
			records++
			if rec["rule"] == "" || rec["rule"] == nil || rec["plane"] == nil {
				w.t.Errorf("log record without rule or plane: %v", rec)
			}
			checkExplained(w.t, rec)
		}
	}
	if records != 1 {
		w.t.Errorf("%s %s: %d refusal records for request %s, want 1", c.method, c.path, records, id)
	}
}

// checkExplained wants a refusal to say what was expected and what to do.
func checkExplained(t testing.TB, rec map[string]any) {
	t.Helper()
	if rec["expected"] == nil || rec["fix"] == nil {
		t.Errorf("log record explains nothing: %v", rec)
	}
}

// rule returns the rule of the latest refusal.
func (w *world) rule() string {
	w.t.Helper()
	all := w.logs.refusals(w.t)
	if len(all) == 0 {
		return ""
	}
	last := all[len(all)-1]
	checkExplained(w.t, last)
	rule, _ := last["rule"].(string)
	return rule
}

func encodeBody(t testing.TB, body any) io.Reader {
	switch b := body.(type) {
	case nil:
		return nil
	case string:
		return strings.NewReader(b)
	case []byte:
		return bytes.NewReader(b)
	}
	data, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(data)
}

// client trusts the emulator and presents chain, if there is one.
func (w *world) client(identity *tls.Certificate) *http.Client {
	cfg := &tls.Config{RootCAs: w.e.CAPool()}
	if identity != nil {
		cfg.Certificates = []tls.Certificate{*identity}
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: cfg}}
}

// arm calls the Azure Resource Manager plane below the service resource.
func (w *world) arm(method, path, version string, body any, header map[string]string) answer {
	w.t.Helper()
	h := map[string]string{"Authorization": "Bearer " + w.info.Token}
	for k, v := range header {
		h[k] = v
	}
	return w.do(call{method: method, path: w.armPath(path), version: version, body: body, header: h})
}

func (w *world) armPath(path string) string {
	return fmt.Sprintf("/subscriptions/%s/resourceGroups/%s/providers/Microsoft.Devices/provisioningServices/%s%s",
		w.info.SubscriptionID, w.info.ResourceGroup, w.info.Name, path)
}

// service calls the service plane with a signature by the connection string.
func (w *world) service(method, path string, body any, header map[string]string) answer {
	w.t.Helper()
	h := map[string]string{"Authorization": w.serviceToken()}
	for k, v := range header {
		h[k] = v
	}
	return w.do(call{method: method, path: path, version: serviceVersion, body: body, header: h})
}

func (w *world) serviceToken() string {
	key := strings.SplitN(w.info.ConnectionString, "SharedAccessKey=", 2)[1]
	return sign(w.t, w.info.HostName, key, "provisioningserviceowner", time.Now().Add(time.Hour))
}

// sign makes a shared access signature the way the documentation says.
func sign(t testing.TB, resource, key, name string, expiry time.Time) string {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		t.Fatal(err)
	}
	sr, se := url.QueryEscape(resource), fmt.Sprint(expiry.Unix())
	mac := hmac.New(sha256.New, raw)
	mac.Write([]byte(sr + "\n" + se))
	sig := url.QueryEscape(base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	token := fmt.Sprintf("SharedAccessSignature sr=%s&sig=%s&se=%s", sr, sig, se)
	if name != "" {
		token += "&skn=" + name
	}
	return token
}

// upload uploads ca and returns the answer; it must succeed.
func (w *world) upload(name string, ca *x509.Certificate, verified bool) answer {
	w.t.Helper()
	a := w.arm(http.MethodPut, "/certificates/"+name, armVersion, map[string]any{
		"properties": map[string]any{"certificate": base64PEM(ca), "isVerified": verified},
	}, nil)
	w.want(a, http.StatusOK, 0)
	return a
}

// prove uploads ca and proves possession of its key.
func (w *world) prove(name string, ca *pki.Authority) {
	w.t.Helper()
	a := w.upload(name, ca.Certificate(), false)
	a = w.arm(http.MethodPost, "/certificates/"+name+"/generateVerificationCode", armVersion, nil,
		map[string]string{"If-Match": a.str("etag")})
	w.want(a, http.StatusOK, 0)
	proof := issue(w.t, ca, pki.IssueRequest{
		Profile: pki.ProfileVerification, CommonName: a.str("properties", "verificationCode"),
	})
	a = w.arm(http.MethodPost, "/certificates/"+name+"/verify", armVersion,
		map[string]any{"certificate": base64PEM(proof.Certificate)}, map[string]string{"If-Match": a.str("etag")})
	w.want(a, http.StatusOK, 0)
}

// group creates an enrollment group on a signing certificate.
func (w *world) group(id string, ca *x509.Certificate, more ...map[string]any) answer {
	w.t.Helper()
	body := map[string]any{
		"enrollmentGroupId": id,
		"attestation": map[string]any{"type": "x509", "x509": map[string]any{
			"signingCertificates": map[string]any{"primary": map[string]any{"certificate": pemText(ca)}},
		}},
	}
	for _, m := range more {
		for k, v := range m {
			body[k] = v
		}
	}
	a := w.service(http.MethodPut, "/enrollmentGroups/"+id, body, nil)
	w.want(a, http.StatusOK, 0)
	return a
}

// individual creates an individual enrollment with a client certificate.
func (w *world) individual(id string, leaf *x509.Certificate, more ...map[string]any) answer {
	w.t.Helper()
	body := map[string]any{
		"registrationId": id,
		"attestation": map[string]any{"type": "x509", "x509": map[string]any{
			"clientCertificates": map[string]any{"primary": map[string]any{"certificate": pemText(leaf)}},
		}},
	}
	for _, m := range more {
		for k, v := range m {
			body[k] = v
		}
	}
	a := w.service(http.MethodPut, "/enrollments/"+id, body, nil)
	w.want(a, http.StatusOK, 0)
	return a
}

// register sends the register request of a device.
func (w *world) register(id string, identity *tls.Certificate) answer {
	w.t.Helper()
	return w.device(http.MethodPut, "/register", id, identity, nil, map[string]any{"registrationId": id})
}

func (w *world) device(method, path, id string, identity *tls.Certificate, header map[string]string, body any) answer {
	w.t.Helper()
	return w.deviceAt(deviceVersion, method, path, id, identity, header, body)
}

func (w *world) deviceAt(version, method, path, id string, identity *tls.Certificate, header map[string]string, body any) answer {
	w.t.Helper()
	client := w.client(identity)
	defer client.CloseIdleConnections()
	return w.do(call{
		method: method, path: "/" + w.info.IDScope + "/registrations/" + url.PathEscape(id) + path,
		version: version, body: body, header: header, client: client,
	})
}

// assigned registers and polls until the end.
func (w *world) assigned(id string, identity *tls.Certificate) answer {
	w.t.Helper()
	a := w.register(id, identity)
	w.want(a, http.StatusAccepted, 0)
	a = w.device(http.MethodGet, "/operations/"+a.str("operationId"), id, identity, nil, nil)
	w.want(a, http.StatusOK, 0)
	return a
}

// want fails the test unless status and error code are these.
func (w *world) want(a answer, status, code int) {
	w.t.Helper()
	if a.status != status || a.code() != code {
		w.t.Fatalf("got %d (code %d): %s; want %d (code %d)", a.status, a.code(), a.raw, status, code)
	}
}

// pkiWorld is root, intermediate and the means to issue devices.
type testPKI struct{ root, intermediate *pki.Authority }

func newPKI(t testing.TB) testPKI {
	t.Helper()
	root, err := pki.NewRoot(nil)
	if err != nil {
		t.Fatal(err)
	}
	intermediate, err := root.NewIntermediate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return testPKI{root, intermediate}
}

func issue(t testing.TB, ca *pki.Authority, req pki.IssueRequest) *pki.Bundle {
	t.Helper()
	b, err := ca.Issue(req)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// device issues a device certificate below ca.
func device(t testing.TB, ca *pki.Authority, id string) *tls.Certificate {
	t.Helper()
	cert, err := issue(t, ca, pki.IssueRequest{CommonName: id}).TLSCertificate()
	if err != nil {
		t.Fatal(err)
	}
	return &cert
}

func pemText(cert *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
}

func base64PEM(cert *x509.Certificate) string {
	return base64.StdEncoding.EncodeToString([]byte(pemText(cert)))
}

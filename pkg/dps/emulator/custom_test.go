package emulator_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/pki"
)

// hook is the webhook of a custom allocation. It counts calls and keeps the
// latest request.
type hook struct {
	*httptest.Server

	calls  atomic.Int64
	answer atomic.Value // func(http.ResponseWriter)
	latest atomic.Value // []byte
}

func newHook(t testing.TB) *hook {
	t.Helper()
	h := &hook{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read request: %v", err)
		}
		h.latest.Store(body)
		h.calls.Add(1)
		h.answer.Load().(func(http.ResponseWriter))(w)
	}))
	t.Cleanup(h.Close)
	return h
}

// says makes the webhook answer with text.
func (h *hook) says(text string) {
	h.answer.Store(func(w http.ResponseWriter) { _, _ = io.WriteString(w, text) })
}

// block makes the webhook wait for release before it says text. called gets
// something for each call.
func (h *hook) block(t testing.TB, text string) (called <-chan struct{}, release func()) {
	t.Helper()
	gate, calls := make(chan struct{}), make(chan struct{}, 100)
	var open atomic.Bool
	release = func() {
		if open.CompareAndSwap(false, true) {
			close(gate)
		}
	}
	t.Cleanup(release)
	h.answer.Store(func(w http.ResponseWriter) {
		calls <- struct{}{}
		<-gate
		_, _ = io.WriteString(w, text)
	})
	return calls, release
}

// definition is what an enrollment with this webhook has.
func (h *hook) definition() map[string]any {
	return map[string]any{
		"allocationPolicy":           "custom",
		"customAllocationDefinition": map[string]any{"webhookUrl": h.URL + "/api/allocate?code=canary", "apiVersion": "2021-10-01"},
	}
}

// settled registers and polls until the outcome is known.
func (w *world) settled(id string, identity *tls.Certificate, body any) answer {
	w.t.Helper()
	a := w.device(http.MethodPut, "/register", id, identity, nil, body)
	w.want(a, http.StatusAccepted, 0)
	return w.outcome(id, identity, a.str("operationId"))
}

func (w *world) outcome(id string, identity *tls.Certificate, operation string) answer {
	w.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		a := w.device(http.MethodGet, "/operations/"+operation, id, identity, nil, nil)
		w.want(a, http.StatusOK, 0)
		if a.str("status") != "assigning" {
			return a
		}
		if time.Now().After(deadline) {
			w.t.Fatal("still assigning")
		}
	}
}

func (w *world) on(id string) emulator.Device {
	w.t.Helper()
	d, ok, err := w.e.Device(w.t.Context(), id)
	if err != nil || !ok {
		w.t.Fatalf("device %q: found %v, %v", id, ok, err)
	}
	return d
}

func TestCustomAllocation(t *testing.T) {
	w, p := fleet(t, withHubs)
	h := newHook(t)
	w.change("/enrollmentGroups/fleet", h.definition())
	w.change("/enrollmentGroups/fleet", map[string]any{"iotHubs": []string{hubs[2], hubs[1]}})
	dev := device(t, p.intermediate, "dev")
	h.says(`{"iotHubHostName":"B.azure-devices.net","initialTwin":{"tags":{"kind":"toaster"},"properties":{"desired":{"heat":7}}},"payload":{"hello":["you"]}}`)
	a := w.settled("dev", dev, `{"registrationId":"dev","payload":{"model":"T-7"}}`)
	if a.str("registrationState", "assignedHub") != hubs[1] || a.str("status") != "assigned" {
		t.Fatalf("answer = %s", a.raw)
	}
	if want := `"payload":{"hello":["you"]}`; !strings.Contains(string(a.raw), want) {
		t.Errorf("answer = %s, want %s in it", a.raw, want)
	}
	if got := w.service(http.MethodGet, "/registrations/dev", nil, nil); !strings.Contains(string(got.raw), `"payload":{"hello":["you"]}`) {
		t.Errorf("service plane = %s", got.raw)
	}
	if d := w.on("dev"); string(d.Tags) != `{"kind":"toaster"}` || string(d.Desired) != `{"heat":7}` || d.Hub != hubs[1] {
		t.Errorf("device = %+v", d)
	}
	group := w.service(http.MethodGet, "/enrollmentGroups/fleet", nil, nil)
	checkRequest(t, h, group, dev, nil)
	// Once more: the webhook learns where the device is. Without a twin in its
	// answer, the one on the hub stays.
	h.says(`{"iotHubHostName":"` + hubs[2] + `","payload":null}`)
	a = w.settled("dev", dev, `{"registrationId":"dev"}`)
	if a.str("registrationState", "substatus") != "deviceDataMigrated" || strings.Contains(string(a.raw), "payload") {
		t.Errorf("answer = %s", a.raw)
	}
	if d := w.on("dev"); string(d.Tags) != `{"kind":"toaster"}` || d.Hub != hubs[2] {
		t.Errorf("device = %+v", d)
	}
	checkRequest(t, h, group, dev, map[string]any{"currentIotHubHostName": hubs[1], "currentDeviceId": "dev"})
	// A twin in the answer overrides the migration.
	h.says(`{"iotHubHostName":"` + hubs[1] + `","initialTwin":{"tags":{"kind":"kettle"}}}`)
	if a = w.settled("dev", dev, "{}"); a.str("registrationState", "substatus") != "deviceDataReset" {
		t.Errorf("answer = %s", a.raw)
	}
	if d := w.on("dev"); string(d.Tags) != `{"kind":"kettle"}` || d.Desired != nil {
		t.Errorf("device = %+v", d)
	}
	if strings.Contains(w.logs.String(), "canary") {
		t.Error("log shows the key in the URL of the webhook")
	}
}

// checkRequest holds the latest request against the documented form. payload
// and current come on top of what every request has.
func checkRequest(t *testing.T, h *hook, group answer, dev *tls.Certificate, current map[string]any) {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal(h.latest.Load().([]byte), &got); err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(dev.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	runtime := map[string]any{"registrationId": leaf.Subject.CommonName}
	if current == nil {
		runtime["payload"] = map[string]any{"model": "T-7"}
	}
	for k, v := range current {
		runtime[k] = v
	}
	enrollment := group.body
	enrollment["customAllocationDefinition"] = map[string]any{"webhookUrl": h.URL + "/api/allocate?****", "apiVersion": "2021-10-01"}
	want := map[string]any{"enrollmentGroup": enrollment, "deviceRuntimeContext": runtime, "linkedHubs": []any{hubs[2], hubs[1]}}
	context, _ := got["deviceRuntimeContext"].(map[string]any)
	x509Part, _ := context["x509"].(map[string]any)
	info, _ := x509Part["certificateInfo"].(map[string]any)
	if info["subjectName"] != "CN=dev" || info["sha256Thumbprint"] == nil {
		t.Errorf("x509 = %v", context["x509"])
	}
	delete(context, "x509")
	sent, _ := got["enrollmentGroup"].(map[string]any)
	if etag, _ := sent["etag"].(string); !strings.HasPrefix(etag, `"`) {
		t.Errorf("etag = %q, want it in quotes", etag)
	}
	for _, m := range []map[string]any{sent, enrollment} {
		delete(m, "etag")
		delete(m, "@context")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestCustomAllocationOfIndividuals(t *testing.T) {
	w := newWorld(t, withHubs)
	h := newHook(t)
	h.says(`{"iothubhostname":"` + hubs[0] + `"}`) // the documentation spells it in several ways
	body := symmetric("registrationId", "own", h.definition())
	body["deviceId"], body["capabilities"] = "Mine", map[string]any{"iotEdge": true}
	body["initialTwin"] = map[string]any{"tags": map[string]any{"from": "enrollment"}}
	own := w.service(http.MethodPut, "/enrollments/own", body, nil)
	w.want(own, 200, 0)
	primary, secondary := keysIn(own)
	token := sign(t, w.info.IDScope+"/registrations/own", primary, "registration", time.Now().Add(time.Hour))
	reg, _ := w.withToken("own", token)
	w.want(reg, 202, 0)
	poll := func() answer {
		return w.device(http.MethodGet, "/operations/"+reg.str("operationId"), "own", nil, map[string]string{"Authorization": token}, nil)
	}
	a := poll()
	for deadline := time.Now().Add(20 * time.Second); a.str("status") == "assigning" && time.Now().Before(deadline); {
		a = poll()
	}
	if a.str("registrationState", "assignedHub") != hubs[0] || a.str("registrationState", "deviceId") != "Mine" {
		t.Errorf("answer = %s", a.raw)
	}
	want := emulator.Device{RegistrationID: "own", Hub: hubs[0], ID: "Mine", IotEdge: true, Tags: json.RawMessage(`{"from":"enrollment"}`)}
	got := w.on("own")
	got.Updated = time.Time{}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	sent := string(h.latest.Load().([]byte))
	for _, secret := range []string{primary, secondary, "canary"} {
		if strings.Contains(sent, secret) {
			t.Errorf("request shows a secret: %s", sent)
		}
	}
	for _, want := range []string{`"individualEnrollment":{"registrationId":"own","deviceId":"Mine"`, `"attestation":{"type":"symmetricKey"}`,
		`"deviceRuntimeContext":{"registrationId":"own","symmetricKey":{}}`, `"linkedHubs":["` + strings.Join(hubs, `","`) + `"]`} {
		if !strings.Contains(sent, want) {
			t.Errorf("request %s does not have %s", sent, want)
		}
	}
}

func TestCustomAllocationFails(t *testing.T) {
	w, p := fleet(t, withHubs, func(o *emulator.Options) { o.WebhookTimeout = 2 * time.Second })
	h := newHook(t)
	status := func(code int) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.Header().Set("Location", h.URL+"/elsewhere")
			w.WriteHeader(code)
		}
	}
	says := func(text string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { _, _ = io.WriteString(w, text) }
	}
	hub := `"iotHubHostName":"` + hubs[0] + `"`
	for i, tt := range []struct {
		name    string
		answer  func(http.ResponseWriter)
		url     string // "" means the webhook
		message string
	}{
		{"status 400", status(400), "", "Custom allocation failed with status code: 400"},
		{"status 404", status(404), "", "Custom allocation failed with status code: 404"},
		{"status 500", status(500), "", "Custom allocation failed with status code: 500"},
		{"no content", status(204), "", "Custom allocation failed with status code: 204"},
		{"redirect", status(307), "", "Custom allocation failed with status code: 307"},
		{"nothing", says(""), "", "The answer of the webhook is not valid."},
		{"no JSON", says("<html>"), "", "The answer of the webhook is not valid."},
		{"a list", says("[]"), "", "The answer of the webhook is not valid."},
		{"no hub", says(`{"payload":{}}`), "", "The answer of the webhook is not valid."},
		{"a hub that is not linked", says(`{"iotHubHostName":"z.azure-devices.net"}`), "", "The answer of the webhook is not valid."},
		{"payload is a text", says(`{` + hub + `,"payload":"text"}`), "", "The answer of the webhook is not valid."},
		{"tags are a list", says(`{` + hub + `,"initialTwin":{"tags":[]}}`), "", "The answer of the webhook is not valid."},
		{"desired is a number", says(`{` + hub + `,"initialTwin":{"properties":{"desired":7}}}`), "", "The answer of the webhook is not valid."},
		{"too large", says(`{` + hub + `,"payload":{"x":"` + strings.Repeat("x", 300<<10) + `"}}`), "", "The answer of the webhook is too large."},
		{"nobody there", nil, "http://127.0.0.1:1/?code=canary", "The webhook could not be reached."},
		{"not on this machine", nil, "https://functions.example/?code=canary", "The webhook is not on a loopback address."},
		{"no URL", nil, "functions", "The webhook cannot be called."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := w.in(t)
			definition := h.definition()
			if tt.url != "" {
				definition["customAllocationDefinition"] = map[string]any{"webhookUrl": tt.url, "apiVersion": "2021-10-01"}
			} else {
				h.answer.Store(tt.answer)
			}
			w.change("/enrollmentGroups/fleet", definition)
			id := fmt.Sprint("dev-", i)
			dev := issue(t, p.intermediate, pki.IssueRequest{CommonName: id})
			a := w.settled(id, identity(t, dev), "{}")
			state := a.body["registrationState"].(map[string]any)
			message, _ := state["errorMessage"].(string)
			if a.str("status") != "failed" || state["errorCode"] != 400207.0 || !strings.Contains(message, tt.message+" [emulator: rule custom-allocation; expected: ") {
				t.Errorf("answer = %s, want failed, 400207, …%s…", a.raw, tt.message)
			}
			rec := w.logs.ended(t, id)
			if rec["rule"] != "custom-allocation" || rec["fix"] == "" || rec["expected"] == "" || rec["code"] != 400207.0 {
				t.Errorf("record = %v", rec)
			}
			if strings.Contains(message, "canary") {
				t.Errorf("the device learns the key of the webhook: %s", message)
			}
			checkEnd(t, rec, "enrollment_group_id fleet", dev.Certificate)
			if _, ok, err := w.e.Device(t.Context(), id); ok || err != nil {
				t.Errorf("a device is on a hub: %v", err)
			}
		})
	}
	if strings.Contains(w.logs.String(), "canary") {
		t.Error("log shows the key in the URL of a webhook")
	}
}

// ended returns the record about the end of a registration. The device may
// learn of the end before it is logged, so this waits for the record.
func (b *logBuffer) ended(t testing.TB, id string) map[string]any {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		more := b.more()
		for line := range strings.Lines(b.String()) {
			var rec map[string]any
			if err := json.Unmarshal([]byte(line), &rec); err != nil {
				t.Fatalf("log line %q: %v", line, err)
			}
			if rec["msg"] == "registration refused" && rec["registration_id"] == id {
				return rec
			}
		}
		select {
		case <-more:
		case <-deadline:
			t.Errorf("no record about %s", id)
			return nil
		}
	}
}

func TestSlowWebhook(t *testing.T) {
	w, p := fleet(t, withHubs, func(o *emulator.Options) { o.WebhookTimeout = time.Minute })
	h := newHook(t)
	_, release := h.block(t, `{"iotHubHostName":"`+hubs[0]+`"}`)
	w.change("/enrollmentGroups/fleet", h.definition())
	dev := device(t, p.intermediate, "dev")
	// However many ask: one operation, one call.
	answers := make([]answer, 20)
	parallel(len(answers), 10, func(i int) { answers[i] = w.register("dev", dev) })
	operation := answers[0].str("operationId")
	for _, a := range answers {
		w.want(a, 202, 0)
		if a.str("operationId") != operation {
			t.Fatalf("operations %q and %q", a.str("operationId"), operation)
		}
	}
	a := w.device(http.MethodGet, "/operations/"+operation, "dev", dev, nil, nil)
	if want := fmt.Sprintf(`{"operationId":%q,"status":"assigning","registrationState":{"registrationId":"dev","status":"assigning"}}`, operation); string(a.raw) != want {
		t.Errorf("poll = %s, want %s", a.raw, want)
	}
	if got := w.service(http.MethodGet, "/registrations/dev", nil, nil).str("status"); got != "assigning" {
		t.Errorf("service plane says %q", got)
	}
	release()
	if a = w.outcome("dev", dev, operation); a.str("status") != "assigned" {
		t.Errorf("answer = %s", a.raw)
	}
	if n := h.calls.Load(); n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
}

// TestWebhookTimeout wants an end even if the webhook never answers.
func TestWebhookTimeout(t *testing.T) {
	w, p := fleet(t, withHubs, func(o *emulator.Options) { o.WebhookTimeout = 50 * time.Millisecond })
	h := newHook(t)
	h.block(t, "")
	w.change("/enrollmentGroups/fleet", h.definition())
	a := w.settled("dev", device(t, p.intermediate, "dev"), "{}")
	if a.str("status") != "failed" || !strings.Contains(a.str("registrationState", "errorMessage"), "did not answer in time") {
		t.Errorf("answer = %s", a.raw)
	}
}

// TestChangesWhileTheWebhookThinks changes the world between the call of the
// webhook and its answer.
func TestChangesWhileTheWebhookThinks(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(w *world)
		status string
		code   float64
		rule   string
	}{
		{"nothing", func(*world) {}, "assigned", 0, ""},
		{"other members of the group", func(w *world) {
			w.change("/enrollmentGroups/fleet", map[string]any{"initialTwin": map[string]any{"tags": map[string]any{"late": true}}})
		}, "assigned", 0, ""},
		{"group disabled", func(w *world) {
			w.change("/enrollmentGroups/fleet", map[string]any{"provisioningStatus": "disabled"})
		}, "disabled", 0, "enrollment-disabled"},
		{"group deleted", func(w *world) {
			w.want(w.service(http.MethodDelete, "/enrollmentGroups/fleet", nil, nil), 204, 0)
		}, "failed", 404204, "enrollment-gone"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, p := fleet(t, withHubs, func(o *emulator.Options) { o.WebhookTimeout = time.Minute })
			h := newHook(t)
			called, release := h.block(t, `{"iotHubHostName":"`+hubs[0]+`"}`)
			w.change("/enrollmentGroups/fleet", h.definition())
			dev := device(t, p.intermediate, "dev")
			operation := w.register("dev", dev).str("operationId")
			<-called
			tt.change(w)
			release()
			a := w.outcome("dev", dev, operation)
			state := a.body["registrationState"].(map[string]any)
			if code, _ := state["errorCode"].(float64); a.str("status") != tt.status || code != tt.code {
				t.Errorf("answer = %s, want %s %v", a.raw, tt.status, tt.code)
			}
			if tt.rule != "" {
				if rec := w.logs.ended(t, "dev"); rec["rule"] != tt.rule {
					t.Errorf("record = %v", rec)
				}
			}
		})
	}
}

// TestDeletedWhileTheWebhookThinks deletes the record: its operation is gone,
// and the answer of the webhook brings nothing back.
func TestDeletedWhileTheWebhookThinks(t *testing.T) {
	w, p := fleet(t, withHubs, func(o *emulator.Options) { o.WebhookTimeout = time.Minute })
	h := newHook(t)
	called, release := h.block(t, `{"iotHubHostName":"`+hubs[0]+`"}`)
	w.change("/enrollmentGroups/fleet", h.definition())
	dev := device(t, p.intermediate, "dev")
	operation := w.register("dev", dev).str("operationId")
	<-called
	w.want(w.service(http.MethodDelete, "/registrations/dev", nil, nil), 204, 0)
	release()
	w.want(w.device(http.MethodGet, "/operations/"+operation, "dev", dev, nil, nil), 404, 404000)
	if err := w.e.Close(); err != nil { // waits for the worker
		t.Fatal(err)
	}
}

// TestRestartWhileTheWebhookThinks closes the emulator under a call. Close does
// not wait for the webhook, and the next poll after the restart asks again.
func TestRestartWhileTheWebhookThinks(t *testing.T) {
	dir := t.TempDir()
	opts := func(o *emulator.Options) { o.DataDir, o.WebhookTimeout = dir, time.Minute }
	w, p := fleet(t, withHubs, opts)
	h := newHook(t)
	called, _ := h.block(t, "")
	w.change("/enrollmentGroups/fleet", h.definition())
	dev := device(t, p.intermediate, "dev")
	reg := w.device(http.MethodPut, "/register", "dev", dev, nil, `{"payload":{"kept":true}}`)
	w.want(reg, 202, 0)
	<-called
	start := time.Now()
	if err := w.e.Close(); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("Close took %v", d)
	}
	h.says(`{"iotHubHostName":"` + hubs[0] + `","payload":{"again":true}}`)
	again := newWorld(t, withHubs, opts)
	a := again.outcome("dev", dev, reg.str("operationId"))
	if a.str("status") != "assigned" || !strings.Contains(string(a.raw), `"payload":{"again":true}`) {
		t.Errorf("answer = %s", a.raw)
	}
	if sent := string(h.latest.Load().([]byte)); !strings.Contains(sent, `"payload":{"kept":true}`) || !strings.Contains(sent, `"subjectName":"CN=dev"`) {
		t.Errorf("request after the restart = %s", sent)
	}
}

// TestCustomAllocationOverMQTT sends and gets payloads over the other transport.
func TestCustomAllocationOverMQTT(t *testing.T) {
	w, p := fleet(t, withHubs)
	h := newHook(t)
	h.says(`{"iotHubHostName":"` + hubs[0] + `","payload":{"hello":1}}`)
	w.change("/enrollmentGroups/fleet", h.definition())
	c := w.online("dev", device(t, p.intermediate, "dev"))
	r := c.ask(registerTopic+"1", `{"payload":{"model":"M"}}`) // without registrationId, as C# does
	if r.status != http.StatusAccepted {
		t.Fatalf("%d: %s", r.status, r.raw)
	}
	poll := pollTopic + "2&operationId=" + r.str("operationId")
	for deadline := time.Now().Add(20 * time.Second); r.status == http.StatusAccepted && time.Now().Before(deadline); {
		r = c.ask(poll, " ")
	}
	if r.str("status") != "assigned" || !strings.Contains(string(r.raw), `"payload":{"hello":1}`) {
		t.Errorf("%d: %s", r.status, r.raw)
	}
	if sent := string(h.latest.Load().([]byte)); !strings.Contains(sent, `"payload":{"model":"M"}`) || !strings.Contains(sent, `"subjectName":"CN=dev"`) {
		t.Errorf("request = %s", sent)
	}
}

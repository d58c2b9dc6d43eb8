package fault_test

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/dps/emulator/fault"
)

const armService = "/subscriptions/{sub}/resourceGroups/{rg}/providers/Microsoft.Devices/provisioningServices"

// requestOf is a request line for each operation.
var requestOf = map[string]string{
	"get-enrollment": "GET /enrollments/x", "put-enrollment": "PUT /enrollments/x", "delete-enrollment": "DELETE /enrollments/x",
	"query-enrollments": "POST /enrollments/query", "bulk-enrollments": "POST /enrollments/", "attest-enrollment": "POST /enrollments/x/attestationmechanism",
	"get-group": "GET /enrollmentGroups/x", "put-group": "PUT /enrollmentgroups/x", "delete-group": "DELETE /enrollmentGroups/x",
	"query-groups": "POST /enrollmentGroups/query", "bulk-groups": "POST /enrollmentGroups", "attest-group": "POST /enrollmentgroups/x/attestationmechanism",
	"get-registration": "GET /registrations/x", "delete-registration": "DELETE /registrations/x", "query-registrations": "POST /registrations/x/query",
	"register": "PUT /{scope}/registrations/x/register", "poll": "GET /{scope}/registrations/x/operations/4.a", "look-up": "POST /{scope}/registrations/x",
	"list-services": "GET " + armService, "get-service": "GET " + armService + "/{name}",
	"list-keys": "POST " + armService + "/{name}/listkeys", "get-key": "POST " + armService + "/{name}/keys/x/listkeys",
	"list-certificates": "GET " + armService + "/{name}/certificates", "get-certificate": "GET " + armService + "/{name}/certificates/x",
	"put-certificate": "PUT " + armService + "/{name}/certificates/x", "delete-certificate": "DELETE " + armService + "/{name}/certificates/x",
	"generate-code":      "POST " + armService + "/{name}/certificates/x/generateVerificationCode",
	"verify-certificate": "POST " + armService + "/{name}/certificates/x/verify",
}

// send sends a request line with a good credential.
func (w *world) send(line string) (status int, header http.Header, body string) {
	w.t.Helper()
	info := w.e.Info()
	method, path, _ := strings.Cut(line, " ")
	path = strings.NewReplacer("{sub}", info.SubscriptionID, "{rg}", info.ResourceGroup, "{name}", info.Name, "{scope}", info.IDScope).Replace(path)
	version := "2021-10-01"
	if strings.HasPrefix(path, "/sub") {
		version = "2022-12-12"
	}
	target := path
	if strings.HasPrefix(path, "/") {
		target = info.HTTPS[0] + path + "?api-version=" + version
	}
	req, err := http.NewRequestWithContext(w.t.Context(), method, target, http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+info.Token)
	client := w.e.HTTPClient()
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(data)
}

// TestEveryOperation hits each operation once: it has a name, and the emulator
// serves what the name says.
func TestEveryOperation(t *testing.T) {
	operations := slices.DeleteFunc(fault.Operations(fault.Any), func(op string) bool { return op == fault.Connect }) // not over HTTP
	var rules []string
	for _, op := range operations {
		rules = append(rules, fmt.Sprintf("op=%s,nth=1,status=599", op))
	}
	w := start(t, 0, rules...)
	for _, op := range operations {
		line := requestOf[op]
		if line == "" {
			t.Errorf("%s: no request", op)
			continue
		}
		status, header, _ := w.send(line)
		if status != 599 || header.Get("x-emulator-fault") != "op="+op+",nth=1,status=599" {
			t.Errorf("%s: %d, marked %q", op, status, header.Get("x-emulator-fault"))
		}
		status, header, body := w.send(line)
		noRoute := status == 404 && (strings.Contains(body, `"errorCode":404000`) && op != "poll" || strings.Contains(body, "Resource not found."))
		if status >= 500 || status == 405 || noRoute || header.Get("x-emulator-fault") != "" {
			t.Errorf("%s, not hit: %d %s, marked %q", op, status, body, header.Get("x-emulator-fault"))
		}
	}
}

// TestHealthIsNeverHit: whatever the rules are, one can still ask how it is.
func TestHealthIsNeverHit(t *testing.T) {
	w := start(t, 0, "status=500", "reset")
	admin := w.e.Info().Admin
	for _, line := range []string{
		"GET /healthz", "GET /readyz", "GET " + admin + "/healthz", "GET " + admin + "/readyz", "GET " + admin + "/ca.pem",
	} {
		if status, header, body := w.send(line); status != http.StatusOK || header.Get("x-emulator-fault") != "" {
			t.Errorf("%s: %d %s", line, status, body)
		}
	}
	if got := w.strikes(); got != nil {
		t.Errorf("struck: %v", got)
	}
}

// TestSameSeedSameDecisions sends the same requests to several emulators.
func TestSameSeedSameDecisions(t *testing.T) {
	run := func(seed uint64) []string {
		w := start(t, seed, "op=put-*,percent=40,status=503", "percent=20,drop-ack")
		enrollAndVerify(w)
		return w.strikes()
	}
	want := run(5)
	for range 3 {
		if diff := cmp.Diff(want, run(5)); diff != "" {
			t.Errorf("same seed: %s", diff)
		}
	}
	if cmp.Equal(want, run(6)) || len(want) == 0 {
		t.Errorf("another seed gives the same: %v", want)
	}
}

func TestBadRuleEndsTheStart(t *testing.T) {
	e, err := emulator.Start(t.Context(), &emulator.Options{Faults: []fault.Rule{{Do: fault.Do{Kind: fault.Status, Status: 200}}}})
	if err == nil {
		_ = e.Close()
	}
	if err == nil || !strings.Contains(err.Error(), `check fault "status=200": status 200: want 400 to 599`) {
		t.Errorf("got %v", err)
	}
}

// TestCloseEndsFaults: an emulator that closes does not wait for the end of a
// delay.
func TestCloseEndsFaults(t *testing.T) {
	w := start(t, 0, "delay=1h")
	client := w.e.HTTPClient()
	defer client.CloseIdleConnections()
	done := make(chan error)
	go func() {
		resp, err := client.Get(w.e.Info().HTTPS[0] + "/enrollments/x")
		if err == nil {
			resp.Body.Close()
		}
		done <- err
	}()
	for len(w.strikes()) == 0 { // until the request is there
		runtime.Gosched()
	}
	if err := w.e.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := <-done; err == nil {
		t.Error("the delayed request was answered")
	}
}

package inject_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/inject"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/web"
)

const (
	assigned  = `{"operationId":"4.op","status":"assigned","registrationState":{"registrationId":"dev","deviceId":"dev","assignedHub":"hub","status":"assigned"}}`
	assigning = `{"operationId":"4.op","status":"assigning","registrationState":{"registrationId":"dev","status":"assigning"}}`
)

// server is a TLS server whose handler counts, behind an Injector.
type server struct {
	*httptest.Server

	in    *inject.Injector
	logs  *bytes.Buffer
	calls atomic.Int64
}

func newServer(t *testing.T, texts ...string) *server {
	t.Helper()
	s := &server{in: newInjector(t, 1, texts...), logs: &bytes.Buffer{}}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.calls.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		if r.Method == http.MethodDelete {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		if strings.HasSuffix(r.URL.Path, "/register") {
			w.Header().Set("Retry-After", "3")
			w.WriteHeader(http.StatusAccepted)
		}
		_, _ = io.WriteString(w, assigned)
	})
	logger := slog.New(slog.NewJSONHandler(s.logs, nil))
	faulty := s.in.Wrap(handler, inject.HTTP{Logger: logger, Now: time.Now, RetryAfter: "3"})
	s.Server = httptest.NewUnstartedServer(web.Stamp(faulty, logger, nil))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

type answer struct {
	status int
	header http.Header
	body   string
	err    error // of the request, or of its body
}

func (s *server) do(t *testing.T, method, path string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	// The transport would send a GET again by itself after a reset.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: s.Client().Transport.(*http.Transport).TLSClientConfig, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(body), err}
}

const (
	putPath  = "/enrollments/dev?api-version=2021-10-01"
	pollPath = "/0ne00C0FFEE/registrations/dev/operations/4.op?api-version=2021-06-01"
	armPath  = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Devices/provisioningServices/n/certificates/c"
)

func TestAnswers(t *testing.T) {
	for _, tt := range []struct {
		rule, method, path string
		status             int
		body               string // part of it
		retryAfter         string
		calls              int64
	}{
		{"plane=device,reset", "PUT", putPath, 200, assigned, "", 1}, // not hit
		{"status=503", "PUT", putPath, 503, `"errorCode":503000`, "", 0},
		{"status=429,code=429001,retry-after=7", "PUT", putPath, 429, `"errorCode":429001`, "7", 0},
		{"status=429,retry-after=garbage", "PUT", putPath, 429, `"message":"Too Many Requests."`, "in a while; maybe", 0},
		{"status=500,retry-after=0", "PUT", putPath, 500, `"errorCode":500000`, "0", 0},
		{"status=500,retry-after=-1", "PUT", putPath, 500, `"trackingId"`, "-1", 0},
		{"status=500,committed", "PUT", putPath, 500, `"errorCode":500000`, "", 1},
		{"status=429", "PUT", armPath, 429, `{"error":{"code":"TooManyRequests"`, "", 0},
		{"status=500,code=500001", "PUT", armPath, 500, `{"code":500001,"httpStatusCode":"InternalServerError"`, "", 0},
		{"truncate", "PUT", putPath, 200, assigned[:len(assigned)/2], "", 1},
		{"slow=16ms", "PUT", putPath, 200, assigned, "", 1},
		{"delay=1ms", "PUT", putPath, 200, assigned, "", 1},
		{"delay=1ms,status=503,slow=1ms", "PUT", putPath, 503, `"errorCode":503000`, "", 0},
		{"throttle=1/1h", "PUT", putPath, 200, assigned, "", 1},
		{"assigning=1", "GET", pollPath, 200, assigning, "3", 1},
		{"assigning=1,retry-after=absent", "GET", pollPath, 200, assigning, "", 1},
		{"assigning=1", "PUT", putPath, 200, assigned, "", 1},
		{"retry-after=absent", "PUT", "/0ne00C0FFEE/registrations/dev/register", 202, assigned, "", 1},
		{"retry-after=garbage", "PUT", "/0ne00C0FFEE/registrations/dev/register", 202, assigned, "in a while; maybe", 1},
		{"truncate", "DELETE", putPath, 204, "", "", 1},
		{"status=503", "GET", "/healthz", 200, assigned, "", 1},
		{"status=503", "GET", "/", 200, assigned, "", 1},
		{"status=503", "PATCH", putPath, 200, assigned, "", 1},
		{"status=503", "GET", "/enrollments/%2e%2e", 200, assigned, "", 1},
	} {
		s := newServer(t, tt.rule)
		a := s.do(t, tt.method, tt.path)
		if a.err != nil || a.status != tt.status || !strings.Contains(a.body, tt.body) || (tt.status < 300 && a.body != tt.body) {
			t.Errorf("%s: %d %s, %v; want %d …%s…", tt.rule, a.status, a.body, a.err, tt.status, tt.body)
		}
		if got := a.header.Get("Retry-After"); got != tt.retryAfter {
			t.Errorf("%s: Retry-After %q, want %q", tt.rule, got, tt.retryAfter)
		}
		if s.calls.Load() != tt.calls {
			t.Errorf("%s: carried out %d times, want %d", tt.rule, s.calls.Load(), tt.calls)
		}
		marked := a.header.Get("x-emulator-fault")
		if logged := strings.Contains(s.logs.String(), "fault injected"); logged != (marked != "") {
			t.Errorf("%s: marked %q, logged %v", tt.rule, marked, logged)
		}
		if tt.status >= 400 && (marked != tt.rule || !strings.Contains(a.header.Get("Content-Type"), "json")) {
			t.Errorf("%s: marked %q, %v", tt.rule, marked, a.header)
		}
	}
}

func TestCutConnections(t *testing.T) {
	isReset := func(err error) bool { return errors.Is(err, syscall.ECONNRESET) }
	isEOF := func(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
	for _, tt := range []struct {
		rule  string
		is    func(error) bool
		calls int64
		body  string
	}{
		{"reset", isReset, 0, ""},
		{"close", isEOF, 0, ""},
		{"drop-ack", isReset, 1, ""},
		{"close-after=10", isEOF, 1, assigned[:10]},
		{"close-after=0", isEOF, 1, ""},
	} {
		s := newServer(t, tt.rule)
		a := s.do(t, http.MethodPut, putPath)
		if a.err == nil || !tt.is(a.err) || a.body != tt.body {
			t.Errorf("%s: %d %q, error %v", tt.rule, a.status, a.body, a.err)
		}
		if s.calls.Load() != tt.calls {
			t.Errorf("%s: carried out %d times, want %d", tt.rule, s.calls.Load(), tt.calls)
		}
		if a.status != 0 && a.header.Get("x-emulator-fault") != tt.rule {
			t.Errorf("%s: headers %v", tt.rule, a.header)
		}
	}
	// More bytes than there are: all of them, and a good end.
	if a := newServer(t, "close-after=10000").do(t, http.MethodPut, putPath); a.err != nil || a.body != assigned {
		t.Errorf("close-after more than there is: %q, %v", a.body, a.err)
	}
}

// TestCloseEndsDelays: a server that closes does not wait for its faults.
func TestCloseEndsDelays(t *testing.T) {
	for _, rule := range []string{"delay=1h", "slow=1h"} {
		s := newServer(t, rule)
		done := make(chan answer)
		go func() { done <- s.do(t, http.MethodPut, putPath) }()
		s.in.Close()
		if a := <-done; a.err == nil {
			t.Errorf("%s: %d %q", rule, a.status, a.body)
		}
	}
}

func TestRetryAfterForms(t *testing.T) {
	s := newServer(t, "op=get-enrollment,status=429,retry-after=date:90", "op=get-group,status=429,retry-after=date:1000000000000",
		"op=put-group,status=429,retry-after=25ms")
	a := s.do(t, http.MethodGet, "/enrollments/a")
	at, err := http.ParseTime(a.header.Get("Retry-After"))
	if left := time.Until(at); err != nil || left < 80*time.Second || left > 91*time.Second {
		t.Errorf("date 90 s from now: %q", a.header.Get("Retry-After"))
	}
	a = s.do(t, http.MethodGet, "/enrollmentGroups/a")
	if got := a.header.Get("Retry-After"); got != "Fri, 31 Dec 9999 23:59:59 GMT" {
		t.Errorf("date beyond the last one: %q", got)
	}
	a = s.do(t, http.MethodPut, "/enrollmentGroups/a")
	if got := a.header; got.Get("x-ms-retry-after-ms") != "25" || got.Get("Retry-After") != "" {
		t.Errorf("milliseconds: %v", got)
	}
}

func TestThrottleSaysWhen(t *testing.T) {
	s := newServer(t, "plane=service,throttle=1/30s")
	if a := s.do(t, http.MethodGet, "/enrollments/a"); a.status != 200 {
		t.Fatalf("first: %d", a.status)
	}
	a := s.do(t, http.MethodGet, "/enrollments/a")
	if got := a.header.Get("Retry-After"); a.status != 429 || (got != "30" && got != "29") {
		t.Errorf("second: %d, Retry-After %q", a.status, got)
	}
}

func TestLogRecord(t *testing.T) {
	s := newServer(t, "op=put-*,status=503")
	a := s.do(t, http.MethodPut, "/enrollments/Dev%3A1")
	var got map[string]any
	if err := json.Unmarshal(s.logs.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	delete(got, "time")
	want := map[string]any{
		"level": "INFO", "msg": "fault injected", "rule": "op=put-*,status=503", "n": 1.0, "plane": "service",
		"op": "put-enrollment", "id": "Dev:1", "request_id": a.header.Get("x-ms-request-id"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if a.header.Get("x-ms-request-id") == "" || !strings.Contains(a.body, a.header.Get("x-ms-request-id")) {
		t.Errorf("tracking id: %v %s", a.header, a.body)
	}
}

// TestNoConnection: without a connection to cut, the answer is none at all.
func TestNoConnection(t *testing.T) {
	h := newInjector(t, 0, "reset").Wrap(http.NotFoundHandler(), inject.HTTP{Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	defer func() {
		if p := recover(); p != http.ErrAbortHandler {
			t.Errorf("recovered %v", p)
		}
	}()
	web.Stamp(h, slog.New(slog.DiscardHandler), nil).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/enrollments/a", nil))
	t.Error("an answer")
}

func TestNoRules(t *testing.T) {
	next := http.NewServeMux()
	if got := newInjector(t, 0).Wrap(next, inject.HTTP{}); got != http.Handler(next) {
		t.Error("a handler without faults is wrapped")
	}
}

// TestAnswersSayWhy: who prints what the answer has sees that it is on purpose.
// Errors of Azure Resource Manager have a message only.
func TestAnswersSayWhy(t *testing.T) {
	s := newServer(t, "op=get-group,status=503", "op=get-certificate,status=500", "op=list-certificates,status=429,code=429001")
	certificates := "/subscriptions/s/resourceGroups/g/providers/Microsoft.Devices/provisioningServices/n/certificates"
	for path, want := range map[string]string{
		"/enrollmentGroups/g": `"fix":"nothing is wrong with the request, this answer comes on purpose: --fault op=get-group,status=503"`,
		certificates + "/c":   `"message":"Internal Server Error. [emulator: on purpose: --fault op=get-certificate,status=500]"`,
		certificates:          `Too Many Requests. [emulator: on purpose: --fault op=list-certificates,status=429,code=429001]`,
	} {
		if a := s.do(t, http.MethodGet, path); !strings.Contains(a.body, want) {
			t.Errorf("%s: %s, want …%s…", path, a.body, want)
		}
	}
}

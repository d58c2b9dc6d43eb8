package device_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/device"
)

// reply is one scripted answer.
type reply struct {
	status     int
	retryAfter string
	body       string
}

const (
	assigning = `{"operationId":"4.op/1","status":"assigning"}`
	assigned  = `{"operationId":"4.op/1","status":"assigned","registrationState":{"registrationId":"dev-1","assignedHub":"h","deviceId":"d","status":"assigned"}}`
)

// visit is what the server saw of one request, and when.
type visit struct {
	at           time.Duration
	method, path string
	certificates int
	body         string
}

// script answers in turn, the last reply again and again.
func script(visits *[]visit, replies ...reply) http.HandlerFunc {
	start := time.Now()
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		*visits = append(*visits, visit{time.Since(start).Round(time.Millisecond), r.Method, r.URL.EscapedPath() + "?" + r.URL.RawQuery,
			len(r.TLS.PeerCertificates), string(body)})
		reply := replies[min(len(*visits), len(replies))-1]
		if reply.retryAfter != "" {
			w.Header().Set("Retry-After", reply.retryAfter)
		}
		w.WriteHeader(reply.status)
		_, _ = io.WriteString(w, reply.body)
	}
}

// times returns when the requests came, in whole seconds.
func times(visits []visit) (list []int) {
	for _, v := range visits {
		list = append(list, int(v.at.Seconds()))
	}
	return list
}

func TestWaiting(t *testing.T) {
	for _, tt := range []struct {
		name    string
		replies []reply
		want    []int // seconds of each request
	}{
		{"as asked", []reply{{202, "3", assigning}, {200, "5", assigning}, {200, "", assigned}}, []int{0, 3, 8}},
		{"a date", []reply{{202, "Sat, 01 Jan 2000 00:00:07 GMT", assigning}, {200, "", assigned}}, []int{0, 7}},
		{"not said", []reply{{202, "", assigning}, {200, "", assigning}, {200, "", assigned}}, []int{0, 2, 4}},
		{"nonsense", []reply{{202, "-1", assigning}, {200, "soon", assigning}, {200, "", assigned}}, []int{0, 2, 4}},
		{"capped", []reply{{202, "1000000000", assigning}, {200, "", assigned}}, []int{0, 60}},
		{"at once, within the limit", []reply{{202, "0", assigning}, {200, "0", assigning}, {200, "0", assigning}, {200, "0", assigning},
			{200, "0", assigning}, {200, "0", assigning}, {200, "", assigned}}, []int{0, 0, 0, 0, 0, 10, 10}},
		{"terminal at once", []reply{{200, "", assigned}}, []int{0}},
		{"unassigned means later", []reply{{202, "1", `{"operationId":"4.op/1","status":"unassigned"}`}, {200, "", assigned}}, []int{0, 1}},
		{"other case", []reply{{202, "1", strings.Replace(assigning, "assigning", "Assigning", 1)}, {200, "", strings.ReplaceAll(assigned, `"assigned"`, `"Assigned"`)}}, []int{0, 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var visits []visit
				m := serveMemory(t, script(&visits, tt.replies...))
				got, err := settled(m.client(t).Register(t.Context(), nil))
				if err != nil || got.AssignedHub != "h" || got.DeviceID != "d" || got.Status != "assigned" || got.OperationID != "4.op/1" {
					t.Errorf("got %+v, %v", got, err)
				}
				if !slices.Equal(times(visits), tt.want) {
					t.Errorf("requests at %v, want %v", times(visits), tt.want)
				}
			})
		})
	}
}

func TestPollingStaysBelowTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var visits []visit
		m := serveMemory(t, script(&visits, reply{200, "0", assigning}))
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		_, err := settled(m.client(t).Register(ctx, nil))
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		polls := visits[1:]
		for i := 5; i < len(polls); i++ {
			if span := polls[i].at - polls[i-5].at; span < 10*time.Second {
				t.Errorf("six polls within %v", span)
			}
		}
		if len(polls) < 40 {
			t.Errorf("only %d polls in two minutes", len(polls))
		}
	})
}

func TestRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var visits []visit
		m := serveMemory(t, script(&visits, reply{202, "0", assigning}, reply{200, "", assigned}))
		if _, err := settled(m.client(t).Register(t.Context(), &device.RegisterOptions{Payload: []byte(`{"a": 1}`)})); err != nil {
			t.Fatal(err)
		}
		want := []visit{
			{0, "PUT", "/0ne00000000/registrations/dev-1/register?api-version=2021-06-01", 1, `{"registrationId":"dev-1","payload":{"a":1}}`},
			{0, "GET", "/0ne00000000/registrations/dev-1/operations/4.op%2F1?api-version=2021-06-01", 1, ""},
		}
		if !slices.Equal(visits, want) {
			t.Errorf("got %+v\nwant %+v", visits, want)
		}
	})
}

func TestTransientRefusalsAreRepeated(t *testing.T) {
	for name, tt := range map[string]struct {
		replies []reply
		want    []int
	}{
		"throttled":          {[]reply{{429, "7", `{"errorCode":429001}`}, {202, "1", assigning}, {200, "", assigned}}, []int{0, 7, 8}},
		"throttled at polls": {[]reply{{202, "1", assigning}, {429, "9", ""}, {200, "", assigned}}, []int{0, 1, 10}},
		"registering twice":  {[]reply{{409, "2", `{"errorCode":409203,"message":"Precondition failed."}`}, {200, "", assigned}}, []int{0, 2}},
		"unavailable":        {[]reply{{503, "4", ""}, {200, "", assigned}}, []int{0, 4}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var visits []visit
				m := serveMemory(t, script(&visits, tt.replies...))
				if _, err := settled(m.client(t).Register(t.Context(), nil)); err != nil {
					t.Error(err)
				}
				// Jitter adds up to a tenth.
				got := times(visits)
				for i := range got {
					if i >= len(tt.want) || got[i] < tt.want[i] || got[i] > tt.want[i]+2 {
						t.Fatalf("requests at %v, want %v", got, tt.want)
					}
				}
			})
		})
	}
}

func TestFinalRefusalsAreNot(t *testing.T) {
	for status, sentinel := range map[int]error{400: dps.ErrBadRequest, 401: dps.ErrUnauthorized, 404: dps.ErrNotFound} {
		synctest.Test(t, func(t *testing.T) {
			var visits []visit
			m := serveMemory(t, script(&visits, reply{status, "", ""}))
			_, err := settled(m.client(t).Register(t.Context(), nil))
			if wantError(t, err, sentinel, 0); len(visits) != 1 {
				t.Errorf("%d: %d requests", status, len(visits))
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		var visits []visit
		m := serveMemory(t, script(&visits, reply{202, "1", assigning}, reply{404, "", `{"errorCode":404000}`}))
		_, err := settled(m.client(t).Register(t.Context(), nil))
		if wantError(t, err, dps.ErrNotFound, 404000); len(visits) != 2 {
			t.Errorf("%d requests", len(visits))
		}
	})
}

func TestWaitingEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var visits []visit
		m := serveMemory(t, script(&visits, reply{202, "3", assigning}))
		start := time.Now()
		_, err := settled(m.client(t, func(o *device.ClientOptions) { o.MaxWait = 20 * time.Second }).Register(t.Context(), nil))
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, dps.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		if want := `register device "dev-1": still assigning after 20s (operation 4.op/1): context deadline exceeded`; fmt.Sprint(err) != want {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took != 20*time.Second {
			t.Errorf("took %v", took)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		var visits []visit
		m := serveMemory(t, script(&visits, reply{202, "60", assigning}))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(5*time.Second, cancel)
		start := time.Now()
		_, err := settled(m.client(t).Register(ctx, nil))
		if took := time.Since(start); !errors.Is(err, context.Canceled) || errors.Is(err, dps.ErrUnavailable) || took != 5*time.Second {
			t.Errorf("took %v: %v", took, err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		var visits []visit
		m := serveMemory(t, script(&visits, reply{202, "60", assigning}))
		start := time.Now()
		_, err := settled(m.client(t).Register(t.Context(), nil))
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != device.DefaultMaxWait {
			t.Errorf("by default it took %v: %v", took, err)
		}
	})
}

func TestLateRefusals(t *testing.T) {
	for name, tt := range map[string]struct {
		body    string
		status  string
		code    int
		message string
	}{
		"failed": {`{"operationId":"o","status":"failed","registrationState":{"errorCode":400207,"errorMessage":"Custom allocation failed with status code: 400"}}`,
			"failed", 400207, "Custom allocation failed with status code: 400"},
		"message is JSON": {`{"operationId":"o","status":"failed","registrationState":{"errorCode":401002,"errorMessage":"{\"Message\":\"ErrorCode:IotHubUnauthorizedAccess;Unauthorized\",\"ExceptionMessage\":\"Tracking ID:x\"}"}}`,
			"failed", 401002, "ErrorCode:IotHubUnauthorizedAccess;Unauthorized"},
		"message with escapes": {`{"status":"failed","registrationState":{"errorMessage":"a\n\u001b[2Jb"}}`, "failed", 0, "a [2Jb"},
		"disabled":             {`{"operationId":"o","status":"disabled","registrationState":{"registrationId":"dev-1","status":"disabled"}}`, "disabled", 0, ""},
		"bare":                 {`{"operationId":"o","status":"disabled"}`, "disabled", 0, ""},
		"only in the state":    {`{"operationId":"o","registrationState":{"status":"failed","errorCode":400208}}`, "failed", 400208, ""},
		"what older ones said": {`{"operationId":"o","status":"blacklisted"}`, "blacklisted", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var visits []visit
				m := serveMemory(t, script(&visits, reply{202, "1", assigning}, reply{200, "", tt.body}))
				_, err := settled(m.client(t).Register(t.Context(), nil))
				var refusal *device.RegistrationError
				if !errors.As(err, &refusal) || !errors.Is(err, device.ErrRefused) {
					t.Fatalf("got %v", err)
				}
				if refusal.Status != tt.status || refusal.Code != tt.code || refusal.Message != tt.message ||
					refusal.ErrorCode() != tt.code || refusal.ErrorMessage() != tt.message || refusal.RegistrationStatus() != tt.status {
					t.Errorf("got %+v", refusal)
				}
				if text := err.Error(); strings.ContainsAny(text, "\n\x1b") || !strings.HasPrefix(text, `register device "dev-1": `+tt.status) {
					t.Errorf("got %q", text)
				}
				if unknown := strings.Contains(err.Error(), "a status that is not known here"); unknown != (tt.status == "blacklisted") {
					t.Errorf("got %q", err)
				}
				if x, ok := dps.Explain(err); !ok || strings.Contains(x.What, "does not know") != (tt.status == "blacklisted") {
					t.Errorf("explained as %+v", x)
				}
				if errors.Is(err, dps.ErrUnauthorized) {
					t.Error("taken for a refusal at once")
				}
			})
		})
	}
}

func TestUnreadableAnswers(t *testing.T) {
	for name, first := range map[string]reply{
		"web page":        {200, "", "<html>"},
		"empty":           {202, "", ""},
		"no status":       {202, "", `{"operationId":"o"}`},
		"no operation id": {202, "", `{"status":"assigning"}`},
		"no hub":          {200, "", `{"operationId":"o","status":"assigned","registrationState":{"deviceId":"d","status":"assigned"}}`},
		"no device id":    {200, "", `{"operationId":"o","status":"assigned","registrationState":{"assignedHub":"h"}}`},
		"no state":        {200, "", `{"operationId":"o","status":"assigned"}`},
		"list":            {202, "", `[]`},
		"other types":     {202, "", `{"operationId":5,"status":"assigning"}`},
		"redirect":        {307, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var visits []visit
				m := serveMemory(t, script(&visits, first))
				_, err := settled(m.client(t).Register(t.Context(), nil))
				if wantError(t, err, dps.ErrUnexpectedAnswer, 0); len(visits) != 1 {
					t.Errorf("%d requests", len(visits))
				}
			})
		})
	}
}

func TestServerThatDoesNotAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var visits []visit
		m := serveMemory(t, script(&visits, reply{401, "", `{"errorCode":401002,"message":"Invalid certificate."}`}))
		m.auth = tls.NoClientCert
		_, err := settled(m.client(t).Register(t.Context(), nil))
		refusal := wantError(t, err, dps.ErrUnauthorized, 401002)
		if refusal == nil || !strings.HasPrefix(refusal.Detail, "the server did not ask for a client certificate; ") || visits[0].certificates != 0 {
			t.Errorf("got %+v", refusal)
		}
	})
}

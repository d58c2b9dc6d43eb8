package device_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/device"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/dps/service"
	"github.com/dpskit/dpskit/pkg/pki"
)

// over lets a client of w use a transport.
func (w *world) over(transport device.Transport) func(*device.ClientOptions) {
	return func(o *device.ClientOptions) {
		o.Transport = transport
		if transport == device.TransportMQTT {
			o.Host = strings.Replace(strings.TrimPrefix(w.e.Info().MQTT[0], "mqtts://"), "127.0.0.1", "localhost", 1)
		}
	}
}

// eachTransport runs a test for every transport.
func eachTransport(t *testing.T, test func(t *testing.T, transport device.Transport)) {
	for _, transport := range device.AllTransports() {
		t.Run(string(transport), func(t *testing.T) { test(t, transport) })
	}
}

func TestParseTransport(t *testing.T) {
	for _, want := range device.AllTransports() {
		if got, err := device.ParseTransport(string(want)); got != want || err != nil {
			t.Errorf("%q: %q, %v", want, got, err)
		}
	}
	for _, name := range []string{"", "HTTPS", "mqtts", "amqp", "mqtt-ws "} {
		if got, err := device.ParseTransport(name); err == nil {
			t.Errorf("%q: %q", name, got)
		}
	}
	cert, _ := selfSigned(t, "dev-1")
	_, err := device.NewClient("0ne00000000", "dev-1", device.X509(cert), &device.ClientOptions{Transport: "amqp"})
	if err == nil || !strings.Contains(err.Error(), "amqp") {
		t.Errorf("got %v", err)
	}
}

// TestSameResult: the transport makes no difference to what comes out.
func TestSameResult(t *testing.T) {
	w := keyed(t)
	w.group("fleet", w.intermediate)
	cert := issue(t, w.intermediate, pki.IssueRequest{CommonName: "dev-1"})
	for name, tt := range map[string]struct {
		id   string
		cred device.Credential
	}{
		"certificate": {"dev-1", device.X509(cert)},
		"key":         {"own", device.SymmetricKey(secondaryKey)},
		"group key":   {"Dev:2.a-", device.GroupKey(primaryKey)},
	} {
		want, err := w.with(tt.id, tt.cred)
		if err != nil {
			t.Fatal(err)
		}
		eachTransport(t, func(t *testing.T, transport device.Transport) {
			got, err := w.with(tt.id, tt.cred, w.over(transport))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			changing := cmpopts.IgnoreFields(device.Result{}, "OperationID", "ETag", "LastUpdated", "Substatus")
			if diff := cmp.Diff(want, got, changing); diff != "" || got.OperationID == "" || got.ETag == "" {
				t.Errorf("%s (-https +%s):\n%s", name, transport, diff)
			}
		})
	}
}

func TestProgressAndPayload(t *testing.T) {
	w := newWorld(t)
	w.group("fleet", w.intermediate)
	cert := issue(t, w.intermediate, pki.IssueRequest{CommonName: "dev-1"})
	eachTransport(t, func(t *testing.T, transport device.Transport) {
		var seen []string
		c := w.client("dev-1", cert, w.over(transport))
		must[device.Result](t)(c.Register(t.Context(), &device.RegisterOptions{
			Payload: json.RawMessage(`{"model":"x"}`), Progress: func(s string) { seen = append(seen, s) }}))
		if len(seen) < 2 || seen[0] != device.StatusAssigning || seen[len(seen)-1] != device.StatusAssigned {
			t.Errorf("progress %v", seen)
		}
		_, err := c.Register(t.Context(), &device.RegisterOptions{Payload: json.RawMessage(`"` + strings.Repeat("x", 96<<10) + `"`)})
		wantError(t, err, dps.ErrBadRequest, 0)
	})
}

// TestSameRefusals: nor does it to what goes wrong.
func TestSameRefusals(t *testing.T) {
	w := keyed(t)
	w.group("fleet", w.intermediate)
	w.group("off", w.root, func(g *service.EnrollmentGroup) { g.ProvisioningStatus = service.ProvisioningDisabled })
	foreign := must[*pki.Authority](t)(pki.NewRoot(nil))
	short := issue(t, w.intermediate, pki.IssueRequest{CommonName: "dev-1"})
	short.Certificate = short.Certificate[:1]
	for name, tt := range map[string]struct {
		id     string
		cred   device.Credential
		late   string // status of a late refusal
		code   int    // of one at once; over MQTT a token is refused without a code
		token  bool
		detail string
	}{
		"CA that nobody knows": {"dev-1", device.X509(issue(t, foreign, pki.IssueRequest{CommonName: "dev-1"})), "", 401002, false, "the device sent"},
		"no intermediate":      {"dev-1", device.X509(short), "", 401002, false, "the issuer of the last one is"},
		"another common name":  {"dev-2", device.X509(issue(t, w.intermediate, pki.IssueRequest{CommonName: "dev-1"})), "", 401002, false, "is not the registration id"},
		"disabled":             {"dev-3", device.X509(issue(t, w.root, pki.IssueRequest{CommonName: "dev-3"})), "disabled", 0, false, ""},
		"wrong key":            {"own", device.SymmetricKey(strangerKey), "", 401002, true, "a key of its own"},
		"key of the group":     {"dev-4", device.SymmetricKey(primaryKey), "", 401002, true, "a key of its own"},
	} {
		eachTransport(t, func(t *testing.T, transport device.Transport) {
			_, err := w.with(tt.id, tt.cred, w.over(transport))
			if tt.late != "" {
				var refusal *device.RegistrationError
				if !errors.As(err, &refusal) || refusal.Status != tt.late || refusal.Result.OperationID == "" {
					t.Errorf("%s: got %v", name, err)
				}
				return
			}
			code := tt.code
			if tt.token && transport != device.TransportHTTPS {
				code = 0
			}
			refusal := wantError(t, err, dps.ErrUnauthorized, code)
			if refusal == nil || !strings.Contains(refusal.Detail, tt.detail) || refusal.Attempts != 1 || refusal.Host == "" ||
				!strings.HasPrefix(err.Error(), fmt.Sprintf("register device %q: 401 Unauthorized", tt.id)) {
				t.Errorf("%s: got %v, %+v", name, err, refusal)
			}
			if x, ok := dps.Explain(err); !ok || !strings.Contains(x.Why, "seen from here: ") {
				t.Errorf("%s: explained as %+v", name, x)
			}
		})
	}
}

func TestUntrustedServer(t *testing.T) {
	w := newWorld(t)
	cert, _ := selfSigned(t, "dev-1")
	eachTransport(t, func(t *testing.T, transport device.Transport) {
		_, err := w.client("dev-1", cert, w.over(transport), func(o *device.ClientOptions) { o.RootCAs = nil }).Register(t.Context(), nil)
		if refusal := wantError(t, err, dps.ErrUntrustedServer, 0); refusal == nil || refusal.Attempts != 1 {
			t.Errorf("got %+v", refusal)
		}
		if x, ok := dps.Explain(err); !ok || !strings.Contains(x.Fix, "enroll emulator") {
			t.Errorf("explained as %+v", x)
		}
		_, err = w.client("dev-1", cert, w.over(transport), func(o *device.ClientOptions) {
			o.Host = strings.Replace(o.Host, "localhost", "127.0.0.2", 1)
		}).Register(t.Context(), nil)
		if err == nil {
			t.Error("registered with a server of another name")
		}
	})
}

func TestNobodyListens(t *testing.T) {
	w := newWorld(t)
	cert, _ := selfSigned(t, "dev-1")
	if err := w.e.Close(); err != nil {
		t.Fatal(err)
	}
	eachTransport(t, func(t *testing.T, transport device.Transport) {
		_, err := w.client("dev-1", cert, w.over(transport)).Register(t.Context(), nil)
		if refusal := wantError(t, err, dps.ErrUnavailable, 0); refusal == nil || refusal.Attempts != 1 {
			t.Errorf("got %+v", refusal)
		}
		if x, ok := dps.Explain(err); !ok || !strings.Contains(x.Fix, "enroll emulator") {
			t.Errorf("explained as %+v", x)
		}
	})
}

// TestUnknownScope: over MQTT the service hides behind "unavailable".
func TestUnknownScope(t *testing.T) {
	w := newWorld(t)
	cert, _ := selfSigned(t, "dev-1")
	for _, transport := range []device.Transport{device.TransportMQTT, device.TransportMQTTWS} {
		opts := &device.ClientOptions{Host: w.e.Info().HostName, RootCAs: w.e.CAPool(), RetryDelay: 1, MaxRetries: 1}
		w.over(transport)(opts)
		_, err := must[*device.Client](t)(device.NewClient("0ne0BADC0DE", "dev-1", device.X509(cert), opts)).Register(t.Context(), nil)
		refusal := wantError(t, err, dps.ErrUnavailable, 0)
		if refusal == nil || refusal.Attempts != 2 || !strings.Contains(refusal.Detail, "id scope") || !strings.Contains(err.Error(), "CONNACK 3") {
			t.Errorf("got %v, %+v", err, refusal)
		}
		if x, ok := dps.Explain(err); !ok || !strings.Contains(x.Why, "id scope") {
			t.Errorf("explained as %+v", x)
		}
	}
}

// TestWrongServers: what answers is no provisioning service.
func TestWrongServers(t *testing.T) {
	w := newWorld(t)
	cert, _ := selfSigned(t, "dev-1")
	page := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("Upgrade") {
		case "":
			http.Error(w, "<html>", http.StatusOK)
		default:
			http.Redirect(w, r, "https://elsewhere.example/", http.StatusFound)
		}
	}))
	defer page.Close()
	roots := page.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	for name, tt := range map[string]struct {
		transport device.Transport
		change    func(*device.ClientOptions)
		sentinel  error
	}{
		"HTTPS to an MQTT port": {device.TransportHTTPS, w.over(device.TransportMQTT), dps.ErrUnavailable},
		"a page that redirects": {device.TransportMQTTWS, func(o *device.ClientOptions) {
			o.Host, o.RootCAs = strings.TrimPrefix(page.URL, "https://"), roots
		}, dps.ErrUnexpectedAnswer},
	} {
		c := w.client("dev-1", cert, tt.change, func(o *device.ClientOptions) { o.Transport, o.MaxRetries = tt.transport, -1 })
		_, err := c.Register(t.Context(), nil)
		if !errors.Is(err, tt.sentinel) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestCancelled: each transport stops when it is told to.
func TestCancelled(t *testing.T) {
	w := newWorld(t, func(o *emulator.Options) { o.RetryAfter = time.Hour })
	w.group("fleet", w.intermediate)
	cert := issue(t, w.intermediate, pki.IssueRequest{CommonName: "dev-1"})
	eachTransport(t, func(t *testing.T, transport device.Transport) {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := w.client("dev-1", cert, w.over(transport)).Register(ctx, &device.RegisterOptions{Progress: func(string) { cancel() }})
		if !errors.Is(err, context.Canceled) || errors.Is(err, dps.ErrUnavailable) {
			t.Errorf("while waiting: %v", err)
		}
		_, err = w.client("dev-1", cert, w.over(transport)).Register(ctx, nil)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("from the beginning: %v", err)
		}
	})
}

// TestNothingIsLeft: no connection and no goroutine outlives a registration.
func TestNothingIsLeft(t *testing.T) {
	w := newWorld(t)
	w.group("fleet", w.intermediate)
	cert := issue(t, w.intermediate, pki.IssueRequest{CommonName: "dev-1"})
	stranger, _ := selfSigned(t, "dev-1")
	eachTransport(t, func(t *testing.T, transport device.Transport) {
		before := runtime.NumGoroutine()
		for range 3 {
			must[device.Result](t)(w.client("dev-1", cert, w.over(transport)).Register(t.Context(), nil))
			if _, err := w.client("dev-1", stranger, w.over(transport)).Register(t.Context(), nil); err == nil {
				t.Error("registered")
			}
		}
		deadline := time.Now().Add(5 * time.Second)
		for runtime.NumGoroutine() > before {
			if time.Now().After(deadline) {
				buf := make([]byte, 1<<16)
				t.Fatalf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
			}
			runtime.Gosched()
		}
	})
}

func TestManyDevicesAtOnce(t *testing.T) {
	w := newWorld(t)
	w.group("fleet", w.intermediate)
	eachTransport(t, func(t *testing.T, transport device.Transport) {
		const devices = 20
		results := make(chan string, devices)
		for i := range devices {
			id := fmt.Sprintf("dev-%d", i)
			c := w.client(id, issue(t, w.intermediate, pki.IssueRequest{CommonName: id}), w.over(transport))
			go func() {
				got, err := c.Register(t.Context(), nil)
				results <- fmt.Sprintf("%s %v", got.DeviceID, err)
			}()
		}
		var got, want []string
		for i := range devices {
			got, want = append(got, <-results), append(want, fmt.Sprintf("dev-%d <nil>", i))
		}
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

// TestOneClientTwice: a Client is safe for concurrent use. Over MQTT the second
// connection of a device ends the first, which then connects again.
func TestOneClientTwice(t *testing.T) {
	w := newWorld(t)
	w.group("fleet", w.intermediate)
	cert := issue(t, w.intermediate, pki.IssueRequest{CommonName: "dev-1"})
	eachTransport(t, func(t *testing.T, transport device.Transport) {
		c := w.client("dev-1", cert, w.over(transport), func(o *device.ClientOptions) { o.RetryDelay, o.MaxRetries = 20*time.Millisecond, 20 })
		errs := make(chan error, 3)
		for range cap(errs) {
			go func() {
				_, err := c.Register(t.Context(), nil)
				errs <- err
			}()
		}
		for range cap(errs) {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
	})
}

// TestLogOfMQTT: attempts are logged, tokens and payloads are not.
func TestLogOfMQTT(t *testing.T) {
	w := keyed(t)
	for _, transport := range []device.Transport{device.TransportMQTT, device.TransportMQTTWS} {
		for _, key := range []dps.Secret{primaryKey, strangerKey} {
			var logged bytes.Buffer
			opts := &device.ClientOptions{Host: w.e.Info().HostName, RootCAs: w.e.CAPool(), RetryDelay: 1,
				Logger: slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))}
			w.over(transport)(opts)
			c := must[*device.Client](t)(device.NewClient(w.e.Info().IDScope, "own", device.SymmetricKey(key), opts))
			_, err := c.Register(t.Context(), &device.RegisterOptions{Payload: json.RawMessage(`{"canary":"yellow-bird"}`)})
			if (err == nil) != (key == primaryKey) {
				t.Error(err)
			}
			shown := fmt.Sprintf("%v %+v %#v %v %+v %s", c, c, c, err, err, logged.String())
			for _, secret := range []string{key.Reveal(), "sig=", "SharedAccessSignature", "yellow-bird"} {
				if strings.Contains(shown, secret) {
					t.Errorf("%q in %s", secret, shown)
				}
			}
			if !strings.Contains(logged.String(), "transport="+string(transport)) || !strings.Contains(logged.String(), "request=register") {
				t.Errorf("log:\n%s", logged.String())
			}
		}
	}
}

// TestDefaultPorts dials what the transport stands for.
func TestDefaultPorts(t *testing.T) {
	cert, _ := selfSigned(t, "dev-1")
	for transport, want := range map[device.Transport][]string{
		device.TransportHTTPS:  {"global.azure-devices-provisioning.net:443", "[::1]:443", "h:9"},
		device.TransportMQTT:   {"global.azure-devices-provisioning.net:8883", "[::1]:8883", "h:9"},
		device.TransportMQTTWS: {"global.azure-devices-provisioning.net:443", "[::1]:443", "h:9"},
	} {
		for i, host := range []string{"", "[::1]", "h:9"} {
			dialled := ""
			opts := &device.ClientOptions{Host: host, Transport: transport, MaxRetries: -1, DialContext: refuseDial(&dialled)}
			_, err := must[*device.Client](t)(device.NewClient("0ne00000000", "dev-1", device.X509(cert), opts)).Register(t.Context(), nil)
			if err == nil || dialled != want[i] {
				t.Errorf("%s to %q: dialled %q: %v", transport, host, dialled, err)
			}
		}
	}
}

// TestReturnedPayload: what the device sends reaches the allocation webhook, and
// what that returns reaches the device.
func TestReturnedPayload(t *testing.T) {
	var asked atomic.Value
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request struct {
			DeviceRuntimeContext struct{ Payload json.RawMessage }
		}
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			t.Error(err)
		}
		asked.Store(string(request.DeviceRuntimeContext.Payload))
		_, _ = io.WriteString(w, `{"iotHubHostName":"`+hub+`","payload":{"zone":7}}`)
	}))
	defer hook.Close()
	w := newWorld(t, func(o *emulator.Options) { o.RetryAfter = time.Second }) // longer than a webhook takes
	w.group("fleet", w.intermediate, func(g *service.EnrollmentGroup) {
		g.AllocationPolicy = service.AllocationCustom
		g.CustomAllocationDefinition = &service.CustomAllocationDefinition{WebhookURL: hook.URL, APIVersion: "2021-10-01"}
	})
	cert := issue(t, w.intermediate, pki.IssueRequest{CommonName: "dev-1"})
	eachTransport(t, func(t *testing.T, transport device.Transport) {
		sent := fmt.Sprintf(`{"by":%q}`, transport)
		got := must[device.Result](t)(w.client("dev-1", cert, w.over(transport)).Register(t.Context(), &device.RegisterOptions{Payload: json.RawMessage(sent)}))
		if asked.Load() != sent || string(got.Payload) != `{"zone":7}` {
			t.Errorf("the webhook got %v, the device %s", asked.Load(), got.Payload)
		}
	})
}

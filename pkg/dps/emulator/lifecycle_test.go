package emulator_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/dps/dpstest"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
)

// TestHostNames: the name in the ready document leads to the listener, and is in
// its certificate. localhost need not lead to anything but
// 127.0.0.1.
func TestHostNames(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:0": "localhost", "[::1]:0": "::1", "localhost:0": "localhost",
		"127.0.0.9:0": "127.0.0.9", "127.1.2.3:0": "127.1.2.3",
	} {
		if l, err := net.Listen("tcp", addr); err != nil {
			t.Logf("%s cannot be used here: %v", addr, err)
			continue
		} else if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		e := dpstest.Start(t, func(o *emulator.Options) { o.HTTPSAddrs = []string{addr} })
		host, _, err := net.SplitHostPort(e.Info().HostName)
		if err != nil || host != want {
			t.Errorf("listener on %s: host name %q (%v), want %s", addr, host, err, want)
		}
		client := e.HTTPClient()
		resp, err := client.Get("https://" + e.Info().HostName + "/healthz")
		if err != nil {
			t.Errorf("listener on %s: %v", addr, err)
			continue
		}
		resp.Body.Close()
		client.CloseIdleConnections()
	}
}

// TestInfoIsAbsolute: who reads the ready document may be in another folder.
func TestInfoIsAbsolute(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	info := dpstest.Start(t, func(o *emulator.Options) { o.DataDir = "state" }).Info()
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	want := filepath.Join(wd, "state")
	if info.DataDir != want || info.CAFile != filepath.Join(want, "ca.pem") {
		t.Errorf("data folder %q, CA file %q; want both in %q", info.DataDir, info.CAFile, want)
	}
}

func TestInfo(t *testing.T) {
	dir := t.TempDir()
	e := dpstest.Start(t, func(o *emulator.Options) {
		o.DataDir, o.AdminAddr, o.Version = dir, "127.0.0.1:0", "1.2.3"
		o.HTTPSAddrs = []string{"127.0.0.1:0", "localhost:0"}
		o.MQTTAddrs = []string{"127.0.0.1:0", "127.0.0.1:0"}
	})
	info := e.Info()
	_, port, err := net.SplitHostPort(strings.TrimPrefix(info.HTTPS[0], "https://"))
	if err != nil {
		t.Fatal(err)
	}
	want := emulator.Info{
		Event: "ready", Version: "1.2.3", PID: os.Getpid(), Name: "dpskit-emulator", HostName: "localhost:" + port,
		HTTPS: info.HTTPS, MQTT: info.MQTT, Admin: info.Admin, IDScope: "0ne00C0FFEE",
		ConnectionString: "HostName=localhost:" + port + ";SharedAccessKeyName=provisioningserviceowner;SharedAccessKey=" + emulator.DevelopmentKey,
		CAFile:           filepath.Join(dir, "ca.pem"), DataDir: dir, ARMEndpoint: "https://localhost:" + port,
		SubscriptionID: "00000000-0000-0000-0000-000000000000", ResourceGroup: "dpskit-emulator", Token: emulator.DevelopmentToken,
	}
	if diff := cmp.Diff(want, info); diff != "" {
		t.Error(diff)
	}
	if len(info.HTTPS) != 2 || !strings.HasPrefix(info.Admin, "http://127.0.0.1:") {
		t.Errorf("listeners %v, %q", info.HTTPS, info.Admin)
	}
	if len(info.MQTT) != 2 || info.MQTT[0] == info.MQTT[1] || !strings.HasPrefix(info.MQTT[1], "mqtts://127.0.0.1:") {
		t.Errorf("mqtt listeners %v", info.MQTT)
	}
	data, err := json.Marshal(info)
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(data, &members); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"event", "version", "pid", "name", "hostName", "https", "mqtt", "admin", "idScope", "connectionString", "caFile",
		"dataDir", "armEndpoint", "subscriptionId", "resourceGroup", "token",
	} {
		if _, ok := members[name]; !ok {
			t.Errorf("ready document has no member %q", name)
		}
	}
	client := e.HTTPClient()
	defer client.CloseIdleConnections()
	for _, base := range info.HTTPS {
		resp, err := client.Get(base + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Errorf("%s: %d", base, resp.StatusCode)
		}
	}
}

func TestRefusedOptions(t *testing.T) {
	for name, tt := range map[string]struct {
		opts emulator.Options
		want string
	}{
		"port":              {emulator.Options{HTTPSAddrs: []string{"127.0.0.1:65536"}}, "HTTPSAddrs"},
		"no port":           {emulator.Options{MQTTAddrs: []string{"127.0.0.1:"}}, "MQTTAddrs"},
		"empty address":     {emulator.Options{MQTTAddrs: []string{""}}, "HOST:PORT"},
		"hub twice":         {emulator.Options{Hubs: []string{"a.b", "A.b"}}, "twice"},
		"webhook timeout":   {emulator.Options{WebhookTimeout: -1}, "WebhookTimeout"},
		"connections":       {emulator.Options{MaxConnections: -1}, "MaxConnections"},
		"registrations":     {emulator.Options{MaxRegistrations: -1}, "MaxRegistrations"},
		"name":              {emulator.Options{Name: "no spaces"}, `"no spaces"`},
		"id scope":          {emulator.Options{IDScope: "0ne/x"}, `"0ne/x"`},
		"key is no base64":  {emulator.Options{Key: "secret!"}, "base64"},
		"short key":         {emulator.Options{Key: "AAAA"}, "16 to 64 bytes"},
		"host name":         {emulator.Options{HostNames: []string{"a b"}}, `"a b"`},
		"hub":               {emulator.Options{Hubs: []string{"https://hub"}}, `"https://hub"`},
		"address":           {emulator.Options{HTTPSAddrs: []string{"127.0.0.1"}}, `"127.0.0.1"`},
		"all interfaces":    {emulator.Options{HTTPSAddrs: []string{":0"}}, "loopback"},
		"all IPv4":          {emulator.Options{HTTPSAddrs: []string{"127.0.0.1:0", "0.0.0.0:0"}}, `"0.0.0.0:0"`},
		"admin remote":      {emulator.Options{AdminAddr: "[::]:0"}, "loopback"},
		"mqtt remote":       {emulator.Options{MQTTAddrs: []string{"0.0.0.0:0"}}, "loopback"},
		"mqtt, known key":   {emulator.Options{MQTTAddrs: []string{"[::]:0"}, AllowRemote: true}, "key of your own"},
		"remote name":       {emulator.Options{HTTPSAddrs: []string{"localhost.example:0"}}, "loopback"},
		"remote, known key": {emulator.Options{HTTPSAddrs: []string{"0.0.0.0:0"}, AllowRemote: true}, "key of your own"},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := emulator.Start(t.Context(), &tt.opts)
			if err == nil {
				e.Close()
				t.Fatal("started")
			}
			if !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q does not contain %q", err, tt.want)
			}
			var option *emulator.OptionError
			if !errors.As(err, &option) || !errors.Is(err, emulator.ErrStart) {
				t.Errorf("%v is not an OptionError", err)
			}
			if strings.Contains(err.Error(), "secret!") {
				t.Errorf("error shows the key: %v", err)
			}
		})
	}
}

func TestRemoteWithOwnKey(t *testing.T) {
	w := newWorld(t, func(o *emulator.Options) {
		o.HTTPSAddrs, o.AllowRemote, o.Key = []string{"0.0.0.0:0"}, true, "YSBrZXkgdGhhdCBub2JvZHkgZWxzZSBrbm93cy4uLi4="
	})
	w.want(w.service(http.MethodPost, "/enrollments/query", `{"query":"*"}`, nil), 200, 0)
}

// TestBusyAddress wants the whole start to fail, naming the address, with
// nothing left behind.
func TestBusyAddress(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	dir := t.TempDir()
	for _, opts := range []emulator.Options{
		{HTTPSAddrs: []string{"127.0.0.1:0", busy.Addr().String()}, DataDir: dir},
		{AdminAddr: busy.Addr().String(), DataDir: dir},
		{MQTTAddrs: []string{"127.0.0.1:0", busy.Addr().String()}, DataDir: dir},
	} {
		e, err := emulator.Start(t.Context(), &opts)
		if err == nil {
			e.Close()
			t.Fatal("started on a busy port")
		}
		if !strings.Contains(err.Error(), busy.Addr().String()) {
			t.Errorf("error %q does not name %s", err, busy.Addr())
		}
	}
	// The data folder is free again.
	e, err := emulator.Start(t.Context(), &emulator.Options{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

func TestCancelledStart(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := emulator.Start(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Start = %v, want context.Canceled", err)
	}
}

// TestDataFolder restarts on one folder: state and CA stay, the key is private.
func TestDataFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "folder")
	opts := func(o *emulator.Options) { o.DataDir = dir }
	start := func() *world {
		t.Helper()
		return newWorld(t, opts)
	}
	first := start()
	p := newPKI(t)
	first.prove("root", p.root)
	first.group("fleet", p.intermediate.Certificate())
	dev := device(t, p.intermediate, "dev")
	before := first.assigned("dev", dev)
	if _, err := emulator.Start(t.Context(), &emulator.Options{DataDir: dir}); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("second emulator on one folder: %v", err)
	}
	if err := first.e.Close(); err != nil {
		t.Fatal(err)
	}
	second := start()
	if !second.e.CACertificate().Equal(first.e.CACertificate()) {
		t.Error("CA changed on restart")
	}
	again := second.device(http.MethodGet, "/operations/"+before.str("operationId"), "dev", dev, nil, nil)
	if !bytes.Equal(again.raw, before.raw) {
		t.Errorf("operation after restart: %s, want %s", again.raw, before.raw)
	}
	second.assigned("dev", dev)
	info, err := os.Stat(filepath.Join(dir, "ca.key.pem"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v, %v; want mode 0600", info.Mode(), err)
	}
	pem, err := os.ReadFile(second.info.CAFile)
	if err != nil || string(pem) != pemText(second.e.CACertificate()) {
		t.Errorf("CA file: %v", err)
	}
	if err := second.e.Close(); err != nil {
		t.Fatal(err)
	}
	// A damaged CA is reported, not replaced.
	if err := os.Remove(filepath.Join(dir, "ca.key.pem")); err != nil {
		t.Fatal(err)
	}
	if _, err := emulator.Start(t.Context(), &emulator.Options{DataDir: dir}); err == nil || !strings.Contains(err.Error(), "ca.pem") {
		t.Errorf("start without the CA key: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := emulator.Start(t.Context(), &emulator.Options{DataDir: dir}); err == nil {
		t.Error("started with a damaged CA")
	}
	if err := os.Remove(filepath.Join(dir, "ca.pem")); err != nil {
		t.Fatal(err)
	}
	start() // a new CA, as the error proposed
}

// TestCloseLeavesNothing starts and closes, with connections in every state,
// and counts goroutines.
func TestCloseLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 5 {
		e, err := emulator.Start(t.Context(), &emulator.Options{AdminAddr: "127.0.0.1:0", DataDir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		silent, err := net.Dial("tcp", strings.TrimPrefix(e.Info().HTTPS[0], "https://"))
		if err != nil {
			t.Fatal(err)
		}
		mute, err := net.Dial("tcp", strings.TrimPrefix(e.Info().MQTT[0], "mqtts://"))
		if err != nil {
			t.Fatal(err)
		}
		shaken, err := tls.Dial("tcp", strings.TrimPrefix(e.Info().MQTT[0], "mqtts://"), &tls.Config{RootCAs: e.CAPool()})
		if err != nil {
			t.Fatal(err)
		}
		client := e.HTTPClient()
		resp, err := client.Get(e.Info().HTTPS[0] + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close() // keeps an idle connection
		start := time.Now()
		for range 2 {
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		}
		if d := time.Since(start); d > time.Second {
			t.Errorf("Close took %v with only idle connections", d)
		}
		for _, conn := range []net.Conn{silent, mute, shaken} {
			conn.Close()
		}
		client.CloseIdleConnections()
		if _, err := net.Dial("tcp", strings.TrimPrefix(e.Info().HTTPS[0], "https://")); err == nil {
			t.Error("listener accepts after Close")
		}
		if _, err := net.Dial("tcp", strings.TrimPrefix(e.Info().MQTT[0], "mqtts://")); err == nil {
			t.Error("mqtt listener accepts after Close")
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
}

func TestManyInstances(t *testing.T) {
	parallel(20, 20, func(int) {
		e, err := emulator.Start(t.Context(), nil)
		if err != nil {
			t.Error(err)
			return
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestEveryListenerHasLimits(t *testing.T) {
	e := dpstest.Start(t, func(o *emulator.Options) { o.AdminAddr = "127.0.0.1:0" })
	all := e.Timeouts()
	if len(all) != 2 {
		t.Fatalf("%d servers, want HTTPS and admin", len(all))
	}
	for _, limits := range all {
		for _, d := range limits {
			if d <= 0 || d > time.Minute {
				t.Errorf("limits are %v, want all of them set and short", limits)
			}
		}
	}
}

// TestHugeHeader sends a URL and a header beyond the limit.
func TestHugeHeader(t *testing.T) {
	w := newWorld(t)
	for _, req := range []struct{ path, header string }{
		{"/" + strings.Repeat("a", 64<<10), ""}, {"/x", strings.Repeat("a", 64<<10)},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.info.HTTPS[0]+req.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Big", req.header)
		resp, err := w.anonymous.Do(r)
		if err != nil {
			continue // cut off while it was still sending
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("status %d, want 431", resp.StatusCode)
		}
	}
	w.want(w.do(call{method: http.MethodGet, path: "/healthz"}), 200, 0)
}

func TestNotReadyWithoutStore(t *testing.T) {
	e, err := emulator.Start(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"/healthz": http.StatusOK, "/readyz": http.StatusServiceUnavailable} {
		rec := httptest.NewRecorder()
		e.Health().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
		if rec.Code != want {
			t.Errorf("%s after Close: %d %s, want %d", path, rec.Code, rec.Body, want)
		}
	}
}

func TestTokenFor(t *testing.T) {
	if got := emulator.TokenFor(emulator.DevelopmentKey); got != emulator.DevelopmentToken {
		t.Errorf("token of the development key = %q", got)
	}
	one, two := emulator.TokenFor("YSBrZXkgdGhhdCBub2JvZHkgZWxzZSBrbm93cy4uLi4="), emulator.TokenFor("YW5vdGhlciBrZXkgb2YgdGhlIHJpZ2h0IHNpemUuLi4=")
	if one == two || len(one) < 40 || one == emulator.DevelopmentToken {
		t.Errorf("tokens are %q and %q", one, two)
	}
	if got := emulator.TokenFor("not base64"); got != "" {
		t.Errorf("token of a broken key = %q", got)
	}
	e := dpstest.Start(t, func(o *emulator.Options) { o.Key = "YSBrZXkgdGhhdCBub2JvZHkgZWxzZSBrbm93cy4uLi4=" })
	if e.Info().Token != one {
		t.Error("emulator has another token")
	}
}

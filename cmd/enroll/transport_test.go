package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps/device"
)

func TestReachable(t *testing.T) {
	for _, tt := range []struct{ listener, host, want string }{
		{"127.0.0.1:8883", "localhost:8443", "127.0.0.1:8883"},
		{"127.0.0.5:8883", "127.0.0.5:8443", "127.0.0.5:8883"},
		{"[::1]:8883", "localhost:8443", "[::1]:8883"},
		{"0.0.0.0:8883", "localhost:8443", "localhost:8883"},
		{"[::]:8883", "dps.test:8443", "dps.test:8883"},
		{"[::]:8883", "[::1]:8443", "[::1]:8883"},
		{"[::]:8883", "dps.test", "dps.test:8883"},
		{"127.0.0.1:8883", "dps.test:8443", "dps.test:8883"},
		{"192.0.2.1:8883", "dps.test:8443", "192.0.2.1:8883"},
	} {
		if got := reachable(tt.listener, tt.host); got != tt.want {
			t.Errorf("%s at %s: %s, want %s", tt.listener, tt.host, got, tt.want)
		}
	}
}

// TestDeviceHost asks servers that are no emulator, too.
func TestDeviceHost(t *testing.T) {
	for name, tt := range map[string]struct {
		answer string
		want   string // "" is an error that says err
		err    string
	}{
		"emulator":      {`{"status":"ready","listeners":["https://127.0.0.1:1","mqtts://127.0.0.1:2","http://127.0.0.1:3"]}`, "127.0.0.1:2", ""},
		"without MQTT":  {`{"status":"ready","listeners":["https://127.0.0.1:1"]}`, "", "does not listen for MQTT"},
		"another":       {`{"status":"ready"}`, "", "not that of an emulator"},
		"a page":        {`<html>`, "", "not that of an emulator"},
		"endless":       {`{"listeners":["` + strings.Repeat("x", 1<<20), "", "not that of an emulator"},
		"not a message": {``, "", "not that of an emulator"},
	} {
		server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/readyz" {
				t.Errorf("%s: asked for %s", name, r.URL)
			}
			_, _ = w.Write([]byte(tt.answer))
		}))
		ep := &endpoint{host: strings.TrimPrefix(server.URL, "https://"), emulator: true, client: server.Client()}
		got, err := ep.deviceHost(t.Context(), device.TransportMQTT)
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		for _, transport := range []device.Transport{device.TransportHTTPS, device.TransportMQTTWS} {
			if got, err := ep.deviceHost(t.Context(), transport); err != nil || got != ep.host {
				t.Errorf("%s over %s: %q, %v", name, transport, got, err)
			}
		}
		server.Close()
		if _, err := ep.deviceHost(t.Context(), device.TransportMQTT); err == nil {
			t.Errorf("%s: found an emulator that is gone", name)
		}
	}
}

package emulator_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps/emulator"
)

func TestAdmin(t *testing.T) {
	w := newWorld(t, func(o *emulator.Options) {
		o.AdminAddr, o.HostNames, o.Version = "127.0.0.1:0", []string{"dps.test"}, "9.9"
	})
	_, port, err := net.SplitHostPort(strings.TrimPrefix(w.info.Admin, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, method, path, host string
		status                   int
		want                     string
	}{
		{"health", "GET", "/healthz", "127.0.0.1:" + port, 200, `{"status":"ok"}`},
		{"readiness", "GET", "/readyz", "localhost:" + port, 200, `"status":"ready","version":"9.9"`},
		{"listeners", "GET", "/readyz", "localhost", 200, w.info.Admin},
		{"CA", "GET", "/ca.pem", "[::1]:" + port, 200, pemText(w.e.CACertificate())},
		{"HEAD", "HEAD", "/healthz", "localhost", 200, ""},
		{"own name", "GET", "/healthz", "DPS.test:1", 200, "ok"},
		{"POST", "POST", "/healthz", "localhost", 405, ""},
		{"other path", "GET", "/enrollments", "localhost", 404, ""},
		{"key", "GET", "/ca.key.pem", "localhost", 404, ""},
		{"debug", "GET", "/debug/pprof/", "localhost", 404, ""},
		{"rebinding", "GET", "/healthz", "evil.example", 403, "not allowed"},
		{"rebinding readiness", "GET", "/readyz", "127.0.0.1.nip.io:" + port, 403, ""},
		{"rebinding CA", "GET", "/ca.pem", "localhost.evil.example", 403, ""},
		{"rebinding unknown path", "GET", "/x", "evil.example", 403, ""},
		{"trailing dot", "GET", "/healthz", "localhost.", 403, ""},
		{"other address", "GET", "/healthz", "192.0.2.1", 403, ""},
		{"empty host", "GET", "/healthz", "", 403, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", strings.TrimPrefix(w.info.Admin, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", tt.method, tt.path, tt.host)
			resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: tt.method})
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != tt.status || !strings.Contains(string(body), tt.want) {
				t.Errorf("got %d %s, want %d …%s…", resp.StatusCode, body, tt.status, tt.want)
			}
			if resp.Header.Get("x-ms-request-id") == "" {
				t.Error("no x-ms-request-id")
			}
			if strings.Contains(string(body), "PRIVATE") || strings.Contains(string(body), emulator.DevelopmentKey) {
				t.Errorf("answer shows a secret: %s", body)
			}
			if resp.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Error("answer invites other origins")
			}
		})
	}
}

func TestNoAdminUnlessAsked(t *testing.T) {
	w := newWorld(t)
	if w.info.Admin != "" {
		t.Errorf("admin listener on %q", w.info.Admin)
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		w.want(w.do(call{method: http.MethodGet, path: path}), 200, 0)
	}
	if a := w.do(call{method: http.MethodGet, path: "/readyz"}); !strings.Contains(string(a.raw), `"store":"memory"`) {
		t.Errorf("readyz = %s", a.raw)
	}
}

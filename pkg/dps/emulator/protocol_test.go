package emulator_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// cutShort ends a request whose sender hangs up before the end of the body.
const cutShort = "Content-Length: 3\r\n\r\n{}"

// raw sends bytes over TLS and returns the status of the first answer, 0 if
// the connection was closed without one.
func (w *world) raw(t *testing.T, request string) (status int, body string) {
	t.Helper()
	conn, err := tls.Dial("tcp", w.addr(), &tls.Config{RootCAs: w.e.CAPool(), ServerName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn, request) // the server may hang up early
	if strings.HasSuffix(request, cutShort) {
		_ = conn.CloseWrite()
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	data, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(data)
}

// TestHostileHTTP sends requests that no client sends. Each is refused or
// dropped, and the emulator goes on.
func TestHostileHTTP(t *testing.T) {
	w := newWorld(t)
	auth := "Authorization: Bearer " + w.info.Token + "\r\n"
	put := "PUT /enrollments/a?api-version=2021-10-01 HTTP/1.1\r\nHost: localhost\r\n" + auth
	for _, tt := range []struct {
		name, request string
		status        []int // any of these; 0 is a closed connection
	}{
		{"both lengths", put + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", []int{400}},
		{"two lengths", put + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}   ", []int{400}},
		{"negative length", put + "Content-Length: -1\r\n\r\n", []int{400}},
		{"unknown coding", put + "Transfer-Encoding: gzip\r\n\r\n", []int{501, 400}},
		{"chunk size overflow", put + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nx", []int{400}},
		{"chunk extensions without end", put + "Transfer-Encoding: chunked\r\n\r\n1;" + strings.Repeat("x", 100<<10), []int{400}},
		{"body cut short", put + cutShort, []int{400}},
		{"no host", "GET /healthz HTTP/1.1\r\n\r\n", []int{400}},
		{"two hosts", "GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", []int{400}},
		{"header without a name", "GET /healthz HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", []int{400}},
		{"folded header", "GET /healthz HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", []int{400, 200}},
		{"10,000 headers", "GET /healthz HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: y\r\n", 10000) + "\r\n", []int{431, 0}},
		{"absolute form", "GET https://elsewhere/healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", []int{200}},
		{"CONNECT", "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n", []int{404, 400}},
		{"TRACE", "TRACE /enrollments/a HTTP/1.1\r\nHost: localhost\r\n\r\n", []int{405}},
		{"OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", []int{404}},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", []int{400, 404, 405, 505, 0}},
		{"HTTP/0.9", "GET /healthz\r\n\r\n", []int{400}},
		{"bad escape", "GET /enrollments/%zz HTTP/1.1\r\nHost: localhost\r\n\r\n", []int{400}},
		{"raw NUL", "GET /enrollments/\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n", []int{400}},
		{"overlong UTF-8", "GET /enrollments/%c0%ae%c0%ae?api-version=2021-10-01 HTTP/1.1\r\nHost: localhost\r\n" + auth + "\r\n", []int{400}},
		{"semicolon in the query", "GET /enrollments/a?api-version=2021-10-01;x=1 HTTP/1.1\r\nHost: localhost\r\n" + auth + "\r\n", []int{400}},
		{"two api-versions", "GET /enrollments/a?api-version=2021-10-01&api-version=1 HTTP/1.1\r\nHost: localhost\r\n" + auth + "\r\n", []int{400}},
		{"api-version twice", "GET /enrollments/a?api-version=2021-10-01&API-version=2021-10-01 HTTP/1.1\r\nHost: localhost\r\n" + auth + "\r\n", []int{400}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, body := w.raw(t, tt.request)
			for _, ok := range tt.status {
				if status == ok {
					return
				}
			}
			t.Errorf("got %d %s, want one of %v", status, body, tt.status)
		})
	}
	w.want(w.service(http.MethodGet, "/enrollments/a", nil, nil), 404, 404201) // nothing was written, still serving
}

// TestPipelining sends many requests at once on one connection.
func TestPipelining(t *testing.T) {
	w := newWorld(t)
	conn, err := tls.Dial("tcp", w.addr(), &tls.Config{RootCAs: w.e.CAPool(), ServerName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const n = 50
	if _, err := io.WriteString(conn, strings.Repeat("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", n)); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	seen := map[string]bool{}
	for i := range n {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		seen[resp.Header.Get("x-ms-request-id")] = true
	}
	if len(seen) != n {
		t.Errorf("%d request ids for %d requests", len(seen), n)
	}
}

// TestIdentifiersInLogs puts what an attacker controls into a refusal.
func TestIdentifiersInLogs(t *testing.T) {
	w := newWorld(t)
	evil := "dev%0A%7B%22msg%22%3A%22forged%22%7D"
	a := w.do(call{method: http.MethodPut, path: "/" + w.info.IDScope + "/registrations/" + evil + "/register", version: deviceVersion, body: "{}"})
	w.want(a, 400, 400000)
	for line := range strings.Lines(w.logs.String()) {
		if strings.Contains(line, `"msg":"forged"`) || !strings.HasPrefix(line, `{"time":`) {
			t.Errorf("log line %q", line)
		}
	}
}

// TestNoSecretAnywhere runs the whole story and looks for every secret in logs
// at debug level and in the answers to refusals.
func TestNoSecretAnywhere(t *testing.T) {
	w, p := fleet(t)
	w.assigned("dev", device(t, p.intermediate, "dev"))
	g := w.service(http.MethodPut, "/enrollmentGroups/keys", symmetric("enrollmentGroupId", "keys"), nil)
	primary, secondary := keysIn(g)
	derived := deviceKey(t, primary, "sym")
	token := sign(t, w.info.IDScope+"/registrations/sym", derived, "registration", time.Now().Add(time.Hour))
	w.withToken("sym", token)
	w.withToken("sym", strings.Replace(token, "&se=1", "&se=2", 1))
	w.service(http.MethodPut, "/enrollmentGroups/keys", g.body, nil) // 409, with keys in the body
	w.service(http.MethodPut, "/enrollmentGroups/keys", `{"enrollmentGroupId":"keys","x":"`+primary+`"`, nil)
	w.arm(http.MethodPost, "/listkeys", armVersion, nil, nil)
	service := w.serviceToken()
	w.service(http.MethodGet, "/enrollments/none", nil, map[string]string{"Authorization": service})
	logs := w.logs.String()
	for name, secret := range map[string]string{
		"primary key": primary, "secondary key": secondary, "derived key": derived, "device token": token,
		"service token": service, "bearer token": w.info.Token, "policy key": w.info.ConnectionString[strings.LastIndex(w.info.ConnectionString, "SharedAccessKey=")+16:],
	} {
		if strings.Contains(logs, secret) {
			t.Errorf("log shows the %s", name)
		}
		if _, sig, ok := strings.Cut(secret, "sig="); ok && strings.Contains(logs, sig[:30]) {
			t.Errorf("log shows the signature of the %s", name)
		}
	}
	if logs == "" {
		t.Error("nothing was logged at all")
	}
}

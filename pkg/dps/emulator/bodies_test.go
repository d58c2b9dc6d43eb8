package emulator_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// exchange sends request and then the body, all of it before it reads, as
// simple clients do. It returns the answer, and how much could not be sent.
func (w *world) exchange(t *testing.T, head string, body io.Reader) (resp *http.Response, answer string, sendErr error) {
	t.Helper()
	conn, err := tls.Dial("tcp", w.addr(), &tls.Config{RootCAs: w.e.CAPool(), ServerName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, head); err != nil {
		t.Fatal(err)
	}
	_, sendErr = io.Copy(conn, body)
	resp, err = http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("no answer: %v (after sending: %v)", err, sendErr)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(data), sendErr
}

// zeros is an endless body.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	return len(p), nil
}

// TestUnwantedBodies: a body that nobody wants does not break the connection before
// its sender has read the answer.
func TestUnwantedBodies(t *testing.T) {
	w := newWorld(t)
	const size = 10 << 20
	auth := "Authorization: Bearer " + w.info.Token + "\r\n"
	length := fmt.Sprintf("Content-Length: %d\r\n", size)
	chunked := func() io.Reader {
		return io.MultiReader(strings.NewReader(fmt.Sprintf("%x\r\n", size)), io.LimitReader(zeros{}, size), strings.NewReader("\r\n0\r\n\r\n"))
	}
	plain := func() io.Reader { return io.LimitReader(zeros{}, size) }
	none := func() io.Reader { return strings.NewReader("") }
	enrollment := "PUT /enrollments/a?api-version=2021-10-01 HTTP/1.1\r\nHost: localhost\r\n"
	register := "PUT /" + w.info.IDScope + "/registrations/a/register?api-version=2021-06-01 HTTP/1.1\r\nHost: localhost\r\n"
	certificate := "PUT " + w.armPath("/certificates/a") + "?api-version=2022-12-12 HTTP/1.1\r\nHost: localhost\r\n"
	for _, tt := range []struct {
		name, head string
		body       func() io.Reader
		status     int
		want       string
	}{
		{"service plane", enrollment + auth + length, plain, 413, `"errorCode":413000`},
		{"service plane, chunked", enrollment + auth + "Transfer-Encoding: chunked\r\n", chunked, 413, `"errorCode":413000`},
		{"service plane, not authorised", enrollment + length, plain, 401, `"errorCode":401000`},
		{"wrong method", strings.Replace(enrollment, "PUT", "PATCH", 1) + auth + length, plain, 405, `"errorCode":405000`},
		{"wrong media type", enrollment + auth + "Content-Type: text/plain\r\n" + length, plain, 415, `"errorCode":415000`},
		{"device plane", register + length, plain, 413, `"errorCode":413000`},
		{"device plane, chunked", register + "Transfer-Encoding: chunked\r\n", chunked, 413, `"errorCode":413000`},
		{"resource manager plane", certificate + auth + length, plain, 413, ``},
		{"asked before it is sent", enrollment + auth + "Expect: 100-continue\r\n" + length, none, 413, `"errorCode":413000`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp, body, err := w.exchange(t, tt.head+"\r\n", tt.body())
			if err != nil || resp.StatusCode != tt.status || !strings.Contains(body, tt.want) {
				t.Errorf("got %d %s, sent %v; want %d …%s…", resp.StatusCode, body, err, tt.status, tt.want)
			}
		})
	}
}

// TestOddBodies: what is accepted, and what is refused with a 400, over the wire.
func TestOddBodies(t *testing.T) {
	w := newWorld(t)
	body := func(id string) string {
		return `{"registrationId":"` + id + `","attestation":{"type":"symmetricKey"}}`
	}
	for _, tt := range []struct {
		name, id, body string
		status         int
	}{
		{"byte order mark", "bom", "\uFEFF" + body("bom"), 200},
		{"member twice", "twice", strings.Replace(body("twice"), "{", `{"registrationId":"other",`, 1), 400},
		{"deep nesting", "deep", strings.Replace(body("deep"), "{", `{"x":`+strings.Repeat("[", 100000)+strings.Repeat("]", 100000)+",", 1), 400},
		{"called like a verb", "query", body("query"), 200},
	} {
		path := "/enrollments/" + tt.id
		if tt.id == "query" {
			path = "/enrollments/%71uery" // the swagger has the other spelling for something else
		}
		a := w.service(http.MethodPut, path, tt.body, nil)
		if a.status != tt.status {
			t.Errorf("%s: PUT = %d %s, want %d", tt.name, a.status, a.raw, tt.status)
		}
		want := 404
		if tt.status == 200 {
			want = 200
		}
		if a := w.service(http.MethodGet, path, nil, nil); a.status != want {
			t.Errorf("%s: GET = %d, want %d", tt.name, a.status, want)
		}
	}
}

// TestExpectContinue: a client that asks before it sends is told to, and then
// gets its answer.
func TestExpectContinue(t *testing.T) {
	w := newWorld(t)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: w.e.CAPool()}, ExpectContinueTimeout: patience}
	defer transport.CloseIdleConnections()
	for id, want := range map[string]int{"a": 200, "b": 401} {
		header := map[string]string{"Authorization": "Bearer " + w.info.Token, "Expect": "100-continue"}
		if want == 401 {
			header["Authorization"] = "Bearer nobody"
		}
		start := time.Now()
		w.want(w.do(call{method: http.MethodPut, path: "/enrollments/" + id, version: serviceVersion, client: &http.Client{Transport: transport},
			header: header, body: `{"registrationId":"` + id + `","attestation":{"type":"symmetricKey"}}`}), want, map[int]int{401: 401000}[want])
		if took := time.Since(start); took > patience/2 {
			t.Errorf("%d after %v: nobody said go on", want, took)
		}
	}
}

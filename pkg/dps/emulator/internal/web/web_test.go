package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/store"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/web"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"
)

func TestDecode(t *testing.T) {
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	for _, tt := range []struct {
		name, body string
		want       string // part of the message; "" means accepted
	}{
		{"object", `{"query":"x"}`, ""},
		{"white space around", " \n{\"query\":\"x\"}\t", ""},
		{"byte order mark", "\uFEFF" + `{"query":"x"}`, ""},
		{"two of them", "\uFEFF\uFEFF" + `{"query":"x"}`, "invalid character"},
		{"one that is not at the beginning", " \uFEFF" + `{"query":"x"}`, "invalid character"},
		{"nothing but one", "\uFEFF", "empty"},
		{"unknown members", `{"query":"x","other":[1,{"a":1e400}]}`, ""},
		{"null member", `{"query":null}`, ""},
		{"same name at other places", `{"query":"x","a":{"query":1},"b":[{"c":1},{"c":1}]}`, ""},
		{"deep but bounded", `{"x":` + deep(60) + `}`, ""},
		{"empty", "", "empty"},
		{"white space", " \n", "empty"},
		{"not JSON", "query=x", "invalid character"},
		{"cut off", `{"query":"x"`, "too early"},
		{"cut off in an array", `{"query":[1`, "too early"},
		{"trailing value", `{"query":"x"} {}`, "more than one value"},
		{"trailing garbage", `{"query":"x"}]`, "more than one value"},
		{"duplicate member", `{"query":"x","query":"y"}`, `"query" is given twice`},
		{"deep duplicate", `{"a":[{"b":1,"b":2}]}`, `"b" is given twice`},
		{"duplicate by escape", `{"query":"x","\u0071uery":"y"}`, `"query" is given twice`},
		{"too deep", deep(10000), "levels deep"},
		{"too deep array", strings.Repeat("[", 100000), "levels deep"},
		{"invalid UTF-8", "{\"query\":\"\xff\"}", "UTF-8"},
		{"array", `[]`, "unexpected array"},
		{"wrong type", `{"query":1}`, `unexpected number in "query"`},
		{"missing colon", `{"a" 1}`, "invalid character"},
		{"single quotes", `{'a':1}`, "invalid character"},
		{"comma at the end", `{"a":1,}`, "invalid character"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var v wire.QuerySpecification
			err := web.Decode([]byte(tt.body), &v)
			if tt.want == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			r, ok := refuse.As(err)
			if !ok || r.Status != http.StatusBadRequest || !strings.Contains(r.Message, tt.want) {
				t.Errorf("Decode = %v, want 400 …%s…", err, tt.want)
			}
			if strings.Contains(fmt.Sprint(err), "wire.") || strings.Contains(fmt.Sprint(err), "Go ") {
				t.Errorf("message shows Go types: %v", err)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"registrationId":"a","attestation":{"type":"x509"},"initialTwin":{"tags":{"a":[1,2]}}}`))
	f.Add([]byte(`{"a":{"a":1,"a":2}}`))
	f.Add([]byte("\uFEFF{}"))
	f.Add([]byte(`{"createdDateTimeUtc":"2020-01-01T00:00:00Z","provisioningStatus":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, v := range []any{
			&wire.IndividualEnrollment{}, &wire.EnrollmentGroup{}, &wire.BulkEnrollments{}, &wire.BulkGroups{},
			&wire.QuerySpecification{}, &wire.CertificateUpload{}, &wire.VerificationRequest{}, &wire.DeviceRegistration{},
		} {
			err := web.Decode(data, v)
			if r, ok := refuse.As(err); err != nil && (!ok || r.Status != http.StatusBadRequest) {
				t.Fatalf("%T: %v is not a 400", v, err)
			}
			if err == nil && !json.Valid(bytes.TrimPrefix(data, []byte("\uFEFF"))) {
				t.Fatalf("%T: invalid JSON was accepted", v)
			}
		}
	})
}

func TestSegments(t *testing.T) {
	for _, tt := range []struct {
		path string
		want []string // nil and bad: refused
		bad  bool
	}{
		{"/", nil, false},
		{"/a/b", []string{"a", "b"}, false},
		{"/a/b/", []string{"a", "b"}, false},
		{"/a/%62%3Ac", []string{"a", "b:c"}, false},
		{"/a/%2541", []string{"a", "%41"}, false}, // decoded once
		{"/a//b", nil, true},
		{"//", nil, false},
		{"/a//", nil, true},
		{"/a/../b", nil, true},
		{"/a/%2e%2e/b", nil, true},
		{"/a/./b", nil, true},
		{"/a/b%2Fc", nil, true},
		{"/a/b%5Cc", nil, true},
		{"/a/%00", nil, true},
		{"/a/%0A", nil, true},
		{"/a/%C0%AF", nil, true}, // overlong slash
		{"/a/%FF", nil, true},
	} {
		u, err := url.Parse("https://host" + tt.path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := web.Segments(u)
		if (err != nil) != tt.bad {
			t.Errorf("%s: %v, want refusal %v", tt.path, err, tt.bad)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", tt.path, diff)
		}
	}
}

func FuzzSegments(f *testing.F) {
	f.Add("/enrollments/a%2Fb")
	f.Add("//..//%00")
	f.Fuzz(func(t *testing.T, path string) {
		u, err := url.Parse("https://host" + path)
		if err != nil {
			return
		}
		segments, err := web.Segments(u)
		if err != nil {
			return
		}
		for _, s := range segments {
			if s == "" || s == "." || s == ".." || strings.ContainsAny(s, "/\\\x00\n") {
				t.Errorf("%q gave segment %q", path, s)
			}
		}
	})
}

// fixture is a plane with a few routes whose handlers do as they are told.
func fixture(logs *bytes.Buffer) http.Handler {
	echo := func(req *web.Request) (*web.Response, error) {
		return web.OK(map[string]string{"id": req.Param("id"), "version": req.APIVersion})
	}
	fail := func(err error) web.Handler {
		return func(*web.Request) (*web.Response, error) { return nil, err }
	}
	plane := &web.Plane{
		Name: "test", Logger: slog.New(slog.NewJSONHandler(logs, nil)), Now: time.Now, Render: wire.NewServiceError,
		Before: func(req *web.Request) error {
			if req.Header.Get("Authorization") == "bad" {
				return &refuse.Refusal{Status: 401, Code: 401000, Rule: "auth", Message: "Unauthorized"}
			}
			return nil
		},
		Header: func(_ *web.Request, r *refuse.Refusal) http.Header {
			return http.Header{"X-Refused": {fmt.Sprint(r != nil)}}
		},
		Router: web.NewRouter(
			web.Route{Method: "POST", Pattern: "/things/query", Handler: echo},
			web.Route{Method: "GET", Pattern: "/things/{id}", Handler: echo},
			web.Route{Method: "PUT", Pattern: "/things/{id}", Handler: func(req *web.Request) (*web.Response, error) {
				var v map[string]any
				if err := req.JSON(100, &v); err != nil {
					return nil, err
				}
				return web.OK(v)
			}},
			web.Route{Method: "DELETE", Pattern: "/things/{id}", Handler: func(*web.Request) (*web.Response, error) {
				return &web.Response{Status: http.StatusNoContent}, nil
			}},
			web.Route{Method: "GET", Pattern: "/readonly", Handler: fail(fmt.Errorf("write: %w", store.ErrReadOnly))},
			web.Route{Method: "GET", Pattern: "/cancelled", Handler: fail(context.Canceled)},
			web.Route{Method: "GET", Pattern: "/broken", Handler: fail(errors.New("secret detail"))},
			web.Route{Method: "GET", Pattern: "/panic", Handler: func(*web.Request) (*web.Response, error) { panic("oops") }},
			web.Route{Method: "GET", Pattern: "/unencodable", Handler: func(*web.Request) (*web.Response, error) {
				return web.OK(map[string]any{"f": func() {}})
			}},
		),
	}
	return web.Stamp(plane, plane.Logger, http.Header{"X-Extra": {"yes"}})
}

func TestPlane(t *testing.T) {
	big := `{"a":"` + strings.Repeat("x", 200) + `"}`
	for _, tt := range []struct {
		name, method, path string
		header             map[string]string
		body               string
		status             int
		want               string // part of the body
		allow              string
	}{
		{"ok", "GET", "/things/a%3Ab?api-version=v", nil, "", 200, `{"id":"a:b","version":"v"}`, ""},
		{"other case, trailing slash", "GET", "/THINGS/Ab/", nil, "", 200, `"id":"Ab"`, ""},
		{"no content", "DELETE", "/things/a", nil, "", 204, "", ""},
		{"literal before parameter", "POST", "/things/Query", nil, "", 200, `"id":""`, ""},
		{"unknown path", "GET", "/nothing", nil, "", 404, `"errorCode":404000`, ""},
		{"root", "GET", "/", nil, "", 404, `"errorCode":404000`, ""},
		{"bad path", "GET", "/things/..%2f", nil, "", 400, `"errorCode":400000`, ""},
		{"method", "PATCH", "/things/a", nil, "", 405, `"errorCode":405000`, "DELETE, GET, PUT"},
		{"HEAD", "HEAD", "/things/a", nil, "", 405, "", "DELETE, GET, PUT"},
		{"OPTIONS", "OPTIONS", "/things/query", nil, "", 405, "", "DELETE, GET, POST, PUT"},
		{"a thing called like a verb", "GET", "/things/query", nil, "", 200, `"id":"query"`, ""},
		{"a verb's own path", "PUT", "/readonly", nil, "", 405, `"errorCode":405000`, "GET"},
		{"version in another case", "GET", "/things/a?API-Version=v", nil, "", 200, `"version":"v"`, ""},
		{"version twice", "GET", "/things/a?api-version=v&api-version=v", nil, "", 200, `"version":"v,v"`, ""},
		{"version in two cases", "GET", "/things/a?Api-Version=v&api-version=w", nil, "", 200, `"version":"v,w"`, ""},
		{"before refuses", "GET", "/things/a", map[string]string{"Authorization": "bad"}, "", 401, `"errorCode":401000`, ""},
		{"body", "PUT", "/things/a", map[string]string{"Content-Type": "application/json"}, `{"a":"<&>"}`, 200, `{"a":"<&>"}`, ""},
		{"body without a type", "PUT", "/things/a", nil, `{"a":1}`, 200, `{"a":1}`, ""},
		{"text/json", "PUT", "/things/a", map[string]string{"Content-Type": "text/json; charset=UTF-8"}, `{"a":1}`, 200, `{"a":1}`, ""},
		{"body too large", "PUT", "/things/a", nil, big, 413, `"errorCode":413000`, ""},
		{"body of unknown length too large", "PUT", "/things/a", map[string]string{"chunked": "1"}, big, 413, `"errorCode":413000`, ""},
		{"form", "PUT", "/things/a", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, `a=1`, 415, `"errorCode":415000`, ""},
		{"UTF-16", "PUT", "/things/a", map[string]string{"Content-Type": "application/json; charset=utf-16"}, `{}`, 415, `"errorCode":415000`, ""},
		{"broken type", "PUT", "/things/a", map[string]string{"Content-Type": ";;"}, `{}`, 415, `"errorCode":415000`, ""},
		{"store is read-only", "GET", "/readonly", nil, "", 503, `"errorCode":503000`, ""},
		{"request was cancelled", "GET", "/cancelled", nil, "", 503, `"errorCode":503000`, ""},
		{"unexpected error", "GET", "/broken", nil, "", 500, `"message":"Internal error."`, ""},
		{"panic", "GET", "/panic", nil, "", 500, "", ""},
		{"unencodable answer", "GET", "/unencodable", nil, "", 500, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var logs bytes.Buffer
			req := httptest.NewRequest(tt.method, tt.path, strings.NewReader(tt.body))
			for k, v := range tt.header {
				req.Header.Set(k, v)
			}
			if tt.header["chunked"] != "" {
				req.ContentLength = -1
			}
			rec := httptest.NewRecorder()
			fixture(&logs).ServeHTTP(rec, req)
			if rec.Code != tt.status || !strings.Contains(rec.Body.String(), tt.want) {
				t.Fatalf("got %d %s, want %d …%s…", rec.Code, rec.Body, tt.status, tt.want)
			}
			if got := rec.Header().Get("Allow"); got != tt.allow {
				t.Errorf("Allow = %q, want %q", got, tt.allow)
			}
			id := rec.Header().Get("x-ms-request-id")
			if id == "" || rec.Header().Get("X-Extra") != "yes" {
				t.Errorf("headers = %v", rec.Header())
			}
			if tt.status >= 400 && tt.status != 404 && !strings.Contains(logs.String(), id) {
				t.Errorf("log does not have the request id: %s", &logs)
			}
			if tt.status >= 400 && rec.Body.Len() > 0 && !strings.Contains(rec.Body.String(), `"trackingId":"`+id+`"`) {
				t.Errorf("tracking id is not the request id: %s", rec.Body)
			}
			if strings.Contains(rec.Body.String(), "secret detail") {
				t.Error("answer shows an internal error")
			}
			if tt.status == 503 && rec.Header().Get("Retry-After") == "" {
				t.Error("503 without Retry-After")
			}
		})
	}
}

// TestLogsAreOneLine sends line breaks and escapes into what is logged.
func TestLogsAreOneLine(t *testing.T) {
	var logs bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&logs, nil))
	refuse.Log(t.Context(), logger, &refuse.Refusal{
		Status: 400, Code: 400000, Rule: "r", Message: "bad\nvalue\x1b[31m", Fix: "a\r\nb", Expected: "x\ty",
		Certificate: refuse.Certificate{Subject: "CN=a\nmsg=forged", Thumbprint: "AB", Position: 1},
	}, slog.String("path", "/a\nb"))
	if n := strings.Count(logs.String(), "\n"); n != 1 {
		t.Errorf("%d lines in %q, want 1", n, &logs)
	}
	if strings.Contains(logs.String(), "\x1b") {
		t.Errorf("escape in %q", &logs)
	}
}

func TestDecodeNamesMembers(t *testing.T) {
	var v wire.IndividualEnrollment
	for body, want := range map[string]string{
		`{"iotHubs":"x"}`:                       `unexpected string in "iotHubs"`,
		`{"capabilities":{"iotEdge":1}}`:        `unexpected number in "capabilities.iotEdge"`,
		`{"attestation":{"type":{"other":[]}}}`: `unexpected object in "attestation.type"`,
	} {
		if err := web.Decode([]byte(body), &v); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want …%s…", body, err, want)
		}
	}
}

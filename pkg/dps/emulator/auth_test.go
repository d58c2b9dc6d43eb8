package emulator_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator"
)

const owner = "provisioningserviceowner"

func TestServiceTokens(t *testing.T) {
	now := time.Now()
	w := newWorld(t, func(o *emulator.Options) { o.Now = func() time.Time { return now } })
	host, key := w.info.HostName, emulator.DevelopmentKey
	bare := strings.Split(host, ":")[0]
	valid := func() string { return sign(t, host, key, owner, now.Add(time.Hour)) }
	reorder := func(token string) string {
		parts := strings.Split(strings.TrimPrefix(token, "SharedAccessSignature "), "&")
		return "SharedAccessSignature " + strings.Join([]string{parts[3], parts[1], parts[2], parts[0]}, "&")
	}
	flip := func(token string) string {
		u, err := url.ParseQuery(strings.TrimPrefix(token, "SharedAccessSignature "))
		if err != nil {
			t.Fatal(err)
		}
		raw, err := base64.StdEncoding.DecodeString(u.Get("sig"))
		if err != nil {
			t.Fatal(err)
		}
		raw[31] ^= 1
		return "SharedAccessSignature sr=" + url.QueryEscape(host) + "&se=" + u.Get("se") + "&skn=" + owner +
			"&sig=" + url.QueryEscape(base64.StdEncoding.EncodeToString(raw))
	}
	other := base64.StdEncoding.EncodeToString([]byte("another key of the right size..."))
	for _, tt := range []struct {
		name, token string
		rule        string // "" means accepted
	}{
		{"valid", valid(), ""},
		{"any member order", reorder(valid()), ""},
		{"host without port", sign(t, bare, key, owner, now.Add(time.Hour)), ""},
		{"host in capitals", sign(t, strings.ToUpper(host), key, owner, now.Add(time.Hour)), ""},
		{"for the collection", sign(t, host+"/enrollments", key, owner, now.Add(time.Hour)), ""},
		{"without policy name", sign(t, host, key, "", now.Add(time.Hour)), ""},
		{"expired within the skew", sign(t, host, key, owner, now.Add(-4*time.Minute)), ""},
		{"bearer token", "Bearer " + w.info.Token, ""},
		{"none", "", "authorization"},
		{"expired", sign(t, host, key, owner, now.Add(-6*time.Minute)), "authorization-expired"},
		{"tampered", flip(valid()), "authorization-signature"},
		{"another key", sign(t, host, other, owner, now.Add(time.Hour)), "authorization-signature"},
		{"another host", sign(t, "other.azure-devices-provisioning.net", key, owner, now.Add(time.Hour)), "authorization-audience"},
		{"for another collection", sign(t, host+"/enrollmentGroups", key, owner, now.Add(time.Hour)), "authorization-audience"},
		{"half a segment", sign(t, host+"/enroll", key, owner, now.Add(time.Hour)), "authorization-audience"},
		{"with a scheme", sign(t, "https://"+host, key, owner, now.Add(time.Hour)), "authorization-audience"},
		{"another policy", sign(t, host, key, "device", now.Add(time.Hour)), "authorization"},
		{"expiry moved", strings.Replace(valid(), "&se=1", "&se=2", 1), "authorization-signature"},
		{"garbage", "SharedAccessSignature x", "authorization"},
		{"basic", "Basic dXNlcjpwYXNz", "authorization"},
		{"wrong bearer token", "Bearer " + w.info.Token + "x", "authorization"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := w.in(t)
			a := w.do(call{
				method: http.MethodPost, path: "/enrollments/query", version: serviceVersion, body: `{"query":"*"}`,
				header: map[string]string{"Authorization": tt.token},
			})
			if tt.rule == "" {
				w.want(a, 200, 0)
				return
			}
			w.want(a, 401, 401000)
			if got := w.rule(); got != tt.rule {
				t.Errorf("rule = %q, want %q", got, tt.rule)
			}
			if a.str("trackingId") != a.header.Get("x-ms-request-id") {
				t.Error("tracking id is not the request id")
			}
		})
	}
	_, signature, _ := strings.Cut(valid(), "sig=")
	for _, secret := range []string{key, other, signature[:40], w.info.Token} {
		if strings.Contains(w.logs.String(), secret) {
			t.Errorf("log shows %q", secret)
		}
	}
}

// TestOwnKey makes sure that no well-known secret works once there is a key.
func TestOwnKey(t *testing.T) {
	key := base64.StdEncoding.EncodeToString([]byte("a key that nobody else knows...."))
	w := newWorld(t, func(o *emulator.Options) { o.Key = "YSBrZXkgdGhhdCBub2JvZHkgZWxzZSBrbm93cy4uLi4=" })
	w.want(w.service(http.MethodPost, "/enrollments/query", `{"query":"*"}`, nil), 200, 0)
	if w.info.Token == emulator.DevelopmentToken || !strings.HasSuffix(w.info.ConnectionString, key) {
		t.Errorf("info has token %q, connection string %q", w.info.Token, w.info.ConnectionString)
	}
	dev := "Bearer " + emulator.DevelopmentToken
	w.want(w.service(http.MethodPost, "/enrollments/query", `{"query":"*"}`, map[string]string{"Authorization": dev}), 401, 401000)
	if a := w.arm(http.MethodGet, "", armVersion, nil, map[string]string{"Authorization": dev}); a.status != 401 {
		t.Errorf("ARM plane takes the development token: %d", a.status)
	}
	old := sign(t, w.info.HostName, emulator.DevelopmentKey, owner, time.Now().Add(time.Hour))
	w.want(w.service(http.MethodPost, "/enrollments/query", `{"query":"*"}`, map[string]string{"Authorization": old}), 401, 401000)
}

func TestServiceVersions(t *testing.T) {
	w := newWorld(t)
	get := func(version string) answer {
		return w.do(call{
			method: http.MethodPost, path: "/enrollments/query", version: version, body: `{"query":"*"}`,
			header: map[string]string{"Authorization": w.serviceToken()},
		})
	}
	for _, v := range []string{"2018-04-01", "2018-09-01-preview", "2019-03-31", "2021-10-01", "2025-07-01-PREVIEW"} {
		w.want(get(v), 200, 0)
	}
	for _, v := range []string{"", "2016-01-01", "2021-10-02", "latest", "2099-01-01"} {
		w.want(get(v), 400, 400000)
		if w.rule() != "api-version" {
			t.Errorf("version %q: rule %q", v, w.rule())
		}
	}
}

// TestServicePlaneProtocol covers what all its operations share.
func TestServicePlaneProtocol(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		name, method, path string
		body               any
		header             map[string]string
		status, code       int
	}{
		{"other case", "POST", "/ENROLLMENTGROUPS/Query", `{"query":"*"}`, nil, 200, 0},
		{"trailing slash", "POST", "/enrollments/query/", `{"query":"*"}`, nil, 200, 0},
		{"text/json", "POST", "/enrollments/query", `{"query":"*"}`, map[string]string{"Content-Type": "text/json"}, 200, 0},
		{"no media type", "POST", "/enrollments/query", `{"query":"*"}`, map[string]string{"Content-Type": ""}, 200, 0},
		{"XML", "POST", "/enrollments/query", `<query/>`, map[string]string{"Content-Type": "application/xml"}, 415, 415000},
		{"empty body", "POST", "/enrollments/query", "", nil, 400, 400000},
		{"duplicate member", "PUT", "/enrollments/a", `{"registrationId":"a","registrationId":"b"}`, nil, 400, 400000},
		{"deep nesting", "PUT", "/enrollments/a", strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000), nil, 400, 400000},
		{"too large", "PUT", "/enrollments/a", `{"a":"` + strings.Repeat("x", 2<<20) + `"}`, nil, 413, 413000},
		{"array", "PUT", "/enrollments/a", `[]`, nil, 400, 400000},
		{"gzip", "PUT", "/enrollments/a", "\x1f\x8b\x08\x00", map[string]string{"Content-Encoding": "gzip"}, 400, 400000},
		{"PATCH", "PATCH", "/enrollments/a", `{}`, nil, 405, 405000},
		{"OPTIONS", "OPTIONS", "/enrollments/a", nil, nil, 405, 405000},
		{"GET of a collection", "GET", "/enrollments", nil, nil, 405, 405000},
		{"GET of a query", "PUT", "/registrations/g/query", `{}`, nil, 405, 405000},
		{"unknown path", "GET", "/enrollments/a/b", nil, nil, 404, 404000},
		{"slash in an id", "GET", "/enrollments/a%2Fb", nil, nil, 400, 400000},
		{"dots", "GET", "/enrollments/%2e%2e", nil, nil, 400, 400000},
		{"NUL", "GET", "/enrollments/a%00", nil, nil, 400, 400000},
		{"double slash", "GET", "/enrollments//a", nil, nil, 400, 400000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := w.in(t)
			a := w.service(tt.method, tt.path, tt.body, tt.header)
			w.want(a, tt.status, tt.code)
			if tt.status == 405 && a.header.Get("Allow") == "" {
				t.Error("405 without Allow")
			}
			if ct := a.header.Get("Content-Type"); ct != "application/json; charset=utf-8" {
				t.Errorf("Content-Type = %q", ct)
			}
			if a.header.Get("Strict-Transport-Security") == "" {
				t.Error("no Strict-Transport-Security")
			}
		})
	}
}

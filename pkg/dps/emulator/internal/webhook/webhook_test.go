package webhook_test

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/webhook"
)

// long is a time that no call needs.
const long = time.Minute

func server(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func post(t *testing.T, c webhook.Config, target string) ([]byte, error) {
	t.Helper()
	client := webhook.New(c)
	t.Cleanup(client.Close)
	return client.Post(t.Context(), target, []byte(`{"q":1}`))
}

func TestPost(t *testing.T) {
	s := server(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodPost || r.URL.RequestURI() != "/api/f?code=x%3D" ||
			r.Header.Get("Content-Type") != "application/json; charset=utf-8" || string(body) != `{"q":1}` {
			t.Errorf("%s %s %v %s", r.Method, r.URL, r.Header, body)
		}
		_, _ = io.WriteString(w, "answer")
	})
	got, err := post(t, webhook.Config{Timeout: long}, s.URL+"/api/f?code=x%3D")
	if err != nil || string(got) != "answer" {
		t.Errorf("Post = %q, %v", got, err)
	}
	named := strings.Replace(s.URL, "127.0.0.1", "localhost", 1)
	if _, err := post(t, webhook.Config{Timeout: long}, named+"/api/f?code=x%3D"); err != nil {
		t.Errorf("by the name localhost: %v", err)
	}
}

// TestPostFails never shows the query of the URL.
func TestPostFails(t *testing.T) {
	hang := make(chan struct{})
	s := server(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/500":
			w.WriteHeader(500)
		case "/202":
			w.WriteHeader(202)
		case "/redirect":
			http.Redirect(w, r, "/200", http.StatusTemporaryRedirect)
		case "/hang":
			<-hang
		case "/drip":
			w.WriteHeader(200)
			_ = http.NewResponseController(w).Flush()
			<-hang
		case "/huge":
			for range 100 {
				_, _ = w.Write(make([]byte, 64<<10))
			}
		case "/gzip":
			if r.Header.Get("Accept-Encoding") != "" {
				t.Errorf("asked for %q", r.Header.Get("Accept-Encoding"))
			}
		case "/cut":
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, "short")
		}
	})
	t.Cleanup(func() { close(hang) })
	closed := server(t, nil)
	closed.Close()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	unspecified := "http://0.0.0.0:" + u.Port() // reaches this machine on many systems
	for _, tt := range []struct {
		name, target string
		want         error  // errors.Is
		status       int    // of a StatusError
		text         string // in the error
	}{
		{"status 500", s.URL + "/500", nil, 500, ""},
		{"status 202", s.URL + "/202", nil, 202, ""},
		{"redirect", s.URL + "/redirect", nil, 307, ""},
		{"no answer", s.URL + "/hang", webhook.ErrTimeout, 0, u.Host},
		{"headers only", s.URL + "/drip", webhook.ErrTimeout, 0, u.Host},
		{"too long", s.URL + "/huge", webhook.ErrSize, 0, ""},
		{"cut short", s.URL + "/cut", nil, 0, "unexpected EOF"},
		{"nobody there", closed.URL + "/", nil, 0, "refused"},
		{"public address", "http://192.0.2.1/", webhook.ErrAddress, 0, "192.0.2.1"},
		{"public name", "https://functions.example/", webhook.ErrAddress, 0, "functions.example"},
		{"name that begins like one of this machine", "http://localhost.example/", webhook.ErrAddress, 0, ""},
		{"unspecified address", unspecified + "/", webhook.ErrAddress, 0, ""},
		{"link-local address", "http://169.254.169.254/latest/meta-data", webhook.ErrAddress, 0, ""},
		{"user name", "http://user:secret@127.0.0.1/", webhook.ErrURL, 0, ""},
		{"file", "file:///etc/passwd", webhook.ErrURL, 0, ""},
		{"no scheme", "127.0.0.1/x", webhook.ErrURL, 0, ""},
		{"no host", "http:///x", webhook.ErrURL, 0, ""},
		{"nothing", "", webhook.ErrURL, 0, ""},
		{"control character", "http://127.0.0.1/\n", webhook.ErrURL, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			timeout := long
			if errors.Is(tt.want, webhook.ErrTimeout) {
				timeout = 50 * time.Millisecond
			}
			target := tt.target
			if target != "" {
				target += "?code=secret"
			}
			data, err := post(t, webhook.Config{Timeout: timeout}, target)
			if err == nil {
				t.Fatalf("Post = %q", data)
			}
			var status *webhook.StatusError
			if errors.As(err, &status); tt.status != 0 && (status == nil || status.Status != tt.status) {
				t.Errorf("error %v, want status %d", err, tt.status)
			}
			if tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %q, want %v …%s…", err, tt.want, tt.text)
			}
			if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q shows too much", err)
			}
		})
	}
	// Where others are allowed, the same address is called.
	if _, err := post(t, webhook.Config{Timeout: long, AllowRemote: true}, unspecified+"/200"); err != nil {
		t.Logf("0.0.0.0 does not reach this machine here: %v", err)
	}
	// A caller that gives up is no time-out.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	client := webhook.New(webhook.Config{Timeout: long})
	if _, err := client.Post(ctx, s.URL+"/hang", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled call: %v", err)
	}
}

func TestHTTPS(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	if got, err := post(t, webhook.Config{Timeout: long, RootCAs: pool}, s.URL); err != nil || string(got) != "x" {
		t.Errorf("Post = %q, %v", got, err)
	}
	if _, err := post(t, webhook.Config{Timeout: long, RootCAs: x509.NewCertPool()}, s.URL); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("unknown CA: %v", err)
	}
}

// TestDialDecides checks the address that a name has led to.
func TestDialDecides(t *testing.T) {
	for address, ok := range map[string]bool{
		"127.0.0.1:80": true, "[::1]:80": true, "127.9.9.9:1": true, "[::ffff:127.0.0.1]:80": true,
		"0.0.0.0:80": false, "[::]:80": false, "10.0.0.1:80": false, "169.254.169.254:80": false,
		"[fe80::1%lo]:80": false, "localhost:80": false, "": false,
	} {
		if err := webhook.LoopbackOnly(address); (err == nil) != ok {
			t.Errorf("%q: %v, want allowed %v", address, err, ok)
		}
	}
}

package rest_test

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/internal/rest"
)

// serve starts a server that runs handlers in turn, the last one again and
// again, and returns a client of it and the number of requests so far.
func serve(t *testing.T, handlers ...http.HandlerFunc) (*rest.Client, func() int) {
	t.Helper()
	n := 0
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n++
		handlers[min(n, len(handlers))-1](w, r)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return rest.NewClient("test", strings.TrimPrefix(server.URL, "https://"), "v", nil,
		rest.Config{HTTPClient: server.Client(), RetryDelay: 1}), func() int { return n }
}

func good(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"a":1}`) }

func TestBrokenAnswersAreRepeated(t *testing.T) {
	for name, broken := range map[string]http.HandlerFunc{
		"connection closed": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"end in the middle of the body": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"a":`)
		},
		"end in the middle of a chunk": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"a":`)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		},
		"half of the JSON": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"a":[{"b":"}`) },
		"broken compression": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, "this is not gzip")
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, requests := serve(t, broken, good)
			resp, err := get(t.Context(), c, &rest.Call{Op: "o"})
			if err != nil || string(resp.Body) != `{"a":1}` || requests() != 2 {
				t.Errorf("%d requests, %v", requests(), err)
			}
			c, requests = serve(t, broken, good)
			call := &rest.Call{Op: "o", Once: true}
			if _, err := get(t.Context(), c, call); !errors.Is(err, dps.ErrUnavailable) || errors.Is(err, dps.ErrUnexpectedAnswer) || requests() > 2 {
				t.Errorf("%d requests, %v", requests(), err)
			}
		})
	}
}

// TestOtherAnswersAreNot: what is no JSON at all does not get better.
func TestOtherAnswersAreNot(t *testing.T) {
	for _, body := range []string{"", "<html>", `{"a":1}}`, "{]", "nonsense", `"` + "\x01" + `"`, `{"a":1} x`} {
		c, requests := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
		resp, err := get(t.Context(), c, &rest.Call{Op: "o"})
		if err != nil || string(resp.Body) != body || requests() != 1 {
			t.Errorf("%q: %d requests, %v", body, requests(), err)
		}
	}
}

func TestAnswersAreBounded(t *testing.T) {
	bomb := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		zip := gzip.NewWriter(w)
		zeros := make([]byte, 1<<20)
		for range rest.MaxBody>>20 + 2 {
			if _, err := zip.Write(zeros); err != nil {
				return
			}
		}
		_ = zip.Close()
	}
	c, requests := serve(t, bomb)
	_, err := get(t.Context(), c, &rest.Call{Op: "o"})
	if !errors.Is(err, dps.ErrUnexpectedAnswer) || requests() != 1 {
		t.Errorf("%d requests, %v", requests(), err)
	}
	c, _ = serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"errorCode":400004,"message":"first","x":"%s"}`, strings.Repeat("x", 1<<20))
	})
	var e *dps.Error
	if _, err := get(t.Context(), c, &rest.Call{Op: "o"}); !errors.As(err, &e) || e.StatusCode != 400 || len(err.Error()) > 200 {
		t.Errorf("got %v", err)
	}
	c, _ = serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `"`+strings.Repeat("x", rest.MaxBody-2)+`"`)
	})
	if resp, err := get(t.Context(), c, &rest.Call{Op: "o"}); err != nil || len(resp.Body) != rest.MaxBody {
		t.Errorf("the largest answer: %v", err)
	}
}

func TestUntrustedServers(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(good))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "https://")
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	try := func(config *tls.Config) error {
		transport := &http.Transport{TLSClientConfig: config}
		defer transport.CloseIdleConnections()
		c := rest.NewClient("test", host, "v", nil, rest.Config{HTTPClient: &http.Client{Transport: transport}})
		_, err := get(t.Context(), c, &rest.Call{Op: "o"})
		return err
	}
	if err := try(&tls.Config{RootCAs: pool}); err != nil {
		t.Fatal(err)
	}
	var (
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
	)
	if err := try(&tls.Config{RootCAs: x509.NewCertPool()}); !errors.Is(err, dps.ErrUntrustedServer) || !errors.As(err, &authority) {
		t.Errorf("unknown CA: %v", err)
	}
	if err := try(&tls.Config{RootCAs: pool, ServerName: "other.example.org"}); !errors.Is(err, dps.ErrUntrustedServer) || !errors.As(err, &hostname) {
		t.Errorf("other name: %v", err)
	}
}

func TestClientCertificateRefusedByTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(good))
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	c := rest.NewClient("test", strings.TrimPrefix(server.URL, "https://"), "v", nil, rest.Config{HTTPClient: server.Client(), RetryDelay: 1})
	if _, err := get(t.Context(), c, &rest.Call{Op: "o"}); !errors.Is(err, dps.ErrUnauthorized) || errors.Is(err, dps.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

// TestAttemptsShareNoBody: an answer may come, and the next attempt begin, while
// net/http still sends the body of the one before. The race detector sees it if
// the two read from one reader.
func TestAttemptsShareNoBody(t *testing.T) {
	body := []byte(`{"a":"` + strings.Repeat("x", 1<<20) + `"}`)
	var got []byte
	impatient := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	patient := func(w http.ResponseWriter, r *http.Request) {
		got, _ = io.ReadAll(r.Body)
		good(w, r)
	}
	c, requests := serve(t, impatient, impatient, patient)
	_, err := c.Do(t.Context(), &rest.Call{Op: "o"}, rest.Request{Method: http.MethodPut, Path: "/x", Body: body})
	if err != nil || requests() != 3 || !bytes.Equal(got, body) {
		t.Errorf("%d requests, %d of %d bytes arrived, %v", requests(), len(got), len(body), err)
	}
}

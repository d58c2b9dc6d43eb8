package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki"
)

// TestCredentialsDoNotFollowARedirect has the service redirect every request to
// another server, which must see none: neither the token nor anything else.
func TestCredentialsDoNotFollowARedirect(t *testing.T) {
	var stolen atomic.Int64
	thief := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stolen.Add(1) }))
	defer thief.Close()
	var status atomic.Int64
	var asked atomic.Int64
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		asked.Add(1)
		if req.Header.Get("Authorization") == "" {
			t.Errorf("%s %s came without credentials", req.Method, req.URL.Path)
		}
		http.Redirect(w, req, thief.URL+req.URL.Path, int(status.Load()))
	}))
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pki.EncodeCertificatesPEM(server.Certificate()), 0o600); err != nil {
		t.Fatal(err)
	}
	host := strings.TrimPrefix(server.URL, "https://")
	for _, code := range []int64{301, 302, 303, 307, 308} {
		for _, args := range []string{
			"group list", "group show g", "group create g --symmetric-key", "individual delete d --yes", "registration show d",
			"ca list --name n", "ca show c --name n", "service list", "ca list --iot-hub h",
		} {
			t.Run(strconv.FormatInt(code, 10)+" "+args, func(t *testing.T) {
				t.Setenv(envConnectionString, "HostName="+host+";SharedAccessKeyName=owner;SharedAccessKey=Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5")
				t.Setenv(envCAFile, ca)
				status.Store(code)
				before := asked.Load()
				var all bytes.Buffer
				env := &cliapp.Env{In: strings.NewReader(""), Out: &all, Err: &all, Getenv: os.Getenv, Now: time.Now}
				if got := program().Run(context.Background(), env, append(strings.Fields(args), "--log-level", "debug")); got != cliapp.ExitFailed {
					t.Errorf("exit code %d", got)
				}
				if stolen.Load() > 0 || asked.Load() == before {
					t.Errorf("%d requests followed, %d came first", stolen.Load(), asked.Load()-before)
				}
				if !strings.Contains(all.String(), "redirect to ") {
					t.Errorf("nobody says why:\n%s", all.String())
				}
				holdsNoCanary(t, "the output", all.String())
			})
		}
	}
}

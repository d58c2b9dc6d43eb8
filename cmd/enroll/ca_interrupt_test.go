package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps/dpstest"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/pki"
)

// gate is a proxy before an emulator that holds the first request of one kind:
// before the emulator sees it, or after that, so that only the answer is lost.
type gate struct {
	*httptest.Server

	proxy          http.Handler
	method, suffix string
	late           bool
	once           sync.Once
	reached        chan struct{}
	release        chan struct{}
}

func newGate(t *testing.T, emu *emulator.Emulator, method, suffix string, late bool) *gate {
	t.Helper()
	target, err := url.Parse("https://" + emu.Info().HostName)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, Transport: emu.HTTPClient().Transport}
	g := &gate{proxy: proxy, method: method, suffix: suffix, late: late, reached: make(chan struct{}), release: make(chan struct{})}
	g.Server = httptest.NewTLSServer(g)
	t.Cleanup(g.Close)
	return g
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	hold := false
	if r.Method == g.method && strings.HasSuffix(r.URL.Path, g.suffix) {
		g.once.Do(func() { hold = true })
	}
	switch {
	case !hold:
		g.proxy.ServeHTTP(w, r)
		return
	case g.late:
		g.proxy.ServeHTTP(httptest.NewRecorder(), r)
	}
	close(g.reached)
	<-g.release
	panic(http.ErrAbortHandler)
}

// proveCmd is a child process that proves the CA in the file to the service
// behind the gate.
func proveCmd(t *testing.T, g *gate, emu *emulator.Emulator, ca string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath("enroll")
	if err != nil {
		t.Fatal(err)
	}
	trusted := filepath.Join(t.TempDir(), "tls.pem")
	if err := os.WriteFile(trusted, pki.EncodeCertificatesPEM(g.Certificate()), 0o600); err != nil {
		t.Fatal(err)
	}
	info := emu.Info()
	connection := strings.Replace(info.ConnectionString, "HostName="+info.HostName, "HostName="+g.Listener.Addr().String(), 1)
	cmd := exec.Command(path, "ca", "prove", "my-root", "--cert", ca, "--output", "json")
	cmd.Env = append(os.Environ(), envConnectionString+"="+connection, envCAFile+"="+trusted)
	return cmd
}

// TestStoppedProveGoesOn stops the proof at each of its requests, before and
// after the service has carried it out, with an interrupt and by force. The next
// run must finish the job.
func TestStoppedProveGoesOn(t *testing.T) {
	t.Parallel() // all of it is in processes
	if runtime.GOOS == "windows" {
		t.Skip("signals cannot be sent to a process on Windows")
	}
	ca := filepath.Join(t.TempDir(), "root.pem")
	root, err := pki.NewRoot(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := pki.EncodeKeyPEM(root.Key())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ca, append(pki.EncodeCertificatesPEM(root.Certificate()), key...), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, signal := range []os.Signal{os.Interrupt, os.Kill} {
		for _, step := range []struct{ method, suffix string }{
			{http.MethodGet, "/certificates/my-root"}, {http.MethodPut, "/certificates/my-root"},
			{http.MethodPost, "/generateVerificationCode"}, {http.MethodPost, "/verify"},
		} {
			for _, late := range []bool{false, true} {
				t.Run(fmt.Sprintf("%v at %s %s, answer lost %v", signal, step.method, filepath.Base(step.suffix), late), func(t *testing.T) {
					t.Parallel()
					emu := dpstest.Start(t)
					g := newGate(t, emu, step.method, step.suffix, late)
					stopAt(t, g, proveCmd(t, g, emu, ca), signal)
					out, err := proveCmd(t, g, emu, ca).Output()
					var result caView
					if err == nil {
						err = json.Unmarshal(out, &result)
					}
					if err != nil || !result.Verified || result.Thumbprint != pki.SHA1Thumbprint(root.Certificate()) {
						t.Errorf("next run: %v, %s, %s", err, errorText(err), out)
					}
				})
			}
		}
	}
}

// stopAt runs cmd until it waits at the gate and sends it the signal there.
func stopAt(t *testing.T, g *gate, cmd *exec.Cmd, signal os.Signal) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	select {
	case <-g.reached:
	case <-ended:
		t.Fatalf("ended before it was stopped: %s", stderr.String())
	}
	if err := cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	<-ended
	close(g.release)
	want := 130
	if signal == os.Kill {
		want = -1
	}
	if code := cmd.ProcessState.ExitCode(); code != want || stdout.Len() != 0 {
		t.Errorf("exit code %d, want %d; stdout %q, stderr %s", code, want, stdout.String(), stderr.String())
	}
}

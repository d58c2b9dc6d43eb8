package emulator_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/foreign"
	"github.com/dpskit/dpskit/pkg/pki"
)

func (w *world) addr() string { return strings.TrimPrefix(w.info.HTTPS[0], "https://") }

func TestTLSVersions(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		version uint16
		suites  []uint16
		ok      bool
	}{
		{tls.VersionTLS10, nil, false},
		{tls.VersionTLS11, nil, false},
		{tls.VersionTLS12, nil, true},
		{tls.VersionTLS13, nil, true},
		{tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}, false},
		{tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}, false},
		{tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}, true},
	} {
		conn, err := tls.Dial("tcp", w.addr(), &tls.Config{
			RootCAs: w.e.CAPool(), MinVersion: tt.version, MaxVersion: tt.version, CipherSuites: tt.suites,
		})
		if (err == nil) != tt.ok {
			t.Errorf("version %#x with %v: %v, want success %v", tt.version, tt.suites, err, tt.ok)
		}
		if err == nil {
			conn.Close()
		}
	}
}

// TestServerNames connects under every name of the certificate.
func TestServerNames(t *testing.T) {
	w := newWorld(t, func(o *emulator.Options) {
		o.HostNames = []string{"my-dps.azure-devices-provisioning.net", "192.0.2.7"}
	})
	for name, ok := range map[string]bool{
		"localhost": true, "127.0.0.1": true, "::1": true, "global.localhost": true, "192.0.2.7": true,
		"my-dps.azure-devices-provisioning.net": true,
		"example.com":                           false, "global.azure-devices-provisioning.net": false, "192.0.2.8": false,
	} {
		conn, err := tls.Dial("tcp", w.addr(), &tls.Config{RootCAs: w.e.CAPool(), ServerName: name})
		if (err == nil) != ok {
			t.Errorf("%s: %v, want success %v", name, err, ok)
		}
		if err == nil {
			conn.Close()
		}
	}
	if _, err := tls.Dial("tcp", w.addr(), &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost"}); err == nil {
		t.Error("trusted without the CA")
	}
}

// TestClientsThatDoNotTrust: a client that ends the handshake because of the
// emulator's certificate is explained in the log, by both listeners and versions.
func TestClientsThatDoNotTrust(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, listener := range []string{"https", "mqtt"} {
			w := newWorld(t)
			addr := map[string]string{"https": w.addr(), "mqtt": w.mqttAddr()}[listener]
			for _, config := range []*tls.Config{
				{RootCAs: x509.NewCertPool(), ServerName: "localhost", MaxVersion: version},
				{RootCAs: w.e.CAPool(), ServerName: "example.com", MaxVersion: version},
			} {
				before := len(w.logs.refusals(t))
				if conn, err := tls.Dial("tcp", addr, config); err == nil {
					conn.Close()
					t.Fatal("trusted")
				}
				for {
					more := w.logs.more()
					if len(w.logs.refusals(t)) > before {
						break
					}
					select {
					case <-more:
					case <-time.After(patience):
						t.Fatalf("%s, TLS %x: no record:\n%s", listener, version, w.logs)
					}
				}
				all := w.logs.refusals(t)
				last := all[len(all)-1]
				checkExplained(t, last)
				if last["rule"] != "tls-trust" || last["transport"] != listener || !strings.Contains(fmt.Sprint(last["fix"]), "caFile") {
					t.Errorf("%s, TLS %x: %v", listener, version, last)
				}
			}
			// Who goes away for no such reason is not explained so.
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = conn.Write([]byte("\x16\x03\x01\x00\x02\x01\x00"))
			conn.Close()
			if n := strings.Count(w.logs.String(), `"rule":"tls-trust"`); n != 2 {
				t.Errorf("%s: %d records", listener, n)
			}
		}
	}
}

// TestCertificateRequest looks at what the server asks of clients.
func TestCertificateRequest(t *testing.T) {
	w := newWorld(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		asked := false
		conn, err := tls.Dial("tcp", w.addr(), &tls.Config{
			RootCAs: w.e.CAPool(), MaxVersion: version,
			GetClientCertificate: func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
				asked = true
				if len(info.AcceptableCAs) != 0 {
					t.Errorf("server hints at %d CAs; clients then hold back certificates", len(info.AcceptableCAs))
				}
				return &tls.Certificate{}, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if !asked {
			t.Errorf("no certificate was asked for under %#x", version)
		}
		state := conn.ConnectionState()
		if state.NegotiatedProtocol == "h2" {
			t.Error("HTTP/2 was negotiated")
		}
		conn.Close()
	}
}

// TestNoResumption wants a full handshake, with the certificate, each time.
func TestNoResumption(t *testing.T) {
	w, p := fleet(t)
	cfg := &tls.Config{
		RootCAs: w.e.CAPool(), ClientSessionCache: tls.NewLRUClientSessionCache(4), ServerName: "localhost",
		Certificates: []tls.Certificate{*device(t, p.intermediate, "dev")},
	}
	for range 3 {
		conn, err := tls.Dial("tcp", w.addr(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Read(make([]byte, 1000))
		if conn.ConnectionState().DidResume {
			t.Error("session was resumed")
		}
		conn.Close()
	}
}

// TestHostileBytes sends things that are no TLS, or TLS that goes wrong.
func TestHostileBytes(t *testing.T) {
	w, p := fleet(t)
	huge := *device(t, p.intermediate, "dev")
	for range 100 { // 100 certificates in the handshake
		huge.Certificate = append(huge.Certificate, p.root.Certificate().Raw)
	}
	w.want(w.register("dev", &huge), 401, 401002)
	if w.rule() != "chain-too-long" {
		t.Errorf("rule = %q", w.rule())
	}
	broken := *device(t, p.intermediate, "dev")
	broken.Certificate = [][]byte{[]byte("no DER")}
	if conn, err := tls.Dial("tcp", w.addr(), &tls.Config{RootCAs: w.e.CAPool(), Certificates: []tls.Certificate{broken}}); err == nil {
		// TLS 1.3 clients learn of it with the first read.
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("garbage certificate was accepted")
		}
		conn.Close()
	}
	for _, bytes := range []string{"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\xff\xff", "\x10\x0e\x00\x04MQTT", strings.Repeat("\x00", 4096)} {
		conn, err := net.Dial("tcp", w.addr())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write([]byte(bytes))
		conn.Close()
	}
	w.assigned("dev", device(t, p.intermediate, "dev")) // still serving
}

// TestOpenSSL registers with a client that has nothing of Go in it.
func TestOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		foreign.Missing(t, "openssl is not installed")
	}
	w, p := fleet(t)
	dir := t.TempDir()
	b := issue(t, p.intermediate, pki.IssueRequest{CommonName: "dev"})
	key, err := b.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{
		"leaf.pem": b.CertificatePEM(), "key.pem": key,
		"chain.pem": []byte(pemText(p.intermediate.Certificate())), "ca.pem": []byte(pemText(w.e.CACertificate())),
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	request := "PUT /" + w.info.IDScope + "/registrations/dev/register?api-version=2021-06-01 HTTP/1.1\r\nHost: localhost\r\n" +
		"Content-Type: application/json\r\nContent-Length: 24\r\nConnection: close\r\n\r\n{\"registrationId\":\"dev\"}"
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		cmd := exec.CommandContext(t.Context(), openssl, "s_client", "-connect", w.addr(), "-servername", "localhost", version,
			"-CAfile", "ca.pem", "-verify_return_error", "-cert", "leaf.pem", "-key", "key.pem", "-cert_chain", "chain.pem", "-ign_eof")
		cmd.Dir = dir
		cmd.Stdin = strings.NewReader(request)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", version, err, out)
		}
		for _, want := range []string{"HTTP/1.1 202 Accepted", `"status":"assigning"`, "Verify return code: 0 (ok)", "No client certificate CA names sent"} {
			if !strings.Contains(string(out), want) {
				t.Errorf("%s: no %q in\n%s", version, want, out)
			}
		}
	}
}

package emulator_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/dpskit/dpskit/pkg/pki"
)

// transports open a connection of a device and return the TLS state and what
// registers over it: the registrationState of the outcome.
var transports = map[string]func(w *world, id string, config *tls.Config, token string) (tls.ConnectionState, func() answer){
	"https": func(w *world, id string, config *tls.Config, token string) (tls.ConnectionState, func() answer) {
		var state tls.ConnectionState
		transport := &http.Transport{DialTLSContext: func(_ context.Context, _, addr string) (net.Conn, error) {
			conn, err := tls.Dial("tcp", addr, config)
			if err == nil {
				state = conn.ConnectionState()
			}
			return conn, err
		}}
		w.t.Cleanup(transport.CloseIdleConnections)
		path := "/" + w.info.IDScope + "/registrations/" + id
		do := func(method, suffix string, body any) answer {
			return w.do(call{method: method, path: path + suffix, version: deviceVersion, body: body,
				header: map[string]string{"Authorization": token}, client: &http.Client{Transport: transport}})
		}
		register := func() answer {
			a := do(http.MethodPut, "/register", `{"registrationId":"`+id+`"}`)
			if a.status != http.StatusAccepted {
				return a
			}
			return do(http.MethodGet, "/operations/"+a.str("operationId"), nil)
		}
		w.do(call{method: http.MethodGet, path: "/healthz", client: &http.Client{Transport: transport}}) // connects
		return state, register
	},
	"mqtt": func(w *world, id string, config *tls.Config, token string) (tls.ConnectionState, func() answer) {
		conn, err := tls.Dial("tcp", w.mqttAddr(), config)
		if err != nil {
			w.t.Fatal(err)
		}
		return conn.ConnectionState(), newMQTTClient(w.t, conn).registrar(w, id, token)
	},
	"mqtt-ws": func(w *world, id string, config *tls.Config, token string) (tls.ConnectionState, func() answer) {
		d := websocket.Dialer{TLSClientConfig: config, Subprotocols: []string{"mqtt"}, HandshakeTimeout: patience}
		ws, _, err := d.Dial("wss://"+w.info.HostName+"/$iothub/websocket", nil)
		if err != nil {
			w.t.Fatal(err)
		}
		w.t.Cleanup(func() { _ = ws.Close() })
		return ws.NetConn().(*tls.Conn).ConnectionState(), newMQTTClient(w.t, &wsConn{Conn: ws, frame: 1 << 10}).registrar(w, id, token)
	},
}

// registrar connects and returns what registers.
func (c *mqttClient) registrar(w *world, id, token string) func() answer {
	hi := hello(w.info.IDScope, id)
	if hi.PasswordFlag = token != ""; hi.PasswordFlag {
		hi.Password = []byte(token)
	}
	c.start(hi)
	return func() answer {
		r := c.ask(registerTopic+"1", "")
		if r.status == http.StatusAccepted {
			r = c.ask(pollTopic+"2&operationId="+r.str("operationId"), " ")
		}
		return r.answer
	}
}

// TestTransportsAndVersions registers by every transport under both versions of
// TLS: with a certificate that is asked for, and without one; it resumes no
// session, and a connection from before a change gives no right after it.
func TestTransportsAndVersions(t *testing.T) {
	for name, open := range transports {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(fmt.Sprintf("%s, TLS %x", name, version), func(t *testing.T) {
				w, p := fleet(t)
				keyed := w.service(http.MethodPut, "/enrollments/keyed", symmetric("registrationId", "keyed"), nil)
				key, _ := keysIn(keyed)
				config := func(identity *tls.Certificate) *tls.Config {
					c := &tls.Config{RootCAs: w.e.CAPool(), ServerName: "localhost", MinVersion: version, MaxVersion: version,
						ClientSessionCache: tls.NewLRUClientSessionCache(4)}
					if identity != nil {
						c.Certificates = []tls.Certificate{*identity}
					}
					return c
				}
				assigned := func(a answer) bool { return a.status == 200 && a.str("status") == "assigned" }

				_, register := open(w, "keyed", config(nil), sign(t, w.info.IDScope+"/registrations/keyed", key, "registration", time.Now().Add(time.Hour)))
				if a := register(); !assigned(a) {
					t.Errorf("without a certificate: %s", a.raw)
				}
				withCert := config(device(t, p.intermediate, "dev"))
				state, before := open(w, "dev", withCert, "")
				if a := before(); !assigned(a) || state.Version != version {
					t.Fatalf("TLS %x: %s", state.Version, a.raw)
				}
				w.change("/enrollmentGroups/fleet", map[string]any{"provisioningStatus": "disabled"})
				if a := before(); a.str("status") != "disabled" {
					t.Errorf("kept connection after the group was disabled: %s", a.raw)
				}
				checkEnd(t, w.logs.ended(t, "dev"), "enrollment_group_id fleet", leafOf(t, withCert))
				state, after := open(w, "dev", withCert, "")
				if a := after(); a.str("status") != "disabled" || state.DidResume {
					t.Errorf("new connection, resumed %v, after the group was disabled: %s", state.DidResume, a.raw)
				}
			})
		}
	}
}

func leafOf(t *testing.T, config *tls.Config) *x509.Certificate {
	t.Helper()
	leaf, err := x509.ParseCertificate(config.Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

// TestIndividualCertificates: the primary and the secondary certificate of an
// individual enrollment register, whoever signed them, with the issuers sent or
// not, and before a group that would accept them, too.
func TestIndividualCertificates(t *testing.T) {
	stranger := namedCA(t, "not uploaded")
	for _, tt := range []struct {
		name string
		make func(p testPKI) *pki.Bundle
	}{
		{"self-signed", func(testPKI) *pki.Bundle { return selfSigned(t, "dev") }},
		{"signed by the CA of a group", func(p testPKI) *pki.Bundle {
			return issue(t, p.intermediate, pki.IssueRequest{CommonName: "dev"})
		}},
		{"signed by a CA that was not uploaded", func(testPKI) *pki.Bundle {
			return issue(t, stranger, pki.IssueRequest{CommonName: "dev"})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, p := fleet(t)
			primary, secondary := tt.make(p), tt.make(p)
			certificate := func(c *x509.Certificate) map[string]any { return map[string]any{"certificate": pemText(c)} }
			body := map[string]any{
				"registrationId": "dev", "deviceId": "mine",
				"attestation": map[string]any{"type": "x509", "x509": map[string]any{"clientCertificates": map[string]any{
					"primary": certificate(primary.Certificate), "secondary": certificate(secondary.Certificate),
				}}},
			}
			w.want(w.service(http.MethodPut, "/enrollments/dev", body, nil), 200, 0)
			for _, b := range []*pki.Bundle{primary, secondary} {
				alone := identity(t, b)
				alone.Certificate = alone.Certificate[:1]
				for _, id := range []*tls.Certificate{identity(t, b), alone} {
					a := w.assigned("dev", id)
					if a.str("status") != "assigned" || a.str("registrationState", "deviceId") != "mine" || strings.Contains(string(a.raw), "enrollmentGroupId") {
						t.Errorf("%d certificates: %s", len(id.Certificate), a.raw)
					}
				}
				if d := w.on("dev"); d.CertificateThumbprint != strings.ToLower(pki.SHA256Thumbprint(b.Certificate)) {
					t.Errorf("the hub accepts %s", d.CertificateThumbprint)
				}
			}
			w.want(w.register("dev", identity(t, tt.make(p))), 401, 401002) // a third one
			if w.rule() != "leaf-not-enrolled" {
				t.Errorf("rule = %q", w.rule())
			}
		})
	}
}

// TestSecondaryCAReference: either CA of a reference will do.
func TestSecondaryCAReference(t *testing.T) {
	w := newWorld(t)
	one, two := namedCA(t, "one"), namedCA(t, "two")
	w.upload("one", one.Certificate(), true)
	w.upload("two", two.Certificate(), true)
	body := map[string]any{"enrollmentGroupId": "refs", "attestation": map[string]any{"type": "x509", "x509": map[string]any{
		"caReferences": map[string]any{"primary": "one", "secondary": "two"}}}}
	w.want(w.service(http.MethodPut, "/enrollmentGroups/refs", body, nil), 200, 0)
	for id, ca := range map[string]*pki.Authority{"dev-1": one, "dev-2": two} {
		if a := w.assigned(id, device(t, ca, id)); a.str("registrationState", "x509", "enrollmentGroupId") != "refs" {
			t.Errorf("%s: %s", id, a.raw)
		}
	}
	w.want(w.register("dev-3", device(t, namedCA(t, "three"), "dev-3")), 401, 401002)
}

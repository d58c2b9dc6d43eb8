package emulator_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/pki"
)

// forged is a certificate that package pki would not make, with its key.
type forged struct {
	cert *x509.Certificate
	key  crypto.Signer
}

type change = func(*x509.Certificate)

// forge makes a certificate signed by parent (nil: by itself), by the template
// of a CA.
func forge(t testing.TB, name string, parent *forged, changes ...change) *forged {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return certify(t, name, key, parent, changes...)
}

func certify(t testing.TB, name string, key crypto.Signer, parent *forged, changes ...change) *forged {
	t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
	}
	for _, c := range changes {
		c(template)
	}
	issuer, signer := template, key
	if parent != nil {
		issuer, signer = parent.cert, parent.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &forged{cert, key}
}

func asDevice(c *x509.Certificate) {
	c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
}
func expired(c *x509.Certificate)     { c.NotAfter = time.Now().Add(-time.Minute) }
func notYetValid(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }
func caFalse(c *x509.Certificate)     { c.IsCA, c.KeyUsage = false, x509.KeyUsageCertSign }
func noConstraints(c *x509.Certificate) {
	c.BasicConstraintsValid, c.IsCA = false, false
}
func noCertSign(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }
func forServers(c *x509.Certificate) {
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
}
func pathLength(n int) change {
	return func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = n, n == 0 }
}
func unknownCritical(c *x509.Certificate) {
	c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
}
func weakHash(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 }

// levels of a chain, as positions in log records count them.
const (
	levelLeaf = iota
	levelLower
	levelUpper
	levelRoot
)

// hierarchy is root, two intermediates and a device, each with changes.
type hierarchy [4]*forged

func newHierarchy(t testing.TB, changes map[int]change) (h hierarchy) {
	t.Helper()
	keep := func(*x509.Certificate) {}
	at := func(level int) change {
		if c := changes[level]; c != nil {
			return c
		}
		return keep
	}
	h[levelRoot] = forge(t, "root", nil, at(levelRoot))
	h[levelUpper] = forge(t, "upper", h[levelRoot], at(levelUpper))
	h[levelLower] = forge(t, "lower", h[levelUpper], at(levelLower))
	h[levelLeaf] = forge(t, "dev", h[levelLower], asDevice, at(levelLeaf))
	return h
}

// sends is the identity of a device that sends these levels.
func (h hierarchy) sends(levels ...int) *tls.Certificate {
	id := &tls.Certificate{PrivateKey: h[levelLeaf].key}
	for _, l := range append([]int{levelLeaf}, levels...) {
		id.Certificate = append(id.Certificate, h[l].cert.Raw)
	}
	return id
}

// TestChainsOverTLS is the catalogue of chains: each comes over a TLS
// connection and gets status, code and message, or an assignment, and the log
// says which rule, which certificate and what to do. The group is on the lower
// intermediate, the root is verified.
func TestChainsOverTLS(t *testing.T) {
	const invalid, unknownCA, noMatch = "Invalid certificate.", "CA certificate not found.",
		"Signing certificate info did not match chain elements."
	whole := []int{levelLower, levelUpper}
	one := func(level int, c change) map[int]change { return map[int]change{level: c} }
	for _, tt := range []struct {
		name     string
		changes  map[int]change
		sent     []int // besides the leaf
		message  string
		rule     string // "" means assigned
		position float64
	}{
		{"in order", nil, whole, "", "", 0},
		{"in order, root sent", nil, []int{levelLower, levelUpper, levelRoot}, "", "", 0},
		{"upside down", nil, []int{levelRoot, levelUpper, levelLower}, "", "", 0},
		{"an intermediate twice", nil, []int{levelLower, levelLower, levelUpper, levelLeaf}, "", "", 0},
		{"no intermediate", nil, nil, unknownCA, "chain-incomplete", levelLeaf},
		{"root instead of intermediates", nil, []int{levelRoot}, unknownCA, "chain-incomplete", levelLeaf},
		{"lower intermediate missing", nil, []int{levelUpper}, unknownCA, "chain-incomplete", levelLeaf},
		{"upper intermediate missing", nil, []int{levelLower}, unknownCA, "ca-not-verified", levelLower},
		{"leaf expired", one(levelLeaf, expired), whole, invalid, "expired", levelLeaf},
		{"lower intermediate expired", one(levelLower, expired), whole, invalid, "expired", levelLower},
		{"upper intermediate expired", one(levelUpper, expired), whole, invalid, "expired", levelUpper},
		{"root expired", one(levelRoot, expired), whole, invalid, "expired", levelRoot},
		{"leaf not yet valid", one(levelLeaf, notYetValid), whole, invalid, "not-yet-valid", levelLeaf},
		{"lower intermediate not yet valid", one(levelLower, notYetValid), whole, invalid, "not-yet-valid", levelLower},
		{"upper intermediate not yet valid", one(levelUpper, notYetValid), whole, invalid, "not-yet-valid", levelUpper},
		{"root not yet valid", one(levelRoot, notYetValid), whole, invalid, "not-yet-valid", levelRoot},
		{"lower intermediate CA:FALSE", one(levelLower, caFalse), whole, invalid, "issuer-not-ca", levelLower},
		{"upper intermediate CA:FALSE", one(levelUpper, caFalse), whole, invalid, "issuer-not-ca", levelUpper},
		{"root CA:FALSE", one(levelRoot, caFalse), whole, invalid, "issuer-not-ca", levelRoot},
		{"intermediate without basicConstraints", one(levelUpper, noConstraints), whole, invalid, "issuer-not-ca", levelUpper},
		{"root without basicConstraints", one(levelRoot, noConstraints), whole, "", "", 0},
		{"intermediate without keyCertSign", one(levelLower, noCertSign), whole, invalid, "key-usage", levelLower},
		{"root without keyCertSign", one(levelRoot, noCertSign), whole, invalid, "key-usage", levelRoot},
		{"path length 0 on the upper intermediate", one(levelUpper, pathLength(0)), whole, invalid, "path-length", levelUpper},
		{"path length 1 on the upper intermediate", one(levelUpper, pathLength(1)), whole, "", "", 0},
		{"path length 1 on the root", one(levelRoot, pathLength(1)), whole, invalid, "path-length", levelRoot},
		{"path length 2 on the root", one(levelRoot, pathLength(2)), whole, "", "", 0},
		{"leaf for servers", one(levelLeaf, forServers), whole, invalid, "extended-key-usage", levelLeaf},
		{"intermediate for servers", one(levelUpper, forServers), whole, invalid, "extended-key-usage", levelUpper},
		{"unknown critical extension in the leaf", one(levelLeaf, unknownCritical), whole, invalid, "critical-extension", levelLeaf},
		{"unknown critical extension in the root", one(levelRoot, unknownCritical), whole, invalid, "critical-extension", levelRoot},
		{"leaf signed with SHA-1", one(levelLeaf, weakHash), whole, invalid, "chain-signature", levelLeaf},
		{"intermediate signed with SHA-1", one(levelUpper, weakHash), whole, invalid, "chain-signature", levelUpper},
		{"common name of another device", one(levelLeaf, func(c *x509.Certificate) { c.Subject.CommonName = "dev-2" }), whole, invalid, "common-name", levelLeaf},
		{"no common name", one(levelLeaf, func(c *x509.Certificate) { c.Subject = pkix.Name{Organization: []string{"dev"}} }), whole, invalid, "common-name", levelLeaf},
		{"registration id in SAN only", one(levelLeaf, func(c *x509.Certificate) {
			c.Subject, c.DNSNames = pkix.Name{Organization: []string{"x"}}, []string{"dev"}
		}), whole, invalid, "common-name", levelLeaf},
		{"name constraints", map[int]change{
			levelUpper: func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"good.example"} },
			levelLeaf:  func(c *x509.Certificate) { c.DNSNames = []string{"dev"} },
		}, whole, invalid, "name-constraints", levelLeaf},
		{"leaf is a CA", one(levelLeaf, func(c *x509.Certificate) { c.IsCA = true }), whole, invalid, "leaf-is-ca", levelLeaf},
		{"no group", nil, whole, noMatch, "no-enrollment-group", levelLeaf},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			h := newHierarchy(t, tt.changes)
			w.upload("root", h[levelRoot].cert, true)
			if tt.message != noMatch {
				w.group("fleet", h[levelLower].cert)
			}
			a := w.register("dev", h.sends(tt.sent...))
			if tt.rule == "" {
				w.want(a, 202, 0)
				return
			}
			w.want(a, 401, 401002)
			if a.str("message") != tt.message {
				t.Errorf("message = %q, want %q", a.str("message"), tt.message)
			}
			all := w.logs.refusals(t)
			rec := all[len(all)-1]
			if rec["rule"] != tt.rule || rec["certificate_position"] != tt.position ||
				rec["certificate_thumbprint"] == nil || rec["certificate_subject"] == nil || rec["expected"] == nil || rec["fix"] == nil {
				t.Errorf("record = %v, want rule %s at %v", rec, tt.rule, tt.position)
			}
		})
	}
}

// TestCrossSignedOverTLS has an intermediate that two roots have signed, and a
// device that sends both certificates of it, or the wrong one.
func TestCrossSignedOverTLS(t *testing.T) {
	oldRoot, newRoot := forge(t, "old root", nil), forge(t, "new root", nil)
	ca := forge(t, "ca", oldRoot)
	cross := certify(t, "ca", ca.key, newRoot)
	dev := forge(t, "dev", ca, asDevice)
	sends := func(list ...*forged) *tls.Certificate {
		id := &tls.Certificate{Certificate: [][]byte{dev.cert.Raw}, PrivateKey: dev.key}
		for _, f := range list {
			id.Certificate = append(id.Certificate, f.cert.Raw)
		}
		return id
	}
	for _, tt := range []struct {
		name string
		sent *tls.Certificate
		rule string
	}{
		{"both", sends(ca, cross), ""},
		{"both, the other way round", sends(cross, ca), ""},
		{"the one that leads to a verified root", sends(cross), ""},
		{"the one that does not", sends(ca), "chain-incomplete"},
		{"the one that does not, and its root", sends(ca, oldRoot), "chain-incomplete"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.upload("root", newRoot.cert, true)
			w.group("fleet", newRoot.cert)
			a := w.register("dev", tt.sent)
			if tt.rule == "" {
				w.want(a, 202, 0)
				return
			}
			w.want(a, 401, 401002)
			if a.str("message") != "CA certificate not found." || w.rule() != tt.rule {
				t.Errorf("message %q by rule %q", a.str("message"), w.rule())
			}
		})
	}
}

// TestRefusedLater has what a device learns from its poll: disabled
// enrollments and missing hubs. The log explains them like refusals.
func TestRefusedLater(t *testing.T) {
	w, p := fleet(t)
	self := selfSigned(t, "own")
	w.individual("own", self.Certificate, map[string]any{"provisioningStatus": "disabled"})
	w.change("/enrollmentGroups/fleet", map[string]any{"provisioningStatus": "disabled"})
	lost := symmetric("enrollmentGroupId", "lost", map[string]any{"allocationPolicy": "hashed", "iotHubs": []string{"gone.azure-devices.net"}})
	group := w.service(http.MethodPut, "/enrollmentGroups/lost", lost, nil)
	w.want(group, 200, 0)
	key, _ := keysIn(group)
	member := issue(t, p.intermediate, pki.IssueRequest{CommonName: "dev"})
	for _, tt := range []struct {
		id         string
		register   func(id string) answer
		status     string
		code       float64
		message    string
		rule       string
		expected   string
		enrollment string // attribute of the record, and its value
		leaf       *x509.Certificate
	}{
		{"own", func(id string) answer { return w.assigned(id, identity(t, self)) }, "disabled", 0, "", "enrollment-disabled", `individual enrollment "own"`, "enrollment_id own", self.Certificate},
		{"dev", func(id string) answer { return w.assigned(id, identity(t, member)) }, "disabled", 0, "", "enrollment-disabled", `enrollment group "fleet"`, "enrollment_group_id fleet", member.Certificate},
		{"sym", func(id string) answer {
			_, poll := w.withToken(id, sign(t, w.info.IDScope+"/registrations/"+id, deviceKey(t, key, id), "registration", time.Now().Add(time.Hour)))
			return poll
		}, "failed", 400208, "No linked IoT hub is available for this enrollment.", "no-linked-hub", "gone.azure-devices.net", "enrollment_group_id lost", nil},
	} {
		t.Run(tt.id, func(t *testing.T) {
			a := tt.register(tt.id)
			w.want(a, 200, 0)
			state := a.body["registrationState"].(map[string]any)
			code, _ := state["errorCode"].(float64)
			message, _ := state["errorMessage"].(string)
			if a.str("status") != tt.status || state["status"] != tt.status || code != tt.code || !explains(message, tt.message, tt.rule) || state["assignedHub"] != nil {
				t.Errorf("answer = %s, want %s %v %q", a.raw, tt.status, tt.code, tt.message)
			}
			if got := w.service(http.MethodGet, "/registrations/"+tt.id, nil, nil); got.str("status") != tt.status {
				t.Errorf("service plane = %s", got.raw)
			}
			rec := w.logs.ended(t, tt.id)
			if rec["rule"] != tt.rule || rec["outcome"] != tt.status || !strings.Contains(fmt.Sprint(rec["expected"]), tt.expected) ||
				rec["fix"] == nil || rec["operation_id"] != a.str("operationId") {
				t.Errorf("record = %v, want rule %s", rec, tt.rule)
			}
			checkEnd(t, rec, tt.enrollment, tt.leaf)
		})
	}
}

// explains reports whether message is that of the service with an explanation
// behind it. Where the service says nothing there is none.
func explains(message, service, rule string) bool {
	if service == "" {
		return message == ""
	}
	return strings.HasPrefix(message, service+" [emulator: rule "+rule+"; expected: ") && strings.Contains(message, "; to fix it: ")
}

// checkEnd wants the record of a late refusal to say whom it is about: the
// request, the enrollment and, if the device has one, its certificate.
func checkEnd(t *testing.T, rec map[string]any, enrollment string, leaf *x509.Certificate) {
	t.Helper()
	kind, id, _ := strings.Cut(enrollment, " ")
	if rec[kind] != id || !uuidForm.MatchString(fmt.Sprint(rec["request_id"])) {
		t.Errorf("record = %v, want %s = %s and a request_id", rec, kind, id)
	}
	var subject, thumbprint, position any
	if leaf != nil {
		subject, thumbprint, position = leaf.Subject.String(), pki.SHA1Thumbprint(leaf), 0.0
	}
	if rec["certificate_subject"] != subject || rec["certificate_thumbprint"] != thumbprint || rec["certificate_position"] != position {
		t.Errorf("record = %v, want certificate %v %v at %v", rec, subject, thumbprint, position)
	}
}

var uuidForm = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// TestRefusedLaterIsTraced: the record has the request_id that the answer to the
// registration had, and says what to do about a hub.
func TestRefusedLaterIsTraced(t *testing.T) {
	zero := 0
	w, p := fleet(t, func(o *emulator.Options) {
		o.Hubs, o.HubSettings = []string{"off.azure-devices.net"}, map[string]emulator.HubSettings{"off.azure-devices.net": {Weight: &zero}}
	})
	a := w.register("dev", device(t, p.intermediate, "dev"))
	w.want(a, 202, 0)
	rec := w.logs.ended(t, "dev")
	if id := a.header.Get("x-ms-request-id"); id == "" || rec["request_id"] != id {
		t.Errorf("record = %v, want request %s", rec, id)
	}
	for name, want := range map[string]string{"expected": "off.azure-devices.net (weight=0)", "fix": "--linked-hub"} {
		if text := fmt.Sprint(rec[name]); !strings.Contains(text, want) {
			t.Errorf("%s = %s, want …%s…", name, text, want)
		}
	}
}

// TestNoWayAroundTheCheck tries to register with a connection, or a TLS
// session, from before access was taken away.
func TestNoWayAroundTheCheck(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, tt := range []struct {
			name    string
			revoke  func(w *world)
			status  int
			outcome string // of the operation, if it is accepted
		}{
			{"group disabled", func(w *world) {
				w.change("/enrollmentGroups/fleet", map[string]any{"provisioningStatus": "disabled"})
			}, 202, "disabled"},
			{"group deleted", func(w *world) {
				w.want(w.service(http.MethodDelete, "/enrollmentGroups/fleet", nil, nil), 204, 0)
			}, 401, ""},
			{"CA deleted", func(w *world) {
				w.want(w.arm(http.MethodDelete, "/certificates/root", armVersion, nil, map[string]string{"If-Match": "*"}), 200, 0)
			}, 401, ""},
			{"device enrolled as disabled", func(w *world) {
				body := symmetric("registrationId", "dev", map[string]any{"provisioningStatus": "disabled"})
				w.want(w.service(http.MethodPut, "/enrollments/dev", body, nil), 200, 0)
			}, 401, ""},
		} {
			t.Run(fmt.Sprintf("%s, TLS %x", tt.name, version), func(t *testing.T) {
				w, p := fleet(t, func(o *emulator.Options) { o.RetryAfter = 20 * time.Second })
				transport := &http.Transport{TLSClientConfig: &tls.Config{
					RootCAs: w.e.CAPool(), Certificates: []tls.Certificate{*device(t, p.intermediate, "dev")},
					ClientSessionCache: tls.NewLRUClientSessionCache(4), MaxVersion: version,
				}}
				defer transport.CloseIdleConnections()
				client := &http.Client{Transport: transport}
				path := "/" + w.info.IDScope + "/registrations/dev"
				register := func() answer {
					t.Helper()
					return w.do(call{method: http.MethodPut, path: path + "/register", version: deviceVersion, body: "{}", client: client})
				}
				before := register()
				w.want(before, 202, 0)
				tt.revoke(w)
				for _, connection := range []string{"kept", "new"} {
					if connection == "new" {
						transport.CloseIdleConnections()
					}
					a := register()
					if a.status != tt.status || a.str("operationId") == before.str("operationId") {
						t.Fatalf("%s connection: %d %s, want %d", connection, a.status, a.raw, tt.status)
					}
				}
				if tt.outcome != "" {
					if rec := w.logs.ended(t, "dev"); rec["outcome"] != tt.outcome {
						t.Errorf("record = %v, want %s", rec, tt.outcome)
					}
				}
			})
		}
	}
}

package foreign_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/dps/dpstest"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/foreign"
	"github.com/dpskit/dpskit/pkg/pki"
)

// nodeTransports are the transports of the Node device SDK, with the package and
// the port that each insists on.
var nodeTransports = map[string]struct{ npmPackage, port string }{
	"http":    {"azure-iot-provisioning-device-http", "443"},
	"mqtt":    {"azure-iot-provisioning-device-mqtt", "8883"},
	"mqtt-ws": {"azure-iot-provisioning-device-mqtt", "443"},
}

// nodeDevice is a device for device-register.cjs.
type nodeDevice struct {
	Name       string `json:"name"`
	ID         string `json:"id"`
	Chain      string `json:"chain,omitempty"`
	PrivateKey string `json:"privateKey,omitempty"`
	Key        string `json:"key,omitempty"`
	Payload    any    `json:"payload,omitempty"`
}

// nodeOutcome is what a program sees of a registration.
type nodeOutcome struct {
	Result struct {
		Status       string `json:"status"`
		DeviceID     string `json:"deviceId"`
		AssignedHub  string `json:"assignedHub"`
		Registration string `json:"registrationId"`
		Payload      any    `json:"payload"`
	} `json:"result"`
	Error *struct{ Name, Message string } `json:"error"`
}

// TestNodeDevices registers devices with Microsoft's Node SDK, unmodified, over
// each of its transports.
func TestNodeDevices(t *testing.T) {
	for transport, needs := range nodeTransports {
		t.Run(transport, func(t *testing.T) {
			foreign.RequireNode(t, needs.npmPackage)
			addr := foreign.LoopbackAddr(t, needs.port)
			e := dpstest.Start(t, func(o *emulator.Options) {
				o.RetryAfter = time.Second
				if o.HTTPSAddrs = []string{"127.0.0.1:0"}; transport == "mqtt" {
					o.MQTTAddrs = []string{addr}
				} else {
					o.HTTPSAddrs = append(o.HTTPSAddrs, addr)
				}
			})
			hook := newAllocator(t)
			devices := enrollNodeDevices(t, nodeService{t: t, e: e, host: e.Info().HostName}, hook)
			host, _, err := net.SplitHostPort(addr)
			if err != nil {
				t.Fatal(err)
			}
			input := map[string]any{"transport": transport, "host": host, "idScope": e.Info().IDScope, "devices": devices}
			var out struct {
				Steps    []string
				Outcomes map[string]nodeOutcome
			}
			foreign.Node(t, e, "device-register.cjs", input, &out)
			if len(out.Outcomes) != len(devices) {
				t.Fatalf("%d outcomes of %d devices", len(out.Outcomes), len(devices))
			}
			for _, d := range devices {
				checkNodeOutcome(t, transport, d, out.Outcomes[d.Name])
			}
			if diff := cmp.Diff(map[string]any{"dev-5": payloadThere, "dev-6": nil}, hook.got()); diff != "" {
				t.Errorf("payloads that reached the webhook: %s", diff)
			}
		})
	}
}

// checkNodeOutcome: the name of a device says what is to become of it.
func checkNodeOutcome(t *testing.T, transport string, d nodeDevice, got nodeOutcome) {
	t.Helper()
	refused, isRefused := strings.CutPrefix(d.Name, "refused: ")
	if !isRefused {
		want := d.ID
		if d.ID == "lone" {
			want = "Lone-Device"
		}
		if got.Error != nil || got.Result.Status != "assigned" || got.Result.DeviceID != want || got.Result.Registration != d.ID ||
			!strings.HasSuffix(got.Result.AssignedHub, ".azure-devices.net") {
			t.Errorf("%s: %+v, %+v", d.Name, got.Result, got.Error)
		}
		var back any
		if d.Name == askedWithout || d.Name == askedWith {
			back = map[string]any{"for": d.ID, "got": d.Payload}
		}
		if diff := cmp.Diff(back, got.Result.Payload); diff != "" {
			t.Errorf("%s: payload that came back: %s", d.Name, diff)
		}
		return
	}
	name, message := "UnauthorizedError", `"errorCode":401002`
	switch {
	case refused == "disabled":
		name, message = "SyntaxError", "status is disabled" // the SDK knows no such status
	case refused == "group key" && transport != "http":
		name, message = "Error", "Connection refused: Not authorized" // a token is judged when the device connects
	}
	if got.Error == nil || got.Error.Name != name || !strings.Contains(got.Error.Message, message) {
		t.Errorf("%s: %+v, %+v", d.Name, got.Result, got.Error)
	}
}

// payloadThere is what a device sends, as JSON decodes it.
var payloadThere = map[string]any{"model": "x", "list": []any{1.0, 2.0}}

// Devices that a webhook decides about.
const (
	askedWith    = "custom allocation, with a payload"
	askedWithout = "custom allocation, without one"
)

// allocator is the webhook of a custom allocation. It sends the payload of each
// device back to it.
type allocator struct {
	*httptest.Server

	mu       sync.Mutex
	payloads map[string]any
}

func newAllocator(t *testing.T) *allocator {
	a := &allocator{payloads: map[string]any{}}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct {
			LinkedHubs           []string
			DeviceRuntimeContext struct {
				RegistrationID string
				Payload        any
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || len(asked.LinkedHubs) == 0 {
			http.Error(w, fmt.Sprint("not an allocation request: ", err), http.StatusBadRequest)
			return
		}
		device := asked.DeviceRuntimeContext
		a.mu.Lock()
		a.payloads[device.RegistrationID] = device.Payload
		a.mu.Unlock()
		_ = json.NewEncoder(w).Encode(map[string]any{
			"iotHubHostName": asked.LinkedHubs[0], "payload": map[string]any{"for": device.RegistrationID, "got": device.Payload},
		})
	}))
	t.Cleanup(a.Close)
	return a
}

// got returns the payloads by registration ID.
func (a *allocator) got() map[string]any {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.payloads)
}

// enrollNodeDevices makes enrollments of every kind, and devices for them.
func enrollNodeDevices(t *testing.T, s nodeService, hook *allocator) []nodeDevice {
	t.Helper()
	root, intermediate := newCA(t)
	asking, err := root.NewIntermediate(&pki.CAOptions{CommonName: "asking"})
	if err != nil {
		t.Fatal(err)
	}
	info := s.e.Info()
	put := func(path string, body map[string]any) {
		t.Helper()
		if status, answer := s.call(http.MethodPut, path, body); status >= 300 {
			t.Fatalf("%s: %d: %v", path, status, answer)
		}
	}
	signing := func(ca *pki.Authority) map[string]any {
		return map[string]any{"type": "x509", "x509": map[string]any{"signingCertificates": map[string]any{
			"primary": map[string]any{"certificate": pemText(ca.Certificate())}}}}
	}
	put(fmt.Sprintf("/subscriptions/%s/resourceGroups/%s/providers/Microsoft.Devices/provisioningServices/%s/certificates/root",
		info.SubscriptionID, info.ResourceGroup, info.Name),
		map[string]any{"properties": map[string]any{"certificate": base64.StdEncoding.EncodeToString([]byte(pemText(root.Certificate()))), "isVerified": true}})
	put("/enrollmentGroups/fleet", map[string]any{"enrollmentGroupId": "fleet", "attestation": signing(intermediate)})
	put("/enrollmentGroups/asking", map[string]any{"enrollmentGroupId": "asking", "attestation": signing(asking),
		"allocationPolicy": "custom", "customAllocationDefinition": map[string]any{"webhookUrl": hook.URL, "apiVersion": "2021-10-01"}})
	put("/enrollmentGroups/off", map[string]any{"enrollmentGroupId": "off", "attestation": signing(root), "provisioningStatus": "disabled"})

	lone, err := pki.SelfSigned(pki.IssueRequest{CommonName: "lone"})
	if err != nil {
		t.Fatal(err)
	}
	put("/enrollments/lone", map[string]any{"registrationId": "lone", "deviceId": "Lone-Device", "attestation": map[string]any{
		"type": "x509", "x509": map[string]any{"clientCertificates": map[string]any{"primary": map[string]any{"certificate": pemText(lone.Certificate)}}}}})
	groupKey, deviceKey := []byte("group-group-group-group-group-32"), []byte("device-device-device-device-3232")
	encode := base64.StdEncoding.EncodeToString
	keys := func(key []byte) map[string]any {
		return map[string]any{"type": "symmetricKey", "symmetricKey": map[string]any{"primaryKey": encode(key), "secondaryKey": encode(key)}}
	}
	put("/enrollmentGroups/keys", map[string]any{"enrollmentGroupId": "keys", "attestation": keys(groupKey)})
	put("/enrollments/own", map[string]any{"registrationId": "own", "attestation": keys(deviceKey)})
	mac := hmac.New(sha256.New, groupKey)
	mac.Write([]byte("sensor-1"))

	withCert := func(name string, b *pki.Bundle, chain []byte) nodeDevice {
		key, err := b.KeyPEM()
		if err != nil {
			t.Fatal(err)
		}
		return nodeDevice{Name: name, ID: b.Certificate.Subject.CommonName, Chain: string(chain), PrivateKey: string(key)}
	}
	issued := func(ca *pki.Authority, id string) *pki.Bundle {
		b, err := ca.Issue(pki.IssueRequest{CommonName: id})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	member, cut, off := issued(intermediate, "dev-1"), issued(intermediate, "dev-2"), issued(root, "dev-3")
	foreignRoot, _ := newCA(t)
	stranger := issued(foreignRoot, "dev-4")
	rsa, err := asking.Issue(pki.IssueRequest{CommonName: "dev-5", KeyType: pki.KeyRSA2048})
	if err != nil {
		t.Fatal(err)
	}
	payload, plain := withCert(askedWith, rsa, rsa.FullChainPEM()), issued(asking, "dev-6")
	payload.Payload = payloadThere
	return []nodeDevice{
		withCert("group", member, member.FullChainPEM()),
		withCert("individual", lone, lone.CertificatePEM()),
		payload,
		withCert(askedWithout, plain, plain.FullChainPEM()),
		{Name: "individual key", ID: "own", Key: encode(deviceKey)},
		{Name: "derived key", ID: "sensor-1", Key: encode(mac.Sum(nil))},
		withCert("refused: stranger", stranger, stranger.FullChainPEM()),
		withCert("refused: no intermediate", cut, cut.CertificatePEM()),
		withCert("refused: disabled", off, off.CertificatePEM()),
		{Name: "refused: group key", ID: "sensor-2", Key: encode(groupKey)},
	}
}

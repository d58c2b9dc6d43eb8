package device_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/device"
	"github.com/dpskit/dpskit/pkg/pki"
)

func TestPreview(t *testing.T) {
	root := must[*pki.Authority](t)(pki.NewRoot(nil))
	ca := must[*pki.Authority](t)(root.NewIntermediate(nil))
	cert := device.X509(issue(t, ca, pki.IssueRequest{CommonName: "dev-1"}))
	key := device.SymmetricKey(primaryKey)
	const tls, chain = "TLS client certificate", `"dev-1", "Azure IoT Hub Intermediate Cert Test Only"`
	const user = "0ne00000000/registrations/dev-1/api-version=2021-06-01&ClientVersion=dpskit%2Fv0.1.0"
	const put, topic = "PUT https://h/0ne00000000/registrations/dev-1/register?api-version=2021-06-01", "$dps/registrations/PUT/iotdps-register/?$rid=RANDOM"
	const json = "application/json; charset=utf-8"
	for _, tt := range []struct {
		name      string
		cred      device.Credential
		transport device.Transport
		target    string
		headers   map[string]string
	}{
		{"certificate, HTTPS", cert, "", put, map[string]string{tls: chain, "Content-Type": json}},
		{"key, HTTPS", key, "", put, map[string]string{"Authorization": "REDACTED", "Content-Type": json}},
		{"certificate, MQTT", cert, device.TransportMQTT, "PUBLISH mqtts://h:8883", map[string]string{tls: chain, "Client ID": "dev-1", "User name": user, "Topic": topic}},
		{"key, WebSocket", key, device.TransportMQTTWS, "PUBLISH wss://h:443/$iothub/websocket",
			map[string]string{"Client ID": "dev-1", "User name": user, "Topic": topic, "Password": "REDACTED"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var dialled string
			c := must[*device.Client](t)(device.NewClient("0ne00000000", "dev-1", tt.cred,
				&device.ClientOptions{Host: "h", Transport: tt.transport, DialContext: refuseDial(&dialled)}))
			got := must[device.Preview](t)(c.Preview(&device.RegisterOptions{Payload: []byte(`{"a": 1}`)}))
			if diff := cmp.Diff(tt.headers, got.Headers); diff != "" || got.Method+" "+got.URL != tt.target {
				t.Errorf("%s %s (-want +got):\n%s", got.Method, got.URL, diff)
			}
			if want := `{"registrationId":"dev-1","payload":{"a":1}}`; string(got.Body) != want {
				t.Errorf("body %s, want %s", got.Body, want)
			}
			if dialled != "" {
				t.Errorf("it dialled %s", dialled)
			}
			if text := fmt.Sprint(got); strings.Contains(text, primaryKey.Reveal()) || strings.Contains(text, "sig=") {
				t.Errorf("a secret is in %s", text)
			}
			if _, err := c.Preview(&device.RegisterOptions{Payload: []byte(`{`)}); err == nil {
				t.Error("a payload that is no JSON is no error")
			}
		})
	}
	if _, err := device.NewClient("0ne00000000", "dev-1", device.GroupKey(dps.Secret(base64.StdEncoding.EncodeToString([]byte("x"))+"!")), nil); err == nil {
		t.Error("a key that is not base64 is no error")
	}
}

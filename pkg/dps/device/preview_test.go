package device_test

import (
	"encoding/base64"
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
	const tls = `TLS client certificate: "dev-1", "Azure IoT Hub Intermediate Cert Test Only"`
	const user = `user name "0ne00000000/registrations/dev-1/api-version=2021-06-01&ClientVersion=dpskit%2Fv0.1.0"`
	for _, tt := range []struct {
		name      string
		cred      device.Credential
		transport device.Transport
		want      []string
	}{
		{"certificate, HTTPS", cert, "", []string{tls, "PUT https://h/0ne00000000/registrations/dev-1/register?api-version=2021-06-01"}},
		{"key, HTTPS", key, "", []string{"PUT https://h/0ne00000000/registrations/dev-1/register?api-version=2021-06-01", "Authorization: SharedAccessSignature REDACTED"}},
		{"certificate, MQTT", cert, device.TransportMQTT, []string{tls, "CONNECT mqtts://h:8883", `client id "dev-1", ` + user,
			"PUBLISH $dps/registrations/PUT/iotdps-register/?$rid=RANDOM"}},
		{"key, WebSocket", key, device.TransportMQTTWS, []string{"CONNECT wss://h:443/$iothub/websocket",
			`client id "dev-1", ` + user + ", password SharedAccessSignature REDACTED", "PUBLISH $dps/registrations/PUT/iotdps-register/?$rid=RANDOM"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var dialled string
			c := must[*device.Client](t)(device.NewClient("0ne00000000", "dev-1", tt.cred,
				&device.ClientOptions{Host: "h", Transport: tt.transport, DialContext: refuseDial(&dialled)}))
			got := must[device.Preview](t)(c.Preview(&device.RegisterOptions{Payload: []byte(`{"a": 1}`)}))
			if diff := cmp.Diff(tt.want, got.Head); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if want := `{"registrationId":"dev-1","payload":{"a":1}}`; string(got.Body) != want {
				t.Errorf("body %s, want %s", got.Body, want)
			}
			if dialled != "" {
				t.Errorf("it dialled %s", dialled)
			}
			if text := strings.Join(got.Head, "\n"); strings.Contains(text, primaryKey.Reveal()) || strings.Contains(text, "sig=") {
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

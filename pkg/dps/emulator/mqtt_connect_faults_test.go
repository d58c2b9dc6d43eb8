package emulator_test

import (
	"crypto/tls"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
)

// pahoConnect connects with the Paho client, once.
func (w *world) pahoConnect(broker, id string, identity *tls.Certificate) (paho.Client, error) {
	w.t.Helper()
	opts := paho.NewClientOptions().AddBroker(broker).SetClientID(id).
		SetUsername(w.info.IDScope + "/registrations/" + id + "/api-version=2021-06-01").
		SetProtocolVersion(4).SetConnectRetry(false).SetAutoReconnect(false).SetConnectTimeout(patience).
		SetTLSConfig(&tls.Config{RootCAs: w.e.CAPool(), ServerName: "localhost", Certificates: []tls.Certificate{*identity}})
	client := paho.NewClient(opts)
	token := client.Connect()
	if !token.WaitTimeout(patience) {
		w.t.Fatal("paho: no end of connecting")
	}
	return client, token.Error()
}

// TestConnectFaults: the first CONNECT of a device goes wrong as the rule has it,
// over both transports; the second one, and everybody else's, is good.
func TestConnectFaults(t *testing.T) {
	for _, tt := range []struct {
		do        string
		is        error // of the Paho client; nil: some other error
		connected bool  // it was accepted, and lost again
	}{
		{"status=503", packets.ErrorRefusedServerUnavailable, false},
		{"status=429", packets.ErrorRefusedServerUnavailable, false},
		{"status=401", packets.ErrorRefusedNotAuthorised, false},
		{"status=403,delay=1ms", packets.ErrorRefusedNotAuthorised, false},
		{"reset", nil, false},
		{"close", nil, false},
		{"drop-ack", nil, false},
		{"close-after=0", nil, false},
		{"close-after=3", nil, false},
		{"close-after=4", nil, true},
		{"delay=1ms", nil, true},
		{"slow=16ms", nil, true},
	} {
		t.Run(tt.do, func(t *testing.T) {
			w, p := fleet(t, withFaults(t, "op=connect,id=dev*,nth=1,per-id,"+tt.do))
			other, err := w.pahoConnect(w.info.MQTT[0], "other", device(t, p.intermediate, "other"))
			if err != nil {
				t.Fatalf("a device that no rule is about: %v", err)
			}
			defer other.Disconnect(0)
			for id, broker := range map[string]string{
				"dev-1": w.info.MQTT[0], "dev-2": strings.Replace(w.info.HTTPS[0], "https:", "wss:", 1) + "/$iothub/websocket",
			} {
				leaf := device(t, p.intermediate, id)
				first, err := w.pahoConnect(broker, id, leaf)
				switch {
				case tt.connected != (err == nil), tt.is != nil && !errors.Is(err, tt.is):
					t.Errorf("%s: %v, want connected %v, %v", id, err, tt.connected, tt.is)
				case tt.do == "close-after=4":
					if token := first.Subscribe(responses, 1, nil); token.WaitTimeout(patience) && token.Error() == nil {
						t.Errorf("%s: subscribed", id)
					}
				}
				first.Disconnect(0)
				second, err := w.pahoConnect(broker, id, leaf)
				if err != nil {
					t.Fatalf("%s, second time: %v", id, err)
				}
				second.Disconnect(0)
				if n := strings.Count(w.logs.String(), `"id":"`+id+`"`); n != 1 {
					t.Errorf("%s: %d records in the log", id, n)
				}
			}
			w.online("other", device(t, p.intermediate, "other")).assigned("other")
		})
	}
}

// TestConnectFaultsByPacket looks at what Paho does not tell.
func TestConnectFaultsByPacket(t *testing.T) {
	for _, tt := range []struct {
		do   string
		want []byte // what arrives before the end
		is   error
	}{
		{"reset", nil, syscall.ECONNRESET},
		{"close", nil, io.EOF},
		{"drop-ack", nil, syscall.ECONNRESET},
		{"close-after=0", nil, io.EOF},
		{"close-after=2", []byte{0x20, 2}, io.EOF},
		{"close-after=4", []byte{0x20, 2, 0, 0}, io.EOF},
		{"close-after=99", []byte{0x20, 2, 0, 0}, io.EOF},
		{"status=503", []byte{0x20, 2, 0, 3}, io.EOF},
		{"throttle=1/1h", []byte{0x20, 2, 0, 3}, io.EOF},
	} {
		w, p := fleet(t, withFaults(t, "op=connect,times=1,"+tt.do))
		leaf := device(t, p.intermediate, "dev")
		if strings.HasPrefix(tt.do, "throttle") {
			w.online("dev", leaf)
		}
		c := w.dialMQTT(leaf)
		c.send(hello(w.info.IDScope, "dev"))
		_ = c.conn.SetReadDeadline(time.Now().Add(patience))
		got, err := io.ReadAll(c.conn)
		if err == nil {
			err = io.EOF
		}
		if !errors.Is(err, tt.is) || string(got) != string(tt.want) {
			t.Errorf("%s: got % x, %v; want % x, %v", tt.do, got, err, tt.want, tt.is)
		}
		if tt.do != "throttle=1/1h" {
			w.online("dev", leaf).assigned("dev")
		}
	}
}

// TestConnectIsNoRequest: rules that do not name it leave it alone, so that the
// first request is the first thing that they see.
func TestConnectIsNoRequest(t *testing.T) {
	for _, rule := range []string{"nth=1,status=503", "op=*,nth=1,status=503", "plane=device,nth=1,status=503"} {
		w, p := fleet(t, withFaults(t, rule+",id=dev"))
		c := w.online("dev", device(t, p.intermediate, "dev"))
		if r := c.ask(registerTopic+"1", ""); r.status != 503 {
			t.Errorf("%s: register = %d", rule, r.status)
		}
		c.assigned("dev")
	}
}

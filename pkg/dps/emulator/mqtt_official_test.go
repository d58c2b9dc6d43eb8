package emulator_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// TestMQTTOfficialClients speaks as each official client does: what it puts into
// CONNECT, at which QoS it publishes, what is in its bodies.
func TestMQTTOfficialClients(t *testing.T) {
	w, p := fleet(t)
	for _, tt := range []struct {
		name           string
		clean          bool
		keepAlive      uint16
		version        string // the end of the user name
		rid            func(n int) string
		qos            byte // of what it publishes
		register, poll string
	}{
		{"Node", true, 180, "api-version=2019-03-31&ClientVersion=azure-iot-provisioning-device%2F1.9.8", uuid, 1, `{"registrationId":"dev"}`, " "},
		{"Python", false, 60, "api-version=2019-03-31&ClientVersion=azure-iot-device-provisioning-py%2F2.13.0", uuid, 1, `{"payload": null, "registrationId": "dev"}`, " "},
		{"C#", true, 0, "api-version=2019-03-31&ClientVersion=.NET%2F1.19.2", number, 1, "", ""},
		{"C# with a payload", true, 0, "api-version=2019-03-31&ClientVersion=.NET%2F1.19.2", number, 1, `{"payload":{"a":1}}`, ""},
		{"Java", false, 230, "api-version=2019-03-31&ClientVersion=2019-03-31", number, 0, `{"registrationId":"dev","payload":"text"}`, ""},
		{"C", true, 0, "api-version=2021-06-01&ClientVersion=1.14.0", number, 0, `{"registrationId":"dev"}`, `{"registrationId":"dev"}`},
		{"embedded C", true, 240, "api-version=2019-03-31", func(int) string { return "{request_id}" }, 0, `{"registrationId":"dev","payload":{}}`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := w.in(t)
			c := w.dialMQTT(device(t, p.intermediate, "dev"))
			hi := hello(w.info.IDScope, "dev")
			hi.CleanSession, hi.Keepalive = tt.clean, tt.keepAlive
			hi.Username = w.info.IDScope + "/registrations/dev/" + tt.version
			c.start(hi) // wants session present 0
			asked := 0
			ask := func(topic, more, payload string) reply {
				t.Helper()
				asked++
				topic += tt.rid(asked) + more
				start := time.Now()
				c.publish(tt.qos, topic, payload)
				if tt.qos == 1 { // C# takes anything before PUBACK for an error
					if ack, ok := c.next().(*packets.PubackPacket); !ok || ack.MessageID != c.id {
						t.Fatalf("got %v, want PUBACK", ack)
					}
				}
				r := c.reply(topic)
				if took := time.Since(start); took < 30*time.Millisecond { // Java is not listening yet
					t.Errorf("answered after %v", took)
				}
				if r.qos != 1 || r.str("operationId") == "" {
					t.Errorf("QoS %d: %s", r.qos, r.raw)
				}
				return r
			}
			r := ask(registerTopic, "", tt.register)
			if r.status != 202 || r.retryAfter == "" {
				t.Fatalf("%d, retry-after %q: %s", r.status, r.retryAfter, r.raw)
			}
			r = ask(pollTopic, "&operationId="+r.str("operationId"), tt.poll)
			if r.status != 200 || r.str("status") != "assigned" || r.str("registrationState", "assignedHub") == "" || r.str("registrationState", "deviceId") != "dev" {
				t.Errorf("%d: %s", r.status, r.raw)
			}
		})
	}
}

func uuid(n int) string   { return fmt.Sprintf("0b5c1a1e-9d3f-4a53-8f2e-%012d", n) }
func number(n int) string { return fmt.Sprint(n) }

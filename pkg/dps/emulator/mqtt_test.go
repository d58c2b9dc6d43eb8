package emulator_test

import (
	"bytes"
	"crypto/tls"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/pki"
)

func TestMQTTRegistration(t *testing.T) {
	w, p := fleet(t)
	lone := selfSigned(t, "lone")
	w.individual("lone", lone.Certificate, map[string]any{"deviceId": "Lone-Device"})
	for _, tt := range []struct {
		id, deviceID, group string
		cert                *tls.Certificate
	}{
		{"dev-1", "dev-1", "fleet", device(t, p.intermediate, "dev-1")},
		{"lone", "Lone-Device", "", identity(t, lone)},
	} {
		c := w.online(tt.id, tt.cert)
		r := c.ask(registerTopic+"7e0e5a4e-0000-4000-8000-000000000001", `{"registrationId":"`+tt.id+`"}`)
		if r.status != 202 || r.retryAfter != "0" || r.qos != 1 || r.str("status") != "assigning" || r.str("operationId") == "" || r.body["registrationState"] != nil {
			t.Errorf("%s: register: %d, topic %q: %s", tt.id, r.status, r.topic, r.raw)
		}
		operation := r.str("operationId")
		r = c.ask(pollTopic+"2&operationId="+operation, " ")
		if r.status != 200 || r.retryAfter != "" || r.str("operationId") != operation || r.str("status") != "assigned" ||
			r.str("registrationState", "deviceId") != tt.deviceID || r.str("registrationState", "x509", "enrollmentGroupId") != tt.group ||
			r.str("registrationState", "assignedHub") != "dpskit-emulator-hub.azure-devices.net" {
			t.Errorf("%s: poll: %d, topic %q: %s", tt.id, r.status, r.topic, r.raw)
		}
		// The same operation, over HTTPS, says the same.
		a := w.device(http.MethodGet, "/operations/"+operation, tt.id, tt.cert, nil, nil)
		if w.want(a, 200, 0); !bytes.Equal(a.raw, r.raw) {
			t.Errorf("HTTPS says %s, MQTT %s", a.raw, r.raw)
		}
		c.send(packets.NewControlPacket(packets.Disconnect))
		c.closed()
	}
}

func TestMQTTSymmetricKeys(t *testing.T) {
	w := newWorld(t)
	own := w.service(http.MethodPut, "/enrollments/own", symmetric("registrationId", "own"), nil)
	w.want(own, 200, 0)
	group := w.service(http.MethodPut, "/enrollmentGroups/keys", symmetric("enrollmentGroupId", "keys"), nil)
	w.want(group, 200, 0)
	_, secondary := keysIn(own)
	groupKey, _ := keysIn(group)
	later := time.Now().Add(time.Hour)
	resource := func(id string) string { return w.info.IDScope + "/registrations/" + id }
	for name, tt := range map[string]struct {
		id, token string
		code      byte
		rule      string
	}{
		"individual":       {"own", sign(t, resource("own"), secondary, "registration", later), 0, ""},
		"group":            {"dev", sign(t, resource("dev"), deviceKey(t, groupKey, "dev"), "registration", later), 0, ""},
		"no policy name":   {"own", sign(t, resource("own"), secondary, "", later), 0, ""},
		"group key":        {"dev", sign(t, resource("dev"), groupKey, "registration", later), packets.ErrRefusedNotAuthorised, "device-token-signature"},
		"expired":          {"own", sign(t, resource("own"), secondary, "registration", time.Now().Add(-time.Hour)), packets.ErrRefusedNotAuthorised, "device-token-expired"},
		"for another":      {"own", sign(t, resource("dev"), secondary, "registration", later), packets.ErrRefusedNotAuthorised, "device-token-audience"},
		"garbage":          {"own", "letmein", packets.ErrRefusedNotAuthorised, "device-token-form"},
		"nobody's":         {"who", sign(t, resource("who"), secondary, "registration", later), packets.ErrRefusedNotAuthorised, "device-token-signature"},
		"empty, so none":   {"own", "", packets.ErrRefusedNotAuthorised, "credential-missing"},
		"a very long one":  {"own", strings.Repeat("k", 10_000), packets.ErrRefusedNotAuthorised, "device-token-form"},
		"token of service": {"own", "Bearer " + w.info.Token, packets.ErrRefusedNotAuthorised, "device-token-form"},
	} {
		p := hello(w.info.IDScope, tt.id)
		p.PasswordFlag, p.Password = true, []byte(tt.token)
		c := w.dialMQTT(nil)
		if code := c.connect(p); code != tt.code {
			t.Errorf("%s: CONNACK %d, want %d", name, code, tt.code)
		}
		if tt.code != 0 {
			c.closed()
			if w.rule() != tt.rule {
				t.Errorf("%s: rule %q, want %q", name, w.rule(), tt.rule)
			}
			continue
		}
		c.subscribe(1, responses)
		c.assigned(tt.id)
	}
	for _, secret := range []string{secondary, groupKey, deviceKey(t, groupKey, "dev"), "letmein", "kkkkkkkk"} {
		if strings.Contains(w.logs.String(), secret) {
			t.Errorf("log shows %q", secret[:7])
		}
	}
}

// TestMQTTConnect is about everything in CONNECT but the token (MQ3, MQ5, MQ9).
func TestMQTTConnect(t *testing.T) {
	w, p := fleet(t)
	cert := device(t, p.intermediate, "dev-1")
	scope := w.info.IDScope
	name := func(text string) func(*packets.ConnectPacket) {
		return func(p *packets.ConnectPacket) { p.Username = text }
	}
	for label, tt := range map[string]struct {
		change func(*packets.ConnectPacket)
		code   byte
		rule   string
	}{
		"as it should be":         {func(*packets.ConnectPacket) {}, 0, ""},
		"bare user name":          {name(scope + "/registrations/dev-1/api-version=2019-03-31"), 0, ""},
		"parameters in any order": {name(scope + "/registrations/dev-1/ClientVersion=a/b=c&api-version=2021-06-01&x"), 0, ""},
		"scope in lower case":     {name(strings.ToLower(scope) + "/registrations/dev-1/api-version=2019-03-31"), 0, ""},
		"id in upper case":        {func(p *packets.ConnectPacket) { p.ClientIdentifier = "DEV-1" }, 0, ""},
		"persistent session":      {func(p *packets.ConnectPacket) { p.CleanSession = false }, 0, ""},
		"a will": {func(p *packets.ConnectPacket) {
			p.WillFlag, p.WillRetain, p.WillQos, p.WillTopic, p.WillMessage = true, true, 1, "$dps/x", []byte("gone")
		}, 0, ""},
		"no keep-alive":       {func(p *packets.ConnectPacket) { p.Keepalive = 0 }, 0, ""},
		"MQTT 3.1":            {func(p *packets.ConnectPacket) { p.ProtocolName, p.ProtocolVersion = "MQIsdp", 3 }, 1, "mqtt-version"},
		"MQTT 5":              {func(p *packets.ConnectPacket) { p.ProtocolVersion = 5 }, 1, "mqtt-version"},
		"level 6":             {func(p *packets.ConnectPacket) { p.ProtocolVersion = 6 }, 1, "mqtt-version"},
		"lower case protocol": {func(p *packets.ConnectPacket) { p.ProtocolName = "mqtt" }, 1, "mqtt-version"},
		"no client id":        {func(p *packets.ConnectPacket) { p.ClientIdentifier = "" }, 2, "mqtt-client-id"},
		"impossible id": {func(p *packets.ConnectPacket) {
			p.ClientIdentifier = "a@b"
			name(scope + "/registrations/a@b/api-version=2019-03-31")(p)
		}, 2, "registration-id"},
		"another scope":        {name("0ne00000000/registrations/dev-1/api-version=2019-03-31"), 3, "id-scope"},
		"no user name":         {func(p *packets.ConnectPacket) { p.UsernameFlag = false }, 4, "mqtt-user-name"},
		"user name of the hub": {name("hub.azure-devices.net/dev-1/?api-version=2021-04-12"), 4, "mqtt-user-name"},
		"no version":           {name(scope + "/registrations/dev-1/ClientVersion=x"), 4, "mqtt-user-name"},
		"empty version":        {name(scope + "/registrations/dev-1/api-version="), 4, "mqtt-user-name"},
		"version is no date":   {name(scope + "/registrations/dev-1/api-version=latest"), 4, "mqtt-user-name"},
		"two versions":         {name(scope + "/registrations/dev-1/api-version=2019-03-31&api-version=2021-06-01"), 4, "mqtt-user-name"},
		"nothing but slashes":  {name("///"), 4, "mqtt-user-name"},
		"another client id":    {func(p *packets.ConnectPacket) { p.ClientIdentifier = "dev-2" }, 5, "mqtt-client-id"},
	} {
		c := w.dialMQTT(cert)
		hi := hello(scope, "dev-1")
		tt.change(hi)
		if code := c.connect(hi); code != tt.code {
			t.Errorf("%s: CONNACK %d, want %d", label, code, tt.code)
			continue
		}
		if tt.code != 0 {
			c.closed()
			if w.rule() != tt.rule {
				t.Errorf("%s: rule %q, want %q", label, w.rule(), tt.rule)
			}
			continue
		}
		c.subscribe(1, responses)
		c.assigned("dev-1")
	}
	// Neither certificate nor token.
	c := w.dialMQTT(nil)
	if code := c.connect(hello(scope, "dev-1")); code != packets.ErrRefusedNotAuthorised || w.rule() != "credential-missing" {
		t.Errorf("CONNACK %d by rule %q", code, w.rule())
	}
	c.closed()
}

// TestMQTTJudgesCertificatesLate: any certificate gets a connection, as it does
// at the service; the refusal comes with the answer.
func TestMQTTJudgesCertificatesLate(t *testing.T) {
	w, p := fleet(t)
	foreign := newPKI(t)
	short := device(t, p.intermediate, "dev-1")
	short.Certificate = short.Certificate[:1]
	for name, tt := range map[string]struct {
		cert   *tls.Certificate
		answer string
	}{
		"CA that nobody knows":    {device(t, foreign.intermediate, "dev-1"), "CA certificate not found."},
		"no intermediate":         {short, "CA certificate not found."},
		"another common name":     {device(t, p.intermediate, "dev-2"), "Invalid certificate."},
		"not below the group":     {device(t, p.root, "dev-1"), "Signing certificate info did not match chain elements."},
		"self-signed, unenrolled": {identity(t, selfSigned(t, "dev-1")), "Invalid certificate."},
	} {
		c := w.online("dev-1", tt.cert)
		for range 2 { // the connection stays
			r := c.ask(registerTopic+"1", "")
			if r.status != 401 || r.code() != 401002 || r.str("message") != tt.answer || r.str("trackingId") == "" || r.retryAfter != "" {
				t.Errorf("%s: %d: %s", name, r.status, r.raw)
			}
		}
		found := slices.ContainsFunc(w.logs.refusals(t), func(rec map[string]any) bool {
			return rec["transport"] == "mqtt" && rec["registration_id"] == "dev-1" && rec["rule"] != "" &&
				rec["plane"] == "device" && rec["fix"] != "" && rec["request"] == "register"
		})
		if !found {
			t.Errorf("%s: not explained:\n%s", name, w.logs.String())
		}
	}
}

func TestMQTTSubscriptions(t *testing.T) {
	w, p := fleet(t)
	cert := device(t, p.intermediate, "dev-1")
	connected := func() *mqttClient {
		c := w.dialMQTT(cert)
		if code := c.connect(hello(w.info.IDScope, "dev-1")); code != 0 {
			t.Fatalf("CONNACK %d", code)
		}
		return c
	}
	c := connected()
	for _, filter := range []string{"#", "$dps/#", "$dps/registrations/res/+", "$dps/registrations/PUT/#", "a", "+/+", "$SYS/#", "$dps/registrations/res/#/"} {
		if codes := c.subscribe(1, filter); !bytes.Equal(codes, []byte{0x80}) {
			t.Errorf("%q: SUBACK %v", filter, codes)
		}
	}
	// Nothing was subscribed to, so nothing is answered but the packets.
	c.publish(1, registerTopic+"1", "")
	if _, ok := c.next().(*packets.PubackPacket); !ok {
		t.Error("no PUBACK")
	}
	for qos, want := range map[byte]byte{0: 0, 1: 1, 2: 1} {
		if codes := c.subscribe(qos, "x", responses); !bytes.Equal(codes, []byte{0x80, want}) {
			t.Errorf("QoS %d: SUBACK %v", qos, codes)
		}
		c.publish(0, registerTopic+"1", "") // without PUBACK
		if r := c.reply(registerTopic + "1"); r.status != 202 || r.qos != want {
			t.Errorf("QoS %d: answered at QoS %d: %s", qos, r.qos, r.raw)
		}
	}
	leave := packets.NewControlPacket(packets.Unsubscribe).(*packets.UnsubscribePacket)
	leave.MessageID, leave.Topics = 77, []string{"x", responses}
	c.send(leave)
	if ack, ok := c.next().(*packets.UnsubackPacket); !ok || ack.MessageID != 77 {
		t.Errorf("got %v", ack)
	}
	c.publish(1, registerTopic+"1", "")
	c.next()
	c.send(packets.NewControlPacket(packets.Pingreq))
	if ack, ok := c.next().(*packets.PingrespPacket); !ok {
		t.Errorf("got %v, want PINGRESP and no answer", ack)
	}
}

// TestMQTTRequests is about topics and payloads (MQ7, MQ8).
func TestMQTTRequests(t *testing.T) {
	w, p := fleet(t)
	cert := device(t, p.intermediate, "dev-1")
	c := w.online("dev-1", cert)
	for _, rid := range []string{"1", "{request_id}", "a-b", "%24rid", "ä", strings.Repeat("r", 1024)} {
		if r := c.ask(registerTopic+rid, ""); r.status != 202 {
			t.Errorf("%q: %d: %s", rid, r.status, r.raw)
		}
	}
	big := `{"payload":"` + strings.Repeat("x", 96<<10) + `"}`
	for name, tt := range map[string]struct {
		payload string
		status  int
	}{
		"empty":                 {"", 202},
		"space":                 {" ", 202},
		"null payload":          {`{"payload":null,"registrationId":"dev-1"}`, 202},
		"text payload":          {`{"registrationId":"dev-1","payload":"text"}`, 202},
		"no id":                 {`{"payload":{"a":1}}`, 202},
		"id in other case":      {`{"registrationId":"Dev-1"}`, 202},
		"just below the limit":  {`{"payload":"` + strings.Repeat("x", 96<<10-20) + `"}`, 202},
		"another id":            {`{"registrationId":"dev-2"}`, 400},
		"no JSON":               {"register me", 400},
		"cut JSON":              {`{"registrationId":`, 400},
		"a list":                {`[]`, 400},
		"a member twice":        {`{"registrationId":"dev-1","registrationId":"dev-1"}`, 400},
		"not UTF-8":             {"{\"payload\":\"\xff\"}", 400},
		"deep":                  {strings.Repeat("[", 5000), 400},
		"larger than the limit": {big, 413},
	} {
		if r := c.ask(registerTopic+"1", tt.payload); r.status != tt.status || r.status >= 400 && r.code()/1000 != tt.status {
			t.Errorf("%s: %d: %s", name, r.status, r.raw)
		}
	}
	operation := c.ask(registerTopic+"1", "").str("operationId")
	for name, tt := range map[string]struct {
		topic, payload string
		status         int
	}{
		"space":               {pollTopic + "2&operationId=" + operation, " ", 200},
		"the register body":   {pollTopic + "2&operationId=" + operation, `{"registrationId":"dev-1"}`, 200},
		"anything":            {pollTopic + "2&operationId=" + operation, "\xff\x00", 200},
		"operation first":     {strings.TrimSuffix(pollTopic, "$rid=") + "operationId=" + operation + "&$rid=2", "", 200},
		"escaped":             {pollTopic + "2&operationId=" + strings.ReplaceAll(operation, "-", "%2D"), "", 200},
		"unknown":             {pollTopic + "2&operationId=4.0000000000000000.x", "", 404},
		"no operation":        {pollTopic + "2", "", 400},
		"empty":               {pollTopic + "2&operationId=", "", 400},
		"escape cut short":    {pollTopic + "2&operationId=%2", "", 404},
		"a path":              {pollTopic + "2&operationId=../../x", "", 404},
		"unknown parameter":   {pollTopic + "2&x=y&operationId=" + operation, "", 200},
		"another's operation": {pollTopic + "2&operationId=" + w.online("dev-2", device(t, p.intermediate, "dev-2")).ask(registerTopic+"1", "").str("operationId"), "", 404},
	} {
		if r := c.ask(tt.topic, tt.payload); r.status != tt.status {
			t.Errorf("%s: %d: %s", name, r.status, r.raw)
		}
	}
}

// TestMQTTOffences end the connection that they come by, and say why in the log
// (MQ1, MQ2, MQ4, MQ6, MQ7, MQ9, MQ12).
func TestMQTTOffences(t *testing.T) {
	w, p := fleet(t)
	cert := device(t, p.intermediate, "dev-1")
	witness := w.online("witness", device(t, p.intermediate, "witness"))
	topic := func(text string) func(*mqttClient) { return func(c *mqttClient) { c.publish(1, text, "") } }
	raw := func(data ...byte) func(*mqttClient) { return func(c *mqttClient) { c.raw(data...) } }
	for name, offend := range map[string]func(*mqttClient){
		"another topic":             topic("a/b"),
		"a topic of the hub":        topic("devices/dev-1/messages/events/"),
		"another method":            topic("$dps/registrations/POST/iotdps-register/?$rid=1"),
		"the response topic":        topic("$dps/registrations/res/200/?$rid=1"),
		"no request id":             topic("$dps/registrations/PUT/iotdps-register/"),
		"an empty request id":       topic(registerTopic),
		"two request ids":           topic(registerTopic + "1&$rid=2"),
		"another name for it":       topic("$dps/registrations/PUT/iotdps-register/?rid=1"),
		"a huge request id":         topic(registerTopic + strings.Repeat("r", 1025)),
		"a topic of 64 KiB":         topic(strings.Repeat("t", 65535)),
		"a wildcard":                topic(registerTopic + "+"),
		"a NUL":                     topic(registerTopic + "\x00"),
		"QoS 2":                     func(c *mqttClient) { c.publish(2, registerTopic+"1", "") },
		"a second CONNECT":          func(c *mqttClient) { c.send(hello(w.info.IDScope, "dev-1")) },
		"a second, of MQTT 5":       raw(0x10, 7, 0, 4, 'M', 'Q', 'T', 'T', 5),
		"CONNACK":                   raw(0x20, 2, 0, 0),
		"PUBREL":                    raw(0x62, 2, 0, 1),
		"reserved type":             raw(0xf0, 0),
		"reserved flags":            raw(0xc1, 0),
		"a subscription cut short":  raw(0x82, 6, 0, 1, 0, 0, 1, 'a'),
		"a length without end":      raw(0x30, 0xff, 0xff, 0xff, 0xff, 0xff),
		"a length beyond the limit": raw(0x30, 0x81, 0x80, 0x10),
		"too many filters": func(c *mqttClient) {
			body := append([]byte{0, 1}, bytes.Repeat([]byte{0, 1, 'a', 0}, 3000)...)
			c.raw(append([]byte{0x82, byte(len(body)&0x7f | 0x80), byte(len(body) >> 7)}, body...)...)
		},
	} {
		c := w.online("dev-1", cert)
		offend(c)
		c.closed()
		if w.rule() != "mqtt-protocol" {
			t.Errorf("%s: rule %q", name, w.rule())
		}
		if r := witness.ask(registerTopic+"1", ""); r.status != 202 {
			t.Fatalf("%s: the witness got %d: %s", name, r.status, r.raw)
		}
	}
	for name, first := range map[string][]byte{
		"PINGREQ first":    {0xc0, 0},
		"SUBSCRIBE first":  {0x82, 6, 0, 1, 0, 1, 'a', 0},
		"PUBLISH first":    {0x30, 3, 0, 1, 'a'},
		"DISCONNECT first": {0xe0, 0},
		"a huge CONNECT":   {0x10, 0x81, 0x80, 0x01},
		"flags in CONNECT": {0x11, 0},
	} {
		c := w.dialMQTT(cert)
		c.raw(first...)
		c.closed()
		if w.rule() != "mqtt-protocol" {
			t.Errorf("%s: rule %q", name, w.rule())
		}
	}
}

// TestMQTTAnswersReachTheAskerAlone: every client has the same subscription.
func TestMQTTAnswersReachTheAskerAlone(t *testing.T) {
	w, p := fleet(t)
	one, two := device(t, p.intermediate, "dev-1"), device(t, p.intermediate, "dev-2")
	a, b := w.online("dev-1", one), w.online("dev-2", two)
	// A stranger with the id, and the client of dev-1 itself, once more.
	stranger := w.online("dev-1", device(t, newPKI(t).intermediate, "dev-1"))
	operation := a.ask(registerTopic+"same", "").str("operationId")
	if r := stranger.ask(pollTopic+"same&operationId="+operation, ""); r.status != 401 {
		t.Errorf("the stranger got %d: %s", r.status, r.raw)
	}
	for range 3 {
		if r := b.ask(registerTopic+"same", ""); r.status != 202 || r.str("operationId") == operation {
			t.Errorf("%d: %s", r.status, r.raw)
		}
		if r := a.ask(pollTopic+"same&operationId="+operation, ""); r.status != 200 {
			t.Errorf("%d: %s", r.status, r.raw)
		}
	}
	// Each reads exactly its own answers: the next packet is that for a ping.
	for _, c := range []*mqttClient{a, b, stranger} {
		c.send(packets.NewControlPacket(packets.Pingreq))
		if p, ok := c.next().(*packets.PingrespPacket); !ok {
			t.Errorf("got %v", p)
		}
	}
}

// TestMQTTTakeOver: the device that connects again ends its own old connection,
// while the operation goes on (MQ10).
func TestMQTTTakeOver(t *testing.T) {
	w, p := fleet(t)
	cert := device(t, p.intermediate, "dev-1")
	old := w.online("dev-1", cert)
	operation := old.ask(registerTopic+"1", "").str("operationId")
	stranger := w.online("dev-1", device(t, newPKI(t).intermediate, "dev-1"))
	if r := old.ask(registerTopic+"2", ""); r.status != 202 {
		t.Errorf("a stranger took the connection: %d", r.status)
	}
	fresh := w.online("DEV-1", cert)
	old.closed()
	if r := fresh.ask(pollTopic+"1&operationId="+operation, ""); r.status != 200 || r.str("status") != "assigned" {
		t.Errorf("%d: %s", r.status, r.raw)
	}
	stranger.send(packets.NewControlPacket(packets.Pingreq))
	stranger.next()
}

// TestMQTTAssigning: while it lasts the answers say when to ask again (MQ17).
func TestMQTTAssigning(t *testing.T) {
	w, p := fleet(t, func(o *emulator.Options) { o.RetryAfter = time.Hour })
	c := w.online("dev-1", device(t, p.intermediate, "dev-1"))
	r := c.ask(registerTopic+"1", "")
	operation := r.str("operationId")
	for range 3 {
		if r.status != 202 || r.retryAfter != "3600" || r.str("status") != "assigning" {
			t.Errorf("%d, topic %q: %s", r.status, r.topic, r.raw)
		}
		r = c.ask(pollTopic+"2&operationId="+operation, "")
		state := r.body["registrationState"].(map[string]any)
		if len(state) != 2 || state["registrationId"] != "dev-1" || state["status"] != "assigning" {
			t.Errorf("state %v", state)
		}
	}
	if again := c.ask(registerTopic+"3", ""); again.str("operationId") != operation {
		t.Error("registering again made another operation")
	}
}

func TestMQTTLateRefusals(t *testing.T) {
	for name, tt := range map[string]struct {
		hubs   []string
		status string
		code   float64
		more   map[string]any
	}{
		"disabled": {nil, "disabled", 0, map[string]any{"provisioningStatus": "disabled"}},
		"no hub":   {[]string{}, "failed", 400208, nil},
	} {
		w := newWorld(t, func(o *emulator.Options) { o.Hubs = tt.hubs })
		cert := selfSigned(t, "dev-1")
		w.individual("dev-1", cert.Certificate, tt.more)
		c := w.online("dev-1", identity(t, cert))
		operation := c.ask(registerTopic+"1", "").str("operationId")
		r := c.ask(pollTopic+"2&operationId="+operation, "")
		state, _ := r.body["registrationState"].(map[string]any)
		code, _ := state["errorCode"].(float64)
		if r.status != 200 || r.str("status") != tt.status || code != tt.code {
			t.Errorf("%s: %d: %s", name, r.status, r.raw)
		}
	}
}

// TestMQTTAfterDisable: a connection that was made before gives no right to
// register after (HT4).
func TestMQTTAfterDisable(t *testing.T) {
	w := newWorld(t)
	cert := selfSigned(t, "dev-1")
	etag := w.individual("dev-1", cert.Certificate).str("etag")
	c := w.online("dev-1", identity(t, cert))
	c.assigned("dev-1")
	gone := w.service(http.MethodDelete, "/enrollments/dev-1", nil, map[string]string{"If-Match": etag})
	w.want(gone, http.StatusNoContent, 0)
	if r := c.ask(registerTopic+"1", ""); r.status != 401 {
		t.Errorf("%d: %s", r.status, r.raw)
	}
}

func TestMQTTFollowsTheClock(t *testing.T) {
	var ahead atomic.Int64
	w, p := fleet(t, func(o *emulator.Options) {
		o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	b := issue(t, p.intermediate, pki.IssueRequest{CommonName: "dev-1", Validity: pki.Validity{NotAfter: time.Now().Add(time.Hour)}})
	c := w.online("dev-1", identity(t, b))
	c.assigned("dev-1")
	ahead.Store(int64(2 * time.Hour))
	if r := c.ask(registerTopic+"1", ""); r.status != 401 || r.str("message") != "Invalid certificate." {
		t.Errorf("%d: %s", r.status, r.raw)
	}
}

package emulator_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
	"github.com/gorilla/websocket"

	"github.com/dpskit/dpskit/pkg/dps/emulator"
)

// overWebSocket connects as id through a WebSocket, frame bytes at a time.
func (w *world) overWebSocket(path, protocol string, frame int, id string, identity *tls.Certificate) *mqttClient {
	w.t.Helper()
	ws, resp, err := w.dialWebSocket(path, identity, nil, protocol)
	if err != nil {
		w.t.Fatalf("%s: %v, %v", path, err, resp)
	}
	if ws.Subprotocol() != protocol || resp.Header.Get("Connection") != "Upgrade" {
		w.t.Errorf("sub-protocol %q, header %v", ws.Subprotocol(), resp.Header)
	}
	c := newMQTTClient(w.t, &wsConn{Conn: ws, frame: frame})
	c.start(hello(w.info.IDScope, id))
	return c
}

// TestWebSocket: each official client has a path and a spelling of its own, and
// packets do not align with frames.
func TestWebSocket(t *testing.T) {
	w, p := fleet(t)
	cert := device(t, p.intermediate, "dev-1")
	for _, tt := range []struct {
		path, protocol string
		frame          int
	}{
		{"/$iothub/websocket", "mqtt", 1 << 16},
		{"/$iothub/websocket", "MQTT", 1},
		{"/", "mqtt", 3},
		{"/mqtt", "mqtt", 100},
		{"/subscriptions/x?y=z", "Mqtt", 7},
	} {
		c := w.overWebSocket(tt.path, tt.protocol, tt.frame, "dev-1", cert)
		c.assigned("dev-1")
		c.send(packets.NewControlPacket(packets.Disconnect))
		c.closed()
	}
	// Two packets in one frame, and a refusal.
	c := w.overWebSocket("/", "mqtt", 1<<16, "dev-1", device(t, newPKI(t).intermediate, "dev-1"))
	c.raw(0xc0, 0, 0xc0, 0)
	c.next()
	c.next()
	if r := c.ask(registerTopic+"1", ""); r.status != 401 {
		t.Errorf("%d: %s", r.status, r.raw)
	}
	own := w.service(http.MethodPut, "/enrollments/own", symmetric("registrationId", "own"), nil)
	w.want(own, 200, 0)
	key, _ := keysIn(own)
	ws, _, err := w.dialWebSocket("/", nil, nil, "mqtt")
	if err != nil {
		t.Fatal(err)
	}
	keyed := newMQTTClient(t, &wsConn{Conn: ws, frame: 64})
	hi := hello(w.info.IDScope, "own")
	hi.PasswordFlag, hi.Password = true, []byte(sign(t, w.info.IDScope+"/registrations/own", key, "registration", time.Now().Add(time.Hour)))
	keyed.start(hi)
	keyed.assigned("own")
}

// TestWebSocketHandshakes that are no use (MQ15).
func TestWebSocketHandshakes(t *testing.T) {
	w, _ := fleet(t)
	for name, tt := range map[string]struct {
		protocols []string
		header    http.Header
		status    int
	}{
		"no sub-protocol":      {nil, nil, 400},
		"AMQP":                 {[]string{"AMQPWSB10"}, nil, 400},
		"another first":        {[]string{"AMQPWSB10", "mqtt"}, nil, 101},
		"a page of another":    {[]string{"mqtt"}, http.Header{"Origin": {"https://evil.example"}}, 403},
		"another port":         {[]string{"mqtt"}, http.Header{"Origin": {"https://localhost:1"}}, 403},
		"of its own":           {[]string{"mqtt"}, http.Header{"Origin": {"https://" + w.info.HostName}}, 101},
		"compression, ignored": {[]string{"mqtt"}, http.Header{"Sec-WebSocket-Extensions": {"permessage-deflate"}}, 0},
	} {
		ws, resp, err := w.dialWebSocket("/$iothub/websocket", nil, tt.header, tt.protocols...)
		if tt.status == 0 { // the client library refuses to send it
			continue
		}
		if resp == nil || resp.StatusCode != tt.status || (err == nil) != (tt.status == 101) {
			t.Errorf("%s: %v, %v", name, resp, err)
			continue
		}
		if err == nil {
			_ = ws.Close()
			continue
		}
		body, _ := io.ReadAll(resp.Body)
		if w.rule() != "websocket" || !bytes.Contains(body, []byte(`"errorCode":`)) || resp.Header.Get("X-Ms-Request-Id") == "" {
			t.Errorf("%s: rule %q, body %s", name, w.rule(), body)
		}
	}
	for name, tt := range map[string]struct {
		header string
		status int
	}{
		"version 8": {"Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n", 400},
		"no key":    {"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n", 400},
		"bad key":   {"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: !\r\nSec-WebSocket-Protocol: mqtt\r\n", 400},
	} {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(w.info.HTTPS[0], "https://"), &tls.Config{RootCAs: w.e.CAPool()})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+tt.header+"\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || resp.StatusCode != tt.status {
			t.Errorf("%s: %v, %v", name, resp, err)
		}
		_ = conn.Close()
	}
}

// TestWebSocketOffences end one connection (MQ15).
func TestWebSocketOffences(t *testing.T) {
	w, p := fleet(t)
	cert := device(t, p.intermediate, "dev-1")
	witness := w.overWebSocket("/", "mqtt", 64, "witness", device(t, p.intermediate, "witness"))
	huge := binary.BigEndian.AppendUint64([]byte{0x82, 0xff}, 1<<62)
	negative := binary.BigEndian.AppendUint64([]byte{0x82, 0xff}, 1<<63)
	for name, frames := range map[string][]byte{
		"not masked":             {0x82, 0x02, 0xc0, 0},
		"a text":                 {0x81, 0x82, 0, 0, 0, 0, 0xc0, 0},
		"length of 2^62":         append(huge, 0, 0, 0, 0, 0xc0),
		"length of 2^63":         append(negative, 0, 0, 0, 0, 0xc0),
		"reserved bits":          {0xf2, 0x82, 0, 0, 0, 0, 0xc0, 0},
		"unknown opcode":         {0x83, 0x80, 0, 0, 0, 0},
		"continuation of none":   {0x80, 0x82, 0, 0, 0, 0, 0xc0, 0},
		"a long ping":            {0x89, 0xfe, 0, 126, 0, 0, 0, 0},
		"fragments, then a new":  {0x02, 0x81, 0, 0, 0, 0, 0xc0, 0x82, 0x81, 0, 0, 0, 0, 0},
		"garbage in good frames": {0x82, 0x82, 0, 0, 0, 0, 0xf0, 0},
	} {
		c := w.overWebSocket("/", "mqtt", 64, "dev-1", cert)
		ws := c.conn.(*wsConn)
		if _, err := ws.NetConn().Write(frames); err != nil {
			t.Fatal(err)
		}
		c.closed()
		if r := witness.ask(registerTopic+"1", ""); r.status != 202 {
			t.Fatalf("%s: the witness got %d", name, r.status)
		}
	}
}

// TestWebSocketFloods of frames that mean nothing neither block the connection
// nor grow it: pings are answered, empty fragments are skipped.
func TestWebSocketFloods(t *testing.T) {
	w, p := fleet(t)
	c := w.overWebSocket("/", "mqtt", 64, "dev-1", device(t, p.intermediate, "dev-1"))
	ws := c.conn.(*wsConn)
	pongs := 0
	ws.SetPongHandler(func(string) error { pongs++; return nil })
	for range 500 {
		if err := ws.WriteControl(websocket.PingMessage, []byte("x"), time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	flood := append([]byte{0x02, 0x81, 0, 0, 0, 0, 0xc0}, bytes.Repeat([]byte{0x00, 0x80, 0, 0, 0, 0}, 20_000)...)
	flood = append(flood, 0x80, 0x81, 0, 0, 0, 0, 0x00) // the second byte of PINGREQ
	if _, err := ws.NetConn().Write(flood); err != nil {
		t.Fatal(err)
	}
	if p, ok := c.next().(*packets.PingrespPacket); !ok || pongs == 0 {
		t.Errorf("got %v, %d pongs", p, pongs)
	}
}

// TestCloseEndsConnections of both transports, in every state.
func TestCloseEndsConnections(t *testing.T) {
	w, p := fleet(t, func(o *emulator.Options) { o.RetryAfter = time.Hour })
	cert := device(t, p.intermediate, "dev-1")
	var clients []*mqttClient
	clients = append(clients, w.dialMQTT(cert), w.online("dev-1", cert), w.overWebSocket("/", "mqtt", 64, "dev-2", device(t, p.intermediate, "dev-2")))
	silent, _, err := w.dialWebSocket("/", cert, nil, "mqtt")
	if err != nil {
		t.Fatal(err)
	}
	clients = append(clients, newMQTTClient(t, &wsConn{Conn: silent, frame: 1}))
	clients[1].ask(registerTopic+"1", "")
	start := time.Now()
	if err := w.e.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("Close took %v", took)
	}
	for _, c := range clients {
		c.closed()
	}
}

// TestCloseAnswersWhatHasBegun: a request that was acknowledged gets its answer.
func TestCloseAnswersWhatHasBegun(t *testing.T) {
	w, p := fleet(t)
	c := w.online("dev-1", device(t, p.intermediate, "dev-1"))
	c.publish(1, registerTopic+"1", "")
	if _, ok := c.next().(*packets.PubackPacket); !ok {
		t.Fatal("no PUBACK")
	}
	closed := make(chan error)
	go func() { closed <- w.e.Close() }()
	if r := c.reply(registerTopic + "1"); r.status != 202 {
		t.Errorf("%d: %s", r.status, r.raw)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// TestWrongPort: clients of other protocols are told in the log (MQ16).
func TestWrongPort(t *testing.T) {
	w, _ := fleet(t)
	secured := func() net.Conn {
		conn, err := tls.Dial("tcp", w.mqttAddr(), &tls.Config{RootCAs: w.e.CAPool()})
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	plain := func() net.Conn {
		conn, err := net.Dial("tcp", w.mqttAddr())
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	for name, tt := range map[string]struct {
		dial func() net.Conn
		data string
		fix  string
	}{
		"HTTP":        {plain, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "use the HTTPS address"},
		"plain MQTT":  {plain, "\x10\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03abc", "switch TLS on"},
		"noise":       {plain, "\x00\x01\x02\x03\x04\x05\x06", "connect with TLS"},
		"HTTPS":       {secured, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "use the HTTPS address"},
		"HTTPS, PUT":  {secured, "PUT /x HTTP/1.1\r\nHost: x\r\n\r\n", "use the HTTPS address"},
		"HTTPS, POST": {secured, "POST /x HTTP/1.1\r\nHost: x\r\n\r\n", "use the HTTPS address"},
	} {
		conn := tt.dial()
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.WriteString(conn, tt.data); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, conn) // an alert, or nothing, and the end
		_ = conn.Close()
		all := w.logs.refusals(t)
		if len(all) == 0 {
			t.Fatalf("%s: nothing in the log", name)
		}
		last := all[len(all)-1]
		if fix, _ := last["fix"].(string); last["rule"] != "mqtt-port" || !strings.Contains(fix, tt.fix) {
			t.Errorf("%s: %v", name, last)
		}
	}
}

package emulator_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
	"github.com/gorilla/websocket"
)

const (
	responses     = "$dps/registrations/res/#"
	registerTopic = "$dps/registrations/PUT/iotdps-register/?$rid="
	pollTopic     = "$dps/registrations/GET/iotdps-get-operationstatus/?$rid="
)

// mqttClient speaks MQTT packet by packet, in the encoding of the Paho client,
// so that tests can do what no client library lets them.
type mqttClient struct {
	t    testing.TB
	conn net.Conn
	id   uint16
}

func (w *world) mqttAddr() string { return strings.TrimPrefix(w.info.MQTT[0], "mqtts://") }

// dialMQTT makes the TLS handshake and nothing else.
func (w *world) dialMQTT(identity *tls.Certificate) *mqttClient {
	w.t.Helper()
	config := &tls.Config{RootCAs: w.e.CAPool(), ServerName: "localhost"}
	if identity != nil {
		config.Certificates = []tls.Certificate{*identity}
	}
	conn, err := tls.Dial("tcp", w.mqttAddr(), config)
	if err != nil {
		w.t.Fatal(err)
	}
	return newMQTTClient(w.t, conn)
}

func newMQTTClient(t testing.TB, conn net.Conn) *mqttClient {
	t.Helper()
	t.Cleanup(func() { _ = conn.Close() })
	return &mqttClient{t: t, conn: conn}
}

// dialWebSocket makes the WebSocket handshake; with an error comes the answer.
func (w *world) dialWebSocket(path string, identity *tls.Certificate, header http.Header, protocols ...string) (*websocket.Conn, *http.Response, error) {
	w.t.Helper()
	config := &tls.Config{RootCAs: w.e.CAPool()}
	if identity != nil {
		config.Certificates = []tls.Certificate{*identity}
	}
	d := websocket.Dialer{TLSClientConfig: config, Subprotocols: protocols, HandshakeTimeout: 10 * time.Second}
	ws, resp, err := d.Dial("wss://"+w.info.HostName+path, header)
	if err == nil {
		w.t.Cleanup(func() { _ = ws.Close() })
	}
	return ws, resp, err
}

// wsConn lets an mqttClient speak through a WebSocket, frame bytes at a time.
type wsConn struct {
	*websocket.Conn
	frame int
	rest  []byte
}

func (c *wsConn) Write(p []byte) (int, error) {
	for n := 0; n < len(p); n += c.frame {
		if err := c.WriteMessage(websocket.BinaryMessage, p[n:min(n+c.frame, len(p))]); err != nil {
			return n, err
		}
	}
	return len(p), nil
}

func (c *wsConn) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		kind, data, err := c.ReadMessage()
		if err != nil {
			return 0, err
		}
		if kind != websocket.BinaryMessage {
			return 0, fmt.Errorf("message of kind %d", kind)
		}
		c.rest = data
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *wsConn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// patience bounds each step of an mqttClient.
const patience = 20 * time.Second

func (c *mqttClient) raw(data ...byte) {
	c.t.Helper()
	_ = c.conn.SetWriteDeadline(time.Now().Add(patience))
	if _, err := c.conn.Write(data); err != nil {
		c.t.Fatal(err)
	}
}

func (c *mqttClient) send(p packets.ControlPacket) {
	c.t.Helper()
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		c.t.Fatal(err)
	}
	c.raw(b.Bytes()...)
}

func (c *mqttClient) next() packets.ControlPacket {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	p, err := packets.ReadPacket(c.conn)
	if err != nil {
		c.t.Fatalf("no packet: %v", err)
	}
	return p
}

// closed fails unless the server ends the connection without another packet.
func (c *mqttClient) closed() {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	p, err := packets.ReadPacket(c.conn)
	var late net.Error
	switch {
	case err == nil:
		c.t.Errorf("got %v, want the end", p)
	case errors.As(err, &late) && late.Timeout():
		c.t.Errorf("still open: %v", err)
	}
}

func hello(scope, id string) *packets.ConnectPacket {
	p := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	p.ProtocolName, p.ProtocolVersion, p.CleanSession, p.Keepalive = "MQTT", 4, true, 60
	p.ClientIdentifier, p.UsernameFlag = id, true
	p.Username = scope + "/registrations/" + id + "/api-version=2019-03-31&ClientVersion=test%2F1.0"
	return p
}

// connect sends CONNECT and returns the code of CONNACK.
func (c *mqttClient) connect(p *packets.ConnectPacket) byte {
	c.t.Helper()
	c.send(p)
	ack, ok := c.next().(*packets.ConnackPacket)
	if !ok || ack.SessionPresent {
		c.t.Fatalf("got %v", ack)
	}
	return ack.ReturnCode
}

// subscribe returns the codes of SUBACK.
func (c *mqttClient) subscribe(qos byte, filters ...string) []byte {
	c.t.Helper()
	p := packets.NewControlPacket(packets.Subscribe).(*packets.SubscribePacket)
	c.id++
	p.MessageID, p.Topics, p.Qoss = c.id, filters, bytes.Repeat([]byte{qos}, len(filters))
	c.send(p)
	ack, ok := c.next().(*packets.SubackPacket)
	if !ok || ack.MessageID != c.id {
		c.t.Fatalf("got %v", ack)
	}
	return ack.ReturnCodes
}

func (c *mqttClient) publish(qos byte, topic, payload string) {
	c.t.Helper()
	p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	p.Qos, p.TopicName, p.Payload = qos, topic, []byte(payload)
	if qos > 0 {
		c.id++
		p.MessageID = c.id
	}
	c.send(p)
}

// reply is an answer to a request.
type reply struct {
	answer
	topic      string
	qos        byte
	retryAfter string
}

// ask publishes at QoS 1 and demands PUBACK and then the answer, in this order,
// with the request id first and retry-after last in its topic.
func (c *mqttClient) ask(topic, payload string) reply {
	c.t.Helper()
	c.publish(1, topic, payload)
	if ack, ok := c.next().(*packets.PubackPacket); !ok || ack.MessageID != c.id {
		c.t.Fatalf("got %v, want PUBACK", ack)
	}
	return c.reply(topic)
}

func (c *mqttClient) reply(topic string) reply {
	c.t.Helper()
	p, ok := c.next().(*packets.PublishPacket)
	if !ok || p.Retain || p.Dup {
		c.t.Fatalf("got %v", p)
	}
	r := reply{topic: p.TopicName, qos: p.Qos}
	rest, ok := strings.CutPrefix(p.TopicName, "$dps/registrations/res/")
	status, query, found := strings.Cut(rest, "/?$rid=")
	if !ok || !found {
		c.t.Fatalf("topic %q", p.TopicName)
	}
	var err error
	if r.status, err = strconv.Atoi(status); err != nil {
		c.t.Fatalf("topic %q", p.TopicName)
	}
	id, retryAfter, has := strings.Cut(query, "&retry-after=")
	_, asked, _ := strings.Cut(topic, "$rid=")
	if asked, _, _ = strings.Cut(asked, "&"); asked != id {
		c.t.Errorf("request id %q came back as %q", asked, id)
	}
	if has == (retryAfter == "") {
		c.t.Errorf("topic %q", p.TopicName)
	}
	r.retryAfter, r.raw = retryAfter, p.Payload
	if err := json.Unmarshal(p.Payload, &r.body); err != nil {
		c.t.Errorf("payload %q: %v", p.Payload, err)
	}
	if p.Qos > 0 {
		ack := packets.NewControlPacket(packets.Puback).(*packets.PubackPacket)
		ack.MessageID = p.MessageID
		c.send(ack)
	}
	return r
}

// online connects as id and subscribes.
func (w *world) online(id string, identity *tls.Certificate) *mqttClient {
	w.t.Helper()
	c := w.dialMQTT(identity)
	c.start(hello(w.info.IDScope, id))
	return c
}

func (c *mqttClient) start(p *packets.ConnectPacket) {
	c.t.Helper()
	if code := c.connect(p); code != packets.Accepted {
		c.t.Fatalf("CONNACK %d", code)
	}
	if codes := c.subscribe(1, responses); !bytes.Equal(codes, []byte{1}) {
		c.t.Fatalf("SUBACK %v", codes)
	}
}

// assigned registers and polls once.
func (c *mqttClient) assigned(id string) reply {
	c.t.Helper()
	r := c.ask(registerTopic+"1", `{"registrationId":"`+id+`"}`)
	if r.status != http.StatusAccepted {
		c.t.Fatalf("%d: %s", r.status, r.raw)
	}
	r = c.ask(pollTopic+"2&operationId="+r.str("operationId"), " ")
	if r.status != http.StatusOK || r.str("status") != "assigned" || r.str("registrationState", "registrationId") != id {
		c.t.Fatalf("%d: %s", r.status, r.raw)
	}
	return r
}

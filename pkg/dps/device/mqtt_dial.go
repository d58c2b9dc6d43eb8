package device

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/dpskit/dpskit/pkg/dps"
)

// dialTimeout bounds each step of getting connected.
const dialTimeout = 15 * time.Second

// webSocketPath is where the official clients connect.
const webSocketPath = "/$iothub/websocket"

// maxAnswer bounds a packet from the server, in bytes; answers have about one
// kilobyte.
const maxAnswer = 1 << 20

// dial opens the stream for MQTT: TLS, or a WebSocket within.
func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	host, address := c.mqttAddress()
	config := newTLSConfig(c.identity, c.handshake, c.opts.RootCAs)
	config.ServerName = host
	open := c.opts.DialContext
	if open == nil {
		open = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	if c.opts.Transport == TransportMQTTWS {
		return c.dialWebSocket(ctx, address, config, open)
	}
	raw, err := open(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	secured := tls.Client(raw, config)
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, err
	}
	return secured, nil
}

func (c *Client) dialWebSocket(ctx context.Context, address string, config *tls.Config,
	open func(context.Context, string, string) (net.Conn, error)) (net.Conn, error) {
	d := websocket.Dialer{
		NetDialContext: open, TLSClientConfig: config, HandshakeTimeout: dialTimeout, Subprotocols: []string{"mqtt"},
		ReadBufferSize: 4 << 10, WriteBufferSize: 4 << 10,
	}
	if c.opts.DialContext == nil {
		d.Proxy = http.ProxyFromEnvironment
	}
	ws, resp, err := d.DialContext(ctx, "wss://"+address+webSocketPath, nil)
	if err != nil {
		return nil, webSocketError(resp, err)
	}
	if !strings.EqualFold(ws.Subprotocol(), "mqtt") {
		_ = ws.Close()
		return nil, &dps.Error{Message: "the server does not speak MQTT over WebSocket", Err: dps.ErrUnexpectedAnswer}
	}
	ws.SetReadLimit(2 * maxAnswer)
	return &webSocket{Conn: ws}, nil
}

// webSocketError makes an HTTP answer to a WebSocket handshake the refusal that
// it is.
func webSocketError(resp *http.Response, err error) error {
	if resp == nil || !errors.Is(err, websocket.ErrBadHandshake) {
		return err
	}
	if resp.StatusCode < 400 {
		return &dps.Error{StatusCode: resp.StatusCode, Message: "the server does not speak MQTT over WebSocket", Err: dps.ErrUnexpectedAnswer}
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, dps.MaxErrorBody))
	return dps.ParseErrorBody(resp.StatusCode, body)
}

// webSocket reads binary messages as one stream: packets need not align with
// them. Paho reads in one place and writes in several.
type webSocket struct {
	*websocket.Conn
	message io.Reader
	writing sync.Mutex
}

func (w *webSocket) Read(p []byte) (int, error) {
	for {
		if w.message == nil {
			kind, r, err := w.NextReader()
			if err != nil {
				return 0, err
			}
			if kind != websocket.BinaryMessage {
				return 0, fmt.Errorf("%w: a WebSocket message is not binary", dps.ErrUnexpectedAnswer)
			}
			w.message = r
		}
		n, err := w.message.Read(p)
		if err == io.EOF {
			w.message, err = nil, nil
			if n == 0 {
				continue
			}
		}
		return n, err
	}
}

func (w *webSocket) Write(p []byte) (int, error) {
	w.writing.Lock()
	defer w.writing.Unlock()
	if err := w.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// SetWriteDeadline is no different from a write to the library below.
func (w *webSocket) SetWriteDeadline(t time.Time) error {
	w.writing.Lock()
	defer w.writing.Unlock()
	return w.Conn.SetWriteDeadline(t)
}

func (w *webSocket) SetDeadline(t time.Time) error {
	if err := w.SetReadDeadline(t); err != nil {
		return err
	}
	return w.SetWriteDeadline(t)
}

// guard watches the packets that come from the server, because Paho trusts it:
// it allocates whatever length is announced, indexes a SUBACK beyond what was
// subscribed, and takes an unknown code of CONNACK for success.
type guard struct {
	net.Conn
	fail  func(error) // is told what goes wrong, before Paho puts it in its words
	head  []byte      // of the packet that is being read
	left  int         // of its content; 0 while in its head
	begun bool        // the first packet was CONNACK
}

// Ends of a connection whose server does not keep to the protocol.
var (
	errPacket = fmt.Errorf("%w: a packet of the server breaks the MQTT protocol", dps.ErrUnexpectedAnswer)
	errNoMQTT = fmt.Errorf("%w: the server does not speak MQTT", dps.ErrUnexpectedAnswer)
)

func (g *guard) Read(p []byte) (int, error) {
	n, err := g.Conn.Read(p)
	for rest := p[:n]; len(rest) > 0; {
		if g.left > 0 {
			skip := min(g.left, len(rest))
			g.left -= skip
			rest = rest[skip:]
			continue
		}
		g.head, rest = append(g.head, rest[0]), rest[1:]
		if bad := g.check(); bad != nil {
			n, err = 0, bad
			break
		}
	}
	if errors.Is(err, net.ErrClosed) {
		err = errLost // Paho takes no notice of the other
	}
	if err != nil {
		g.fail(err)
	}
	return n, err
}

// check looks at the head as far as it is there. The heads of CONNACK and SUBACK
// are read to their end.
func (g *guard) check() error {
	const connack, suback = 0x20, 0x90
	if !g.begun && g.head[0] != connack {
		return errNoMQTT
	}
	g.begun = true
	if first := g.head[0]; first>>4 != 3 && first&0x0f != 0 {
		return errPacket // flags are for PUBLISH; nothing else that we asked for has them
	}
	length, size := 0, 0
	for i, b := range g.head[1:] {
		if i == 4 {
			return errPacket
		}
		length |= int(b&0x7f) << (7 * i)
		if b&0x80 == 0 {
			size = i + 2
			break
		}
	}
	if size == 0 {
		if len(g.head) > 5 {
			return errPacket
		}
		return nil
	}
	whole := 0
	switch first := g.head[0]; {
	case length > maxAnswer, first == connack && length != 2, first == suback && length != 3:
		return errPacket
	case first == connack:
		whole = size + 2
	}
	if len(g.head) < whole {
		return nil
	}
	if whole > 0 && g.head[whole-1] > 5 {
		return errPacket
	}
	g.left = length - (len(g.head) - size)
	g.head = g.head[:0]
	return nil
}

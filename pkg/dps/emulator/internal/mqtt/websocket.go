package mqtt

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/web"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"
)

// subprotocol is compared without case; the answer has the client's spelling.
const subprotocol = "mqtt"

// maxMessage bounds one WebSocket message, which may hold several packets.
const maxMessage = 2 * maxPacket

// IsUpgrade reports whether r asks for a WebSocket, on whatever path: the
// official clients use several.
func IsUpgrade(r *http.Request) bool { return websocket.IsWebSocketUpgrade(r) }

// ServeWebSocket serves one connection and returns when it has ended. A page in
// a browser may open one only from the emulator's own origin.
func (s *Server) ServeWebSocket(w http.ResponseWriter, r *http.Request) {
	spelling, ok := chooseSubprotocol(r)
	if !ok {
		s.refuseUpgrade(w, r, http.StatusBadRequest, errors.New("Sec-WebSocket-Protocol is not mqtt"))
		return
	}
	upgrader := websocket.Upgrader{
		HandshakeTimeout: connectTimeout,
		ReadBufferSize:   1 << 10, WriteBufferSize: 1 << 10,
		Error: func(w http.ResponseWriter, r *http.Request, status int, reason error) {
			s.refuseUpgrade(w, r, status, reason)
		},
	}
	ws, err := upgrader.Upgrade(w, r, http.Header{"Sec-Websocket-Protocol": {spelling}})
	if err != nil {
		return // answered and logged
	}
	ws.SetReadLimit(maxMessage)
	var chain []*x509.Certificate
	if r.TLS != nil {
		chain = r.TLS.PeerCertificates
	}
	if !s.serveConn(context.WithoutCancel(r.Context()), &stream{ws: ws}, rawConn(ws), chain, transportWebSocket, r.RemoteAddr) {
		deadline := time.Now().Add(lingerTimeout)
		_ = ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseTryAgainLater, ""), deadline)
		_ = ws.Close()
	}
}

// rawConn is the TCP connection below: closing it does not wait for the client
// to read a TLS alert.
func rawConn(ws *websocket.Conn) net.Conn {
	if secured, ok := ws.NetConn().(*tls.Conn); ok {
		return secured.NetConn()
	}
	return ws.NetConn()
}

func chooseSubprotocol(r *http.Request) (string, bool) {
	for _, offered := range websocket.Subprotocols(r) {
		if strings.EqualFold(offered, subprotocol) {
			return offered, true
		}
	}
	return "", false
}

// refuseUpgrade answers like the device plane does. The cause is one of a few
// texts that hold nothing of the request.
func (s *Server) refuseUpgrade(w http.ResponseWriter, r *http.Request, status int, cause error) {
	refused := &refuse.Refusal{
		Status: status, Code: status * 1000, Rule: "websocket", Message: "WebSocket handshake is not acceptable.",
		Expected: "version 13, sub-protocol mqtt, no Origin of another site",
		Fix:      "the emulator serves MQTT over WebSocket only: " + strings.TrimPrefix(cause.Error(), "websocket: "),
	}
	id := w.Header().Get(web.HeaderRequestID)
	se := &session{server: s, transport: transportWebSocket, remote: r.RemoteAddr}
	se.logRefusal(r.Context(), id, refused)
	body, err := web.Encode(wire.NewServiceError(refused, id, s.config.Now()))
	if err != nil {
		status = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// stream reads the binary messages of a WebSocket as one stream of bytes: MQTT
// packets need not align with them.
type stream struct {
	ws      *websocket.Conn
	message io.Reader // what is left of the current one; nil between two
}

func (s *stream) Read(p []byte) (int, error) {
	for {
		if s.message == nil {
			kind, r, err := s.ws.NextReader()
			if err != nil {
				return 0, closed(err)
			}
			if kind != websocket.BinaryMessage {
				return 0, protocolError("WebSocket message is not binary")
			}
			s.message = r
		}
		n, err := s.message.Read(p)
		if err == io.EOF {
			s.message, err = nil, nil
			if n == 0 {
				continue
			}
		}
		return n, closed(err)
	}
}

// closed makes a proper end of the WebSocket the end of the stream.
func closed(err error) error {
	if websocket.IsCloseError(err, websocket.CloseNormalClosure, websocket.CloseGoingAway, websocket.CloseNoStatusReceived) {
		return io.EOF
	}
	return err
}

func (s *stream) Write(p []byte) (int, error) {
	if err := s.ws.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (s *stream) SetReadDeadline(t time.Time) error  { return s.ws.SetReadDeadline(t) }
func (s *stream) SetWriteDeadline(t time.Time) error { return s.ws.SetWriteDeadline(t) }
func (s *stream) Close() error                       { return s.ws.Close() }

func (s *stream) CloseWrite() error {
	message := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	return s.ws.WriteControl(websocket.CloseMessage, message, time.Now().Add(lingerTimeout))
}

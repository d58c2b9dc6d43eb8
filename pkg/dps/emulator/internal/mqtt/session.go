package mqtt

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator/fault"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/provision"
)

// Deadlines of a connection.
const (
	connectTimeout = 10 * time.Second // TLS handshake; then again for CONNECT
	packetTimeout  = 30 * time.Second // from the first byte of a packet to the last
	writeTimeout   = 10 * time.Second
	lingerTimeout  = time.Second
	// maxSilence is the longest keep-alive that Azure IoT services allow
	// (https://learn.microsoft.com/azure/iot/iot-mqtt-connect-to-iot-hub), also
	// for clients that promise none.
	maxSilence = 1767 * time.Second
)

// responseDelay is how long an answer waits after the request was acknowledged.
// The Java SDK begins to listen only after its publish call has returned, and
// misses an answer that is faster.
const responseDelay = 40 * time.Millisecond

// connection is a byte stream with deadlines.
type connection interface {
	io.ReadWriteCloser
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
	// CloseWrite tells the client that nothing more will come.
	CloseWrite() error
}

// session is one connection, from the first byte to the last.
type session struct {
	server    *Server
	transport string
	remote    string
	closer    io.Closer    // may be called from anywhere
	active    atomic.Int64 // time of the last packet since Server.start
	busy      bool         // guarded by Server.mu

	conn connection
	in   *bufio.Reader

	// Set by CONNECT.
	call    provision.Call
	owner   string // the device and its credential
	silence time.Duration

	subscribed bool
	qos        byte // of answers
	lastID     uint16
}

func (se *session) touch() { se.active.Store(int64(time.Since(se.server.start))) }

func (se *session) idle() time.Duration {
	return time.Since(se.server.start) - time.Duration(se.active.Load())
}

// runTLS makes the handshake and serves the connection.
func (se *session) runTLS(ctx context.Context, conn net.Conn, config *tls.Config) {
	defer func() { _ = conn.Close() }()
	secured := tls.Server(conn, config)
	shake, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := secured.HandshakeContext(shake); err != nil {
		se.logHandshake(ctx, err)
		return
	}
	se.conn, se.call.Chain = secured, secured.ConnectionState().PeerCertificates
	se.run(ctx)
}

// run serves the connection until it ends. Nothing that a client does, and no
// mistake of ours, ends more than this connection.
func (se *session) run(ctx context.Context) {
	defer func() { _ = se.conn.Close() }()
	defer func() {
		if p := recover(); p != nil {
			se.server.config.Logger.ErrorContext(ctx, "connection panicked", "transport", se.transport,
				"remote", se.remote, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	se.in = bufio.NewReaderSize(se.conn, 512)
	se.logEnd(ctx, se.serve(ctx))
}

// errRefused ends a connection whose CONNECT was refused; that is logged where
// it happens.
var errRefused = errors.New("connection refused")

// errDone ends a connection as both sides expect.
var errDone = errors.New("connection ended")

func (se *session) serve(ctx context.Context) error {
	first, err := se.read(connectTimeout, maxConnect)
	if err != nil {
		var version versionError
		if errors.As(err, &version) {
			return se.refuse(ctx, badProtocolVersion, otherVersion(version))
		}
		return err
	}
	p, ok := first.(connect)
	if !ok {
		return protocolError("first packet is not CONNECT")
	}
	if err := se.connectStruck(ctx, p); err != nil {
		return err
	}
	for {
		next, err := se.read(se.silence, maxPacket)
		if err != nil {
			var version versionError
			if errors.As(err, &version) {
				return protocolError("second CONNECT")
			}
			return err
		}
		if !se.server.begin(se) {
			return errDone
		}
		err = se.handle(ctx, next)
		if !se.server.end(se) && err == nil {
			return errDone
		}
		if err != nil {
			return err
		}
	}
}

// read waits for a packet for as long as patience lasts; once it has begun, a
// packet must be complete within packetTimeout.
func (se *session) read(patience time.Duration, limit int) (packet, error) {
	if err := se.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	p, err := readPacket(se.in, limit, func() {
		_ = se.conn.SetReadDeadline(time.Now().Add(min(patience, packetTimeout)))
	})
	se.touch()
	return p, err
}

func (se *session) write(data []byte) error {
	if err := se.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := se.conn.Write(data)
	return err
}

func (se *session) handle(ctx context.Context, p packet) error {
	switch p := p.(type) {
	case publish:
		return se.publish(ctx, p)
	case subscribe:
		return se.subscribe(p)
	case unsubscribe:
		for _, topic := range p.filters {
			if topic == responseFilter {
				se.subscribed = false
			}
		}
		return se.write(encodeUnsuback(p.id))
	case pingreq:
		return se.write(encodePingresp())
	case puback: // nothing is sent twice, so nothing waits for it
		return nil
	case disconnect:
		return errDone
	case connect:
		return protocolError("second CONNECT")
	}
	return protocolError("packet type is not one that clients send")
}

// subscribe grants the one filter that there is, at QoS 1 at most, as the
// service does.
func (se *session) subscribe(p subscribe) error {
	codes := make([]byte, len(p.filters))
	for i, f := range p.filters {
		if f.topic != responseFilter {
			codes[i] = subscribeFailure
			continue
		}
		codes[i] = min(f.qos, 1)
		se.subscribed, se.qos = true, codes[i]
	}
	return se.write(encodeSuback(p.id, codes))
}

// publish answers a request. The acknowledgement goes first: some clients take
// an answer before it for an error. Retain and duplicate flags mean nothing:
// nothing is kept, and a request may be repeated.
func (se *session) publish(ctx context.Context, p publish) error {
	if p.qos == 2 {
		return protocolError("QoS 2 is not supported")
	}
	r, err := parseRequest(p.topic)
	if err != nil {
		return err
	}
	s := se.decide(ctx, r)
	if err := se.before(ctx, s); err != nil {
		return err
	}
	if p.qos == 1 && s.Kind != fault.DropAck {
		if err := se.write(encodePuback(p.id)); err != nil {
			return err
		}
	}
	a, err := se.struck(ctx, s, r, p.payload)
	if err != nil {
		return err
	}
	if err := sleep(ctx, responseDelay); err != nil {
		return err
	}
	if !se.subscribed {
		se.server.config.Logger.DebugContext(ctx, "nobody subscribed to the answer", "transport", se.transport,
			"registration_id", se.call.RegistrationID, "status", a.status)
		return nil
	}
	out := publish{topic: responseTopic(a.status, r.requestID, a.retryAfter), qos: se.qos, payload: a.body}
	if out.qos > 0 {
		out.id = se.nextID()
	}
	return se.writeStruck(ctx, s, encodePublish(out), len(out.payload))
}

func (se *session) nextID() uint16 {
	if se.lastID++; se.lastID == 0 {
		se.lastID = 1
	}
	return se.lastID
}

// linger gives what was written last a chance to arrive: closing a connection
// with unread input resets it.
func (se *session) linger() {
	if se.conn.SetReadDeadline(time.Now().Add(lingerTimeout)) != nil || se.conn.CloseWrite() != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, se.in, maxConnect)
}

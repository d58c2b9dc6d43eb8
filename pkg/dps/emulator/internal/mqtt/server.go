package mqtt

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/deviceapi"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/inject"
)

// Names of the transports in the log.
const (
	transportTLS       = "mqtt"
	transportWebSocket = "mqtt-ws"
)

// DefaultConnections is how many connections are served at once: more than the
// largest fleet that registers in one go, at some 30 KiB each.
const DefaultConnections = 16 << 10

// idleAfter is when a connection without a packet may be closed to make room.
// Devices that wait for their hub ask every few seconds.
const idleAfter = 15 * time.Second

// Config is what a Server needs.
type Config struct {
	Plane  deviceapi.Plane
	Logger *slog.Logger
	Now    func() time.Time
	// Faults are what goes wrong on request; nil is nothing.
	Faults *inject.Injector
	// TLS is for connections that [Server.Serve] accepts.
	TLS *tls.Config
	// MaxConnections bounds all connections together; 0 means
	// DefaultConnections.
	MaxConnections int
}

// Server serves MQTT connections. One Server has all of them, of every listener
// and transport.
type Server struct {
	config Config
	start  time.Time

	mu       sync.Mutex
	closed   bool
	sessions map[*session]struct{}
	devices  map[string]*session // by session.owner, once they are connected
	running  sync.WaitGroup
}

// New returns a Server without connections.
func New(config Config) *Server {
	if config.MaxConnections <= 0 {
		config.MaxConnections = DefaultConnections
	}
	return &Server{config: config, start: time.Now(), sessions: map[*session]struct{}{}, devices: map[string]*session{}}
}

// Serve accepts TLS connections from l until l is closed. Failures to accept one
// connection, such as a lack of file descriptors, are waited out.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	const longest = time.Second
	delay := time.Duration(0)
	for {
		conn, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			s.config.Logger.WarnContext(ctx, "accept failed", "transport", transportTLS, "error", err.Error())
			delay = min(max(2*delay, 5*time.Millisecond), longest)
			if err := sleep(ctx, delay); err != nil {
				return err
			}
			continue
		}
		delay = 0
		se := s.admit(conn, transportTLS, conn.RemoteAddr().String())
		if se == nil {
			_ = conn.Close()
			continue
		}
		go func() {
			defer s.leave(se)
			se.runTLS(ctx, conn, s.config.TLS)
		}()
	}
}

// serveConn serves a connection that is past its TLS handshake, and returns when
// it has ended; false means that there was no room for it. closer ends it from
// outside, without waiting for the client.
func (s *Server) serveConn(ctx context.Context, conn connection, closer io.Closer, chain []*x509.Certificate, transport, remote string) bool {
	se := s.admit(closer, transport, remote)
	if se == nil {
		return false
	}
	defer s.leave(se)
	se.conn, se.call.Chain = conn, chain
	se.run(ctx)
	return true
}

// admit registers a connection, or returns nil if there is no room. A connection
// that has been silent for a while makes room for a new one; busy ones do not,
// so that under load some finish instead of all starting over.
func (s *Server) admit(closer io.Closer, transport, remote string) *session {
	se := &session{server: s, transport: transport, remote: remote, closer: closer}
	se.touch()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	if len(s.sessions) >= s.config.MaxConnections && !s.evict() {
		s.config.Logger.Warn("too many connections", "transport", transport, "limit", s.config.MaxConnections)
		return nil
	}
	s.sessions[se] = struct{}{}
	s.running.Add(1)
	return se
}

// evict closes the connection that has been silent for longest. The caller holds
// the lock.
func (s *Server) evict() bool {
	var victim *session
	for se := range s.sessions {
		if !se.busy && (victim == nil || se.active.Load() < victim.active.Load()) {
			victim = se
		}
	}
	if victim == nil || victim.idle() < idleAfter {
		return false
	}
	s.config.Logger.Debug("idle connection closed to make room", "transport", victim.transport, "remote", victim.remote)
	delete(s.sessions, victim) // so that it is not chosen again
	_ = victim.closer.Close()
	return true
}

func (s *Server) leave(se *session) {
	s.mu.Lock()
	delete(s.sessions, se)
	if s.devices[se.owner] == se {
		delete(s.devices, se.owner)
	}
	s.mu.Unlock()
	s.running.Done()
}

// takeOver makes se the connection of its device and closes the one before
// (section 3.1.4). Two devices that claim one name with different credentials
// do not disturb each other: who is who is judged when they register.
func (s *Server) takeOver(se *session) {
	s.mu.Lock()
	before := s.devices[se.owner]
	s.devices[se.owner] = se
	s.mu.Unlock()
	if before != nil {
		_ = before.closer.Close()
	}
}

// begin marks se as working on a request; it reports false when the server is
// closing.
func (s *Server) begin(se *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	se.busy = !s.closed
	return se.busy
}

// end reports whether se may read on.
func (s *Server) end(se *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	se.busy = false
	return !s.closed
}

// Close lets requests that have begun finish until ctx ends, cuts off the rest,
// and returns when every connection has ended. The listeners are the caller's to
// close, before.
func (s *Server) Close(ctx context.Context) {
	s.mu.Lock()
	s.closed = true
	s.closeSessions(func(se *session) bool { return !se.busy })
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.running.Wait()
	}()
	select {
	case <-done:
	case <-ctx.Done():
		s.mu.Lock()
		s.closeSessions(func(*session) bool { return true })
		s.mu.Unlock()
		<-done
	}
}

func (s *Server) closeSessions(which func(*session) bool) {
	for se := range s.sessions {
		if which(se) {
			_ = se.closer.Close()
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

package emulator

import (
	"cmp"
	"context"
	"io"
	"net"
	"net/http"
	"time"
)

// Tests that fill the emulator with connections do not want to wait for seconds.
func init() {
	connectionGrace = graces{shaking: 300 * time.Millisecond, idle: 200 * time.Millisecond}
}

// Planes returns the handler behind the HTTPS listeners, for tests that send
// more requests than connections can carry.
func (e *Emulator) Planes() (http.Handler, error) { return e.planes(e.devicePlane()) }

// Health returns the handler of /healthz and /readyz, which can be asked after
// the listeners are gone.
func (e *Emulator) Health() http.Handler { return e.healthHandler() }

// Timeouts returns the limits of every server of e.
func (e *Emulator) Timeouts() (all [][]time.Duration) {
	for _, s := range e.servers {
		all = append(all, []time.Duration{s.http.ReadHeaderTimeout, s.http.ReadTimeout, s.http.WriteTimeout, s.http.IdleTimeout})
	}
	return all
}

// Gate is the bound on connections.
type Gate = gate

// NewGate returns a gate; graces are those of shaking and idle connections.
func NewGate(limit int, grace [2]time.Duration) *Gate { return newGate(limit, grace) }

// Listener lets connections of l through the gate.
func (g *gate) Listener(l net.Listener) net.Listener { return g.listener(l) }

// Track tells the gate what an http.Server would.
func (g *gate) Track(c net.Conn, state http.ConnState) { g.track(c, state) }

// Body is the body of a request that came over c.
func (g *gate) Body(c net.Conn, body io.Reader) io.Reader {
	r := &http.Request{ContentLength: 1, Body: io.NopCloser(body)}
	r = r.WithContext(g.withConn(context.Background(), c))
	return g.body(r).Body
}

// Open is how many connections are open.
func (g *gate) Open() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open
}

// Lobby is a listener that waits for first words.
type Lobby = lobby

// NewLobby returns a lobby with these bounds; 0 means the default.
func NewLobby(l net.Listener, patience time.Duration, silent, ready int, relieve func()) *Lobby {
	return newLobby(l, lobbyBounds{
		silent: cmp.Or(silent, defaultLobby.silent), ready: cmp.Or(ready, defaultLobby.ready), patience: patience,
	}, relieve)
}

// Wait returns when the lobby has ended.
func (b *lobby) Wait() { b.wait() }

// Ready is how many connections wait to be accepted.
func (b *lobby) Ready() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.nReady
}

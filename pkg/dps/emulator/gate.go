package emulator

import (
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// gate bounds the connections of a server. When it is full, a connection
// without a request makes room for the next: one that hangs in its TLS
// handshake, its header or its body, or an idle one. Each gets some time first,
// because under load honest clients are slow too, and what was done for them
// would have to be done again. Until there is room, connections wait.
type gate struct {
	limit int
	grace graces

	mu    sync.Mutex
	open  int
	quiet [quietKinds]list.List // of *gateConn, without a request, longest first
	freed chan struct{}         // told when something may have changed
}

// quietKind is what a connection without a request is doing.
type quietKind int

const (
	shaking    quietKind = iota // in the handshake, in its first header, or in a body
	idle                        // had an answer; it would have to shake hands again
	quietKinds                  // how many there are
)

// graces are how long connections of each kind are left alone.
type graces [quietKinds]time.Duration

func newGate(limit int, grace graces) *gate {
	return &gate{limit: limit, grace: grace, freed: make(chan struct{}, 1)}
}

// gateConn is a connection that the gate has let in.
type gateConn struct {
	net.Conn

	gate *gate
	// The rest is the gate's.
	left  bool
	fresh bool          // no request yet
	place *list.Element // in quiet; nil while there is a request
	kind  quietKind
	since time.Time
}

// Close gives the place back.
func (c *gateConn) Close() error {
	c.gate.leave(c)
	return c.Conn.Close()
}

// listener lets connections of l through the gate. Several listeners may share
// one gate.
func (g *gate) listener(l net.Listener) net.Listener {
	return &gateListener{Listener: l, gate: g, closed: make(chan struct{})}
}

type gateListener struct {
	net.Listener

	gate   *gate
	once   sync.Once
	closed chan struct{}
}

// Accept returns the next connection for which there is room.
func (l *gateListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	for {
		c, wait := l.gate.enter(conn)
		if c != nil {
			return c, nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-l.gate.freed:
		case <-timer.C:
		case <-l.closed:
			timer.Stop()
			return nil, errors.Join(net.ErrClosed, conn.Close())
		}
		timer.Stop()
	}
}

// Close ends a waiting Accept, too.
func (l *gateListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// enter lets conn in, or says how long to wait before it is worth another try.
func (g *gate) enter(conn net.Conn) (*gateConn, time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open >= g.limit {
		if wait := g.makeRoom(g.grace); wait > 0 {
			return nil, wait
		}
	}
	g.open++
	c := &gateConn{Conn: conn, gate: g, fresh: true}
	g.quieten(c, shaking)
	if g.open < g.limit {
		g.tell() // another listener may wait, too
	}
	return c, 0
}

// makeRoom closes the quiet connection that is longest over its grace; if there
// is none it returns how long that takes. The caller holds the lock.
func (g *gate) makeRoom(grace graces) (wait time.Duration) {
	var victim *gateConn
	wait = time.Second // a busy one may become quiet
	for kind := range g.quiet {
		front := g.quiet[kind].Front()
		if front == nil {
			continue
		}
		c, _ := front.Value.(*gateConn)
		if left := grace[kind] - time.Since(c.since); left < wait {
			victim, wait = c, left
		}
	}
	if wait <= 0 {
		g.drop(victim)
		_ = victim.Conn.Close()
	}
	return wait
}

// relieve closes a quiet connection however short it is quiet: the system has
// reached a limit of its own, on file descriptors.
func (g *gate) relieve() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.makeRoom(graces{})
}

// drop forgets c. The caller holds the lock.
func (g *gate) drop(c *gateConn) {
	if c.left {
		return
	}
	c.left = true
	g.open--
	g.rouse(c)
}

func (g *gate) leave(c *gateConn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.drop(c)
	g.tell()
}

func (g *gate) tell() {
	select {
	case g.freed <- struct{}{}:
	default:
	}
}

// quieten puts c at the end of a quiet list. The caller holds the lock.
func (g *gate) quieten(c *gateConn, kind quietKind) {
	g.rouse(c)
	c.kind, c.since = kind, time.Now()
	c.place = g.quiet[kind].PushBack(c)
}

// rouse takes c out of its quiet list. The caller holds the lock.
func (g *gate) rouse(c *gateConn) {
	if c.place != nil {
		g.quiet[c.kind].Remove(c.place)
		c.place = nil
	}
}

// track follows the states of connections; it is the ConnState of an
// http.Server.
func (g *gate) track(conn net.Conn, state http.ConnState) {
	c := unwrap(conn)
	if c == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case c.left:
		return
	case state == http.StateActive:
		c.fresh = false
		g.rouse(c)
	case state == http.StateIdle:
		g.quieten(c, idle)
	case state == http.StateHijacked: // it is counted where it went
		g.drop(c)
	}
	g.tell()
}

// connKey is where a request's context has its connection.
type connKey struct{}

// withConn is the ConnContext of an http.Server.
func (g *gate) withConn(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

// body makes the connection of r count as quiet until its body has been read to
// the end: who sends it byte by byte must not keep others out. It returns the
// request to go on with; r stays as it is, because http.Server looks at its body
// to see whether the client waits for a word before it sends that.
func (g *gate) body(r *http.Request) *http.Request {
	c := unwrap(r.Context().Value(connKey{}))
	if c == nil || r.ContentLength == 0 {
		return r
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.left {
		return r
	}
	g.quieten(c, shaking)
	watched := *r
	watched.Body = &gateBody{ReadCloser: r.Body, conn: c}
	return &watched
}

type gateBody struct {
	io.ReadCloser

	conn *gateConn
}

// Read ends the quiet at the end of the body.
func (b *gateBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		g := b.conn.gate
		g.mu.Lock()
		g.rouse(b.conn)
		g.mu.Unlock()
	}
	return n, err
}

// unwrap returns the connection of the gate below conn; nil if there is none.
func unwrap(conn any) *gateConn {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	c, _ := conn.(*gateConn)
	return c
}

// closeFresh closes the connections that have not sent a request yet.
func (g *gate) closeFresh() {
	g.mu.Lock()
	var fresh []*gateConn
	for kind := range g.quiet {
		for e := g.quiet[kind].Front(); e != nil; e = e.Next() {
			if c, ok := e.Value.(*gateConn); ok && c.fresh {
				fresh = append(fresh, c)
			}
		}
	}
	g.mu.Unlock()
	for _, c := range fresh {
		_ = c.Close()
	}
}

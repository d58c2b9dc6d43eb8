package emulator

import (
	"container/list"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// maxHello is how much of a first TLS record is waited for. ClientHellos have
// less than 2 KiB.
const maxHello = 4 << 10

// lobbyBounds are how much a lobby holds.
type lobbyBounds struct {
	// silent is how many connections may be waited for. Each costs some 5 KiB.
	silent int
	// ready is how many connections may wait to be accepted, give or take one.
	// Further ones wait in the backlog of the system, where they cost nothing.
	ready int
	// patience is how long a connection may be silent.
	patience time.Duration
}

var defaultLobby = lobbyBounds{silent: 16 << 10, ready: 512, patience: headerTimeout}

// lobby is a listener whose Accept returns connections that have something to
// say: they have sent their first TLS record, or the first byte of anything
// else. Those that connect and stay silent, or begin a handshake and stop, wait
// in the lobby, cost little, and are in nobody's way.
type lobby struct {
	net.Listener

	bounds  lobbyBounds
	relieve func() // makes the rest of the server give up a connection
	ready   chan net.Conn
	failed  chan error
	done    chan struct{}
	once    sync.Once
	running sync.WaitGroup

	mu     sync.Mutex
	room   *sync.Cond // fewer than bounds.ready are ready
	nReady int
	silent list.List // of *guest, oldest first
	closed bool
}

// guest is a connection in the lobby.
type guest struct {
	net.Conn

	head []byte // what was read of it
}

// Read returns what the lobby has read, and then the rest.
func (c *guest) Read(b []byte) (int, error) {
	if len(c.head) == 0 {
		return c.Conn.Read(b)
	}
	n := copy(b, c.head)
	if c.head = c.head[n:]; len(c.head) == 0 {
		c.head = nil
	}
	return n, nil
}

// newLobby begins to accept connections of l.
func newLobby(l net.Listener, bounds lobbyBounds, relieve func()) *lobby {
	b := &lobby{
		Listener: l, bounds: bounds, relieve: relieve,
		ready: make(chan net.Conn), failed: make(chan error), done: make(chan struct{}),
	}
	b.room = sync.NewCond(&b.mu)
	b.running.Go(b.run)
	return b
}

// Accept returns the next connection that has something to say.
func (b *lobby) Accept() (net.Conn, error) {
	select {
	case c := <-b.ready:
		return c, nil
	case err := <-b.failed:
		return nil, err
	case <-b.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and closes the connections in the lobby.
func (b *lobby) Close() (err error) {
	b.once.Do(func() {
		err = b.Listener.Close()
		close(b.done)
		b.mu.Lock()
		defer b.mu.Unlock()
		b.closed = true
		b.room.Broadcast()
		for e := b.silent.Front(); e != nil; e = e.Next() {
			if c, ok := e.Value.(*guest); ok {
				_ = c.Conn.Close()
			}
		}
	})
	return err
}

// wait returns when nothing runs any more; Close comes first.
func (b *lobby) wait() { b.running.Wait() }

// run accepts until the lobby is closed.
func (b *lobby) run() {
	for b.hasRoom() {
		conn, err := b.Listener.Accept()
		switch {
		case err == nil:
			b.enter(&guest{Conn: conn})
			continue
		case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
			if !b.evict(0) {
				b.relieve()
			}
		}
		select {
		case b.failed <- err: // whoever accepts waits a little
		case <-b.done:
		}
	}
}

// hasRoom waits until it makes sense to accept another connection; false when
// the lobby is closed.
func (b *lobby) hasRoom() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.nReady >= b.bounds.ready && !b.closed {
		b.room.Wait()
	}
	return !b.closed
}

// enter listens to c, and drops whoever has been silent for longest if there are
// too many.
func (b *lobby) enter(c *guest) {
	b.evict(b.bounds.silent - 1)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		_ = c.Conn.Close()
		return
	}
	place := b.silent.PushBack(c)
	b.running.Go(func() { b.attend(c, place) })
}

// evict closes the oldest silent connection if there are more than keep.
func (b *lobby) evict(keep int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.silent.Len() <= keep {
		return false
	}
	front := b.silent.Front()
	b.silent.Remove(front)
	if c, ok := front.Value.(*guest); ok {
		_ = c.Conn.Close()
	}
	return true
}

// attend waits for the first words of c and hands it on.
func (b *lobby) attend(c *guest, place *list.Element) {
	err := c.listen(b.bounds.patience)
	b.mu.Lock()
	b.silent.Remove(place) // does nothing if it was evicted
	if err == nil {
		b.nReady++
	}
	b.mu.Unlock()
	if err != nil {
		_ = c.Conn.Close()
		return
	}
	select {
	case b.ready <- c:
	case <-b.done:
		_ = c.Conn.Close()
	}
	b.mu.Lock()
	b.nReady--
	b.room.Signal()
	b.mu.Unlock()
}

// listen reads the first TLS record of c, or the first byte of anything else.
func (c *guest) listen(patience time.Duration) error {
	// Deadlines cannot be set on closed connections only, and reads tell that.
	_ = c.Conn.SetReadDeadline(time.Now().Add(patience))
	const handshake, header = 0x16, 5
	want := 1
	for len(c.head) < want {
		// The buffer grows with what is sent, not with what is announced.
		var part [512]byte
		n, err := c.Conn.Read(part[:min(want-len(c.head), len(part))])
		c.head = append(c.head, part[:n]...)
		switch {
		case n > 0:
		case err != nil:
			return err
		default:
			return io.ErrNoProgress
		}
		if c.head[0] == handshake {
			want = header
		}
		if len(c.head) >= header && c.head[0] == handshake {
			want = min(header+int(binary.BigEndian.Uint16(c.head[3:])), maxHello)
		}
	}
	_ = c.Conn.SetReadDeadline(time.Time{})
	return nil
}

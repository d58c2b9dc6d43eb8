package emulator_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator"
)

// pipes is a listener without a network: Accept returns what dial made, or a
// failure.
type pipes struct {
	conns   chan net.Conn
	failure chan error
	closed  chan struct{}
}

func newPipes() *pipes {
	return &pipes{conns: make(chan net.Conn, 100), failure: make(chan error), closed: make(chan struct{})}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case err := <-p.failure:
		return nil, err
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.conns <- server
	return client
}

// gone reports whether the other side of c was closed.
func gone(t *testing.T, c net.Conn) bool {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		return true
	}
	_, err := c.Read(make([]byte, 1))
	return errors.Is(err, io.EOF)
}

// never is longer than any test.
const never = time.Hour

func TestGate(t *testing.T) {
	for _, tt := range []struct {
		name   string
		graces [2]time.Duration // shaking, idle
		states []string         // of the connections that fill the gate
		victim int              // which is closed for the next one; -1: it waits
	}{
		{"oldest in its handshake", [2]time.Duration{0, never}, []string{"shaking", "shaking"}, 0},
		{"idle", [2]time.Duration{never, 0}, []string{"shaking", "idle", "idle"}, 1},
		{"longest over its grace", [2]time.Duration{0, 0}, []string{"idle", "shaking"}, 0},
		{"busy, then idle", [2]time.Duration{0, 0}, []string{"busy", "idle"}, 1},
		{"body not sent", [2]time.Duration{0, never}, []string{"idle", "body"}, 1},
		{"busy ones stay", [2]time.Duration{0, 0}, []string{"busy", "busy"}, -1},
		{"read body is busy", [2]time.Duration{0, 0}, []string{"bodied"}, -1},
		{"nobody is over the grace", [2]time.Duration{never, never}, []string{"shaking", "idle"}, -1},
		{"hijacked ones do not count", [2]time.Duration{never, never}, []string{"hijacked", "shaking"}, -2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := emulator.NewGate(len(tt.states), tt.graces)
			p := newPipes()
			l := g.Listener(p)
			var clients []net.Conn
			for _, state := range tt.states {
				clients = append(clients, p.dial())
				c, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				enterState(t, g, c, state)
			}
			p.dial()
			accepted := make(chan net.Conn, 1)
			go func() {
				c, _ := l.Accept()
				accepted <- c
			}()
			if tt.victim == -1 {
				for i, c := range clients {
					if gone(t, c) {
						t.Errorf("connection %d was closed", i)
					}
				}
				select {
				case <-accepted:
					t.Error("a connection too many was accepted")
				default:
				}
				if err := l.Close(); err != nil { // ends the waiting
					t.Fatal(err)
				}
				if c := <-accepted; c != nil {
					t.Error("accepted after Close")
				}
				return
			}
			if c := <-accepted; c == nil {
				t.Fatal("not accepted")
			}
			for i, c := range clients {
				if got := gone(t, c); got != (i == tt.victim) {
					t.Errorf("connection %d closed: %v", i, got)
				}
			}
		})
	}
}

// enterState brings c to a state, as an http.Server would.
func enterState(t *testing.T, g *emulator.Gate, c net.Conn, state string) {
	t.Helper()
	switch state {
	case "shaking":
		g.Track(c, http.StateNew)
	case "idle":
		g.Track(c, http.StateActive)
		g.Track(c, http.StateIdle)
	case "busy":
		g.Track(c, http.StateActive)
	case "body", "bodied":
		g.Track(c, http.StateActive)
		body := g.Body(c, strings.NewReader("body"))
		if state == "bodied" {
			if _, err := io.ReadAll(body); err != nil {
				t.Fatal(err)
			}
		}
	case "hijacked":
		g.Track(c, http.StateHijacked)
	}
}

// TestGateTurns lets many connections through a small gate: as one ends, the
// next gets in, and at no time there are more than the limit.
func TestGateTurns(t *testing.T) {
	const limit, total = 3, 60
	g := emulator.NewGate(limit, [2]time.Duration{never, never})
	one, two := newPipes(), newPipes()
	listeners := []net.Listener{g.Listener(one), g.Listener(two)}
	var open, most atomic.Int64
	done := make(chan struct{}, total)
	for _, l := range listeners {
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				most.Store(max(most.Load(), open.Add(1)))
				go func() {
					open.Add(-1)
					_, _ = c.Close(), c.Close() // twice gives one place back
					done <- struct{}{}
				}()
			}
		}()
	}
	for i := range total {
		if i%2 == 0 {
			one.dial()
		} else {
			two.dial()
		}
	}
	for range total {
		<-done
	}
	for _, l := range listeners {
		_ = l.Close()
	}
	if most.Load() > limit || g.Open() != 0 {
		t.Errorf("%d connections at once, %d left", most.Load(), g.Open())
	}
}

// TestServiceUnderSiege fills the emulator with connections that do nothing, of
// every kind, several times over. A device registers all the same, and what it
// waits is bounded by the graces.
func TestServiceUnderSiege(t *testing.T) {
	const limit, besiegers = 16, 100
	w, p := fleet(t, func(o *emulator.Options) { o.MaxConnections = limit })
	dev := device(t, p.intermediate, "dev")
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", w.addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	shake := func(request string) {
		conn := tls.Client(dial(), &tls.Config{RootCAs: w.e.CAPool(), ServerName: "localhost"})
		go func() { _, _ = io.WriteString(conn, request) }() // with the handshake; may be cut off
	}
	clientHello := recordHello(t)
	for i := range besiegers {
		switch i % 6 {
		case 0:
			dial() // says nothing
		case 1:
			_, _ = dial().Write([]byte("\x16\x03\x01\x02\x00\x01")) // the beginning of a ClientHello
		case 2:
			shake("GET /healthz HTTP/1.1\r\nHost: localhost\r\n") // the beginning of a header
		case 3:
			shake("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n") // idle after its answer
		case 5:
			_, _ = dial().Write(clientHello) // and not another word
		case 4:
			shake("PUT /" + w.info.IDScope + "/registrations/dev/register?api-version=2021-06-01 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
		}
	}
	if a := w.assigned("dev", dev); a.str("status") != "assigned" {
		t.Errorf("answer = %s", a.raw)
	}
}

// recordHello returns a ClientHello that a server takes for good.
func recordHello(t *testing.T) []byte {
	t.Helper()
	client, server := net.Pipe()
	go func() {
		_ = tls.Client(client, &tls.Config{ServerName: "localhost", MinVersion: tls.VersionTLS12}).Handshake()
	}()
	t.Cleanup(func() { client.Close() })
	head := make([]byte, 5)
	if _, err := io.ReadFull(server, head); err != nil {
		t.Fatal(err)
	}
	hello := append(head, make([]byte, int(head[3])<<8|int(head[4]))...)
	if _, err := io.ReadFull(server, hello[5:]); err != nil {
		t.Fatal(err)
	}
	return hello
}

// TestMaxRegistrations lets a crowd in one by one: everybody is assigned, by
// coming back when told to.
func TestMaxRegistrations(t *testing.T) {
	w, p := fleet(t, func(o *emulator.Options) { o.MaxRegistrations = 1 })
	const devices = 40
	ids := make([]*tls.Certificate, devices)
	parallel(devices, 4, func(i int) { ids[i] = device(t, p.intermediate, fmt.Sprintf("dev-%02d", i)) })
	var refused atomic.Int64
	parallel(devices, devices, func(i int) {
		id := fmt.Sprintf("dev-%02d", i)
		client := w.client(ids[i])
		defer client.CloseIdleConnections()
		for deadline := time.Now().Add(30 * time.Second); ; {
			a := w.do(call{method: http.MethodPut, path: "/" + w.info.IDScope + "/registrations/" + url.PathEscape(id) + "/register",
				version: deviceVersion, body: "{}", client: client})
			if a.status == http.StatusAccepted {
				return
			}
			refused.Add(1)
			w.want(a, 429, 429000)
			if seconds, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || seconds < 1 || seconds > 5 {
				t.Errorf("Retry-After = %q", a.header.Get("Retry-After"))
			}
			if time.Now().After(deadline) {
				t.Errorf("%s: still refused", id)
				return
			}
		}
	})
	t.Logf("%d refusals", refused.Load())
	list, _ := w.pages(t, "/registrations/fleet/query", "registrationId", nil, "")
	if len(list) != devices {
		t.Errorf("%d records for %d devices", len(list), devices)
	}
}

// TestLargeBodies reads so many large bodies at a time, and no more.
func TestLargeBodies(t *testing.T) {
	w, p := fleet(t)
	dev := device(t, p.intermediate, "dev")
	const bodies = 256
	head := "PUT /" + w.info.IDScope + "/registrations/dev/register?api-version=2021-06-01 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n\r\n"
	begin := func() *tls.Conn {
		conn, err := tls.Dial("tcp", w.addr(), &tls.Config{RootCAs: w.e.CAPool(), ServerName: "localhost", Certificates: []tls.Certificate{*dev}})
		if err != nil {
			t.Error(err)
			return nil
		}
		t.Cleanup(func() { conn.Close() })
		_, _ = io.WriteString(conn, head+"{")
		return conn
	}
	first := begin()
	if first == nil {
		return
	}
	parallel(bodies-1, 8, func(int) { begin() })
	large := `{"payload":"` + strings.Repeat("x", 9000) + `"}`
	for deadline := time.Now().Add(20 * time.Second); ; { // until the last of them is being read
		a := w.device(http.MethodPut, "/register", "dev", dev, nil, large)
		if a.status == 429 {
			w.want(a, 429, 429000)
			if w.rule() != "too-many-large-bodies" || a.header.Get("Retry-After") == "" {
				t.Errorf("rule %q, header %v", w.rule(), a.header)
			}
			break
		}
		w.want(a, 202, 0)
		if time.Now().After(deadline) {
			t.Fatal("large bodies are read without bound")
		}
		begin() // in place of one that came while this one was read, and was refused
	}
	w.assigned("dev", dev) // small ones are not held up
	// One body ends, and there is room for another.
	rest := strings.Repeat(" ", 9000-2) + "}"
	if _, err := io.WriteString(first, rest); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(first), nil)
	if err != nil || resp.StatusCode != 202 {
		t.Fatalf("answer %+v, %v", resp, err)
	}
	resp.Body.Close()
	w.want(w.device(http.MethodPut, "/register", "dev", dev, nil, large), 202, 0)
}

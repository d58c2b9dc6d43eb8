package emulator_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator"
)

// hello is a TLS record with n bytes.
func helloRecord(n int) string {
	return "\x16\x03\x01" + string([]byte{byte(n >> 8), byte(n)}) + strings.Repeat("h", n)
}

func newLobby(t *testing.T, p *pipes, patience time.Duration, silent, ready int) *emulator.Lobby {
	t.Helper()
	b := emulator.NewLobby(p, patience, silent, ready, func() {})
	t.Cleanup(func() {
		_ = b.Close()
		b.Wait()
	})
	return b
}

// TestLobby hands on who has something to say, with every byte of it, and keeps
// the others.
func TestLobby(t *testing.T) {
	for _, tt := range []struct {
		name  string
		parts []string // sent one after the other
		comes bool
	}{
		{"nothing", nil, false},
		{"other protocol", []string{"G"}, true},
		{"MQTT", []string{"\x10\x0e\x00\x04MQTT"}, true},
		{"beginning of a header", []string{"\x16\x03\x01\x02"}, false},
		{"header only", []string{helloRecord(100)[:5]}, false},
		{"all but one byte", []string{helloRecord(600)[:604]}, false},
		{"record", []string{helloRecord(600)}, true},
		{"record in parts", []string{helloRecord(600)[:1], helloRecord(600)[1:4], helloRecord(600)[4:500], helloRecord(600)[500:]}, true},
		{"record and more", []string{helloRecord(10) + "more"}, true},
		{"empty record", []string{helloRecord(0)}, true},
		{"large record, enough of it", []string{helloRecord(16000)[:5000]}, true},
		{"large record, too little of it", []string{helloRecord(16000)[:4000]}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPipes()
			b := newLobby(t, p, never, 0, 0)
			client := p.dial()
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				for _, part := range tt.parts {
					_, _ = io.WriteString(client, part)
				}
				_ = client.Close()
			}()
			if !tt.comes {
				<-sent
				// The next one that speaks comes first.
				second := p.dial()
				go func() { _, _ = io.WriteString(second, "second") }()
				want(t, b, "second", second)
				return
			}
			want(t, b, strings.Join(tt.parts, ""), nil)
		})
	}
}

// want accepts a connection and reads what comes: text, and then the end, unless
// its other end is open.
func want(t *testing.T, b net.Listener, text string, open net.Conn) {
	t.Helper()
	c, err := b.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if open != nil {
		defer open.Close()
		buf := make([]byte, len(text))
		if _, err := io.ReadFull(c, buf); err != nil || string(buf) != text {
			t.Errorf("read %q, %v; want %q", buf, err, text)
		}
		return
	}
	got, err := io.ReadAll(c)
	if err != nil || string(got) != text {
		t.Errorf("read %d bytes %.20q, %v; want %d", len(got), got, err, len(text))
	}
}

// TestLobbyOfTenThousand: so many silent connections do not keep one that speaks
// from being accepted, and none of them is given up for it (HT5).
func TestLobbyOfTenThousand(t *testing.T) {
	p := newPipes()
	b := newLobby(t, p, never, 0, 0)
	silent := make([]net.Conn, 10_000)
	for i := range silent {
		silent[i] = p.dial()
		if _, err := io.WriteString(silent[i], "\x16"); err != nil { // it was read, so it is in the lobby
			t.Fatal(err)
		}
	}
	c := p.dial()
	go func() { _, _ = io.WriteString(c, "second") }()
	want(t, b, "second", c)
	if gone(t, silent[0]) {
		t.Error("the oldest connection was given up")
	}
}

// TestLobbyPatience closes a connection that says nothing for too long.
func TestLobbyPatience(t *testing.T) {
	p := newPipes()
	newLobby(t, p, 10*time.Millisecond, 0, 0)
	client := p.dial()
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("Read = %v, want the end", err)
	}
}

// TestLobbyEnds closes a lobby with connections in every state.
func TestLobbyEnds(t *testing.T) {
	p := newPipes()
	b := emulator.NewLobby(p, never, 0, 0, func() {})
	silent, ready := p.dial(), p.dial()
	if _, err := io.WriteString(ready, "x"); err != nil { // it is read, so the lobby has it
		t.Fatal(err)
	}
	accepted := make(chan error)
	go func() {
		for {
			c, err := b.Accept()
			if err != nil {
				accepted <- err
				return
			}
			_ = c.Close()
		}
	}()
	for range 2 {
		_ = b.Close()
	}
	b.Wait()
	if err := <-accepted; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept = %v", err)
	}
	for i, c := range []net.Conn{silent, ready} {
		if !gone(t, c) {
			t.Errorf("connection %d is open", i)
		}
	}
}

// TestLobbyWithoutDescriptors gives connections up when the system has no file
// descriptor left: a silent one, and if there is none, one of the server's.
func TestLobbyWithoutDescriptors(t *testing.T) {
	for _, tt := range []struct {
		name     string
		cause    error
		silent   bool // a connection in the lobby
		evicted  bool // is closed
		relieved bool // the server is asked
	}{
		{"other error", errors.New("other"), true, false, false},
		{"silent connection", fmt.Errorf("accept: %w", syscall.EMFILE), true, true, false},
		{"empty lobby", fmt.Errorf("accept: %w", syscall.ENFILE), false, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPipes()
			relieved := make(chan struct{}, 1)
			b := emulator.NewLobby(p, never, 0, 0, func() { relieved <- struct{}{} })
			t.Cleanup(func() {
				_ = b.Close()
				b.Wait()
			})
			var client net.Conn
			if tt.silent {
				client = p.dial()
				if _, err := io.WriteString(client, "\x16"); err != nil { // now it is in the lobby
					t.Fatal(err)
				}
			}
			p.failure <- tt.cause
			if _, err := b.Accept(); !errors.Is(err, tt.cause) {
				t.Fatalf("Accept = %v, want %v", err, tt.cause)
			}
			if client != nil && gone(t, client) != tt.evicted {
				t.Errorf("silent connection closed: %v, want %v", !tt.evicted, tt.evicted)
			}
			if got := len(relieved) > 0; got != tt.relieved {
				t.Errorf("server asked: %v, want %v", got, tt.relieved)
			}
			// It goes on.
			next := p.dial()
			go func() { _, _ = io.WriteString(next, "next") }()
			want(t, b, "next", next)
		})
	}
}

// TestLobbyIsBounded drops the oldest silent connections of too many, and does
// not accept more than it can hand on.
func TestLobbyIsBounded(t *testing.T) {
	p := newPipes()
	b := newLobby(t, p, never, 3, 2)
	var silent []net.Conn
	for range 5 {
		c := p.dial()
		if _, err := io.WriteString(c, "\x16"); err != nil { // it was read, so c is in the lobby
			t.Fatal(err)
		}
		silent = append(silent, c)
	}
	var open []int
	for i, c := range silent {
		if !gone(t, c) {
			open = append(open, i)
		}
	}
	if !slices.Equal(open, []int{2, 3, 4}) {
		t.Errorf("open are %v", open)
	}
	// Three speak; the third was being accepted when the second spoke. The next
	// one is left in the backlog.
	for i := range 3 {
		if _, err := io.WriteString(p.dial(), "x"); err != nil {
			t.Fatal(err)
		}
		for b.Ready() <= i {
			runtime.Gosched()
		}
	}
	left := p.dial()
	spoken := make(chan struct{})
	go func() {
		defer close(spoken)
		_, _ = io.WriteString(left, "y")
	}()
	if n := len(p.conns); n != 1 {
		t.Errorf("%d connections in the backlog, want 1", n)
	}
	for range 4 {
		if _, err := b.Accept(); err != nil {
			t.Fatal(err)
		}
	}
	<-spoken
}

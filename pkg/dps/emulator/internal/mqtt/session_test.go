package mqtt

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/deviceapi"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/provision"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/store"
	"github.com/dpskit/dpskit/pkg/pki"
)

const scope = "0ne00C0FFEE"

// pipe is a net.Pipe with what a session wants on top. It has no buffer: what is
// not read blocks the writer.
type pipe struct{ net.Conn }

func (p pipe) CloseWrite() error { return nil }

// log collects what is logged.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// bench is a Server on an empty store: every registration is refused, which is
// all that the tests of a session need.
type bench struct {
	t      testing.TB
	server *Server
	logs   *log
	chain  []*x509.Certificate
	calls  sync.WaitGroup
}

// certificate is made once: tests only need that there is one.
var certificate = sync.OnceValues(func() (*x509.Certificate, error) {
	b, err := pki.SelfSigned(pki.IssueRequest{CommonName: "dev-1"})
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b.CertificatePEM())
	return x509.ParseCertificate(block.Bytes)
})

func newBench(t testing.TB, change ...func(*Config)) *bench {
	t.Helper()
	leaf, err := certificate()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, logs: &log{}, chain: []*x509.Certificate{leaf}}
	logger := slog.New(slog.NewTextHandler(b.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	config := Config{Logger: logger, Now: time.Now, Plane: deviceapi.Plane{Config: deviceapi.Config{
		Service: &provision.Service{Store: store.NewMemory(), IDScope: scope, Now: time.Now},
		Logger:  logger, Now: time.Now, RetryAfter: 3 * time.Second,
	}}}
	for _, f := range change {
		f(&config)
	}
	b.server = New(config)
	return b
}

// dial opens a connection; it reports false if there was no room for it.
func (b *bench) dial() (net.Conn, chan bool) {
	client, server := net.Pipe()
	served := make(chan bool, 1)
	b.calls.Go(func() {
		ok := b.server.serveConn(b.t.Context(), pipe{server}, server, b.chain, "test", "pipe")
		if !ok {
			_ = server.Close()
		}
		served <- ok
	})
	return client, served
}

func (b *bench) close() {
	b.server.Close(b.t.Context())
	b.calls.Wait()
}

func hello(id string, keepAlive uint16) []byte {
	p := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	p.ProtocolName, p.ProtocolVersion, p.CleanSession, p.Keepalive = "MQTT", 4, true, keepAlive
	p.ClientIdentifier, p.UsernameFlag, p.Username = id, true, scope+"/registrations/"+id+"/api-version=2019-03-31"
	var out bytes.Buffer
	_ = p.Write(&out)
	return out.Bytes()
}

func subscription() []byte {
	p := packets.NewControlPacket(packets.Subscribe).(*packets.SubscribePacket)
	p.MessageID, p.Topics, p.Qoss = 1, []string{responseFilter}, []byte{1}
	var out bytes.Buffer
	_ = p.Write(&out)
	return out.Bytes()
}

func registration(qos byte) []byte {
	p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	p.TopicName, p.Qos, p.MessageID = registerPrefix+"?$rid=1", qos, 2
	var out bytes.Buffer
	_ = p.Write(&out)
	return out.Bytes()
}

func send(t testing.TB, conn net.Conn, data []byte) {
	t.Helper()
	if _, err := conn.Write(data); err != nil {
		t.Fatal(err)
	}
}

func receive(t testing.TB, conn net.Conn) packets.ControlPacket {
	t.Helper()
	p, err := packets.ReadPacket(conn)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// online connects and subscribes.
func (b *bench) online(id string, keepAlive uint16) net.Conn {
	b.t.Helper()
	conn, _ := b.dial()
	send(b.t, conn, hello(id, keepAlive))
	if ack, ok := receive(b.t, conn).(*packets.ConnackPacket); !ok || ack.ReturnCode != 0 {
		b.t.Fatalf("got %v", ack)
	}
	send(b.t, conn, subscription())
	receive(b.t, conn)
	return conn
}

// ends waits for the end of a connection and returns how long that took.
func ends(t testing.TB, conn net.Conn) time.Duration {
	t.Helper()
	start := time.Now()
	if n, err := io.Copy(io.Discard, conn); n > 0 || err != nil {
		t.Errorf("%d bytes, %v before the end", n, err)
	}
	return time.Since(start)
}

// TestSilence: each state has its limit (MQ11, HT5).
func TestSilence(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(*bench) net.Conn
		want time.Duration
	}{
		{"nothing is ever sent", func(b *bench) net.Conn { c, _ := b.dial(); return c }, connectTimeout},
		{"half a CONNECT", func(b *bench) net.Conn {
			c, _ := b.dial()
			send(b.t, c, hello("dev-1", 60)[:20])
			return c
		}, connectTimeout},
		{"keep-alive of a minute", func(b *bench) net.Conn { return b.online("dev-1", 60) }, 90 * time.Second},
		{"keep-alive of a second", func(b *bench) net.Conn { return b.online("dev-1", 1) }, 1500 * time.Millisecond},
		{"no keep-alive", func(b *bench) net.Conn { return b.online("dev-1", 0) }, maxSilence},
		{"keep-alive of 18 hours", func(b *bench) net.Conn { return b.online("dev-1", 65535) }, maxSilence},
		{"half a packet", func(b *bench) net.Conn {
			c := b.online("dev-1", 600)
			send(b.t, c, registration(1)[:10])
			return c
		}, packetTimeout},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				defer b.close()
				if got := ends(t, tt.make(b)); got != tt.want {
					t.Errorf("closed after %v, want %v", got, tt.want)
				}
				if !strings.Contains(b.logs.String(), "connection timed out") {
					t.Errorf("log:\n%s", b.logs)
				}
			})
		})
	}
}

// TestDrip: a byte now and then does not keep a packet, or a CONNECT, open.
func TestDrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer b.close()
		conn := b.online("dev-1", 600)
		start := time.Now()
		var err error
		for _, c := range registration(1) {
			if _, err = conn.Write([]byte{c}); err != nil {
				break
			}
			time.Sleep(time.Second)
		}
		if took := time.Since(start); err == nil || took > packetTimeout+time.Second {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// TestPingsKeepAConnection for as long as they come.
func TestPingsKeepAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer b.close()
		conn := b.online("dev-1", 60)
		for range 100 {
			time.Sleep(80 * time.Second)
			send(t, conn, []byte{0xc0, 0})
			receive(t, conn)
		}
		if got := ends(t, conn); got != 90*time.Second {
			t.Errorf("closed after %v", got)
		}
	})
}

// TestReaderThatStops: an answer that nobody takes ends the connection (MQ14).
func TestReaderThatStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		conn := b.online("dev-1", 60)
		start := time.Now()
		send(t, conn, registration(0))
		b.calls.Wait() // the answer is not read
		if took := time.Since(start); took != responseDelay+writeTimeout {
			t.Errorf("ended after %v", took)
		}
		b.close()
	})
}

// TestOrder: the acknowledgement comes at once, the answer a little later, as
// the Java client needs it.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer b.close()
		conn := b.online("dev-1", 60)
		start := time.Now()
		send(t, conn, registration(1))
		if ack, ok := receive(t, conn).(*packets.PubackPacket); !ok || ack.MessageID != 2 || time.Since(start) != 0 {
			t.Errorf("got %v after %v", ack, time.Since(start))
		}
		answer, ok := receive(t, conn).(*packets.PublishPacket)
		if !ok || time.Since(start) != responseDelay || answer.MessageID != 1 || answer.TopicName != responsePrefix+"401/?$rid=1" {
			t.Errorf("got %v after %v", answer, time.Since(start))
		}
		for want := uint16(2); want < 6; want++ {
			send(t, conn, registration(0))
			if answer := receive(t, conn).(*packets.PublishPacket); answer.MessageID != want {
				t.Errorf("identifier %d, want %d", answer.MessageID, want)
			}
		}
		_ = conn.Close()
	})
	se := &session{lastID: 0xffff}
	if id := se.nextID(); id != 1 { // 0 is no identifier
		t.Errorf("after 65535 comes %d", id)
	}
}

// TestRoom: at the limit a new connection takes the place of one that has been
// silent, and of no other (MQ13).
func TestRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(c *Config) { c.MaxConnections = 3 })
		defer b.close()
		oldest := b.online("dev-1", 600)
		time.Sleep(time.Second)
		second := b.online("dev-2", 600)
		time.Sleep(time.Second)
		third := b.online("dev-3", 600)
		if conn, served := b.dial(); <-served {
			t.Error("served a fourth at once")
		} else if got := ends(t, conn); got != 0 {
			t.Errorf("refused after %v", got)
		}
		time.Sleep(idleAfter)
		send(t, oldest, []byte{0xc0, 0}) // now it is the second that is silent
		receive(t, oldest)
		fresh := b.online("dev-4", 600)
		if got := ends(t, second); got != 0 {
			t.Errorf("the silent one was closed after %v", got)
		}
		for _, conn := range []net.Conn{oldest, third, fresh} {
			send(t, conn, []byte{0xc0, 0})
			receive(t, conn)
		}
		if !strings.Contains(b.logs.String(), "too many connections") {
			t.Errorf("log:\n%s", b.logs)
		}
	})
}

// TestStorm of connections that come and go leaves nothing behind (MQ13).
func TestStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(c *Config) { c.MaxConnections = 100 })
		var all sync.WaitGroup
		for i := range 2000 {
			all.Go(func() {
				conn, _ := b.dial()
				switch i % 3 {
				case 0:
					_, _ = conn.Write(hello(fmt.Sprintf("dev-%d", i), 60))
				case 1:
					_, _ = conn.Write([]byte{0x10})
				}
				_ = conn.Close()
			})
		}
		all.Wait()
		b.calls.Wait()
		if n, d := len(b.server.sessions), len(b.server.devices); n != 0 || d != 0 {
			t.Errorf("%d sessions and %d devices are left", n, d)
		}
		conn := b.online("dev-1", 60)
		_ = conn.Close()
		b.close()
	})
}

// TestCloseWaitsForAnswers, but not for ever, and not for silent clients.
func TestCloseWaitsForAnswers(t *testing.T) {
	for name, tt := range map[string]struct {
		reads bool
		want  time.Duration
	}{"client reads": {true, responseDelay}, "client does not": {false, 5 * time.Second}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				busy, idle := b.online("dev-1", 60), b.online("dev-2", 60)
				send(t, busy, registration(0))
				synctest.Wait()
				var answered sync.WaitGroup
				if tt.reads {
					answered.Go(func() { receive(t, busy) })
				}
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				start := time.Now()
				b.server.Close(ctx)
				if took := time.Since(start); took != tt.want {
					t.Errorf("took %v, want %v", took, tt.want)
				}
				answered.Wait()
				ends(t, idle)
				if conn, served := b.dial(); <-served {
					t.Error("served after Close")
				} else {
					ends(t, conn)
				}
				b.calls.Wait()
			})
		})
	}
}

// TestPanicEndsOneConnection: a mistake of ours is logged, with the rest of the
// clients unaware.
func TestPanicEndsOneConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer b.close()
		witness := b.online("dev-2", 60)
		victim := b.online("dev-1", 60)
		b.server.config.Plane.Service = nil // whatever touches it panics
		send(t, victim, registration(0))
		ends(t, victim)
		if !strings.Contains(b.logs.String(), "connection panicked") {
			t.Errorf("log:\n%s", b.logs)
		}
		send(t, witness, []byte{0xc0, 0})
		receive(t, witness)
	})
}

// fuzzed is a connection that has all its input at once and keeps its output.
type fuzzed struct {
	in  *bytes.Reader
	out bytes.Buffer
}

func (c *fuzzed) Read(p []byte) (int, error)       { return c.in.Read(p) }
func (c *fuzzed) Write(p []byte) (int, error)      { return c.out.Write(p) }
func (c *fuzzed) Close() error                     { return nil }
func (c *fuzzed) CloseWrite() error                { return nil }
func (c *fuzzed) SetReadDeadline(time.Time) error  { return nil }
func (c *fuzzed) SetWriteDeadline(time.Time) error { return nil }

// FuzzSession: whatever comes in, the connection ends without a panic, and what
// goes out are packets that a client can read.
func FuzzSession(f *testing.F) {
	whole := bytes.Join([][]byte{hello("dev-1", 60), subscription(), registration(1), registration(0), {0xc0, 0}, {0xe0, 0}}, nil)
	f.Add(whole)
	f.Add(hello("dev-1", 0))
	f.Add(append(hello("dev-1", 60), 0x82, 6, 0, 1, 0, 0, 1, 'a'))
	poll := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	poll.TopicName = pollPrefix + "?$rid=1&operationId=4.x"
	f.Add(append(append(hello("dev-1", 60), subscription()...), foreign(f, poll)...))
	f.Fuzz(func(t *testing.T, data []byte) {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			conn := &fuzzed{in: bytes.NewReader(data)}
			b.server.serveConn(t.Context(), conn, conn, b.chain, "test", "fuzz")
			if strings.Contains(b.logs.String(), "panicked") {
				t.Fatalf("log:\n%s", b.logs)
			}
			for conn.out.Len() > 0 {
				p, err := packets.ReadPacket(&conn.out)
				if err != nil {
					t.Fatal(err)
				}
				if p, ok := p.(*packets.PublishPacket); ok && !strings.HasPrefix(p.TopicName, responsePrefix) {
					t.Fatalf("published to %q", p.TopicName)
				}
			}
		})
	})
}

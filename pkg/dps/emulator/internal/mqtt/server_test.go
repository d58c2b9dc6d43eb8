package mqtt

import (
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dpskit/dpskit/pkg/pki"
)

// listener hands out what tests put into it: connections and errors.
type listener struct {
	next chan any
	done chan struct{}
}

func newListener() *listener { return &listener{make(chan any), make(chan struct{})} }

func (l *listener) Accept() (net.Conn, error) {
	select {
	case v := <-l.next:
		if err, ok := v.(error); ok {
			return nil, err
		}
		return v.(net.Conn), nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error   { close(l.done); return nil }
func (l *listener) Addr() net.Addr { return &net.TCPAddr{} }

// listen serves l until the test ends.
func (b *bench) listen(l *listener) {
	b.calls.Go(func() {
		if err := b.server.Serve(b.t.Context(), l); err != nil {
			b.t.Error(err)
		}
	})
	b.t.Cleanup(func() {
		_ = l.Close()
		b.close()
	})
}

func (l *listener) dial() net.Conn {
	client, server := net.Pipe()
	l.next <- server
	return client
}

func withTLS(t *testing.T) func(*Config) {
	t.Helper()
	b, err := pki.SelfSigned(pki.IssueRequest{CommonName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := b.TLSCertificate()
	if err != nil {
		t.Fatal(err)
	}
	return func(c *Config) {
		c.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequestClientCert}
	}
}

// TestSlowHandshake: neither silence nor single bytes keep a handshake open (HT5).
func TestSlowHandshake(t *testing.T) {
	secure := withTLS(t)
	for _, drip := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b, l := newBench(t, secure), newListener()
			b.listen(l)
			conn := l.dial()
			start := time.Now()
			if drip {
				for _, c := range "\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03\x03aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" {
					if _, err := conn.Write([]byte{byte(c)}); err != nil {
						break
					}
					time.Sleep(time.Second)
				}
			} else {
				_, _ = conn.Read(make([]byte, 1))
			}
			if took := time.Since(start); took < connectTimeout || took > connectTimeout+time.Second {
				t.Errorf("closed after %v", took)
			}
			// And after the handshake, as long again for CONNECT.
			secured := tls.Client(l.dial(), &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // another test looks at the certificate
			if err := secured.Handshake(); err != nil {
				t.Fatal(err)
			}
			start = time.Now()
			_, _ = secured.Read(make([]byte, 1))
			if took := time.Since(start); took != connectTimeout {
				t.Errorf("closed after %v without CONNECT", took)
			}
			_ = secured.Close()
		})
	}
}

// TestAcceptFailures, such as a lack of file descriptors, are waited out.
func TestAcceptFailures(t *testing.T) {
	secure := withTLS(t)
	synctest.Test(t, func(t *testing.T) {
		b, l := newBench(t, secure), newListener()
		b.listen(l)
		start := time.Now()
		for range 12 {
			l.next <- errors.New("accept: too many open files")
		}
		secured := tls.Client(l.dial(), &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // as above
		if err := secured.Handshake(); err != nil {
			t.Fatal(err)
		}
		_ = secured.Close()
		if took := time.Since(start); took < time.Second || took > 12*time.Second {
			t.Errorf("took %v", took)
		}
		if n := strings.Count(b.logs.String(), "accept failed"); n != 12 {
			t.Errorf("%d records", n)
		}
	})
}

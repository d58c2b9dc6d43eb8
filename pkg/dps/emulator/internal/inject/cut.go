package inject

import (
	"crypto/tls"
	"net"
	"net/http"
)

// cut ends the connection without any more of an answer: by a TCP reset, or by
// closing it in good order. What was written and not flushed is lost.
func (s *strike) cut(reset bool) {
	conn, _, err := http.NewResponseController(s.w).Hijack()
	if err != nil { // no connection that can be taken over
		panic(http.ErrAbortHandler)
	}
	raw := conn
	if wrapped, ok := conn.(*tls.Conn); ok {
		raw = wrapped.NetConn()
	}
	if tcp, ok := raw.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0)
		_ = tcp.Close()
		return
	}
	_ = conn.Close()
}

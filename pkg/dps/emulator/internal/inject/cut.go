package inject

import (
	"crypto/tls"
	"net/http"
)

// cut ends the connection without any more of an answer: by a TCP reset, or by
// closing it in good order. What was written and not flushed is lost.
func (s *strike) cut(reset bool) {
	conn, _, err := http.NewResponseController(s.w).Hijack()
	if err != nil { // no connection that can be taken over
		panic(http.ErrAbortHandler)
	}
	if wrapped, ok := conn.(*tls.Conn); ok && reset {
		conn = wrapped.NetConn()
	}
	if reset {
		Reset(conn)
		return
	}
	_ = conn.Close()
}

package web

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"runtime/debug"
)

// HeaderRequestID is on every answer of the emulator.
const HeaderRequestID = "X-Ms-Request-Id"

// NewID returns a random UUID (version 4) in lower case.
func NewID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Stamp gives each answer of next a request identifier and the headers that
// all answers share, and turns a panic into a 500 that names the identifier.
func Stamp(next http.Handler, logger *slog.Logger, extra http.Header) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := NewID()
		header := w.Header()
		header.Set(HeaderRequestID, id)
		maps.Copy(header, extra)
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler { // no answer, on purpose
				panic(p)
			}
			logger.ErrorContext(r.Context(), "handler panicked",
				"request_id", id, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			w.WriteHeader(http.StatusInternalServerError)
		}()
		next.ServeHTTP(w, r)
	})
}

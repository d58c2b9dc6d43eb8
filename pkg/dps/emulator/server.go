package emulator

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Limits of every listener.
const (
	headerTimeout  = 10 * time.Second // also bounds the TLS handshake
	readTimeout    = 30 * time.Second
	writeTimeout   = 30 * time.Second
	idleTimeout    = 60 * time.Second
	maxHeaderBytes = 32 << 10
)

// server is an http.Server that can be stopped without waiting for clients
// that connected and said nothing.
type server struct {
	http     *http.Server
	handlers sync.WaitGroup

	mu     sync.Mutex
	silent map[net.Conn]struct{} // connections without a request yet
}

func newServer(handler http.Handler, logger *slog.Logger, tlsConfig *tls.Config) *server {
	s := &server{silent: map[net.Conn]struct{}{}}
	s.http = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.handlers.Add(1)
			defer s.handlers.Done()
			handler.ServeHTTP(w, r)
		}),
		TLSConfig:                    tlsConfig,
		DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout:            headerTimeout,
		ReadTimeout:                  readTimeout,
		WriteTimeout:                 writeTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeaderBytes,
		ErrorLog:                     slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
		ConnState:                    s.track,
		Protocols:                    new(http.Protocols),
	}
	// HTTP/1.1 only, as every official device client speaks it.
	s.http.Protocols.SetHTTP1(true)
	return s
}

func (s *server) track(conn net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state == http.StateNew {
		s.silent[conn] = struct{}{}
	} else {
		delete(s.silent, conn)
	}
}

// stop waits for running requests until ctx ends, then cuts them off, and
// returns after the last handler.
func (s *server) stop(ctx context.Context) error {
	s.mu.Lock()
	for conn := range s.silent {
		_ = conn.Close()
	}
	s.mu.Unlock()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	s.handlers.Wait()
	return err
}

package emulator

import (
	"context"
	"crypto/tls"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/web"
)

// Limits of every listener.
const (
	headerTimeout  = 10 * time.Second // also bounds the TLS handshake
	readTimeout    = 30 * time.Second
	writeTimeout   = 30 * time.Second
	idleTimeout    = 60 * time.Second
	maxHeaderBytes = 32 << 10
	// adminConnections is the bound of the admin listener.
	adminConnections = 256
)

// connectionGrace is how long a connection may be without a request before it
// makes room for another, when there is none. A device asks again after some
// seconds, so an idle connection is of use for a while.
var connectionGrace = graces{shaking: 5 * time.Second, idle: time.Second}

// server is an http.Server with a bound on its connections, which can be
// stopped without waiting for clients that connected and said nothing.
type server struct {
	http     *http.Server
	gate     *gate
	handlers sync.WaitGroup
}

func newServer(handler http.Handler, logger *slog.Logger, tlsConfig *tls.Config, connections int) *server {
	s := &server{gate: newGate(connections, connectionGrace)}
	s.http = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.handlers.Add(1)
			defer s.handlers.Done()
			handler.ServeHTTP(w, s.gate.body(r))
		}),
		TLSConfig:                    tlsConfig,
		DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout:            headerTimeout,
		ReadTimeout:                  readTimeout,
		WriteTimeout:                 writeTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeaderBytes,
		ErrorLog:                     log.New(serverLog{logger}, "", 0),
		ConnState:                    s.gate.track,
		ConnContext:                  s.gate.withConn,
		Protocols:                    new(http.Protocols),
	}
	// HTTP/1.1 only, as every official device client speaks it.
	s.http.Protocols.SetHTTP1(true)
	return s
}

// serverLog takes what an http.Server says of connections that have no request.
type serverLog struct{ logger *slog.Logger }

// Write logs a line, and explains the one that people ask about most.
func (l serverLog) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	if r := refuse.Distrust(text); r != nil {
		refuse.Log(context.Background(), l.logger, r, slog.String("transport", "https"), slog.String("request_id", web.NewID()))
	}
	l.logger.Debug("http server", "message", text)
	return len(line), nil
}

// serve answers connections of l until the server is stopped, and closes l.
func (s *server) serve(l net.Listener) error {
	b := newLobby(l, defaultLobby, s.gate.relieve)
	defer b.wait() // http.Server closes it, whatever happens
	if s.http.TLSConfig != nil {
		return s.http.ServeTLS(s.gate.listener(b), "", "")
	}
	return s.http.Serve(s.gate.listener(b))
}

// stop waits for running requests until ctx ends, then cuts them off, and
// returns after the last handler.
func (s *server) stop(ctx context.Context) error {
	s.gate.closeFresh()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	s.handlers.Wait()
	return err
}

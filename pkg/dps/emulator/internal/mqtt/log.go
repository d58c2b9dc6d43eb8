package mqtt

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/web"
)

// logRefusal writes one record for a refusal, and one more for an error that is
// not the client's. It returns the refusal.
func (se *session) logRefusal(ctx context.Context, id string, cause error, more ...any) *refuse.Refusal {
	ctx = context.WithoutCancel(ctx)
	refused, known := web.AsRefusal(cause)
	if !known {
		se.server.config.Logger.ErrorContext(ctx, "request failed", "plane", "device", "request_id", id, "error", cause.Error())
	}
	attrs := []slog.Attr{
		slog.String("plane", "device"), slog.String("transport", se.transport), slog.String("request_id", id),
	}
	if se.call.RegistrationID != "" {
		attrs = append(attrs, slog.String("registration_id", se.call.RegistrationID))
	}
	attrs = append(attrs, slog.Group("", more...))
	refuse.Log(ctx, se.server.config.Logger, refused, attrs...)
	return refused
}

// logEnd says why a connection ended, if that is of interest to anybody.
func (se *session) logEnd(ctx context.Context, err error) {
	var broken protocolError
	switch {
	case errors.Is(err, errRefused):
	case errors.As(err, &broken):
		r := &refuse.Refusal{Status: http.StatusBadRequest, Rule: ruleProtocol, Message: "Connection closed: " + string(broken) + "."}
		if se.owner == "" {
			r = se.explainStranger(r)
		}
		se.logRefusal(ctx, web.NewID(), r)
	case errors.Is(err, errDone), errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
		se.logDebug(ctx, "connection ended", "")
	case errors.Is(err, os.ErrDeadlineExceeded):
		se.logDebug(ctx, "connection timed out", "")
	default:
		se.logDebug(ctx, "connection lost", err.Error())
	}
}

func (se *session) logDebug(ctx context.Context, message, cause string) {
	se.server.config.Logger.DebugContext(ctx, message, "transport", se.transport, "remote", se.remote,
		"registration_id", se.call.RegistrationID, "error", cause)
}

// explainStranger recognises a client of another protocol by what it sent. The
// bytes that were read are gone, but for the type of its first packet that is
// enough: "GET" and "PUT" begin with bytes of packets that only servers send.
func (se *session) explainStranger(r *refuse.Refusal) *refuse.Refusal {
	if se.transport == transportTLS && isHTTP(se.in) {
		r.Rule, r.Expected = rulePort, "MQTT"
		r.Fix = "this port is for MQTT over TLS; use the HTTPS address for HTTP and for MQTT over WebSocket"
	}
	return r
}

// isHTTP looks at what follows the first byte of a request line, without waiting
// for more.
func isHTTP(in interface {
	Buffered() int
	Peek(int) ([]byte, error)
}) bool {
	seen, err := in.Peek(min(in.Buffered(), 3))
	if err != nil || len(seen) < 2 {
		return false
	}
	for _, method := range []string{"ET ", "UT ", "OST", "EAD", "ELE", "ATC", "PTI", "RI "} {
		if bytes.HasPrefix(seen, []byte(method[:min(len(method), len(seen))])) {
			return true
		}
	}
	return false
}

// logHandshake explains a failed TLS handshake where the client says why it went
// away, or the first bytes tell that it was no attempt at one.
func (se *session) logHandshake(ctx context.Context, err error) {
	var record tls.RecordHeaderError
	if r := refuse.Distrust(err.Error()); r != nil {
		se.logRefusal(ctx, web.NewID(), r)
		return
	}
	if !errors.As(err, &record) {
		se.logDebug(ctx, "tls handshake failed", err.Error())
		return
	}
	r := &refuse.Refusal{Status: http.StatusBadRequest, Rule: rulePort, Message: "Connection closed: it does not begin with TLS.",
		Expected: "MQTT over TLS", Fix: "connect with TLS: this port has no plain text"}
	if record.RecordHeader[0] == typeConnect<<4 {
		r.Fix = "switch TLS on in the MQTT client: mqtts:// or ssl://, not mqtt:// or tcp://"
	} else if bytes.ContainsAny(record.RecordHeader[:1], "GPHDO") {
		r.Fix = "this port is for MQTT over TLS; use the HTTPS address for HTTP"
	}
	se.logRefusal(ctx, web.NewID(), r)
}

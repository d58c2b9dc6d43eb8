package mqtt

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/dpskit/dpskit/pkg/dps/emulator/fault"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/inject"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/web"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"
)

// strike is the fault that hits one request; the zero value is none.
type strike struct {
	inject.Decision

	id string // of the request, in the log and in the error body
}

// decide asks the rules about a request.
func (se *session) decide(ctx context.Context, r request) strike {
	return se.decideAbout(ctx, inject.Request{Op: r.name(), ID: se.call.RegistrationID, Operation: r.operationID})
}

func (se *session) decideAbout(ctx context.Context, req inject.Request) strike {
	req.Plane, req.Transport = fault.Device, se.transport
	d := se.server.config.Faults.Decide(req)
	if d == nil {
		return strike{}
	}
	s := strike{Decision: *d, id: web.NewID()}
	inject.LogDecision(ctx, se.server.config.Logger, req, d, s.id)
	return s
}

// before does what comes before the request is carried out or acknowledged. An
// error ends the connection.
func (se *session) before(ctx context.Context, s strike) error {
	if !se.server.config.Faults.Wait(ctx, s.Delay) {
		return errDone
	}
	switch s.Kind {
	case fault.Reset:
		inject.Reset(se.closer)
		return errDone
	case fault.Close:
		return errDone
	}
	return nil
}

// connectStruck answers CONNECT as the fault has it. An error ends the
// connection.
func (se *session) connectStruck(ctx context.Context, p connect) error {
	user, _ := parseUserName(p.userName)
	s := se.decideAbout(ctx, inject.Request{Op: fault.Connect, ID: user.registrationID})
	if err := se.before(ctx, s); err != nil {
		return err
	}
	if s.Kind == fault.Status || s.Kind == fault.Throttle {
		code := byte(serverUnavailable)
		if s.Status == http.StatusUnauthorized || s.Status == http.StatusForbidden {
			code = notAuthorized
		}
		if err := se.writeStruck(ctx, s, encodeConnack(code), 0); err != nil {
			return err
		}
		se.linger()
		return errRefused
	}
	if err := se.connect(ctx, p); err != nil {
		return err
	}
	if s.Kind == fault.DropAck {
		inject.Reset(se.closer)
		return errDone
	}
	ack := encodeConnack(accepted)
	err := se.writeStruck(ctx, s, ack, len(ack))
	if errors.Is(err, errDone) {
		se.linger()
	}
	return err
}

// struck carries out a request as the fault has it.
func (se *session) struck(ctx context.Context, s strike, r request, payload []byte) (answer, error) {
	var a answer
	if s.Kind != fault.Throttle && (s.Kind != fault.Status || s.Committed) {
		a = se.answer(ctx, r, payload)
	}
	switch s.Kind {
	case fault.Status, fault.Throttle:
		refused := s.Refusal()
		a.status, a.retryAfter = refused.Status, refused.Header.Get("Retry-After")
		a.body, _ = web.Encode(wire.NewServiceError(refused, s.id, se.server.config.Now())) // always encodes
	case fault.DropAck:
		inject.Reset(se.closer)
		return a, errDone
	case fault.Truncate:
		a.body = a.body[:len(a.body)/2]
	case fault.Assigning:
		if body, ok := inject.StillAssigning(a.body); ok && a.status == http.StatusOK {
			a = answer{status: http.StatusAccepted, retryAfter: se.server.config.Plane.RetryAfterText(), body: body}
		}
	}
	a.retryAfter = retryAfter(a.retryAfter, s.RetryAfter)
	return a, nil
}

// retryAfter is the parameter of a topic. What only HTTP can say is left out.
func retryAfter(usual, text string) string {
	switch {
	case text == "":
		return usual
	case text == fault.RetryGarbage:
		return "in-a-while"
	case text == fault.RetryAbsent, strings.HasSuffix(text, "ms"), strings.HasPrefix(text, "date:"):
		return ""
	}
	return text
}

// writeStruck sends an answer, of length body bytes at its end, slowly or not to
// its end.
func (se *session) writeStruck(ctx context.Context, s strike, packet []byte, body int) error {
	if s.Kind == fault.CloseAfter {
		cut := len(packet) - body + min(s.Bytes, body)
		if err := se.write(packet[:cut]); err != nil {
			return err
		}
		return errDone
	}
	if s.Slow == 0 {
		return se.write(packet)
	}
	const pieces = 16
	size := (len(packet) + pieces - 1) / pieces
	for len(packet) > 0 {
		if !se.server.config.Faults.Wait(ctx, s.Slow/pieces) {
			return errDone
		}
		n := min(size, len(packet))
		if err := se.write(packet[:n]); err != nil {
			return err
		}
		packet = packet[n:]
	}
	return nil
}

package inject

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator/fault"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/web"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"
)

// LogDecision writes the record of a rule that has struck.
func LogDecision(ctx context.Context, logger *slog.Logger, req Request, d *Decision, requestID string) {
	attrs := []slog.Attr{
		slog.String("rule", d.Rule), slog.Int("n", d.N), slog.String("plane", string(req.Plane)), slog.String("op", req.Op),
		slog.String("id", req.ID), slog.String("request_id", requestID),
	}
	if req.Transport != "" {
		attrs = append(attrs, slog.String("transport", req.Transport))
	}
	logger.LogAttrs(ctx, slog.LevelInfo, "fault injected", attrs...)
}

// Wait sleeps for the delay of d, until ctx or the Injector ends, and reports
// whether it may go on.
func (in *Injector) Wait(ctx context.Context, delay time.Duration) bool {
	if delay <= 0 {
		return true
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-in.stopped:
	}
	return false
}

// Refusal is the answer of Kind Status or Throttle. It says that it is on purpose.
func (d *Decision) Refusal() *refuse.Refusal {
	r := &refuse.Refusal{
		Status: d.Status, Code: d.Code, Rule: "fault", Header: http.Header{},
		Fix: "nothing is wrong with the request, this answer comes " + d.purpose(),
	}
	if d.Kind == fault.Throttle {
		r.Status = http.StatusTooManyRequests
		r.Header.Set("Retry-After", strconv.Itoa(int((d.Wait+time.Second-1)/time.Second)))
	}
	if r.Code == 0 {
		r.Code = r.Status * 1000
	}
	r.Message = http.StatusText(r.Status) + "."
	return r
}

// purpose says where a fault comes from.
func (d *Decision) purpose() string { return "on purpose: --fault " + d.Rule }

// StillAssigning makes the answer to a poll say that it is not done yet; it
// reports false for a body that is no such answer.
func StillAssigning(body []byte) ([]byte, bool) {
	var status wire.OperationStatus
	if json.Unmarshal(body, &status) != nil || status.RegistrationState == nil {
		return nil, false
	}
	out, err := web.Encode(wire.OperationStatus{
		OperationID: status.OperationID, Status: wire.RegistrationAssigning,
		RegistrationState: &wire.DeviceResult{
			RegistrationID: status.RegistrationState.RegistrationID, Status: wire.RegistrationAssigning,
		},
	})
	return out, err == nil
}

// Reset closes a connection so that TCP tells the other side that it is broken,
// where that is possible.
func Reset(conn io.Closer) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

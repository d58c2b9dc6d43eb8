package inject

import (
	"bytes"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator/fault"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/web"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"
)

// Header names the rule on every answer that a rule has changed.
const Header = "X-Emulator-Fault"

// maxDrain is how much of a request is read before its connection is closed.
const maxDrain = 2 << 20

// HTTP is what Wrap needs to know of the server.
type HTTP struct {
	Logger *slog.Logger
	Now    func() time.Time
	// RetryAfter is the header of an answer that says assigning.
	RetryAfter string
}

// Wrap puts the faults before next. The result is next itself if there are no
// rules.
func (in *Injector) Wrap(next http.Handler, h HTTP) http.Handler {
	if in == nil || len(in.rules) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req, ok := classify(r)
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		d := in.Decide(req)
		if d == nil {
			next.ServeHTTP(w, r)
			return
		}
		id := w.Header().Get(web.HeaderRequestID)
		LogDecision(r.Context(), h.Logger, req, d, id)
		s := &strike{Decision: d, in: in, http: h, req: req, id: id, w: w, r: r}
		s.serve(next)
	})
}

// strike is one request that is hit.
type strike struct {
	*Decision

	in   *Injector
	http HTTP
	req  Request
	id   string
	w    http.ResponseWriter
	r    *http.Request
}

func (s *strike) serve(next http.Handler) {
	s.extend(s.Delay + s.Slow)
	if !s.in.Wait(s.r.Context(), s.Delay) {
		s.cut(true)
		return
	}
	switch s.Kind {
	case fault.Reset, fault.Close:
		_, _ = io.Copy(io.Discard, io.LimitReader(s.r.Body, maxDrain))
		s.cut(s.Kind == fault.Reset)
	case fault.Throttle:
		s.refuse()
	case fault.Status:
		if s.Committed {
			s.record(next)
		}
		s.refuse()
	case fault.DropAck:
		s.record(next)
		s.cut(true)
	case fault.CloseAfter:
		a := s.record(next)
		s.start(a, len(a.body.Bytes()))
		_, _ = s.w.Write(a.body.Bytes()[:min(s.Bytes, a.body.Len())])
		_ = http.NewResponseController(s.w).Flush()
		s.cut(false)
	case fault.Truncate:
		a := s.record(next)
		a.body.Truncate(a.body.Len() / 2)
		s.send(a)
	case fault.Assigning:
		s.send(s.assigning(s.record(next)))
	default:
		s.send(s.record(next))
	}
}

// extend moves the deadlines of the connection by what the fault takes.
func (s *strike) extend(d time.Duration) {
	if d == 0 {
		return
	}
	deadline := time.Now().Add(d + time.Minute)
	control := http.NewResponseController(s.w)
	_ = control.SetReadDeadline(deadline)
	_ = control.SetWriteDeadline(deadline)
}

// recorded is an answer that has not gone out yet.
type recorded struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *recorded) Header() http.Header { return a.header }

func (a *recorded) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *recorded) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}

func (s *strike) record(next http.Handler) *recorded {
	a := &recorded{header: s.w.Header().Clone()}
	next.ServeHTTP(a, s.r)
	a.WriteHeader(http.StatusOK)
	return a
}

// refuse answers with the error body of the plane.
func (s *strike) refuse() {
	refusal := s.Refusal()
	render := wire.NewServiceError
	if s.req.Plane == fault.ARM {
		render = wire.NewARMError
		refusal.Message += " [emulator: " + s.purpose() + "]" // its errors explain nothing
		if s.Code == 0 {
			refusal.ErrorCode = strings.ReplaceAll(http.StatusText(refusal.Status), " ", "")
		}
	}
	a := &recorded{header: s.w.Header().Clone(), status: refusal.Status}
	body, _ := web.Encode(render(refusal, s.id, s.http.Now())) // strings and numbers always encode
	a.body.Write(body)
	a.header.Set("Content-Type", "application/json; charset=utf-8")
	maps.Copy(a.header, refusal.Header)
	s.send(a)
}

// assigning makes an answer to a poll say that it is not done yet.
func (s *strike) assigning(a *recorded) *recorded {
	body, ok := StillAssigning(a.body.Bytes())
	if a.status != http.StatusOK || !ok {
		return a
	}
	a.body.Reset()
	a.body.Write(body)
	a.header.Set("Retry-After", s.http.RetryAfter)
	return a
}

// start sends the header of a, which announces length bytes of body.
func (s *strike) start(a *recorded, length int) {
	setRetryAfter(a.header, s.RetryAfter)
	a.header.Set(Header, s.Rule)
	if a.status != http.StatusNoContent {
		a.header.Set("Content-Length", strconv.Itoa(length))
	}
	header := s.w.Header()
	clear(header)
	maps.Copy(header, a.header)
	s.w.WriteHeader(a.status)
}

// pieces is how many writes a slow body takes.
const pieces = 16

func (s *strike) send(a *recorded) {
	body := a.body.Bytes()
	s.start(a, len(body))
	if s.Slow == 0 {
		_, _ = s.w.Write(body)
		return
	}
	control := http.NewResponseController(s.w)
	_ = control.Flush()
	size := max(1, (len(body)+pieces-1)/pieces)
	for len(body) > 0 {
		if !s.in.Wait(s.r.Context(), s.Slow/pieces) {
			s.cut(true)
			return
		}
		n := min(size, len(body))
		_, _ = s.w.Write(body[:n])
		_ = control.Flush()
		body = body[n:]
	}
}

// setRetryAfter puts a Retry-After of the wanted form into header.
func setRetryAfter(header http.Header, text string) {
	if text == "" {
		return
	}
	header.Del("Retry-After")
	switch {
	case text == fault.RetryAbsent:
	case text == fault.RetryGarbage:
		header.Set("Retry-After", "in a while; maybe")
	case strings.HasSuffix(text, "ms"):
		header.Set("X-Ms-Retry-After-Ms", strings.TrimSuffix(text, "ms"))
	case strings.HasPrefix(text, "date:"):
		seconds, _ := strconv.ParseInt(strings.TrimPrefix(text, "date:"), 10, 64) // checked
		header.Set("Retry-After", httpDate(time.Now(), seconds))
	default:
		header.Set("Retry-After", text)
	}
}

// lastDate is the last moment that an HTTP date can say.
var lastDate = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

func httpDate(now time.Time, seconds int64) string {
	at := time.Unix(min(max(now.Unix()+seconds, 0), lastDate.Unix()), 0)
	return at.UTC().Format(http.TimeFormat)
}

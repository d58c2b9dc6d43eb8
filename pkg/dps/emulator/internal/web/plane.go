package web

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/store"
)

// Request is one HTTP request on its way through a plane.
type Request struct {
	*http.Request
	// ID is the x-ms-request-id of the answer and the tracking id of errors.
	ID string
	// APIVersion is the api-version query parameter; with a comma in it if it
	// was given more than once.
	APIVersion string

	params map[string]string
	writer http.ResponseWriter
}

// Param returns the decoded path segment that matched {name}.
func (r *Request) Param(name string) string { return r.params[name] }

// Response is a handler's answer. Body is written as JSON; nil means none.
type Response struct {
	Status int
	Header http.Header
	Body   any
}

// OK answers 200 with body.
func OK(body any) (*Response, error) {
	return &Response{Status: http.StatusOK, Body: body}, nil
}

// Plane is one API surface of the emulator.
type Plane struct {
	// Name is the value of `plane` in log records.
	Name   string
	Logger *slog.Logger
	Now    func() time.Time
	Router *Router
	// Before runs before each handler, once the route is known: it
	// authenticates the caller and checks the api-version.
	Before func(*Request) error
	// Render turns a refusal into a body.
	Render func(r *refuse.Refusal, trackingID string, now time.Time) any
	// Header, if set, returns headers for every answer of the plane; refusal
	// is nil for a success.
	Header func(req *Request, refusal *refuse.Refusal) http.Header
}

// ServeHTTP routes, checks and answers one request.
func (p *Plane) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	req := &Request{
		Request: r, ID: w.Header().Get(HeaderRequestID), APIVersion: apiVersion(r.URL.Query()), writer: w,
	}
	resp, err := p.answer(req)
	var refusal *refuse.Refusal
	if err != nil {
		resp, refusal = p.refuse(req, err)
	}
	if p.Header != nil {
		maps.Copy(w.Header(), p.Header(req, refusal))
	}
	drain(r)
	p.write(w, r, resp)
}

// apiVersion returns the api-version parameter, whatever the case of its name.
// If there are several, they come with commas between them, as from the services
// of Azure; no version looks like that.
func apiVersion(query url.Values) string {
	var values []string
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if strings.EqualFold(name, "api-version") {
			values = append(values, query[name]...)
		}
	}
	return strings.Join(values, ",")
}

func (p *Plane) answer(req *Request) (*Response, error) {
	segments, err := Segments(req.URL)
	if err != nil {
		return nil, err
	}
	handler, params, methods := p.Router.find(req.Method, segments)
	switch {
	case handler != nil:
		req.params = params
	case len(methods) == 0:
		return nil, &refuse.Refusal{
			Status: http.StatusNotFound, Code: 404000, ErrorCode: "ResourceNotFound", Rule: "route",
			Message: "Resource not found.",
		}
	default:
		return nil, &refuse.Refusal{
			Status: http.StatusMethodNotAllowed, Code: 405000, ErrorCode: "MethodNotAllowed", Rule: "method",
			Message: "Method not allowed.", Header: http.Header{"Allow": {strings.Join(methods, ", ")}},
			Expected: "one of " + strings.Join(methods, ", "),
		}
	}
	if err := p.Before(req); err != nil {
		return nil, err
	}
	return handler(req)
}

// refuse logs err and makes the answer out of it.
func (p *Plane) refuse(req *Request, err error) (*Response, *refuse.Refusal) {
	ctx := context.WithoutCancel(req.Context())
	refusal, known := AsRefusal(err)
	if !known {
		p.Logger.LogAttrs(ctx, slog.LevelError, "request failed",
			slog.String("plane", p.Name), slog.String("request_id", req.ID), slog.String("error", err.Error()))
	}
	refuse.Log(ctx, p.Logger, refusal,
		slog.String("plane", p.Name),
		slog.String("request_id", req.ID),
		slog.String("method", req.Method),
		slog.String("path", req.URL.EscapedPath()))
	return &Response{Status: refusal.Status, Header: refusal.Header, Body: p.Render(refusal, req.ID, p.Now())}, refusal
}

// retryUnavailable is what clients are told when the store does not write.
const retryUnavailable = 5 * time.Second

// AsRefusal returns what to answer to err: the Refusal in it, or, with known
// false, one for an error that has to be logged as well. A 503 says when to come
// back.
func AsRefusal(err error) (refusal *refuse.Refusal, known bool) {
	refusal, known = refuse.As(err)
	if !known {
		refusal = unexpected(err)
	}
	if refusal.Status == http.StatusServiceUnavailable && refusal.Header.Get("Retry-After") == "" {
		patient := *refusal
		patient.Header = http.Header{}
		maps.Copy(patient.Header, refusal.Header)
		patient.Header.Set("Retry-After", strconv.Itoa(int(retryUnavailable/time.Second)))
		refusal = &patient
	}
	return refusal, known
}

func unexpected(err error) *refuse.Refusal {
	if errors.Is(err, store.ErrReadOnly) || errors.Is(err, store.ErrClosed) || errors.Is(err, context.Canceled) {
		return &refuse.Refusal{
			Status: http.StatusServiceUnavailable, Code: 503000, ErrorCode: "ServiceUnavailable", Rule: "store",
			Message: "Service unavailable.",
			Fix:     "see the log of the emulator; a store that failed to write needs a restart",
		}
	}
	return &refuse.Refusal{
		Status: http.StatusInternalServerError, Code: 500000, ErrorCode: "InternalServerError", Rule: "internal",
		Message: "Internal error.",
	}
}

func (p *Plane) write(w http.ResponseWriter, r *http.Request, resp *Response) {
	header := w.Header()
	maps.Copy(header, resp.Header)
	if resp.Body == nil {
		w.WriteHeader(resp.Status)
		return
	}
	body, err := Encode(resp.Body)
	if err != nil {
		p.Logger.ErrorContext(r.Context(), "encode answer",
			"plane", p.Name, "request_id", header.Get(HeaderRequestID), "error", err.Error())
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	header.Set("Content-Type", "application/json; charset=utf-8")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(resp.Status)
	_, _ = w.Write(body)
}

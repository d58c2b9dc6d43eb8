package web

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
)

// Handler answers one request. An error that is a *refuse.Refusal is the
// answer; any other error becomes a 500, or a 503 if the store is unavailable.
type Handler func(*Request) (*Response, error)

// Route binds a method and a path pattern to a handler. A pattern is a list of
// segments such as `/enrollments/{id}`; a segment in braces matches anything
// and becomes a parameter, the others are compared without case.
type Route struct {
	Method  string
	Pattern string
	Handler Handler
}

// Router finds routes.
type Router struct{ entries []entry }

type entry struct {
	pattern  []string
	handlers map[string]Handler
}

// NewRouter builds a Router. An earlier pattern wins over a later one.
func NewRouter(routes ...Route) *Router {
	rt := &Router{}
	for _, r := range routes {
		pattern := strings.Split(strings.Trim(r.Pattern, "/"), "/")
		i := slices.IndexFunc(rt.entries, func(e entry) bool { return slices.Equal(e.pattern, pattern) })
		if i < 0 {
			i = len(rt.entries)
			rt.entries = append(rt.entries, entry{pattern: pattern, handlers: map[string]Handler{}})
		}
		rt.entries[i].handlers[r.Method] = r.Handler
	}
	return rt
}

// find returns the handler for a method and a path, and the parameters in the
// path; without a handler, the methods that the path has: none if it is unknown.
// A pattern that does not have the method leaves the path to the next one, so
// that an object may be called like a verb.
func (rt *Router) find(method string, segments []string) (handler Handler, params map[string]string, methods []string) {
	for _, e := range rt.entries {
		params, ok := match(e.pattern, segments)
		if !ok {
			continue
		}
		if handler := e.handlers[method]; handler != nil {
			return handler, params, nil
		}
		methods = slices.AppendSeq(methods, maps.Keys(e.handlers))
	}
	slices.Sort(methods)
	return nil, nil, slices.Compact(methods)
}

func match(pattern, segments []string) (map[string]string, bool) {
	if len(pattern) != len(segments) {
		return nil, false
	}
	params := map[string]string{}
	for i, p := range pattern {
		if name, ok := strings.CutPrefix(p, "{"); ok {
			params[strings.TrimSuffix(name, "}")] = segments[i]
		} else if !strings.EqualFold(p, segments[i]) {
			return nil, false
		}
	}
	return params, true
}

// RulePath names the refusal of a path that could mean two things.
const RulePath refuse.Rule = "path"

// Segments splits the path of u and decodes each part exactly once. One
// trailing slash is dropped. Empty and dot segments, slashes and backslashes
// hidden by an escape, control characters and invalid UTF-8 are refused.
func Segments(u *url.URL) ([]string, error) {
	refusal := &refuse.Refusal{
		Status: http.StatusBadRequest, Code: 400000, ErrorCode: "InvalidRequestUri", Rule: RulePath,
		Message: "Request path is not valid.",
	}
	path := strings.TrimPrefix(u.EscapedPath(), "/")
	path = strings.TrimSuffix(path, "/")
	if path == "" {
		return nil, nil
	}
	segments := strings.Split(path, "/")
	for i, s := range segments {
		decoded, err := url.PathUnescape(s)
		if err != nil || !plain(decoded) {
			return nil, refusal
		}
		segments[i] = decoded
	}
	return segments, nil
}

func plain(s string) bool {
	if s == "" || s == "." || s == ".." || !utf8.ValidString(s) {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r == '/' || r == '\\' || unicode.IsControl(r)
	})
}

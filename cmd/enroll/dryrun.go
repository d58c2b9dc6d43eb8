package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps/enrollment"
)

// dryRun is a transport that lets reading requests through and, instead of
// sending a request that would change something, keeps it without its secrets.
// Unless the output is JSON, the request is printed at once.
type dryRun struct {
	env    *cliapp.Env
	format cliapp.Format
	next   http.RoundTripper
	// fired says that there was a request since it was last set to false.
	fired    bool
	requests []requestView
	// body stands for that of the next request, which cannot be known.
	body any
}

// requestView is a request that was not sent, as JSON prints it. Body is null
// where there is none.
type requestView struct {
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
	Body    any               `json:"body"`
}

// dryRunView is the document that a dry run prints with --output json: every
// request that would change something, in the order in which they would be sent.
type dryRunView struct {
	DryRun   bool          `json:"dryRun"`
	Requests []requestView `json:"requests"`
}

// dryRunError ends a command after its request has been kept.
type dryRunError struct{}

func (dryRunError) Error() string { return "dry run: nothing was sent" }

// NonRetriable tells the azcore pipeline not to try again.
func (dryRunError) NonRetriable() {}

func (d *dryRun) RoundTrip(req *http.Request) (*http.Response, error) {
	if readsOnly(req) {
		return d.next.RoundTrip(req)
	}
	view, err := viewRequest(req)
	if d.body != nil {
		view.Body, d.body = d.body, nil
	}
	if err == nil && d.format != cliapp.FormatJSON {
		_, err = io.WriteString(d.env.Out, view.text())
	}
	if err != nil {
		return nil, err
	}
	d.fired = true
	d.requests = append(d.requests, view)
	return nil, dryRunError{}
}

func readsOnly(req *http.Request) bool {
	path := strings.ToLower(strings.TrimSuffix(req.URL.Path, "/"))
	return req.Method == http.MethodGet || req.Method == http.MethodHead ||
		req.Method == http.MethodPost && (strings.HasSuffix(path, "/query") ||
			strings.HasSuffix(path, "/attestationmechanism") || strings.HasSuffix(path, "/listkeys"))
}

// viewRequest takes from a request what a person decides by.
func viewRequest(req *http.Request) (requestView, error) {
	view := requestView{Method: req.Method, URL: req.URL.String(), Headers: map[string]string{}}
	for _, name := range []string{"If-Match", "Content-Type"} {
		if v := req.Header.Get(name); v != "" {
			view.Headers[name] = v
		}
	}
	if req.Header.Get("Authorization") != "" {
		view.Headers["Authorization"] = "REDACTED"
	}
	if req.Body == nil {
		return view, nil
	}
	body, err := io.ReadAll(req.Body)
	if err == nil {
		view.Body = redactedBody(body)
	}
	return view, err
}

// text is the request for a person, with the only header that differs from one
// request to the next.
func (v requestView) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", v.Method, v.URL)
	if etag := v.Headers["If-Match"]; etag != "" {
		fmt.Fprintf(&b, "If-Match: %s\n", etag)
	}
	return b.String() + bodyText(v.Body)
}

// bodyText is a redacted body for a person.
func bodyText(body any) string {
	var b strings.Builder
	switch body := body.(type) {
	case nil:
	case string:
		fmt.Fprintln(&b, body)
	default:
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(body); err != nil { // decoded from JSON before: it encodes
			fmt.Fprintln(&b, "(body that cannot be printed)")
		}
	}
	return b.String()
}

// redactedBody decodes a JSON body and hides the members that hold key material.
func redactedBody(body []byte) any {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	var v any
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return "(body that is not JSON)"
	}
	redact(v)
	return v
}

func redact(v any) {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			s, text := member.(string)
			switch strings.ToLower(name) {
			case "primarykey", "secondarykey", "endorsementkey", "storagerootkey":
				if text && s != "" {
					v[name] = "REDACTED"
				}
			case "webhookurl":
				if text {
					v[name] = enrollment.HideQuery(s)
				}
			default:
				redact(member)
			}
		}
	case []any:
		for _, member := range v {
			redact(member)
		}
	}
}

// finish turns the error of a request that was kept instead of sent into
// success.
func (ep *endpoint) finish(err error) error {
	if kept := (dryRunError{}); errors.As(err, &kept) {
		return nil
	}
	return err
}

// end ends a command that changes something. err is how it went; show prints
// its result. A dry run prints the requests instead, and the result only to a
// person, when there was nothing to request.
func (ep *endpoint) end(err error, show func() error) error {
	d := ep.dryRun
	if err = ep.finish(err); err != nil {
		return err
	}
	switch {
	case d == nil:
		return show()
	case d.format == cliapp.FormatJSON:
		return d.print()
	case d.fired:
		return nil
	}
	return show()
}

// print prints the document of all requests.
func (d *dryRun) print() error { return printRequests(d.env, d.requests) }

// printRequests prints the document of a dry run with --output json.
func printRequests(env *cliapp.Env, requests []requestView) error {
	if requests == nil {
		requests = []requestView{}
	}
	return env.Print(cliapp.FormatJSON, cliapp.View{Value: dryRunView{DryRun: true, Requests: requests}})
}

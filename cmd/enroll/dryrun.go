package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// dryRun is a transport that lets reading requests through and, instead of
// sending a request that would change something, prints it without secrets.
type dryRun struct {
	out   io.Writer
	next  http.RoundTripper
	fired bool
}

// dryRunError ends a command after its request has been printed.
type dryRunError struct{}

func (dryRunError) Error() string { return "dry run: nothing was sent" }

// NonRetriable tells the azcore pipeline not to try again.
func (dryRunError) NonRetriable() {}

func (d *dryRun) RoundTrip(req *http.Request) (*http.Response, error) {
	if readsOnly(req) {
		return d.next.RoundTrip(req)
	}
	d.fired = true
	if err := d.print(req); err != nil {
		return nil, err
	}
	return nil, dryRunError{}
}

func readsOnly(req *http.Request) bool {
	path := strings.ToLower(strings.TrimSuffix(req.URL.Path, "/"))
	return req.Method == http.MethodGet || req.Method == http.MethodHead ||
		req.Method == http.MethodPost && (strings.HasSuffix(path, "/query") ||
			strings.HasSuffix(path, "/attestationmechanism") || strings.HasSuffix(path, "/listkeys"))
}

func (d *dryRun) print(req *http.Request) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", req.Method, req.URL)
	if v := req.Header.Get("If-Match"); v != "" {
		fmt.Fprintf(&b, "If-Match: %s\n", v)
	}
	if req.Body != nil {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return err
		}
		b.Write(redactBody(body))
	}
	_, err := io.WriteString(d.out, b.String())
	return err
}

// redactBody indents a JSON body and hides the members that hold key material.
func redactBody(body []byte) []byte {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	var v any
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return []byte("(body that is not JSON)\n")
	}
	redact(v)
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return []byte("(body that cannot be printed)\n")
	}
	return out.Bytes()
}

func redact(v any) {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			switch strings.ToLower(name) {
			case "primarykey", "secondarykey", "endorsementkey", "storagerootkey", "webhookurl":
				if s, ok := member.(string); ok && s != "" {
					v[name] = "REDACTED"
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

// finish turns the error of a command whose request was printed into success.
func (ep *endpoint) finish(err error) error {
	if err != nil && ep.dryRun != nil && ep.dryRun.fired {
		return nil
	}
	return err
}

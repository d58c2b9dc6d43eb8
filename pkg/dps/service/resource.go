package service

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/internal/oneline"
	"github.com/dpskit/dpskit/pkg/dps/internal/rest"
)

// GetOptions are the choices of a get. There are none yet.
type GetOptions struct{}

// PutOptions are the choices of a put.
type PutOptions struct {
	// IfMatch makes the put an update of exactly this version, "*" of any. Empty
	// takes the ETag of the object; if that is empty too, the put creates, and
	// an existing object is refused with dps.ErrConflict.
	IfMatch string
}

// DeleteOptions are the choices of a delete.
type DeleteOptions struct {
	// IfMatch makes the delete fail with dps.ErrPrecondition unless the object
	// has this ETag. Empty deletes any version.
	IfMatch string
}

// resource describes what enrollments and groups have in common.
type resource[T any] struct {
	noun, segment string
	id            func(T) string
	etag          func(T) string
	attestation   func(*T) *Attestation
	differences   func(want, stored T) []string
}

func checkID(op, id string) error {
	if err := dps.CheckID(id); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return nil
}

func (r resource[T]) get(ctx context.Context, c *Client, id string) (T, error) {
	call := &rest.Call{Op: fmt.Sprintf("get %s %q", r.noun, id)}
	if err := checkID(call.Op, id); err != nil {
		return *new(T), err
	}
	return fetch(ctx, c, call, rest.Request{Method: http.MethodGet, Path: rest.Path(r.segment, id)}, named(id, r.id))
}

// mechanism reads the attestation with its keys, which get leaves out.
func (r resource[T]) mechanism(ctx context.Context, c *Client, id string) (Attestation, error) {
	call := &rest.Call{Op: fmt.Sprintf("get attestation of %s %q", r.noun, id)}
	if err := checkID(call.Op, id); err != nil {
		return Attestation{}, err
	}
	path := rest.Path(r.segment, id, "attestationmechanism")
	return fetch(ctx, c, call, rest.Request{Method: http.MethodPost, Path: path}, func(a Attestation) error {
		if a.Type == "" {
			return errors.New("the answer has no kind of attestation")
		}
		return nil
	})
}

// put creates or updates, and is convergent: if the acknowledgement of an
// earlier attempt was lost, the refusal of a later one is checked against what
// is stored.
func (r resource[T]) put(ctx context.Context, c *Client, object T, opts *PutOptions) (T, error) {
	ifMatch := r.etag(object)
	if opts != nil && opts.IfMatch != "" {
		ifMatch = opts.IfMatch
	}
	id, verb := r.id(object), "create"
	header := http.Header{}
	if ifMatch != "" {
		verb = "update"
		header.Set("If-Match", ifMatch)
	}
	call := &rest.Call{Op: fmt.Sprintf("%s %s %q", verb, r.noun, id)}
	if err := r.check(call.Op, object); err != nil {
		return *new(T), err
	}
	if ifMatch != "" {
		if err := r.fillKeys(ctx, c, &object); err != nil {
			return *new(T), err
		}
	}
	call.Secrets = r.attestation(&object).secrets()
	body, err := encodeModel(object, formRequest)
	if err != nil {
		return *new(T), fmt.Errorf("%s: encode: %w", call.Op, err)
	}
	request := rest.Request{Method: http.MethodPut, Path: rest.Path(r.segment, id), Header: header, Body: body}
	stored, err := fetch(ctx, c, call, request, named(id, r.id))
	if call.Ambiguous() && (errors.Is(err, dps.ErrConflict) || errors.Is(err, dps.ErrPrecondition)) {
		if own, ok := r.find(ctx, c, object); ok {
			return own, nil
		}
	}
	return stored, err
}

func (r resource[T]) check(op string, object T) error {
	if err := checkID(op, r.id(object)); err != nil {
		return err
	}
	if r.attestation(&object).Type == "" {
		return fmt.Errorf("%s: %w: no attestation", op, dps.ErrBadRequest)
	}
	return nil
}

// fillKeys reads the keys of a symmetric-key object before an update, because
// get does not return them and an update without them may replace them.
func (r resource[T]) fillKeys(ctx context.Context, c *Client, object *T) error {
	attestation := r.attestation(object)
	if !attestation.lacksKeys() {
		return nil
	}
	current, err := r.mechanism(ctx, c, r.id(*object))
	if err != nil {
		return err
	}
	if current.Type == AttestationSymmetricKey {
		attestation.SymmetricKey = current.SymmetricKey
	}
	return nil
}

// find returns the stored object if it is what was to be written.
func (r resource[T]) find(ctx context.Context, c *Client, want T) (T, bool) {
	stored, err := r.get(ctx, c, r.id(want))
	if err != nil {
		return stored, false
	}
	if attestation := r.attestation(&stored); attestation.lacksKeys() && !r.attestation(&want).lacksKeys() {
		full, err := r.mechanism(ctx, c, r.id(want))
		if err != nil {
			return stored, false
		}
		attestation.SymmetricKey = full.SymmetricKey
	}
	return stored, len(r.differences(want, stored)) == 0
}

// delete removes an object; a repeated attempt that finds nothing has succeeded.
func (r resource[T]) delete(ctx context.Context, c *Client, id string, opts *DeleteOptions) error {
	return remove(ctx, c, r.noun, r.segment, id, opts)
}

func remove(ctx context.Context, c *Client, noun, segment, id string, opts *DeleteOptions) error {
	call := &rest.Call{Op: fmt.Sprintf("delete %s %q", noun, id)}
	if err := checkID(call.Op, id); err != nil {
		return err
	}
	header := http.Header{}
	if opts != nil && opts.IfMatch != "" {
		header.Set("If-Match", opts.IfMatch)
	}
	path := rest.Path(segment, id)
	_, err := c.rest.Do(ctx, call, rest.Request{Method: http.MethodDelete, Path: path, Header: header})
	switch {
	case !call.Ambiguous():
		return err
	case errors.Is(err, dps.ErrNotFound):
		return nil
	case errors.Is(err, dps.ErrPrecondition):
		check := &rest.Call{Op: call.Op}
		_, gone := c.rest.Do(ctx, check, rest.Request{Method: http.MethodGet, Path: path})
		if errors.Is(gone, dps.ErrNotFound) {
			return nil
		}
	}
	return err
}

// named checks that an answer is about the object that was asked for: what
// stands in for a service on the way answers with something else, and an empty
// object must not pass for an enrollment with nothing in it.
func named[T any](want string, id func(T) string) func(T) error {
	return func(value T) error {
		switch got := id(value); {
		case got == "":
			return errors.New("the answer has no id")
		case !strings.EqualFold(got, want):
			return fmt.Errorf("the answer is about %q", oneline.Clean(got, 140))
		}
		return nil
	}
}

// fetch sends a request, decodes its answer and checks it.
func fetch[T any](ctx context.Context, c *Client, call *rest.Call, request rest.Request, check func(T) error) (T, error) {
	var value T
	resp, err := c.rest.Do(ctx, call, request)
	if err != nil {
		return value, err
	}
	err = decodeBody(resp.Body, &value)
	if err == nil {
		err = check(value)
	}
	if err != nil {
		return *new(T), rest.Unexpected(call, resp, err.Error())
	}
	return value, nil
}

// decodeBody reads a JSON body of the service; its errors do not repeat it.
func decodeBody(body []byte, target any) error {
	if !json.Valid(body) {
		return errors.New(notJSON(body))
	}
	if string(bytes.TrimSpace(body)) == "null" {
		return errors.New("the answer is null")
	}
	if _, ok := target.(json.Unmarshaler); ok {
		return target.(json.Unmarshaler).UnmarshalJSON(body)
	}
	return json.Unmarshal(body, target)
}

func notJSON(body []byte) string {
	switch {
	case len(bytes.TrimSpace(body)) == 0:
		return "the answer is empty, not JSON"
	case body[0] == '<':
		return "the answer is a web page, not JSON (a proxy or another server?)"
	}
	return "the answer is not valid JSON"
}

package service

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"strings"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/internal/rest"
)

// ListOptions are the choices of a list.
type ListOptions struct {
	// PageSize is the number of items that one request asks for; 0 leaves it to
	// the service, which sends 100.
	PageSize int
}

// maxEmptyPages ends a list that never yields anything but continuations.
const maxEmptyPages = 100

// query walks one paged query.
type query[T any] struct {
	op, path string
	body     []byte
	id       func(T) string
}

func (r resource[T]) list(ctx context.Context, c *Client, text string, opts *ListOptions) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		body, _ := json.Marshal(map[string]string{"query": text}) // two strings: cannot fail
		q := query[T]{op: "list " + r.noun + "s", path: rest.Path(r.segment, "query"), body: body, id: r.id}
		q.run(ctx, c, opts, yield)
	}
}

// run yields the items of all pages. A continuation that was seen before, or
// pages without end that hold nothing, end it with an error; an item that moved
// from the page before to this one while it was read is not yielded twice.
func (q query[T]) run(ctx context.Context, c *Client, opts *ListOptions, yield func(T, error) bool) {
	seen, last, empty := map[string]bool{}, map[string]bool{}, 0
	for token := ""; ; {
		items, next, err := q.page(ctx, c, opts, token)
		if err != nil {
			yield(*new(T), err)
			return
		}
		ids := make(map[string]bool, len(items))
		for _, item := range items {
			id := strings.ToLower(q.id(item))
			ids[id] = true
			if !last[id] && !yield(item, nil) {
				return
			}
		}
		if empty++; len(items) > 0 {
			last, empty = ids, 0
		}
		switch {
		case next == "":
			return
		case seen[next], empty > maxEmptyPages:
			yield(*new(T), &dps.Error{Op: q.op, StatusCode: http.StatusOK,
				Message: "the service repeats its pages", Err: dps.ErrUnexpectedAnswer})
			return
		}
		seen[next] = true
		token = next
	}
}

// page reads one page and the token of the next.
func (q query[T]) page(ctx context.Context, c *Client, opts *ListOptions, token string) ([]T, string, error) {
	header := http.Header{}
	if opts != nil && opts.PageSize != 0 {
		if opts.PageSize < 0 {
			return nil, "", fmt.Errorf("%s: %w: page size %d is negative", q.op, dps.ErrBadRequest, opts.PageSize)
		}
		header.Set("X-Ms-Max-Item-Count", strconv.Itoa(opts.PageSize))
	}
	if token != "" {
		header.Set("X-Ms-Continuation", token)
	}
	call := &rest.Call{Op: q.op} // a query changes nothing: a POST that may be repeated
	resp, err := c.rest.Do(ctx, call, rest.Request{Method: http.MethodPost, Path: q.path, Header: header, Body: q.body})
	if err != nil {
		return nil, "", err
	}
	var raw []json.RawMessage
	if err := decodeBody(resp.Body, &raw); err != nil {
		if json.Valid(resp.Body) {
			err = fmt.Errorf("the answer is not a list")
		}
		return nil, "", rest.Unexpected(call, resp, err.Error())
	}
	items := make([]T, len(raw))
	for i, item := range raw {
		if err := decodeModel(item, &items[i]); err != nil {
			return nil, "", rest.Unexpected(call, resp, fmt.Sprintf("item %d: %v", i, err))
		}
		if q.id(items[i]) == "" {
			return nil, "", rest.Unexpected(call, resp, fmt.Sprintf("item %d has no id", i))
		}
	}
	return items, resp.Header.Get("X-Ms-Continuation"), nil
}

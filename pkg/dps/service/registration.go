package service

import (
	"context"
	"fmt"
	"iter"
	"net/http"

	"github.com/dpskit/dpskit/pkg/dps/internal/rest"
)

// GetRegistration returns the registration record of a device.
func (c *Client) GetRegistration(ctx context.Context, id string, _ *GetOptions) (RegistrationState, error) {
	call := &rest.Call{Op: fmt.Sprintf("get registration %q", id)}
	if err := checkID(call.Op, id); err != nil {
		return RegistrationState{}, err
	}
	return fetch(ctx, c, call, rest.Request{Method: http.MethodGet, Path: rest.Path("registrations", id)},
		named(id, func(s RegistrationState) string { return s.RegistrationID }))
}

// DeleteRegistration deletes the registration record of a device. The device
// keeps its identity in the IoT hub and may register again.
func (c *Client) DeleteRegistration(ctx context.Context, id string, opts *DeleteOptions) error {
	return remove(ctx, c, "registration", "registrations", id, opts)
}

// Registrations yields the registration records of the devices of one
// enrollment group, page by page as it is consumed. The first error ends the
// sequence.
func (c *Client) Registrations(ctx context.Context, groupID string, opts *ListOptions) iter.Seq2[RegistrationState, error] {
	op := fmt.Sprintf("list registrations of enrollment group %q", groupID)
	return func(yield func(RegistrationState, error) bool) {
		if err := checkID(op, groupID); err != nil {
			yield(RegistrationState{}, err)
			return
		}
		q := query[RegistrationState]{op: op, path: rest.Path("registrations", groupID, "query"),
			id: func(s RegistrationState) string { return s.RegistrationID }}
		q.run(ctx, c, opts, yield)
	}
}

package device

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/internal/oneline"
	"github.com/dpskit/dpskit/pkg/dps/internal/rest"
)

// maxPayload is the service's limit for a message, in bytes.
const maxPayload = 96 << 10

// RegisterOptions are the choices of one registration.
type RegisterOptions struct {
	// Payload is passed to a custom allocation webhook; any JSON value of at
	// most 96 KiB.
	Payload json.RawMessage
	// Progress is called with the status of each answer, if not nil: usually
	// "assigning" a few times, then "assigned".
	Progress func(status string)
}

// Register registers the device and waits until it is assigned to a hub. It is
// safe to repeat: a registered device keeps or gets its hub as the enrollment's
// reprovision policy says.
//
// A refusal is *dps.Error if it came at once, [*RegistrationError] if it came
// while waiting. An operation that does not end within MaxWait, or before ctx
// does, is an error that matches context.DeadlineExceeded.
func (c *Client) Register(ctx context.Context, opts *RegisterOptions) (Result, error) {
	if opts == nil {
		opts = &RegisterOptions{}
	}
	r := &registration{client: c, opts: opts, op: fmt.Sprintf("register device %q", c.id)}
	body, err := c.body(r.op, opts.Payload)
	if err != nil {
		return Result{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.maxWait)
	defer cancel()
	defer c.transport.CloseIdleConnections()
	return r.run(ctx, body)
}

func (c *Client) body(op string, payload json.RawMessage) ([]byte, error) {
	switch {
	case len(payload) > maxPayload:
		return nil, fmt.Errorf("%s: %w: payload is larger than 96 KiB", op, dps.ErrBadRequest)
	case len(payload) > 0 && !json.Valid(payload):
		return nil, fmt.Errorf("%s: %w: payload is not JSON", op, dps.ErrBadRequest)
	}
	body, err := json.Marshal(struct {
		RegistrationID string          `json:"registrationId"`
		Payload        json.RawMessage `json:"payload,omitempty"`
	}{c.id, payload})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	return body, nil
}

// registration is the state of one Register.
type registration struct {
	client *Client
	opts   *RegisterOptions
	op     string
	polls  pacer
}

func (r *registration) run(ctx context.Context, body []byte) (Result, error) {
	c := r.client
	start := c.now()
	path := rest.Path(c.scope, "registrations", c.id)
	// The same device registering twice at once is told 409; one of them has to
	// come back.
	op, wait, err := r.send(ctx, &rest.Call{Op: r.op, RetryStatus: []int{http.StatusConflict}},
		rest.Request{Method: http.MethodPut, Path: path + "/register", Body: body})
	for err == nil {
		if r.opts.Progress != nil {
			r.opts.Progress(oneline.Clean(op.outcome(), 32))
		}
		switch op.outcome() {
		case StatusAssigned:
			return op.result(c.id), nil
		case StatusAssigning, StatusUnassigned:
		default: // failed, disabled, and what older services called it
			return Result{}, op.refusal(r.op, c.id)
		}
		if err = r.polls.wait(ctx, wait); err != nil {
			return Result{}, &dps.Error{Op: r.op, Err: err,
				Message: fmt.Sprintf("still %s after %s (operation %s): %v", op.outcome(),
					c.now().Sub(start).Round(time.Second), oneline.Clean(op.OperationID, 80), err)}
		}
		id := op.OperationID
		// The poll address is built from the operation id: the service's Location
		// header has pointed elsewhere.
		op, wait, err = r.send(ctx, &rest.Call{Op: r.op},
			rest.Request{Method: http.MethodGet, Path: path + rest.Path("operations", id)})
		if op.OperationID == "" {
			op.OperationID = id
		}
	}
	return Result{}, err
}

// send makes one request and returns the operation and the delay before the
// next poll.
func (r *registration) send(ctx context.Context, call *rest.Call, request rest.Request) (operation, time.Duration, error) {
	resp, err := r.client.rest.Do(ctx, call, request)
	if err != nil {
		return operation{}, 0, r.explainable(err)
	}
	var op operation
	if err := json.Unmarshal(resp.Body, &op); err != nil {
		return operation{}, 0, rest.Unexpected(call, resp, "the answer is not the state of an operation")
	}
	switch {
	case op.outcome() == "":
		return operation{}, 0, rest.Unexpected(call, resp, "the answer has no status")
	case op.OperationID == "" && request.Method == http.MethodPut && isRunning(op):
		return operation{}, 0, rest.Unexpected(call, resp, "the answer has no operation id")
	}
	return op, r.client.delay(resp), nil
}

func isRunning(op operation) bool {
	return op.outcome() == StatusAssigning || op.outcome() == StatusUnassigned
}

// delay is what the answer asks for, within the cap; defaultPoll if it does not.
func (c *Client) delay(resp *rest.Response) time.Duration {
	now := c.now()
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		now = date
	}
	asked, ok := dps.ParseRetryAfter(resp.Header.Get("Retry-After"), now)
	if !ok {
		return defaultPoll
	}
	return min(asked, c.maxDelay)
}

// explainable adds to a refusal what only the device knows.
func (r *registration) explainable(err error) error {
	var refusal *dps.Error
	if errors.As(err, &refusal) && errors.Is(err, dps.ErrUnauthorized) {
		refusal.Detail = r.client.identity.detail
		if r.client.identity.certificate != nil && !r.client.handshake.asked.Load() {
			refusal.Detail = "the server did not ask for a client certificate; " + refusal.Detail
		}
	}
	return err
}

package device

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/internal/oneline"
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
	// Attempt is called after each request, if not nil. Many requests may be made
	// for one registration: each poll is one, and what fails in passing is sent
	// again.
	Attempt func(Attempt)
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
	ctx, cancel := context.WithTimeout(ctx, c.opts.MaxWait)
	defer cancel()
	r.exchange = c.newExchange(r.op)
	defer r.exchange.close()
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
	client   *Client
	opts     *RegisterOptions
	op       string
	exchange exchange
	polls    pacer
}

func (r *registration) run(ctx context.Context, body []byte) (Result, error) {
	c := r.client
	start := c.config.Now()
	op, wait, err := r.ask(ctx, question{body: body})
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
					c.config.Now().Sub(start).Round(time.Second), oneline.Clean(op.OperationID, 80), err)}
		}
		id := op.OperationID
		op, wait, err = r.ask(ctx, question{operationID: id})
		if op.OperationID == "" {
			op.OperationID = id
		}
	}
	return Result{}, r.explainable(err)
}

func isRunning(op operation) bool {
	return op.outcome() == StatusAssigning || op.outcome() == StatusUnassigned
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

package provision

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"sync"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/state"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/store"
)

// Bounds on custom allocation.
const (
	// maxCalls is how many webhooks are called at the same time.
	maxCalls = 16
	// defaultWaiting is the default of Service.MaxWaiting.
	defaultWaiting = 1024
)

// RuleWaiting refuses a registration because too many wait for a webhook.
const RuleWaiting refuse.Rule = "custom-allocation-busy"

// waiting is the registrations whose webhook has not answered. Each has a
// goroutine that ends with the answer, with a time-out, or with Close; what it
// has not finished then is taken up again by a poll, also after a restart: the
// records have all that is needed.
type waiting struct {
	mu      sync.Mutex
	closed  bool
	cancel  map[string]context.CancelFunc // by operation
	calls   chan struct{}                 // one token per call
	workers sync.WaitGroup
}

// enter registers an operation, unless it is there already or there is no room.
func (w *waiting) enter(ctx context.Context, id string, limit int) (_ context.Context, entered, room bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cancel == nil {
		w.cancel, w.calls = map[string]context.CancelFunc{}, make(chan struct{}, maxCalls)
	}
	switch {
	case w.closed, w.cancel[id] != nil:
		return nil, false, true
	case len(w.cancel) >= limit:
		return nil, false, false
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w.cancel[id] = cancel
	w.workers.Add(1)
	return ctx, true, true
}

func (w *waiting) leave(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cancel[id]()
	delete(w.cancel, id)
	w.workers.Done()
}

// Close ends the calls of webhooks and waits for them. Registrations that wait
// stay so.
func (s *Service) Close() {
	s.waiting.mu.Lock()
	s.waiting.closed = true
	for _, cancel := range s.waiting.cancel {
		cancel()
	}
	s.waiting.mu.Unlock()
	s.waiting.workers.Wait()
	if s.Webhook != nil {
		s.Webhook.Close()
	}
}

// question is what the webhook has to be told about the caller.
func question(call Call) *state.Question {
	q := &state.Question{Payload: call.Payload}
	if leaf := call.leaf(); leaf != nil {
		q.Certificate = leaf.Raw
	}
	return q
}

// ask sees to it that somebody asks the webhook that op waits for, if it does.
func (s *Service) ask(ctx context.Context, op state.Operation) error {
	if !op.Result.Waiting {
		return nil
	}
	ctx, entered, room := s.waiting.enter(ctx, op.ID, cmp.Or(s.MaxWaiting, defaultWaiting))
	if !room {
		return TooMany(RuleWaiting, "Too many registrations wait for custom allocation.", "a webhook that keeps up")
	}
	if entered {
		go func() {
			defer s.waiting.leave(op.ID)
			s.finish(ctx, op)
		}()
	}
	return nil
}

// finish asks the webhook and writes what it says.
func (s *Service) finish(ctx context.Context, op state.Operation) {
	select {
	case s.waiting.calls <- struct{}{}:
		defer func() { <-s.waiting.calls }()
	case <-ctx.Done():
		return
	}
	v, err := s.consult(ctx, op)
	if err == nil && ctx.Err() == nil {
		err = s.conclude(ctx, op, v)
	}
	if err != nil && ctx.Err() == nil && s.Logger != nil {
		// The operation goes on waiting; the next poll asks again.
		s.Logger.ErrorContext(ctx, "custom allocation not finished", "operation_id", op.ID, "error", err.Error())
	}
}

// conclude writes v into op and into the record, unless a later registration
// has taken its place there. The enrollment must still be there and enabled.
func (s *Service) conclude(ctx context.Context, op state.Operation, v verdict) error {
	var end state.Operation
	var leaf *x509.Certificate
	err := s.Store.Update(ctx, func(tx store.Tx) error {
		current, ok, err := state.GetOperation(tx, op.Result.RegistrationID, op.ID)
		if err != nil || !ok || !current.Result.Waiting { // deleted, or settled by another
			return err
		}
		g, found, err := grantOf(tx, current)
		switch {
		case err != nil:
			return err
		case !found:
			v.refused = enrollmentGone(current)
		case g.common.ProvisioningStatus.Disabled():
			v.refused = enrollmentDisabled(g)
		}
		if leaf, err = current.Question.Leaf(); err != nil {
			return err
		}
		now := s.stamp()
		reg := current.Result
		settle(&reg, v, g)
		reg.Updated, reg.ETag = now, state.NewETag(now)
		current.Result, current.Question = reg, nil
		end = current
		old, ok, err := state.GetRegistration(tx, reg.RegistrationID)
		if err != nil {
			return err
		}
		if ok && old.OperationID == op.ID {
			if err := state.PutRegistration(tx, old, reg); err != nil {
				return err
			}
		}
		return state.PutOperation(tx, current)
	})
	if err == nil && end.ID != "" {
		s.log(ctx, end, v.refused, leaf)
	}
	return err
}

// grantOf is the enrollment that op was accepted by, as it is now.
func grantOf(r store.Reader, op state.Operation) (grant, bool, error) {
	reg := op.Result
	if reg.GroupID == "" {
		e, found, err := state.GetEnrollment(r, reg.RegistrationID)
		if err != nil || !found {
			return grant{}, false, err
		}
		g := granted(e)
		g.leaf = op.Leaf
		return g, true, nil
	}
	group, found, err := state.GetGroup(r, reg.GroupID)
	g := grant{
		attestation: reg.Attestation, common: group.Common, groupID: group.EnrollmentGroupID,
		deviceID: reg.RegistrationID, leaf: op.Leaf,
	}
	return g, found, err
}

func enrollmentGone(op state.Operation) *refused {
	code, message := 404201, "Enrollment not found."
	if op.Result.GroupID != "" {
		code, message = 404204, "EnrollmentGroup not found."
	}
	return failed(code, message, RuleGone, "the enrollment that the device registered by", "create the enrollment again")
}

// object returns raw if it is a JSON object, nil if it is absent or null.
func object(raw json.RawMessage) (json.RawMessage, bool) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, true
	}
	return raw, raw[0] == '{'
}

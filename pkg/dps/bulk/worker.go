package bulk

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/enrollment"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

// codeExists is the service's code for an enrollment that exists. Other
// conflicts are about something else, such as its certificate.
const codeExists = 409201

const (
	// maxTries bounds the updates of one row against other writers.
	maxTries = 3
	// maxItemTries bounds how often one row is sent again that the service refuses
	// for a moment while it takes others.
	maxItemTries = 10
)

// worker settles one batch after the other.
type worker struct {
	*engine
	// ctx ends the work; requests on their way end a moment later with requests.
	ctx, requests context.Context
}

// settle brings every item of a batch to its outcome. An error ends the import.
func (w worker) settle(batch []*item) error {
	var open []*item
	for _, it := range batch {
		if !w.results[it.index].Earlier {
			open = append(open, it)
		}
	}
	for len(open) > 0 {
		if err := w.gate.Wait(w.ctx); err != nil {
			return err
		}
		rest, err := w.send(open)
		if err != nil {
			return err
		}
		if err := w.opts.State.settled(without(open, rest), w.results); err != nil {
			return err
		}
		w.count(len(open) - len(rest))
		open = rest
	}
	return w.readKeys(batch)
}

func without(all, rest []*item) (settled []*item) {
	left := make(map[*item]bool, len(rest))
	for _, it := range rest {
		left[it] = true
	}
	for _, it := range all {
		if !left[it] {
			settled = append(settled, it)
		}
	}
	return settled
}

// send creates the items in one request and returns those that have to be sent
// again.
func (w worker) send(items []*item) (rest []*item, err error) {
	if err := w.opts.State.sending(items); err != nil {
		return nil, err
	}
	list := make([]service.IndividualEnrollment, len(items))
	for i, it := range items {
		list[i] = it.enrollment
	}
	result, err := w.client.BulkEnrollments(w.requests, service.BulkCreate, list)
	switch {
	case err == nil:
		w.gate.passed()
		return w.sort(items, result)
	case w.requests.Err() != nil:
		return nil, context.Cause(w.ctx)
	case passes(err):
		for _, it := range items {
			it.doubt = it.doubt || !errors.Is(err, dps.ErrThrottled) // throttled: surely not done
		}
		return items, w.gate.shut(err)
	case !refused(err):
		return nil, err
	}
	w.gate.passed() // it is there, and works
	if len(items) == 1 {
		w.fail(items[0], err)
		return nil, nil
	}
	return w.oneByOne(items)
}

// refused tells the refusal of what was sent from one of everything.
func refused(err error) bool {
	return errors.Is(err, dps.ErrBadRequest) || errors.Is(err, dps.ErrConflict) || errors.Is(err, dps.ErrPrecondition)
}

// oneByOne finds the item for which the service refused a whole request.
func (w worker) oneByOne(items []*item) (rest []*item, err error) {
	for i, it := range items {
		if err := w.gate.Wait(w.ctx); err != nil {
			return nil, err
		}
		again, err := w.send([]*item{it})
		if err != nil {
			return nil, err
		}
		rest = append(rest, again...)
		if len(again) > 0 {
			return append(rest, items[i+1:]...), nil
		}
	}
	return rest, nil
}

// sort gives each item of an answered request its outcome.
func (w worker) sort(items []*item, result service.BulkResult) (rest []*item, err error) {
	failed := make(map[string]*service.BulkError, len(result.Errors))
	for _, e := range result.Errors {
		failed[strings.ToLower(e.ID)] = e
	}
	for _, it := range items {
		refusal := failed[fold(it.id())]
		switch {
		case refusal == nil:
			w.set(it, Created)
		case refusal.Code == codeExists:
			if err := w.exists(it, refusal); err != nil {
				return nil, err
			}
		case passes(refusal) && it.tries < maxItemTries:
			it.tries++
			it.doubt = it.doubt || !errors.Is(refusal, dps.ErrThrottled)
			if err := w.gate.shut(refusal); err != nil {
				return nil, err
			}
			rest = append(rest, it)
		default:
			w.fail(it, refusal)
		}
	}
	return rest, nil
}

func (w worker) set(it *item, o Outcome) { w.results[it.index].Outcome = o }

func (w worker) fail(it *item, err error) {
	w.results[it.index].Outcome, w.results[it.index].Err = Failed, err
}

// exists decides about an item whose enrollment is there. If an earlier request
// with it was not answered, it may be that request's work.
func (w worker) exists(it *item, refusal error) error {
	if !it.doubt && w.opts.Exists == Skip {
		w.set(it, Skipped)
		return nil
	}
	if !it.doubt && w.opts.Exists == Fail {
		w.fail(it, refusal)
		return nil
	}
	stored, err := w.read(it)
	if err != nil {
		return w.failUnless(it, err)
	}
	same := len(enrollment.Diff(stored, it.enrollment)) == 0
	switch {
	case it.doubt && same:
		w.set(it, Created)
	case w.opts.Exists == Skip:
		w.set(it, Skipped)
	case w.opts.Exists == Fail:
		w.fail(it, refusal)
	default:
		return w.update(it, stored)
	}
	return nil
}

// update changes the stored enrollment to what the row gives. If someone else
// writes at the same time, their change stays and ours is made on top.
func (w worker) update(it *item, stored service.IndividualEnrollment) error {
	for tries := 0; ; tries++ {
		wanted, err := enrollment.Overlay(stored, it.enrollment)
		if err != nil {
			w.fail(it, fmt.Errorf("update enrollment %q: %w", it.id(), err))
			return nil
		}
		if len(enrollment.Diff(stored, wanted)) == 0 {
			w.set(it, unchangedOr(Updated, tries))
			return nil
		}
		err = w.call(func(ctx context.Context) error {
			_, err := w.client.PutEnrollment(ctx, wanted, nil)
			return err
		})
		switch {
		case err == nil:
			w.set(it, Updated)
			return nil
		case !errors.Is(err, dps.ErrPrecondition) || tries >= maxTries:
			return w.failUnless(it, err)
		}
		// Someone else's change, or our own whose answer was lost.
		if stored, err = w.read(it); err != nil {
			return w.failUnless(it, err)
		}
	}
}

// unchangedOr tells a row that was as wanted from the beginning from one that
// an unanswered request made so.
func unchangedOr(o Outcome, tries int) Outcome {
	if tries == 0 {
		return Unchanged
	}
	return o
}

// read gets the stored enrollment, with its keys if the row gives some.
func (w worker) read(it *item) (stored service.IndividualEnrollment, err error) {
	err = w.call(func(ctx context.Context) error {
		stored, err = w.client.GetEnrollment(ctx, it.id(), nil)
		return err
	})
	if err != nil || it.enrollment.Attestation.SymmetricKey == nil || stored.Attestation.Type != service.AttestationSymmetricKey {
		return stored, err
	}
	stored.Attestation, err = w.attestation(it)
	return stored, err
}

func (w worker) attestation(it *item) (a service.Attestation, err error) {
	err = w.call(func(ctx context.Context) error {
		a, err = w.client.GetEnrollmentAttestation(ctx, it.id(), nil)
		return err
	})
	return a, err
}

// call sends a request that may be repeated until it is answered.
func (w worker) call(request func(context.Context) error) error {
	for {
		if err := w.gate.Wait(w.ctx); err != nil {
			return err
		}
		err := request(w.requests)
		switch {
		case w.requests.Err() != nil && err != nil:
			return context.Cause(w.ctx)
		case passes(err):
			if err := w.gate.shut(err); err != nil {
				return err
			}
		default:
			w.gate.passed()
			return err
		}
	}
}

// failUnless makes a refusal the outcome of the item; every other error ends the
// import.
func (w worker) failUnless(it *item, err error) error {
	if refused(err) || errors.Is(err, dps.ErrNotFound) {
		w.fail(it, err)
		return nil
	}
	return err
}

// readKeys fetches the keys of the batch, where they are asked for.
func (w worker) readKeys(batch []*item) error {
	for _, it := range batch {
		result := w.results[it.index]
		if !w.wantsKeys(it) || result.Outcome == Failed {
			continue
		}
		a, err := w.attestation(it)
		switch {
		case errors.Is(err, dps.ErrNotFound): // deleted meanwhile
		case err != nil:
			return err
		case a.SymmetricKey != nil:
			w.mu.Lock()
			w.keys[it.index] = Keys{Primary: a.SymmetricKey.PrimaryKey, Secondary: a.SymmetricKey.SecondaryKey}
			w.mu.Unlock()
		}
		if result.Earlier {
			w.count(1)
		}
	}
	return nil
}

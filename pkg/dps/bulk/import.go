package bulk

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dpskit/dpskit/pkg/dps/service"
)

// Client is what an import needs of a *service.Client.
type Client interface {
	BulkEnrollments(ctx context.Context, mode service.BulkMode, list []service.IndividualEnrollment) (service.BulkResult, error)
	GetEnrollment(ctx context.Context, id string, opts *service.GetOptions) (service.IndividualEnrollment, error)
	PutEnrollment(ctx context.Context, e service.IndividualEnrollment, opts *service.PutOptions) (service.IndividualEnrollment, error)
	GetEnrollmentAttestation(ctx context.Context, id string, opts *service.GetOptions) (service.Attestation, error)
}

// Existing is what to do about a row whose enrollment exists.
type Existing string

// The choices about rows whose enrollment exists.
const (
	// Fail makes the row a failed one.
	Fail Existing = "fail"
	// Skip leaves the enrollment as it is.
	Skip Existing = "skip"
	// Update changes what the row gives and keeps the rest.
	Update Existing = "update"
)

// Defaults and bounds of Options.
const (
	DefaultConcurrency = 4
	MaxConcurrency     = 32
	DefaultPatience    = 10 * time.Minute
	DefaultGrace       = time.Second
)

// Options are the choices of an import. Nil and zero fields mean the defaults; a
// duration of 0 never means "forever".
type Options struct {
	// Exists says what to do about enrollments that exist; default Fail.
	Exists Existing
	// Concurrency is the number of requests on their way at once; default 4, at
	// most 32. Let the transport of the client keep as many idle connections to
	// one host (http.Transport.MaxIdleConnsPerHost, two by default).
	Concurrency int
	// State makes the import resumable; nil: it is not.
	State *State
	// Keys reads the symmetric keys of the devices into the report.
	Keys bool
	// Progress is told after each request how many of the rows are done. It is
	// called by one goroutine at a time.
	Progress func(done, total int)
	// Waiting is told when the service asks to slow down or fails.
	Waiting func(Wait)
	// Patience is how long the import goes on without any success; default ten
	// minutes.
	Patience time.Duration
	// Grace is how long requests on their way may take after the context has
	// ended, so that their outcome is known; default one second.
	Grace time.Duration
}

func (o *Options) resolved() (Options, error) {
	var r Options
	if o != nil {
		r = *o
	}
	if r.Exists == "" {
		r.Exists = Fail
	}
	if r.Exists != Fail && r.Exists != Skip && r.Exists != Update {
		return r, fmt.Errorf("import: unknown choice %q for what exists", r.Exists)
	}
	if r.Concurrency == 0 {
		r.Concurrency = DefaultConcurrency
	}
	if r.Concurrency < 0 || r.Concurrency > MaxConcurrency {
		return r, fmt.Errorf("import: concurrency %d: want 1 to %d", r.Concurrency, MaxConcurrency)
	}
	if r.Patience <= 0 {
		r.Patience = DefaultPatience
	}
	if r.Grace <= 0 {
		r.Grace = DefaultGrace
	}
	return r, nil
}

// errChanged: the second pass over the file met something else than the first.
var errChanged = errors.New("the file changed while it was read")

// Import checks the whole file and then creates its enrollments.
//
// Faults in the file end it before anything is sent: the error is [Faults]. The
// failure of single rows is no error; it is in the report. An error after the
// check means that the import ended before its end, because the context did,
// the service refuses the credentials, or it stayed unavailable; the report says
// how far it came, and the same import with the same State goes on from there.
func Import(ctx context.Context, client Client, source Source, opts *Options) (*Report, error) {
	o, err := opts.resolved()
	if err != nil {
		return nil, err
	}
	e := &engine{client: client, opts: o, gate: newGate(o.Patience, o.Waiting), keys: map[int]Keys{}}
	check, err := validate(ctx, source, e.take)
	if err != nil {
		return nil, err
	}
	if len(check.Faults) > 0 {
		return nil, check.Faults
	}
	err = e.run(ctx, source)
	return &Report{Results: e.results, Keys: e.keys}, err
}

// engine is one import on its way.
type engine struct {
	client Client
	opts   Options
	gate   *gate
	// results has a slot for each row; a slot belongs to whoever has its item.
	results []Result

	mu   sync.Mutex
	keys map[int]Keys
	done int
}

// item is a row on its way.
type item struct {
	index      int
	enrollment service.IndividualEnrollment
	digest     string
	// doubt: it was sent, and nobody knows whether it arrived.
	doubt bool
	// tries is how often it alone was refused in passing.
	tries int
}

func (it *item) id() string { return it.enrollment.RegistrationID }

// run sends all rows, several batches at a time.
func (e *engine) run(ctx context.Context, source Source) error {
	group, ctx := errgroup.WithContext(ctx)
	// Requests outlive ctx by a moment, so that it is known what they did.
	requests, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	context.AfterFunc(ctx, func() {
		grace := time.NewTimer(e.opts.Grace)
		defer grace.Stop()
		select {
		case <-grace.C:
			end()
		case <-requests.Done():
		}
	})

	batches := make(chan []*item)
	group.Go(func() error {
		defer close(batches)
		return e.produce(ctx, source, batches)
	})
	for range e.opts.Concurrency {
		group.Go(func() error {
			w := worker{engine: e, ctx: ctx, requests: requests}
			for batch := range batches {
				if err := w.settle(batch); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// produce reads the rows and hands out those that are not done, ten at a time.
func (e *engine) produce(ctx context.Context, source Source, batches chan<- []*item) error {
	var batch []*item
	send := func() error {
		if len(batch) == 0 {
			return nil
		}
		select {
		case batches <- batch:
			batch = nil
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	index := 0
	for row, err := range source.Rows() {
		if err != nil || index == len(e.results) || row.Enrollment.RegistrationID != e.results[index].ID {
			return errors.Join(errChanged, err)
		}
		it := &item{index: index, enrollment: row.Enrollment, digest: e.opts.State.digest(row.Enrollment)}
		_, it.doubt = e.opts.State.known(it.id(), it.digest, e.opts.Exists)
		if index++; e.results[it.index].Earlier && !e.wantsKeys(it) {
			continue
		}
		if batch = append(batch, it); len(batch) == service.MaxBulk {
			if err := send(); err != nil {
				return err
			}
		}
	}
	if index != len(e.results) {
		return errChanged
	}
	return send()
}

// take notes a row during the first pass, with what an earlier import did.
func (e *engine) take(row Row) {
	result := Result{Line: row.Line, ID: row.Enrollment.RegistrationID, Outcome: Pending}
	outcome, _ := e.opts.State.known(result.ID, e.opts.State.digest(row.Enrollment), e.opts.Exists)
	if outcome != "" {
		result.Outcome, result.Earlier = outcome, true
		if !e.wantsKeys(&item{enrollment: row.Enrollment}) {
			e.done++
		}
	}
	e.results = append(e.results, result)
}

// wantsKeys tells whether the keys of a device are asked for.
func (e *engine) wantsKeys(it *item) bool {
	return e.opts.Keys && it.enrollment.Attestation.Type == service.AttestationSymmetricKey
}

// count says that n more rows are done.
func (e *engine) count(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.done += n
	if e.opts.Progress != nil {
		e.opts.Progress(e.done, len(e.results))
	}
}

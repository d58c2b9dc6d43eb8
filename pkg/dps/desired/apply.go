package desired

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dpskit/dpskit/pkg/dps"
)

// Status is what became of a change.
type Status string

// The states of a change.
const (
	// Done: it was made.
	Done Status = "done"
	// Failed: see the error.
	Failed Status = "failed"
	// Unknown: it was sent, and no answer says whether it was made; see the error.
	Unknown Status = "unknown"
	// NotTried: an error that concerns everything came before it.
	NotTried Status = "notTried"
)

// Result is what became of one change.
type Result struct {
	Change
	Status Status
	// Err says why it failed, or is unknown. It matches dps.ErrPrecondition or dps.ErrConflict
	// if the object was changed since it was compared.
	Err error
}

// ApplyOptions are the choices of Apply. Nil and zero fields mean the defaults.
type ApplyOptions struct {
	// Progress is called after each change, by one goroutine at a time.
	Progress func(Result)
	// Concurrency is the number of changes at once among those that do not depend
	// on each other; default 4.
	Concurrency int
	// Grace is how long changes on their way may take after the context has ended,
	// so that it is known what became of them; default [DefaultGrace].
	Grace time.Duration
}

// DefaultGrace is the default of ApplyOptions.Grace.
const DefaultGrace = 2 * time.Second

// Apply makes the changes of a plan, in its order. A change that fails does not
// stop the others, but an error that they would all meet does: refused
// credentials, an unavailable service, the end of the context. It is returned,
// and the results say what was done; failures of single changes are in the
// results only.
func (p *Plan) Apply(ctx context.Context, opts *ApplyOptions) ([]Result, error) {
	if opts == nil {
		opts = &ApplyOptions{}
	}
	a := application{progress: opts.Progress, limit: opts.Concurrency, results: make([]Result, len(p.Changes))}
	if a.limit <= 0 {
		a.limit = defaultConcurrency
	}
	if a.grace = opts.Grace; a.grace <= 0 {
		a.grace = DefaultGrace
	}
	for i, c := range p.Changes {
		a.results[i] = Result{Change: c, Status: NotTried}
	}
	for from := 0; from < len(p.Changes); {
		to := from
		for to < len(p.Changes) && stage(p.Changes[to]) == stage(p.Changes[from]) {
			to++
		}
		if err := a.stage(ctx, from, to); err != nil {
			return a.results, err
		}
		from = to
	}
	return a.results, nil
}

type application struct {
	limit   int
	grace   time.Duration
	results []Result

	mu       sync.Mutex
	progress func(Result)
}

// stage makes changes that do not depend on each other.
func (a *application) stage(ctx context.Context, from, to int) error {
	group, ctx := errgroup.WithContext(ctx)
	requests, end := outlive(ctx, a.grace)
	defer end()
	group.SetLimit(a.limit)
	if a.results[from].Kind == KindCertificate {
		group.SetLimit(1) // Azure Resource Manager takes few writes at once
	}
	for i := from; i < to; i++ {
		group.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			err := a.results[i].run(requests)
			return a.finish(i, err)
		})
	}
	return group.Wait()
}

// outlive returns a context that ends that long after ctx has.
func outlive(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	longer, end := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() {
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-timer.C:
			end()
		case <-longer.Done():
		}
	})
	return longer, end
}

// finish notes the outcome of a change; the error is one for all.
func (a *application) finish(i int, err error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := &a.results[i]
	if r.Status = Done; err != nil {
		r.Status, r.Err = Failed, err
		if unanswered(err) {
			r.Status = Unknown
		}
	}
	if a.progress != nil {
		a.progress(*r)
	}
	if concernsAll(err) {
		return err
	}
	return nil
}

// unanswered reports a request that may have arrived and to which nothing was
// answered.
func unanswered(err error) bool {
	var (
		e    *dps.Error
		dial *net.OpError
	)
	if !errors.As(err, &e) || e.StatusCode != 0 || errors.As(err, &dial) && dial.Op == "dial" {
		return false
	}
	return errors.Is(err, context.Canceled) || errors.Is(err, dps.ErrUnavailable)
}

func concernsAll(err error) bool {
	for _, target := range []error{context.Canceled, context.DeadlineExceeded, dps.ErrUnauthorized, dps.ErrThrottled, dps.ErrUnavailable,
		dps.ErrUnexpectedAnswer, dps.ErrUntrustedServer} {
		if errors.Is(err, target) {
			return true
		}
	}
	return dps.IsUntrustedServer(err)
}

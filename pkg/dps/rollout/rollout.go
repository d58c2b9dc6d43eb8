package rollout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dpskit/dpskit/pkg/dps/device"
)

// Source is the devices to register. It is asked by several goroutines at once.
type Source interface {
	// Len is the number of devices.
	Len() int
	// ID returns the registration ID of device i, counted from 0. No two are
	// equal in any letter case.
	ID(i int) string
	// Credential reads what device i proves its identity with. It is called when
	// the turn of the device has come. An error is the outcome of this device;
	// one that wraps ErrSkip leaves it out.
	Credential(i int) (device.Credential, error)
}

// ErrSkip marks a device that cannot register and is left out.
var ErrSkip = errors.New("skipped")

// ErrUnreachable ends a run whose devices cannot reach the service any more.
var ErrUnreachable = errors.New("the service cannot be reached")

// Defaults and bounds of Options.
const (
	DefaultConcurrency = 16
	MaxConcurrency     = 1000
	// DefaultMaxRetries is more than that of a single client: among many devices
	// the unlucky ones are many, too.
	DefaultMaxRetries = 6
	// outagesInARow is how many devices have to fail without any answer in
	// between before a run gives up, or as many as are on their way at once.
	outagesInARow = 16
)

// Status is the outcome of a device.
type Status string

// The outcomes. Those of the service are called as it calls them.
const (
	Assigned Status = device.StatusAssigned
	// Disabled: its enrollment is.
	Disabled Status = device.StatusDisabled
	// Failed: refused, or not answered; see the error.
	Failed Status = device.StatusFailed
	// Skipped: left out, and nothing was sent for it.
	Skipped Status = "skipped"
	// Pending: not reached before the run ended.
	Pending Status = "pending"
)

// Options are the choices of a run. Nil and zero fields mean the defaults.
type Options struct {
	// Client is how devices reach the service. Its Gate is replaced, its
	// MaxRetries is DefaultMaxRetries if it is 0, and its MaxWait bounds each
	// device.
	Client device.ClientOptions
	// Concurrency is the number of devices on their way at once.
	Concurrency int
	// Payload is sent along by every device.
	Payload json.RawMessage
	// Report takes the outcomes and knows those of an earlier run; nil for none.
	Report *Report
	// Reason tells more about why device i was refused, in one line, or "". It is
	// for what the caller knows of the credential. It may be called by several
	// goroutines at once.
	Reason func(i int, err error) string
	// Progress is told how many devices are done; by one goroutine at a time.
	Progress func(done, total int)
	// Waiting is told why all are waiting; by one goroutine at a time.
	Waiting func(Wait)
}

// Outcome is what became of one device.
type Outcome struct {
	Index  int
	ID     string
	Status Status
	// Result is what the service said, as far as it did.
	Result device.Result
	// Attempts counts the requests that were sent.
	Attempts int
	// Duration is the time from the first request to the outcome.
	Duration time.Duration
	// Err is nil for a device that was assigned.
	Err error
	// Reason is what Options.Reason adds to it.
	Reason string

	answered bool // a request at least
}

func (o *Options) resolved() (Options, error) {
	var r Options
	if o != nil {
		r = *o
	}
	if r.Concurrency == 0 {
		r.Concurrency = DefaultConcurrency
	}
	if r.Concurrency < 0 || r.Concurrency > MaxConcurrency {
		return r, fmt.Errorf("register devices: concurrency %d: want 1 to %d", r.Concurrency, MaxConcurrency)
	}
	if r.Client.MaxRetries == 0 {
		r.Client.MaxRetries = DefaultMaxRetries
	}
	return r, nil
}

// Run registers all devices of a source that the report does not know as
// assigned. The summary tells what became of them, also beside an error, which
// means that the run ended before its end; see the package comment.
func Run(ctx context.Context, scope string, source Source, opts *Options) (*Summary, error) {
	o, err := opts.resolved()
	if err != nil {
		return nil, err
	}
	start := time.Now()
	r := &run{scope: scope, source: source, opts: o, summary: newSummary(source.Len())}
	r.pace = newPace(max(outagesInARow, o.Concurrency), o.Waiting)
	group, ctx := errgroup.WithContext(ctx)
	for range min(o.Concurrency, source.Len()) {
		group.Go(func() error { return r.work(ctx) })
	}
	err = group.Wait()
	r.summary.Took = time.Since(start)
	r.summary.close()
	return r.summary, err
}

// run is one call of Run.
type run struct {
	scope  string
	source Source
	opts   Options
	pace   *pace
	next   atomic.Int64

	mu      sync.Mutex
	summary *Summary
}

// work registers one device after the other. An error ends the run.
func (r *run) work(ctx context.Context) error {
	for {
		i := int(r.next.Add(1)) - 1
		if i >= r.source.Len() {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if r.opts.Report.Assigned(i) {
			r.earlier()
			continue
		}
		outcome := r.register(ctx, i)
		if err := r.take(outcome); err != nil {
			return err
		}
		if outcome.Status == Pending {
			return context.Cause(ctx)
		}
		if outcome.answered {
			continue // one that is still waiting for its hub has reached the service
		}
		if err := r.pace.ended(outcome.Err); err != nil {
			return err
		}
	}
}

// register brings one device to its outcome.
func (r *run) register(ctx context.Context, i int) Outcome {
	o := Outcome{Index: i, ID: r.source.ID(i)}
	cred, err := r.source.Credential(i)
	if err == nil {
		start := time.Now()
		o.Result, err = r.send(ctx, &o, cred)
		o.Duration = time.Since(start)
	}
	o.Err = err
	var refused *device.RegistrationError
	switch {
	case err == nil:
		o.Status = Assigned
		return o
	case errors.Is(err, ErrSkip):
		o.Status = Skipped
		return o
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		o.Status = Pending
		return o
	case errors.As(err, &refused):
		o.Result = refused.Result
	}
	o.Status = Failed
	if refused != nil && refused.Status == device.StatusDisabled {
		o.Status = Disabled
	}
	if r.opts.Reason != nil {
		o.Reason = r.opts.Reason(i, err)
	}
	return o
}

func (r *run) send(ctx context.Context, o *Outcome, cred device.Credential) (device.Result, error) {
	opts := r.opts.Client
	opts.Gate = r.pace
	client, err := device.NewClient(r.scope, o.ID, cred, &opts)
	if err != nil {
		return device.Result{}, err
	}
	return client.Register(ctx, &device.RegisterOptions{Payload: r.opts.Payload, Attempt: func(a device.Attempt) {
		o.Attempts++
		o.answered = o.answered || a.Err == nil
		r.pace.heard(a)
	}})
}

// take notes an outcome.
func (r *run) take(o Outcome) error {
	if err := r.opts.Report.add(r.scope, o); err != nil {
		return err
	}
	k := kindOf(o)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.summary.add(o, k)
	if o.Status != Pending {
		r.progress()
	}
	return nil
}

// earlier counts a device that an earlier run has assigned.
func (r *run) earlier() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.summary.Earlier++
	r.progress()
}

func (r *run) progress() {
	if s := r.summary; r.opts.Progress != nil {
		r.opts.Progress(s.Assigned+s.Earlier+s.Failed+s.Skipped, s.Devices)
	}
}

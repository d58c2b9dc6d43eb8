package fleet

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dpskit/dpskit/pkg/pki"
)

// Options describes a fleet. Authority and IDs are needed.
type Options struct {
	// Authority signs the certificates.
	Authority *pki.Authority
	// IDs are the registration IDs: see [Numbered] and [ReadIDs].
	IDs IDs
	// Shard is the part of the fleet to make; the zero value is all of it.
	Shard    Shard
	KeyType  pki.KeyType
	Validity pki.Validity
	// PFX asks for a PKCS#12 file for each device, which takes some twenty times as long as an EC certificate. With
	// an empty password each device gets a random one of its own, in a file beside its key.
	PFX *pki.PFXOptions
	// Workers is how many devices are made at once; 0 means one for each processor.
	Workers int
	// Progress is told how many devices are done, from one goroutine and in rising order.
	Progress func(done, total int)
	// Now is the clock; nil means [time.Now]. The dates of all certificates count from the beginning of the run.
	Now func() time.Time
}

// Sink takes the devices of a fleet. Write is called from one goroutine, in the order of the fleet. An error ends the
// run.
type Sink interface {
	Write(d *Device) error
}

// stager is a sink that does a part of its work on the goroutine that made the device, in any order, before Write. An
// error that would hit every device ends the run (see [fatal]); any other one is that of the device.
type stager interface {
	stage(m *mint, d *Device, nth int) error
}

// Summary says what a run has done.
type Summary struct {
	Devices int // of the part of the fleet that was asked for
	Made    int
	Kept    int // were there already
	Failed  int
	// NotAfter is when the devices that were made expire.
	NotAfter time.Time
	// Failures are the first ten failures, in the order of the fleet.
	Failures []error
}

// Done is how many devices of the fleet there are now.
func (s Summary) Done() int { return s.Made + s.Kept }

const (
	maxFailures = 10  // in a summary
	maxInARow   = 100 // failures, after which a run gives up
)

// Run makes the devices of a fleet on all processors and hands them to a sink in order. The memory it needs does not
// depend on the number of devices.
//
// When some devices fail and the others do not, the error wraps [ErrSomeFailed]. When ctx ends, Run returns its cause
// soon. The summary counts what the sink was given in every case.
func Run(ctx context.Context, opts Options, sink Sink) (Summary, error) {
	r, err := newRun(opts)
	if err != nil {
		return Summary{}, err
	}
	return r.run(ctx, sink)
}

// run is one call of [Run].
type run struct {
	opts     Options
	mint     *mint
	from, to int // range of IDs
	kept     int // devices in front of from that are there already
	workers  int
	perBatch int

	mu   sync.Mutex
	next int // batch to be made

	free, done chan *batch
}

// batch is consecutive devices that one goroutine makes.
type batch struct {
	seq     int
	devices []Device
	size    int // how many of the devices are wanted
	ready   int // how many are there
	err     error
}

func newRun(opts Options) (*run, error) {
	if opts.IDs == nil || opts.IDs.Len() == 0 {
		return nil, fmt.Errorf("issue fleet: no device asked for")
	}
	if err := opts.Shard.check(); err != nil {
		return nil, fmt.Errorf("issue fleet: %w", err)
	}
	m, err := newMint(&opts)
	if err != nil {
		return nil, fmt.Errorf("issue fleet: %w", err)
	}
	r := &run{opts: opts, mint: m}
	r.from, r.to = opts.Shard.Range(opts.IDs.Len())
	r.perBatch = 8
	if !m.codec.fast() || opts.PFX != nil {
		r.perBatch = 1 // a device takes so long that handing it over costs nothing
	}
	if r.workers = opts.Workers; r.workers <= 0 {
		r.workers = runtime.GOMAXPROCS(0)
	}
	r.workers = min(r.workers, r.batches())
	return r, nil
}

func (r *run) total() int { return r.to - r.from }

// goOn leaves out the first n devices, which are there already.
func (r *run) goOn(n int) {
	r.from += n
	r.kept += n
}

func (r *run) batches() int { return (r.total() + r.perBatch - 1) / r.perBatch }

// run makes the devices and delivers them. A worker takes an empty batch before it takes a number, so the batch that
// is delivered next always has an owner, and at most cap(r.free) batches exist at all.
func (r *run) run(ctx context.Context, sink Sink) (Summary, error) {
	buffers := 2*r.workers + 2
	r.free, r.done = make(chan *batch, buffers), make(chan *batch, buffers)
	for range buffers {
		r.free <- &batch{devices: make([]Device, r.perBatch)}
	}
	work, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var g errgroup.Group
	staging, _ := sink.(stager)
	for range r.workers {
		g.Go(func() error { r.work(work, staging); return nil })
	}
	go func() {
		_ = g.Wait() // workers report in their batches
		close(r.done)
	}()
	d := delivery{run: r, sink: sink, pending: make([]*batch, buffers)}
	d.summary.Devices, d.summary.Kept = r.kept+r.total(), r.kept
	for b := range r.done {
		if err := d.take(b); err != nil && d.err == nil {
			d.err = err
			cancel(err)
		}
	}
	return d.summary, d.result(ctx)
}

// work makes batches until there are no more or ctx ends.
func (r *run) work(ctx context.Context, sink stager) {
	made := 0
	for {
		var b *batch
		select {
		case b = <-r.free:
		case <-ctx.Done():
			return
		}
		r.mu.Lock()
		b.seq = r.next
		r.next++
		r.mu.Unlock()
		first := r.from + b.seq*r.perBatch
		if first >= r.to {
			return
		}
		b.size, b.ready, b.err = min(r.perBatch, r.to-first), 0, nil
		for ctx.Err() == nil && b.err == nil && b.ready < b.size {
			index := first + b.ready
			d := &b.devices[b.ready]
			d.reset(index, r.opts.IDs.ID(index))
			if err := r.one(d, sink, made); err != nil {
				b.err = err
				break
			}
			if !d.Kept {
				made++
			}
			b.ready++
		}
		r.done <- b
	}
}

// one makes one device. The error is one that ends the run.
func (r *run) one(d *Device, sink stager, nth int) error {
	var err error
	if sink == nil {
		err = r.mint.make(d, nth)
	} else {
		err = sink.stage(r.mint, d, nth)
	}
	if err != nil && !fatal(err) {
		d.fail(err)
		return nil
	}
	return err
}

// delivery brings batches into order.
type delivery struct {
	*run
	sink    Sink
	pending []*batch
	seq     int // of the next batch
	inARow  int // failures
	summary Summary
	err     error
}

// take takes a batch that is ready and writes what is in order now.
func (d *delivery) take(b *batch) error {
	d.pending[b.seq%len(d.pending)] = b
	for d.err == nil {
		slot := d.seq % len(d.pending)
		b := d.pending[slot]
		if b == nil {
			return nil
		}
		d.pending[slot] = nil
		if err := d.write(b); err != nil {
			return err
		}
		if b.ready < b.size {
			return b.err // nil when the context has ended
		}
		d.seq++
		if d.opts.Progress != nil {
			d.opts.Progress(d.summary.Done()+d.summary.Failed, d.summary.Devices)
		}
		d.free <- b
	}
	return nil
}

func (d *delivery) write(b *batch) error {
	for i := range b.devices[:b.ready] {
		device := &b.devices[i]
		if err := d.sink.Write(device); err != nil {
			return err
		}
		switch {
		case device.Err == nil:
			d.inARow = 0
			if device.Kept {
				d.summary.Kept++
			} else {
				d.summary.Made++
				d.summary.NotAfter = device.NotAfter
			}
			continue
		case len(d.summary.Failures) < maxFailures:
			d.summary.Failures = append(d.summary.Failures, device.Err)
		}
		d.summary.Failed++
		if d.inARow++; d.inARow == maxInARow {
			return fmt.Errorf("%d devices in a row failed, the last with: %w", maxInARow, device.Err)
		}
	}
	return nil
}

func (d *delivery) result(ctx context.Context) error {
	done := d.summary.Done() + d.summary.Failed
	switch {
	case d.err != nil:
		return fmt.Errorf("issue fleet: %w", d.err)
	case done < d.summary.Devices && ctx.Err() != nil:
		return fmt.Errorf("issue fleet: %w", context.Cause(ctx))
	case done < d.summary.Devices:
		return errors.New("issue fleet: the run ended early")
	case d.summary.Failed > 0:
		return fmt.Errorf("issue fleet: %w: %d of %d, the first with: %w", ErrSomeFailed, d.summary.Failed,
			d.summary.Devices, d.summary.Failures[0])
	}
	return nil
}

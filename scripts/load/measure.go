package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/device"
	"github.com/dpskit/dpskit/pkg/pki"
)

// measure enrolls, registers and counts.
func measure(ctx context.Context, o options, s *server, progress io.Writer) (*figures, error) {
	host, err := s.deviceHost(o.transport)
	if err != nil {
		return nil, err
	}
	f, err := enroll(ctx, s)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(progress, "load: making %d certificates\n", o.devices)
	certs := make([]tls.Certificate, o.devices)
	err = each(o.devices, runtime.GOMAXPROCS(0), func(i int) (err error) {
		b, err := f.issuer.Issue(pki.IssueRequest{CommonName: f.id(i)})
		if err == nil {
			certs[i], err = b.TLSCertificate()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if o.idle > 0 {
		fmt.Fprintf(progress, "load: opening %d connections that do nothing\n", o.idle)
		b := besiege(ctx, s.address(o.transport), o.idle)
		defer func() {
			b.stop()
			fmt.Fprintf(progress, "load: %d idle connections were opened, the server closed %d\n", b.dialled.Load(), b.closed.Load())
		}()
	}
	fmt.Fprintf(progress, "load: registering over %s, %d in flight\n", o.transport, o.inFlight)
	t := newTrial(f, s, certs)
	t.host, t.transport = host, o.transport
	if err := t.register(ctx, o.inFlight, progress); err != nil {
		return t.figures(), err
	}
	return t.figures(), errors.Join(t.check(ctx), f.remove(ctx))
}

func (f *fleet) id(i int) string { return fmt.Sprintf("%s-%06d", f.name, i) }

// each calls fn for 0 to n-1 on a number of workers and returns the first error.
func each(n, workers int, fn func(i int) error) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, workers)
	for w := range workers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && errs[w] == nil; i = int(next.Add(1)) - 1 {
				errs[w] = fn(i)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// trial is the registrations of one fleet.
type trial struct {
	fleet   *fleet
	server  *server
	host    string // that devices register at
	certs   []tls.Certificate
	results []device.Result // of the devices, in their order
	errs    []error
	took    []time.Duration
	total   time.Duration
	answers answers
	done    atomic.Int64

	transport device.Transport
}

func newTrial(f *fleet, s *server, certs []tls.Certificate) *trial {
	n := len(certs)
	return &trial{
		fleet: f, server: s, certs: certs, results: make([]device.Result, n), errs: make([]error, n), took: make([]time.Duration, n),
	}
}

// register lets every device register, so many at a time.
func (r *trial) register(ctx context.Context, inFlight int, progress io.Writer) error {
	stop := make(chan struct{})
	var reporter sync.WaitGroup
	reporter.Go(func() {
		tick := time.NewTicker(5 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				fmt.Fprintf(progress, "load: %d of %d\n", r.done.Load(), len(r.certs))
			}
		}
	})
	start := time.Now()
	_ = each(len(r.certs), inFlight, func(i int) error {
		begin := time.Now()
		r.results[i], r.errs[i] = r.one(ctx, i)
		r.took[i] = time.Since(begin)
		r.done.Add(1)
		return nil
	})
	r.total = time.Since(start)
	close(stop)
	reporter.Wait()
	return ctx.Err()
}

// one registers a device on connections of its own. It is as patient as a
// device: it comes back when it is told to, and after a lost connection.
func (r *trial) one(ctx context.Context, i int) (device.Result, error) {
	c, err := device.NewClient(r.server.info.IDScope, r.fleet.id(i), device.X509(r.certs[i]), &device.ClientOptions{
		Host: r.host, Transport: r.transport, RootCAs: r.server.roots, Logger: slog.New(&r.answers), MaxRetries: 100,
	})
	if err != nil {
		return device.Result{}, err
	}
	return c.Register(ctx, nil)
}

// check wants every device assigned once, under its own name, with one record.
func (r *trial) check(ctx context.Context) error {
	records, n, err := r.fleet.records(ctx)
	if err != nil {
		return fmt.Errorf("read records: %w", err)
	}
	operations := map[string]int{}
	var first error
	bad := 0
	for i, result := range r.results {
		id := r.fleet.id(i)
		rec, found := records[id]
		operations[result.OperationID]++
		err := r.errs[i]
		switch {
		case err != nil:
		case result.Status != device.StatusAssigned || result.DeviceID != id || result.AssignedHub == "":
			err = fmt.Errorf("device %s: %+v", id, result)
		case !found:
			err = fmt.Errorf("device %s was assigned and has no record", id)
		case rec.AssignedHub != result.AssignedHub || rec.DeviceID != id:
			err = fmt.Errorf("device %s: record %+v, answer %+v", id, rec, result)
		case operations[result.OperationID] > 1:
			err = fmt.Errorf("device %s shares operation %s with another", id, result.OperationID)
		}
		if err != nil {
			bad++
			if first == nil {
				first = err
			}
		}
	}
	if first == nil && n != len(r.certs) {
		first = fmt.Errorf("%d records for %d devices", n, len(r.certs))
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d devices went wrong, first: %w", bad, len(r.certs), first)
	}
	return first
}

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/device"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	switch err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "load: error:", err)
		os.Exit(1)
	}
}

// options are the choices on the command line.
type options struct {
	devices    int
	inFlight   int
	idle       int
	connect    string
	data       string
	retryAfter time.Duration
	deadline   time.Duration
	serve      bool
	transport  device.Transport
}

func parse(args []string, errs io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("load", flag.ContinueOnError)
	f.SetOutput(errs)
	f.IntVar(&o.devices, "devices", 10000, "number of devices")
	f.IntVar(&o.inFlight, "in-flight", 256, "devices that register at the same time; 0 means all")
	f.IntVar(&o.idle, "idle", 0, "connections that do nothing, opened before and kept up meanwhile")
	f.StringVar(&o.connect, "connect", "", "ready `file` of a running emulator; without it one is started")
	f.StringVar(&o.data, "data", "", "data `folder` of the emulator that is started; without it the state is in memory")
	f.DurationVar(&o.retryAfter, "retry-after", 3*time.Second, "what the emulator that is started tells devices to wait")
	f.DurationVar(&o.deadline, "deadline", 10*time.Minute, "when to give up")
	transport := f.String("transport", string(device.TransportHTTPS), "how devices register: https, mqtt or mqtt-ws")
	f.BoolVar(&o.serve, "serve", false, "only run the emulator, until standard input ends")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	var err error
	if o.transport, err = device.ParseTransport(*transport); err != nil {
		return o, err
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case o.devices < 1 || o.devices > 1_000_000:
		return o, fmt.Errorf("%d devices: want 1 to 1000000", o.devices)
	case o.inFlight < 0:
		return o, fmt.Errorf("%d in flight: want 0 or more", o.inFlight)
	case o.idle < 0:
		return o, fmt.Errorf("%d idle connections: want 0 or more", o.idle)
	case o.connect != "" && o.data != "":
		return o, errors.New("-data is for an emulator that is started here, -connect for another one")
	}
	if o.inFlight == 0 || o.inFlight > o.devices {
		o.inFlight = o.devices
	}
	return o, nil
}

// run is the program.
func run(ctx context.Context, args []string, out, errs io.Writer) error {
	o, err := parse(args, errs)
	if err != nil {
		return err
	}
	if o.serve {
		return serve(ctx, o, os.Stdin, out)
	}
	errs = &locked{out: errs} // the emulator writes there, too
	ctx, cancel := context.WithTimeout(ctx, o.deadline)
	defer cancel()
	s, err := find(ctx, o, errs)
	if err != nil {
		return err
	}
	figures, err := measure(ctx, o, s, errs)
	if figures != nil {
		figures.server = s.usage()
		figures.print(out)
	}
	return errors.Join(err, s.stop())
}

// locked lets several write to one writer.
type locked struct {
	mu  sync.Mutex
	out io.Writer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(p)
}

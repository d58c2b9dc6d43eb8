package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// answers counts what clients were answered, out of their log records.
type answers struct {
	mu    sync.Mutex
	count map[string]int
}

// Enabled wants everything.
func (*answers) Enabled(context.Context, slog.Level) bool { return true }

// Handle counts one attempt, by its status or, without one, as lost.
func (a *answers) Handle(_ context.Context, rec slog.Record) error {
	if rec.Message != "request sent" {
		return nil
	}
	status := "lost"
	rec.Attrs(func(attr slog.Attr) bool {
		if attr.Key == "status" {
			status = attr.Value.String()
		}
		return true
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.count == nil {
		a.count = map[string]int{}
	}
	a.count[status]++
	return nil
}

// WithAttrs and WithGroup change nothing: only the attempt matters.
func (a *answers) WithAttrs([]slog.Attr) slog.Handler { return a }

// WithGroup is like WithAttrs.
func (a *answers) WithGroup(string) slog.Handler { return a }

func (a *answers) String() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var parts []string
	for _, status := range slices.Sorted(maps.Keys(a.count)) {
		parts = append(parts, fmt.Sprintf("%s: %d", status, a.count[status]))
	}
	return strings.Join(parts, ", ")
}

// figures are what a run comes to.
type figures struct {
	devices, failed int
	total           time.Duration
	took            []time.Duration // sorted
	answers         string
	server, client  usage
}

func (r *trial) figures() *figures {
	f := &figures{devices: len(r.certs), total: r.total, answers: r.answers.String(), client: usageOf(os.Getpid())}
	for i, err := range r.errs {
		if err != nil {
			f.failed++
		} else if r.took[i] > 0 {
			f.took = append(f.took, r.took[i])
		}
	}
	slices.Sort(f.took)
	return f
}

// quantile is the time within which this share of the devices was assigned.
func (f *figures) quantile(q float64) time.Duration {
	if len(f.took) == 0 {
		return 0
	}
	return f.took[int(q*float64(len(f.took)-1))].Round(time.Millisecond)
}

// print writes one line per figure.
func (f *figures) print(out io.Writer) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(out, "%-16s "+format+"\n", append([]any{name}, args...)...)
	}
	line("assigned", "%d of %d", len(f.took), f.devices)
	line("failed", "%d", f.failed)
	line("total", "%v", f.total.Round(10*time.Millisecond))
	line("rate", "%.0f/s", float64(len(f.took))/max(f.total.Seconds(), 1e-9))
	line("time p50", "%v", f.quantile(0.5))
	line("time p90", "%v", f.quantile(0.9))
	line("time p99", "%v", f.quantile(0.99))
	line("time max", "%v", f.quantile(1))
	line("answers", "%s", f.answers)
	line("server", "%s", f.server)
	line("client", "%s", f.client)
}

func (u usage) String() string {
	if u == (usage{}) {
		return "not known"
	}
	return fmt.Sprintf("%d MiB at most, %v of CPU", u.memory>>20, u.cpu.Round(100*time.Millisecond))
}

package inject

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator/fault"
)

// Request is what rules look at.
type Request struct {
	Plane fault.Plane
	// Op is one of fault.Operations, ID the identifier that it is about, if any.
	Op, ID string
	// Operation is the operation id of a poll.
	Operation string
	// Transport is for the log only; "" is HTTPS.
	Transport string
}

// Decision is a rule that has struck.
type Decision struct {
	fault.Do

	// Rule is the text of the rule.
	Rule string
	// N says which of the requests that the rule matches this is, from 1.
	N int
	// Wait is what is left of the period, for Kind Throttle.
	Wait time.Duration
}

// Injector decides which requests are hit. It is safe for concurrent use; a nil
// Injector hits none.
type Injector struct {
	seed    uint64
	start   time.Time
	stopped chan struct{}
	stop    sync.Once

	mu    sync.Mutex
	rules []*rule
}

// rule is a rule with what it has counted.
type rule struct {
	fault.Rule

	index int
	text  string
	// seen counts requests and struck strikes, under "" or for each id.
	seen, struck counter
	// kinds counts requests of one operation on one id, polls those of one
	// operation id.
	kinds, polls counter
	// passed has the requests let through in the current period.
	passed map[string]*window
}

type window struct {
	began time.Duration
	n     int
}

// maxKeys bounds what is remembered of ids. A counter that has more starts
// again.
const maxKeys = 1 << 20

type counter map[string]int

func (c counter) next(key string) int {
	if len(c) >= maxKeys {
		clear(c)
	}
	c[key]++
	return c[key]
}

// New returns an Injector for rules, which must pass Check.
func New(rules []fault.Rule, seed uint64) (*Injector, error) {
	in := &Injector{seed: seed, start: time.Now(), stopped: make(chan struct{})}
	for i, r := range rules {
		if err := r.Check(); err != nil {
			return nil, fmt.Errorf("check fault %q: %w", r, err)
		}
		in.rules = append(in.rules, &rule{
			Rule: r, index: i, text: r.String(),
			seen: counter{}, struck: counter{}, kinds: counter{}, polls: counter{}, passed: map[string]*window{},
		})
	}
	return in, nil
}

// Close ends all waits.
func (in *Injector) Close() {
	if in != nil {
		in.stop.Do(func() { close(in.stopped) })
	}
}

// Decide counts r and returns the first rule that strikes it, or nil.
func (in *Injector) Decide(r Request) *Decision {
	if in == nil || len(in.rules) == 0 {
		return nil
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	r.ID = strings.ToLower(r.ID)
	var decision *Decision
	for _, rule := range in.rules {
		if !rule.matches(r) {
			continue
		}
		scope := ""
		if rule.Match.PerID {
			scope = r.ID
		}
		n, kind := rule.seen.next(scope), rule.kinds.next(r.Op+" "+r.ID)
		if decision == nil && rule.eligible(in.seed, r, scope, n, kind) {
			decision = rule.strike(r, scope, n, time.Since(in.start))
		}
	}
	return decision
}

func (r *rule) matches(req Request) bool {
	m := r.Match
	return (m.Plane == fault.Any || m.Plane == req.Plane) &&
		m.Names(req.Op) &&
		(m.ID == "" || fault.Glob(strings.ToLower(m.ID), req.ID))
}

// eligible applies nth, after, times and percent.
func (r *rule) eligible(seed uint64, req Request, scope string, n, kind int) bool {
	m := r.Match
	switch {
	case m.Nth != 0 && n != m.Nth, n <= m.After, m.Times != 0 && r.struck[scope] >= m.Times:
		return false
	case m.Percent == 0:
		return true
	}
	return chance(seed, r.index, req.Op, req.ID, kind) < m.Percent
}

// chance is a number in [0,100) that depends on its arguments only.
func chance(seed uint64, rule int, op, id string, n int) float64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %d %s %q %d", seed, rule, op, id, n))
	return float64(binary.BigEndian.Uint64(sum[:])>>11) / (1 << 53) * 100
}

// strike lets the fault that counts requests itself have its say.
func (r *rule) strike(req Request, scope string, n int, now time.Duration) *Decision {
	d := &Decision{Do: r.Do, Rule: r.text, N: n}
	switch r.Do.Kind {
	case fault.Assigning:
		if req.Op != "poll" || r.Do.Polls != fault.Forever && r.polls[req.Operation] >= r.Do.Polls {
			return nil
		}
		r.polls.next(req.Operation)
	case fault.Throttle:
		left, pass := r.admit(scope, now)
		if pass {
			return nil
		}
		d.Wait = left
	}
	r.struck.next(scope)
	return d
}

// admit counts one request in the period of now, which is on the monotonic
// clock, and returns what is left of the period.
func (r *rule) admit(scope string, now time.Duration) (left time.Duration, pass bool) {
	period := r.Do.Window
	if period == 0 {
		period = time.Minute
	}
	if len(r.passed) >= maxKeys {
		clear(r.passed)
	}
	w := r.passed[scope]
	if w == nil || now-w.began >= period {
		w = &window{began: now}
		r.passed[scope] = w
	}
	w.n++
	return w.began + period - now, w.n <= r.Do.Limit
}

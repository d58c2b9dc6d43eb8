// Package hold keeps back together those who count against one limit.
package hold

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// Gate is open, or shut until a moment. The zero Gate is open. It is safe for
// concurrent use.
type Gate struct {
	mu    sync.Mutex
	until time.Time
	delay time.Duration // the longest since it was open
}

// Wait returns when the gate is open, or with the cause of the end of ctx.
func (g *Gate) Wait(ctx context.Context) error {
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		g.mu.Lock()
		delay := time.Until(g.until)
		g.mu.Unlock()
		if delay <= 0 {
			return nil
		}
		// Up to a tenth more, so that not all start at once.
		timer := time.NewTimer(delay + time.Duration(rand.Float64()*float64(min(delay/10, 2*time.Second))))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// Shut shuts the gate for a time, unless it is shut for longer already. It
// reports whether that is news: several are refused at once, and then only the
// first of them is, or one who is told to wait more than twice as long.
func (g *Gate) Shut(delay time.Duration) (fresh bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	until := now.Add(delay)
	if !until.After(g.until) {
		return false
	}
	open := !now.Before(g.until)
	if open {
		g.delay = 0
	}
	fresh = open || delay/2 > g.delay
	g.until, g.delay = until, max(g.delay, delay)
	return fresh
}

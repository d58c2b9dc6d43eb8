package hold_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/internal/hold"
)

func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g hold.Gate
		start := time.Now()
		passes := func(from, to time.Duration) {
			t.Helper()
			if err := g.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took < from || took > to {
				t.Errorf("open after %v, want %v to %v", took, from, to)
			}
		}
		passes(0, 0)
		if !g.Shut(10 * time.Second) {
			t.Error("the first one is no news")
		}
		if g.Shut(5*time.Second) || g.Shut(20*time.Second) {
			t.Error("it was shut already")
		}
		passes(20*time.Second, 22*time.Second)
		if !g.Shut(time.Second) {
			t.Error("it was open again")
		}
		if !g.Shut(3 * time.Second) {
			t.Error("more than twice as long is no news")
		}
		time.Sleep(2 * time.Second)
		if g.Shut(3 * time.Second) {
			t.Error("one that answers late is news")
		}
	})
}

// TestGateThatGrows: one that waits already waits for the later moment.
func TestGateThatGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g hold.Gate
		start := time.Now()
		g.Shut(2 * time.Second)
		done := make(chan error, 1)
		go func() { done <- g.Wait(t.Context()) }()
		synctest.Wait()
		g.Shut(30 * time.Second)
		if err := <-done; err != nil || time.Since(start) < 30*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g hold.Gate
		g.Shut(time.Hour)
		why := errors.New("because")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, why)
		defer cancel()
		start := time.Now()
		if err := g.Wait(ctx); !errors.Is(err, why) || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		var open hold.Gate
		if err := open.Wait(ctx); !errors.Is(err, why) {
			t.Errorf("an open gate lets one through whose time is over: %v", err)
		}
	})
}

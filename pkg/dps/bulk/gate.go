package bulk

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/internal/hold"
)

const (
	firstDelay = time.Second
	maxDelay   = time.Minute
	// firstPatience is for a service that has not answered at all yet: most likely
	// the address is wrong.
	firstPatience = 15 * time.Second
)

// passes tells a refusal that may go away by itself: throttling, an outage, an
// answer that was damaged on its way.
func passes(err error) bool {
	return errors.Is(err, dps.ErrThrottled) || errors.Is(err, dps.ErrUnavailable) || errors.Is(err, dps.ErrUnexpectedAnswer)
}

// gate makes all workers wait together. One that is told to slow down closes it
// for everybody, because they all count against one limit.
type gate struct {
	hold.Gate

	patience time.Duration
	told     func(Wait)

	mu       sync.Mutex
	answered bool      // whether the service has ever answered
	failures int       // refusals since the last success
	progress time.Time // when something last succeeded
}

// Wait says why an import is standing still.
type Wait struct {
	// Reason is the refusal that it waits for.
	Reason error
	// Delay is how long.
	Delay time.Duration
}

func newGate(patience time.Duration, told func(Wait)) *gate {
	return &gate{patience: patience, told: told, progress: time.Now()}
}

// passed notes that a request was answered.
func (g *gate) passed() {
	g.mu.Lock()
	g.answered, g.failures, g.progress = true, 0, time.Now()
	g.mu.Unlock()
}

// GaveUpError ends an import whose requests did not get through for too long. It
// wraps the last refusal.
type GaveUpError struct {
	// Patience is how long the import would have gone on without any success:
	// [Options.Patience], or less for a service that has never answered.
	Patience time.Duration
	// Answered is whether the service has ever answered.
	Answered bool
	Err      error
}

// Error returns one line.
func (e *GaveUpError) Error() string {
	if !e.Answered {
		return fmt.Sprintf("no answer at all within %v: %v", e.Patience, e.Err)
	}
	return fmt.Sprintf("no success within %v: %v", e.Patience, e.Err)
}

// Unwrap returns the last refusal.
func (e *GaveUpError) Unwrap() error { return e.Err }

// shut closes the gate after a refusal that may go away. It returns a
// *GaveUpError when patience would end before the next try.
func (g *gate) shut(refusal error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	delay := min(firstDelay<<min(g.failures, 10), maxDelay)
	var e *dps.Error
	if errors.As(refusal, &e) && e.RetryAfter > 0 {
		delay = min(e.RetryAfter, maxDelay)
	}
	patience := g.patience
	if g.answered = g.answered || errors.Is(refusal, dps.ErrThrottled); !g.answered {
		patience = min(patience, firstPatience)
	}
	if now.Sub(g.progress)+delay > patience {
		return &GaveUpError{Patience: patience, Answered: g.answered, Err: refusal}
	}
	if g.Shut(delay) {
		g.failures++
		if g.told != nil {
			g.told(Wait{Reason: refusal, Delay: delay})
		}
	}
	return nil
}

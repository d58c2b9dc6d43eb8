package bulk

import (
	"errors"
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

// shut closes the gate after a refusal that may go away. It returns the refusal
// itself when patience is at its end.
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
		return refusal
	}
	if g.Shut(delay) {
		g.failures++
		if g.told != nil {
			g.told(Wait{Reason: refusal, Delay: delay})
		}
	}
	return nil
}

package rollout

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/device"
	"github.com/dpskit/dpskit/pkg/dps/internal/hold"
)

// Wait says why devices do not get on.
type Wait struct {
	// Reason is the refusal, or the failure to reach the service.
	Reason error
	// Delay is how long all of them wait; 0 if each tries again by itself.
	Delay time.Duration
}

// lostInARow is how many requests are lost without an answer in between before
// it is told.
const lostInARow = 8

// pace is the gate of all devices of a run.
type pace struct {
	hold.Gate

	limit int // of outages in a row
	told  func(Wait)

	mu      sync.Mutex
	lost    int // requests without an answer since the last one
	outages int // devices that failed for want of one
}

func newPace(limit int, told func(Wait)) *pace { return &pace{limit: limit, told: told} }

// heard takes note of the answer to one request. One that is told to slow down
// shuts the gate for all.
func (p *pace) heard(a device.Attempt) {
	var refusal *dps.Error
	errors.As(a.Err, &refusal)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case a.Err == nil, refusal != nil && refusal.StatusCode >= 400 && refusal.StatusCode < 500:
		p.lost, p.outages = 0, 0
	case a.Again:
		if p.lost++; p.lost == lostInARow {
			p.tell(Wait{Reason: a.Err})
		}
	}
	if a.Again && refusal != nil && slowsDown(refusal) && p.Shut(a.Delay) {
		p.tell(Wait{Reason: a.Err, Delay: a.Delay})
	}
}

// slowsDown tells a refusal that is about all devices.
func slowsDown(refusal *dps.Error) bool {
	return refusal.StatusCode == http.StatusTooManyRequests ||
		refusal.StatusCode == http.StatusServiceUnavailable && refusal.RetryAfter > 0
}

func (p *pace) tell(w Wait) {
	if p.told != nil {
		p.told(w)
	}
}

// ended takes note of how a device ended. The error is the end of the run: too
// many in a row had no answer, and the others will have none.
func (p *pace) ended(err error) error {
	if !isOutage(err) {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.outages++; p.outages < p.limit {
		return nil
	}
	return fmt.Errorf("%w: %d devices in a row had no answer, the last: %w", ErrUnreachable, p.outages, err)
}

// isOutage tells the failure to reach a working service from a refusal.
func isOutage(err error) bool {
	var e *dps.Error
	return errors.As(err, &e) && (e.StatusCode == 0 || e.StatusCode >= 500)
}

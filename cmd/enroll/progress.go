package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps"
)

// manyProgress shows how far a command with many devices is and what it waits
// for.
type manyProgress struct {
	env  *cliapp.Env
	host string
	mu   sync.Mutex
	bar  *cliapp.Progress
}

func newManyProgress(env *cliapp.Env, host string) *manyProgress {
	return &manyProgress{env: env, bar: env.NewProgress("devices"), host: host}
}

func (p *manyProgress) set(done, total int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bar.Set(done, total)
}

func (p *manyProgress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bar.Clear()
}

// waiting says why nothing goes on for a time; without one, each tries again by
// itself.
func (p *manyProgress) waiting(reason error, delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bar.Clear()
	why := "cannot be reached"
	var e *dps.Error
	switch {
	case errors.Is(reason, dps.ErrThrottled):
		why = "asks to slow down (429)"
	case errors.As(reason, &e) && e.StatusCode != 0:
		why = fmt.Sprintf("answers %d", e.StatusCode)
	case errors.Is(reason, context.DeadlineExceeded):
		why = "does not answer"
	}
	if delay <= 0 {
		p.env.Notef("%s %s: trying again", p.host, why)
		return
	}
	p.env.Notef("%s %s: waiting %s", p.host, why, delay.Round(time.Millisecond))
}

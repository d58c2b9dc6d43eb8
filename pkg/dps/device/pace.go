package device

import (
	"context"
	"time"
)

// Limits of polling (https://learn.microsoft.com/azure/iot-dps/about-iot-dps):
// five per device in ten seconds. One is kept in reserve for a clock that ticks
// differently.
const (
	pollBurst   = 4
	pollWindow  = 10 * time.Second
	defaultPoll = 2 * time.Second
)

// pacer keeps the polls of one registration below the service's limit, however
// short the delays are that it asks for.
type pacer struct{ sent []time.Time }

// wait returns when the next poll may be sent: after delay, and not before the
// window has room. It returns the context's error if that ends first.
func (p *pacer) wait(ctx context.Context, delay time.Duration) error {
	if len(p.sent) >= pollBurst {
		oldest := p.sent[len(p.sent)-pollBurst]
		delay = max(delay, time.Until(oldest.Add(pollWindow)))
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
	}
	p.sent = append(p.sent, time.Now())
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

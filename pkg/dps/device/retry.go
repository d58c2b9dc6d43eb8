package device

import (
	"context"
	"net/http"
	"time"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/internal/rest"
)

// Attempt is what became of one request of a registration.
type Attempt struct {
	// Request is "register" or "poll".
	Request string
	// Number counts the attempts of this one request, from 1.
	Number int
	// Err is the refusal, which wraps *dps.Error; nil for an answer.
	Err error
	// Again is true if the request is sent again, after Delay; if it is false,
	// Delay has no meaning.
	Again bool
	Delay time.Duration
}

// registerAgain are statuses that a register request is repeated for, beside the
// usual ones: the same device registering twice at once is told 409; one of them
// has to come back.
var registerAgain = []int{http.StatusConflict}

// ask makes one request, and repeats it where that is safe and may help. It
// returns the operation and the delay before the next poll. It is the same for
// every transport.
func (r *registration) ask(ctx context.Context, q question) (operation, time.Duration, error) {
	c := r.client
	call := &rest.Call{Op: r.op}
	if q.register() {
		call.RetryStatus = registerAgain
	}
	var refusal *dps.Error
	failures := 0
	for attempt := 1; ; attempt++ {
		if err := r.pass(ctx); err != nil {
			return operation{}, 0, r.endedWaiting(refusal, err)
		}
		var op operation
		var wait time.Duration
		if op, wait, refusal = r.exchange.try(ctx, call, q, attempt); refusal == nil {
			r.tell(Attempt{Request: q.name(), Number: attempt})
			return op, wait, nil
		}
		nth := attempt
		if c.opts.Gate == nil || refusal.StatusCode != http.StatusTooManyRequests {
			failures++
			nth = failures
		}
		delay := c.backOff(nth, refusal.RetryAfter)
		again := failures <= max(c.config.MaxRetries, 0) && mayRetry(call, refusal) && ctx.Err() == nil && before(ctx, delay)
		r.tell(Attempt{Request: q.name(), Number: attempt, Err: refusal, Again: again, Delay: delay})
		if !again {
			return operation{}, 0, refusal
		}
		if err := sleep(ctx, delay); err != nil {
			return operation{}, 0, r.endedWaiting(refusal, err)
		}
	}
}

func (r *registration) pass(ctx context.Context) error {
	if r.client.opts.Gate == nil {
		return nil
	}
	return r.client.opts.Gate.Wait(ctx)
}

func (r *registration) tell(a Attempt) {
	if r.opts.Attempt != nil {
		r.opts.Attempt(a)
	}
}

// endedWaiting is the error of a registration that ended between two attempts.
func (r *registration) endedWaiting(refusal *dps.Error, err error) error {
	if refusal == nil {
		return &dps.Error{Op: r.op, Host: r.client.opts.Host, Message: err.Error(), Err: err}
	}
	refusal.Err = err // the refusal says more than the timeout
	return refusal
}

func mayRetry(call *rest.Call, refusal *dps.Error) bool {
	if refusal.StatusCode == 0 {
		return call.MayRetry(0, refusal.Err)
	}
	return call.MayRetry(refusal.StatusCode, nil)
}

// before reports whether ctx lasts beyond delay. If not, the refusal at hand is
// a better end than a bare timeout later.
func before(ctx context.Context, delay time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return !ok || time.Until(deadline) > delay
}

// backOff is what the service asked for, or grows with each failure, with jitter
// so that many devices told the same do not return together.
func (c *Client) backOff(nth int, asked time.Duration) time.Duration {
	config := c.config
	if asked > 0 {
		asked = min(asked, config.MaxRetryDelay)
		return asked + time.Duration(config.Jitter()*float64(min(asked/10, 2*time.Second)))
	}
	delay := config.RetryDelay << min(nth-1, 20)
	if delay <= 0 || delay > config.MaxRetryDelay {
		delay = config.MaxRetryDelay
	}
	return time.Duration(float64(delay) * (0.8 + config.Jitter()/2))
}

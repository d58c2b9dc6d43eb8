package rollout

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/device"
)

// TestAllWaitTogether: one that is told to slow down makes all wait; one that
// meets an error of the moment does not.
func TestAllWaitTogether(t *testing.T) {
	for name, tt := range map[string]struct {
		err   *dps.Error
		again bool
		waits bool
	}{
		"throttled":               {&dps.Error{StatusCode: 429, RetryAfter: 5 * time.Second}, true, true},
		"throttled without words": {&dps.Error{StatusCode: 429}, true, true},
		"unavailable, come back":  {&dps.Error{StatusCode: 503, RetryAfter: 5 * time.Second}, true, true},
		"unavailable":             {&dps.Error{StatusCode: 503}, true, false},
		"an error":                {&dps.Error{StatusCode: 500, RetryAfter: 5 * time.Second}, true, false},
		"lost":                    {&dps.Error{Err: errors.New("reset")}, true, false},
		"given up":                {&dps.Error{StatusCode: 429, RetryAfter: 5 * time.Second}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told []Wait
				p := newPace(3, func(w Wait) { told = append(told, w) })
				a := device.Attempt{Request: "register", Err: tt.err, Again: tt.again, Delay: 5 * time.Second}
				p.heard(a)
				p.heard(a) // several are refused at once
				start := time.Now()
				if err := p.Wait(t.Context()); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); (took >= 5*time.Second) != tt.waits || took > 6*time.Second {
					t.Errorf("another device waits %v", took)
				}
				if (len(told) == 1) != tt.waits || len(told) > 1 {
					t.Errorf("told %+v", told)
				}
			})
		})
	}
}

func TestLostRequestsAreTold(t *testing.T) {
	var told []Wait
	p := newPace(3, func(w Wait) { told = append(told, w) })
	lost := device.Attempt{Err: &dps.Error{Err: errors.New("reset")}, Again: true}
	for range 3 {
		for range lostInARow - 1 {
			p.heard(lost)
		}
		p.heard(device.Attempt{})
	}
	if len(told) != 0 {
		t.Errorf("told %+v", told)
	}
	for range 3 * lostInARow {
		p.heard(lost)
	}
	if len(told) != 1 || told[0].Delay != 0 || told[0].Reason == nil {
		t.Errorf("told %+v", told)
	}
}

func TestGivingUp(t *testing.T) {
	p := newPace(3, nil)
	outage, refusal := error(&dps.Error{Err: errors.New("reset")}), error(&dps.Error{StatusCode: 401})
	for i, step := range []struct {
		err  error
		ends bool
	}{{outage, false}, {nil, false}, {outage, false}, {refusal, false}, {outage, true}} {
		if err := p.ended(step.err); (err != nil) != step.ends || step.ends && !errors.Is(err, ErrUnreachable) {
			t.Errorf("step %d: %v", i, err)
		}
	}
	p = newPace(3, nil)
	for range 10 {
		if err := p.ended(outage); err != nil {
			t.Fatal(err)
		}
		p.heard(device.Attempt{Err: refusal}) // it is there
	}
}

func TestAlike(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		same bool
	}{
		{"read 1.2.3.4:50123: reset", "read 1.2.3.4:7: reset", true},
		{"device dev-1 is bad", "device dev-22 is bad", true},
		{"CA certificate not found.", "Invalid certificate.", false},
	} {
		if got := alike(tt.a, "dev-1") == alike(tt.b, "dev-22"); got != tt.same {
			t.Errorf("%q and %q: %v", tt.a, tt.b, got)
		}
	}
}

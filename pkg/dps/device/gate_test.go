package device_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/device"
)

// gate counts and, for some of them, keeps requests waiting.
type gate struct {
	mu    sync.Mutex
	count int
	waits map[int]time.Duration // by number of the request
}

func (g *gate) Wait(ctx context.Context) error {
	g.mu.Lock()
	g.count++
	d := g.waits[g.count]
	g.mu.Unlock()
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// bothWays runs a test over HTTPS and MQTT with servers that give the same
// answers. seconds returns when requests came.
func bothWays(t *testing.T, replies []reply, test func(t *testing.T, client func(change ...func(*device.ClientOptions)) *device.Client, seconds func() []int)) {
	t.Run("https", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var visits []visit
			m := serveMemory(t, script(&visits, replies...))
			test(t, func(change ...func(*device.ClientOptions)) *device.Client { return m.client(t, change...) },
				func() []int { return times(visits) })
		})
	})
	t.Run("mqtt", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := &mqttScript{}
			for _, r := range replies {
				s.replies = append(s.replies, mqttReply{r.status, r.retryAfter, r.body, nil})
			}
			test(t, func(change ...func(*device.ClientOptions)) *device.Client { return s.client(t, change...) },
				func() []int { return s.at })
		})
	})
}

// TestGate holds requests back, and does not count what is throttled.
func TestGate(t *testing.T) {
	replies := []reply{{202, "1", assigning}, {429, "", ""}, {429, "2", ""}, {429, "2", ""}, {200, "", assigned}}
	bothWays(t, replies, func(t *testing.T, client func(...func(*device.ClientOptions)) *device.Client, seconds func() []int) {
		g := &gate{waits: map[int]time.Duration{1: 10 * time.Second, 2: 20 * time.Second}}
		var told []device.Attempt
		_, err := settled(client(func(o *device.ClientOptions) { o.Gate, o.MaxRetries = g, -1 }).Register(t.Context(),
			&device.RegisterOptions{Attempt: func(a device.Attempt) { told = append(told, a) }}))
		at := seconds()
		if err != nil || g.count != 5 || len(at) != 5 || at[0] != 10 || at[1] != 31 {
			t.Fatalf("%v, %d passed the gate, requests at %v", err, g.count, at)
		}
		var got []string
		for _, a := range told {
			text := a.Request
			if a.Again {
				text += " again"
			}
			if errors.Is(a.Err, dps.ErrThrottled) {
				text += " throttled"
			}
			if a.Again != (a.Delay > 0) {
				t.Errorf("%+v", a)
			}
			got = append(got, text)
		}
		if diff := cmp.Diff([]string{"register", "poll again throttled", "poll again throttled", "poll again throttled", "poll"}, got); diff != "" {
			t.Errorf("attempts (-want +got):\n%s", diff)
		}
	})
}

// TestGateCountsOtherFailures: without an end, an outage would last for ever.
func TestGateCountsOtherFailures(t *testing.T) {
	bothWays(t, []reply{{503, "1", ""}}, func(t *testing.T, client func(...func(*device.ClientOptions)) *device.Client, seconds func() []int) {
		var last device.Attempt
		_, err := settled(client(func(o *device.ClientOptions) { o.Gate, o.MaxRetries = &gate{}, 2 }).Register(t.Context(),
			&device.RegisterOptions{Attempt: func(a device.Attempt) { last = a }}))
		if wantError(t, err, dps.ErrUnavailable, 0); len(seconds()) != 3 || last.Number != 3 || last.Again || last.Err == nil {
			t.Errorf("requests at %v, last %+v", seconds(), last)
		}
	})
}

// TestGateThatStaysShut ends with the registration.
func TestGateThatStaysShut(t *testing.T) {
	bothWays(t, []reply{{202, "1", assigning}}, func(t *testing.T, client func(...func(*device.ClientOptions)) *device.Client, seconds func() []int) {
		for requests := range 2 {
			g := &gate{waits: map[int]time.Duration{requests + 1: time.Hour}}
			before := len(seconds())
			_, err := settled(client(func(o *device.ClientOptions) { o.Gate, o.MaxWait = g, time.Minute }).Register(t.Context(), nil))
			if n := len(seconds()) - before; !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, dps.ErrUnavailable) || n != requests {
				t.Errorf("%v after %d requests, want %d", err, n, requests)
			}
		}
	})
}

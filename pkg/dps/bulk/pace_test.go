package bulk_test

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/bulk"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

func newFake(before func(context.Context, int) error) *fake {
	return &fake{ids: map[string]service.IndividualEnrollment{}, before: before}
}

func refusal(status int, retryAfter time.Duration) error {
	return &dps.Error{Op: "bulk", StatusCode: status, RetryAfter: retryAfter}
}

// TestThrottlingStopsEveryWorker refuses the third request and wants no other
// request before the time that the service asked for.
func TestThrottlingStopsEveryWorker(t *testing.T) {
	tests := []struct {
		name  string
		asked time.Duration
		least time.Duration
		most  time.Duration
	}{
		{"as long as asked", 7 * time.Second, 7 * time.Second, 8 * time.Second},
		{"without being told", 0, time.Second, 1200 * time.Millisecond},
		{"never longer than a minute", math.MaxInt64, time.Minute, time.Minute + 2*time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var refused time.Time
				f := newFake(func(_ context.Context, n int) error {
					time.Sleep(50 * time.Millisecond)
					if n == 3 {
						refused = time.Now()
						return refusal(http.StatusTooManyRequests, tt.asked)
					}
					return nil
				})
				var waits []bulk.Wait
				report, err := bulk.Import(t.Context(), f, devices(200), &bulk.Options{Concurrency: 4, Waiting: func(w bulk.Wait) { waits = append(waits, w) }})
				if err != nil {
					t.Fatal(err)
				}
				expectCounts(t, report, map[bulk.Outcome]int{bulk.Created: 200})
				if len(f.calls) != 21 {
					t.Errorf("%d requests, want 21", len(f.calls))
				}
				first := time.Time{}
				for _, at := range f.calls {
					if at.After(refused) && (first.IsZero() || at.Before(first)) {
						first = at
					}
				}
				if pause := first.Sub(refused); pause < tt.least || pause > tt.most {
					t.Errorf("the next request came after %v, want %v to %v", pause, tt.least, tt.most)
				}
				if len(waits) != 1 || waits[0].Delay != tt.least || !errors.Is(waits[0].Reason, dps.ErrThrottled) {
					t.Errorf("told %v", waits)
				}
			})
		})
	}
}

// TestPatienceEnds never lets anything through, and wants an end that says why.
func TestPatienceEnds(t *testing.T) {
	for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake(func(_ context.Context, n int) error {
				if n > 2 {
					return refusal(status, 0)
				}
				return nil
			})
			began := time.Now()
			report, err := bulk.Import(t.Context(), f, devices(100), &bulk.Options{Concurrency: 2, Patience: 5 * time.Minute})
			if !errors.Is(err, dps.ErrThrottled) && !errors.Is(err, dps.ErrUnavailable) {
				t.Fatalf("got %v", err)
			}
			var end *bulk.GaveUpError
			if !errors.As(err, &end) || end.Patience != 5*time.Minute || !end.Answered || !strings.HasPrefix(err.Error(), "no success within 5m0s: ") {
				t.Errorf("the end is %v", err)
			}
			if took := time.Since(began); took > 5*time.Minute || took < 4*time.Minute {
				t.Errorf("gave up after %v", took)
			}
			if len(f.calls) > 40 {
				t.Errorf("%d requests while nothing went through", len(f.calls))
			}
			expectCounts(t, report, map[bulk.Outcome]int{bulk.Created: 20, bulk.Pending: 80})
		})
	}
}

// TestPatienceIsRenewedBySuccess throttles every second request for hours.
func TestPatienceIsRenewedBySuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(func(_ context.Context, n int) error {
			if n%2 == 0 {
				return refusal(http.StatusTooManyRequests, time.Minute)
			}
			return nil
		})
		report, err := bulk.Import(t.Context(), f, devices(1000), &bulk.Options{Concurrency: 1, Patience: 3 * time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		expectCounts(t, report, map[bulk.Outcome]int{bulk.Created: 1000})
	})
}

// TestInterruptWaitsAMomentForAnswers cancels while requests are on their way:
// one that is answered within the grace counts, one that hangs is given up.
func TestInterruptWaitsAMomentForAnswers(t *testing.T) {
	for name, took := range map[string]time.Duration{"answered": 500 * time.Millisecond, "hanging": time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				f := newFake(func(ctx context.Context, n int) error {
					if n != 3 {
						return nil
					}
					cancel()
					select {
					case <-time.After(took):
						return nil
					case <-ctx.Done():
						return &dps.Error{Op: "bulk", Err: ctx.Err()}
					}
				})
				began := time.Now()
				report, err := bulk.Import(ctx, f, devices(100), &bulk.Options{Concurrency: 1})
				if !errors.Is(err, context.Canceled) {
					t.Fatalf("got %v", err)
				}
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("it took %v", took)
				}
				want := map[bulk.Outcome]int{bulk.Created: 30, bulk.Pending: 70}
				if name == "hanging" {
					want = map[bulk.Outcome]int{bulk.Created: 20, bulk.Pending: 80}
				}
				expectCounts(t, report, want)
			})
		})
	}
}

// TestInterruptEndsAWait cancels while the service has asked to wait.
func TestInterruptEndsAWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		f := newFake(func(context.Context, int) error { return refusal(http.StatusTooManyRequests, time.Minute) })
		began := time.Now()
		_, err := bulk.Import(ctx, f, devices(10), &bulk.Options{Waiting: func(bulk.Wait) { time.AfterFunc(time.Second, cancel) }})
		if !errors.Is(err, context.Canceled) || time.Since(began) > 1100*time.Millisecond {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
	})
}

package provision_test

import (
	"errors"
	"strconv"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/provision"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/store"
)

// TestMaxInFlight refuses one registration more than there is room for, and
// takes it once one of the others is done, however that ended.
func TestMaxInFlight(t *testing.T) {
	const limit = 3
	s := newSetting(t)
	s.service.MaxInFlight = limit
	inside, proceed := make(chan struct{}), make(chan struct{})
	s.store.act = func(n int) {
		if n <= limit {
			inside <- struct{}{}
			<-proceed
		}
	}
	stranger := s.call
	stranger.RegistrationID = "stranger"
	done := make(chan error, limit)
	for i := range limit {
		go func() {
			call := s.call
			if i == 0 {
				call = stranger // refused by its certificate
			}
			_, err := s.service.Register(t.Context(), call)
			done <- err
		}()
	}
	for range limit {
		<-inside
	}
	seen := map[string]bool{}
	for range 200 {
		_, err := s.service.Register(t.Context(), s.call)
		r, ok := refuse.As(err)
		if !ok || r.Status != 429 || r.Code != 429000 || r.Rule != provision.RuleSaturated || r.Fix == "" {
			t.Fatalf("Register = %v, want 429", err)
		}
		after := r.Header.Get("Retry-After")
		if seconds, err := strconv.Atoi(after); err != nil || seconds < 1 || seconds > 5 {
			t.Fatalf("Retry-After = %q", after)
		}
		seen[after] = true
	}
	if len(seen) != 5 {
		t.Errorf("a crowd is told to return after %v seconds, want it spread", seen)
	}
	// A poll is not held up.
	if _, err := s.service.Poll(t.Context(), s.call, "none"); !isNotFound(err) {
		t.Errorf("Poll = %v", err)
	}
	close(proceed)
	refused := 0
	for range limit {
		if err := <-done; err != nil {
			refused++
		}
	}
	if refused != 1 {
		t.Errorf("%d of the first were refused, want the stranger", refused)
	}
	if _, err := s.service.Register(t.Context(), s.call); err != nil {
		t.Errorf("with room again: %v", err)
	}
	// A failure of the store gives its place back, too.
	if err := s.store.Close(); err != nil {
		t.Fatal(err)
	}
	for range limit + 1 {
		if _, err := s.service.Register(t.Context(), s.call); !errors.Is(err, store.ErrClosed) {
			t.Errorf("Register = %v, want ErrClosed", err)
		}
	}
}

func isNotFound(err error) bool {
	r, ok := refuse.As(err)
	return ok && r.Status == 404
}

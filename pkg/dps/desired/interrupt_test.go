package desired_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/desired"
)

// TestInterruptedApplyTellsTheTruth ends the context while changes are on their
// way. What the results call done must be all that is stored, and what did not
// answer in time is unknown.
func TestInterruptedApplyTellsTheTruth(t *testing.T) {
	const all = 12
	var text strings.Builder
	text.WriteString("enrollments:\n")
	for i := range all {
		fmt.Fprintf(&text, "  - {registrationId: d%02d, attestation: {symmetricKey: {}}}\n", i)
	}
	for _, answers := range []bool{true, false} {
		t.Run(fmt.Sprintf("answers %v", answers), func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			w := newWorld(t, func(req *http.Request) error {
				if req.Method != http.MethodPut {
					return nil
				}
				stop()
				if answers {
					return nil
				}
				<-req.Context().Done()
				return req.Context().Err()
			})
			grace := time.Minute
			if !answers {
				grace = time.Millisecond
			}
			results, err := w.plan(t, text.String(), nil).Apply(ctx, &desired.ApplyOptions{Grace: grace})
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("got %v, want context.Canceled", err)
			}
			counts := map[desired.Status]int{}
			for _, r := range results {
				counts[r.Status]++
			}
			stored := 0
			for _, err := range w.service.Enrollments(t.Context(), nil) {
				if err != nil {
					t.Fatal(err)
				}
				stored++
			}
			sent := desired.Done
			if !answers {
				sent = desired.Unknown
			}
			if counts[desired.Done] != stored || counts[sent] == 0 || counts[sent]+counts[desired.NotTried] != all {
				t.Errorf("%d are stored; results: %v", stored, counts)
			}
		})
	}
}

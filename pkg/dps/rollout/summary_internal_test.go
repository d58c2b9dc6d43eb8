package rollout

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/dps"
)

func summaryOf(outcomes ...Outcome) *Summary {
	s := newSummary(len(outcomes))
	for _, o := range outcomes {
		s.add(o, kindOf(o))
	}
	s.close()
	return s
}

// TestReasonsAreBounded has a thousand devices that fail for as many causes, of
// two kinds of outcome. Those that are told apart no more are not counted under
// the cause of another.
func TestReasonsAreBounded(t *testing.T) {
	var outcomes []Outcome
	for i := range 1000 {
		o := Outcome{Index: i, ID: fmt.Sprintf("dev-%d", i), Status: Failed, Err: errors.New(strings.Repeat("x", i+1))}
		if i%4 == 3 {
			o.Status = Skipped
		}
		outcomes = append(outcomes, o)
	}
	s := summaryOf(outcomes...)
	if len(s.Reasons) != maxReasons+2 || s.Failed != 750 || s.Skipped != 250 || s.Pending != 0 {
		t.Fatalf("%d reasons: %+v", len(s.Reasons), s)
	}
	for _, r := range s.Reasons[:maxReasons] {
		if r.Count != 1 || r.Text != strings.Repeat("x", r.Index+1) {
			t.Errorf("%+v", r)
		}
	}
	for i, want := range []Reason{
		{Status: Failed, Text: "other reasons", Count: 675, IDs: []string{"dev-100", "dev-101", "dev-102"}, Index: 100},
		{Status: Skipped, Text: "other reasons", Count: 225, IDs: []string{"dev-103", "dev-107", "dev-111"}, Index: 103},
	} {
		got := s.Reasons[maxReasons+i]
		if got.Status != want.Status || got.Text != want.Text || got.Count != want.Count || got.Index != want.Index || got.Err == nil ||
			!cmp.Equal(got.IDs, want.IDs) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

// TestOneCauseIsOneReason: what differs from device to device does not make
// reasons of its own, whatever the order in which devices end.
func TestOneCauseIsOneReason(t *testing.T) {
	late := func(i int, operation string, after time.Duration) Outcome {
		return Outcome{Index: i, ID: fmt.Sprintf("y-%04d", i), Status: Failed, Err: &dps.Error{Op: "register",
			Message: fmt.Sprintf("still assigning after %s (operation %s): no answer within --timeout", after, operation)}}
	}
	s := summaryOf(
		late(2, "4.fedcbafedcbafedc.abcdefab-abcd-abcd-abcd-abcdefabcdef", time.Minute),
		late(1, "4.a0b1c2d3e4f50617.0f8fad5b-d9cb-469f-a165-70867728950e", 6*time.Second),
		late(0, "4.0123456789012345.01234567-0123-0123-0123-012345678901", 5900*time.Millisecond),
	)
	if len(s.Reasons) != 1 || s.Reasons[0].Count != 3 || s.Reasons[0].Index != 0 || !strings.HasPrefix(s.Reasons[0].Text, "still assigning after 5.9s") {
		t.Errorf("%+v", s.Reasons)
	}
	// An id is an id only where it stands by itself.
	refused := func(i int, id, text string) Outcome {
		return Outcome{Index: i, ID: id, Status: Failed, Err: &dps.Error{Op: "register", StatusCode: 401, Message: text}}
	}
	s = summaryOf(refused(0, "a", "a has an invalid key"), refused(1, "b", "b has an invalid key"), refused(2, "invalid", "invalid has an invalid key"),
		refused(3, "c", "c has no key"))
	if len(s.Reasons) != 3 || s.Reasons[0].Count != 2 {
		t.Errorf("%+v", s.Reasons)
	}
}

func TestAlikeMasks(t *testing.T) {
	for _, tt := range []struct{ text, id, want string }{
		{"read 127.0.0.1:50123: reset", "x", "read #.#.#.#:#: reset"},
		{"operation 4.deadbeefdeadbeef.0F8FAD5B-D9CB-469F-A165-70867728950E", "x", "operation #.#.#"},
		{"device dev-1 of dev-10", "dev-1", "device ? of dev-#"},
		{"after 1m30s or 1h0m0s or 5.25s", "x", "after # or # or #"},
		{"the enrollment added a facade", "", "the enrollment added a facade"},
	} {
		if got := alike(tt.text, tt.id); got != tt.want {
			t.Errorf("alike(%q, %q) = %q, want %q", tt.text, tt.id, got, tt.want)
		}
	}
}

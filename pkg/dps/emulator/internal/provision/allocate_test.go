package provision_test

import (
	"fmt"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/provision"
)

func TestRendezvousMovesFewDevices(t *testing.T) {
	s := newSetting(t)
	hubOf := func(names []string, id string) string {
		t.Helper()
		s.service.Hubs = hubs(names...)
		return provision.Allocate(s.service, id)
	}
	three, four := []string{"a", "b", "c"}, []string{"d", "c", "b", "a"}
	moved, count := 0, map[string]int{}
	for i := range 2000 {
		id := fmt.Sprint("dev-", i)
		before, after := hubOf(three, id), hubOf(four, id)
		count[before]++
		if before != after {
			moved++
			if after != "d" {
				t.Fatalf("%s moved from %s to %s, not to the new hub", id, before, after)
			}
		}
	}
	for _, hub := range three {
		if count[hub] < 550 || count[hub] > 780 {
			t.Errorf("%s got %d of 2000 devices, want about a third", hub, count[hub])
		}
	}
	if moved < 400 || moved > 600 {
		t.Errorf("%d of 2000 devices moved, want about a quarter", moved)
	}
}

// TestWeights gives each hub its share, and moves few devices when a weight
// changes.
func TestWeights(t *testing.T) {
	s := newSetting(t)
	spread := func(weights ...int) (count [3]int, hubOf []int) {
		t.Helper()
		s.service.Hubs = nil
		for i, w := range weights {
			s.service.Hubs = append(s.service.Hubs, provision.Hub{Name: fmt.Sprint(i), Weight: w})
		}
		for i := range 4000 {
			var n int
			if _, err := fmt.Sscan(provision.Allocate(s.service, fmt.Sprint("dev-", i)), &n); err != nil {
				t.Fatal(err)
			}
			count[n]++
			hubOf = append(hubOf, n)
		}
		return count, hubOf
	}
	count, before := spread(1, 2, 5)
	for i, want := range []int{500, 1000, 2500} {
		if d := count[i] - want; d < -150 || d > 150 {
			t.Errorf("hub %d got %d of 4000 devices, want about %d", i, count[i], want)
		}
	}
	if again, _ := spread(10, 20, 50); again != count {
		t.Errorf("ten times the weights: %v, want %v", again, count)
	}
	_, after := spread(1, 3, 5)
	for i := range before {
		if before[i] != after[i] && after[i] != 1 {
			t.Fatalf("dev-%d moved from %d to %d, not to the hub that got more weight", i, before[i], after[i])
		}
	}
	if count, _ := spread(0, 0, 1); count != [3]int{0, 0, 4000} {
		t.Errorf("weights 0, 0, 1: %v", count)
	}
}

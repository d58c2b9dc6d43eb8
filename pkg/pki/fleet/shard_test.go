package fleet_test

import (
	"testing"

	"github.com/dpskit/dpskit/pkg/pki/fleet"
)

func TestShardsAreTheWhole(t *testing.T) {
	for _, n := range []int{1, 2, 3, 7, 10, 999, 1000, 1001, fleet.MaxDevices} {
		for _, count := range []int{1, 2, 3, 7, 8, 64, 1000} {
			next, smallest, largest := 0, n, 0
			for i := range count {
				from, to := fleet.Shard{Index: i, Count: count}.Range(n)
				if from != next || to < from {
					t.Fatalf("part %d/%d of %d is %d to %d, want it to begin at %d", i, count, n, from, to, next)
				}
				next, smallest, largest = to, min(smallest, to-from), max(largest, to-from)
			}
			if next != n || largest-smallest > 1 {
				t.Errorf("%d parts of %d end at %d and have %d to %d devices", count, n, next, smallest, largest)
			}
		}
	}
	if from, to := (fleet.Shard{}).Range(5); from != 0 || to != 5 {
		t.Errorf("the zero part is %d to %d, want all", from, to)
	}
}

func TestParseShard(t *testing.T) {
	for text, want := range map[string]fleet.Shard{"0/1": {0, 1}, "0/8": {0, 8}, "7/8": {7, 8}, "00/02": {0, 2}} {
		got, err := fleet.ParseShard(text)
		if err != nil || got != want {
			t.Errorf("ParseShard(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "/", "1", "1/", "/1", "8/8", "1/1", "-1/8", "0/0", "0/-1", "+0/1", "a/b", "0/8/1", "0 /8", "0/99999999999999999999",
	} {
		if got, err := fleet.ParseShard(text); err == nil {
			t.Errorf("ParseShard(%q) = %v, want an error", text, got)
		}
	}
	if got := (fleet.Shard{Index: 2, Count: 5}).String(); got != "2/5" {
		t.Errorf("String() = %q", got)
	}
}

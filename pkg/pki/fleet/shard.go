package fleet

import (
	"fmt"
	"strconv"
	"strings"
)

// Shard is one of several equal parts of a fleet, so that several machines can make it. The parts are ranges of the
// list in its order; together they are the whole, and no device is in two of them. The zero value is the whole fleet.
type Shard struct {
	Index int // from 0, as JOB_COMPLETION_INDEX of a Kubernetes Job counts
	Count int
}

// ParseShard reads a part such as "0/8", the first of eight.
func ParseShard(s string) (Shard, error) {
	index, count, ok := strings.Cut(s, "/")
	i, indexErr := strconv.Atoi(index)
	n, countErr := strconv.Atoi(count)
	if !ok || n == 0 || indexErr != nil || countErr != nil || strings.ContainsAny(s, "+-") {
		return Shard{}, fmt.Errorf("parse shard %q: want I/N, such as 0/8 for the first of eight", clip(s))
	}
	shard := Shard{Index: i, Count: n}
	return shard, shard.check()
}

func (s Shard) check() error {
	switch {
	case s == Shard{}: // all of it
		return nil
	case s.Count < 1 || s.Count > MaxDevices:
		return fmt.Errorf("check shard %q: want 1 to %d parts", s, MaxDevices)
	case s.Index < 0 || s.Index >= s.Count:
		return fmt.Errorf("check shard %q: the parts count from 0, so the last of %d is %d/%d", s, s.Count, s.Count-1, s.Count)
	}
	return nil
}

// String returns the part as [ParseShard] reads it.
func (s Shard) String() string {
	if s.isWhole() {
		return "0/1"
	}
	return fmt.Sprintf("%d/%d", s.Index, s.Count)
}

func (s Shard) isWhole() bool { return s.Count <= 1 && s.Index == 0 }

// Range returns where the part begins and ends (exclusively) in a list of n devices.
func (s Shard) Range(n int) (from, to int) {
	if s.isWhole() {
		return 0, n
	}
	// Neither product overflows: n and Count are at most MaxDevices on 64 bits.
	return int(int64(s.Index) * int64(n) / int64(s.Count)), int(int64(s.Index+1) * int64(n) / int64(s.Count))
}

// suffix keeps the files of a part apart from those of the others: "-0-of-8", or nothing for the whole fleet.
func (s Shard) suffix() string {
	if s.isWhole() {
		return ""
	}
	return fmt.Sprintf("-%d-of-%d", s.Index, s.Count)
}

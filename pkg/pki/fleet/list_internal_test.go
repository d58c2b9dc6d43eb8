package fleet

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
)

// A list gives back what it was given, whatever the IDs share.
func TestListPacksIDs(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	kinds := map[string]func(i int) string{
		"numbers": func(i int) string { return fmt.Sprintf("device-%09d", i) },
		"random":  func(int) string { return fmt.Sprintf("%016x%016x", random.Uint64(), random.Uint64()) },
		"lengths": func(i int) string { return strings.Repeat("a", i%maxListID+1) },
		"long":    func(i int) string { return fmt.Sprintf("%064d", i) },
	}
	for name, id := range kinds {
		var l List
		want := make([]string, 5000)
		for i := range want {
			want[i] = id(i)
			l.add([]byte(want[i]))
		}
		if l.Len() != len(want) {
			t.Fatalf("%s: %d ids, want %d", name, l.Len(), len(want))
		}
		for _, i := range append(random.Perm(len(want)), 0, len(want)-1) {
			if got := l.ID(i); got != want[i] {
				t.Fatalf("%s: ID(%d) = %q, want %q", name, i, got, want[i])
			}
		}
	}
}

// Two hundred thousand serial numbers take a MiB.
func TestListIsSmall(t *testing.T) {
	const n = 200_000
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "device-%08d\n", i)
	}
	in := strings.NewReader(text.String())
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	l, err := ReadIDs(in)
	if err != nil || l.Len() != n {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if size := int64(after.HeapAlloc) - int64(before.HeapAlloc); size > 1<<20+1<<18 {
		t.Errorf("%d ids take %d bytes, want about a MiB", n, size)
	}
	if l.ID(n/2) != "device-00100000" {
		t.Errorf("ID(%d) = %q", n/2, l.ID(n/2))
	}
}

package inject_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/dps/emulator/fault"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/inject"
)

// rules reads rules in text form.
func rules(t testing.TB, texts ...string) []fault.Rule {
	t.Helper()
	var all []fault.Rule
	for _, text := range texts {
		r, err := fault.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r...)
	}
	return all
}

func newInjector(t testing.TB, seed uint64, texts ...string) *inject.Injector {
	t.Helper()
	in, err := inject.New(rules(t, texts...), seed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(in.Close)
	return in
}

func put(id string) inject.Request {
	return inject.Request{Plane: fault.Service, Op: "put-enrollment", ID: id}
}

func poll(operation string) inject.Request {
	return inject.Request{Plane: fault.Device, Op: "poll", ID: "dev", Operation: operation}
}

// TestDecide sends requests one after the other and compares who was hit: the
// first letter of the fault, or a dot.
func TestDecide(t *testing.T) {
	get := inject.Request{Plane: fault.Service, Op: "get-enrollment", ID: "a"}
	same := []inject.Request{put("a"), put("a"), put("a"), put("a"), put("a")}
	mixed := []inject.Request{put("a"), put("b"), put("A"), put("b"), get}
	for _, tt := range []struct {
		rules    []string
		requests []inject.Request
		want     string
	}{
		{nil, same, "....."},
		{[]string{"reset"}, same, "rrrrr"},
		{[]string{"nth=3,reset"}, same, "..r.."},
		{[]string{"after=3,reset"}, same, "...rr"},
		{[]string{"times=2,reset"}, same, "rr..."},
		{[]string{"after=1,times=2,reset"}, same, ".rr.."},
		{[]string{"nth=2,times=1,reset"}, same, ".r..."},
		{[]string{"percent=100,reset"}, same, "rrrrr"},
		{[]string{"plane=device,reset"}, same, "....."},
		{[]string{"op=get-*,reset"}, mixed, "....r"},
		{[]string{"id=A,reset"}, mixed, "r.r.r"},
		{[]string{"id=a,op=put-*,nth=2,reset"}, mixed, "..r.."},
		{[]string{"nth=1,per-id,reset"}, mixed, "rr..."},
		{[]string{"times=1,per-id,reset"}, mixed, "rr..."},
		{[]string{"after=1,per-id,reset"}, mixed, "..rrr"},
		{[]string{"nth=1,reset", "close"}, same, "rcccc"},
		// The second rule counts what the first one took.
		{[]string{"nth=1,reset", "nth=2,close"}, same, "rc..."},
		{[]string{"throttle=2"}, same, "..ttt"},
		{[]string{"throttle=1,per-id"}, mixed, "..ttt"},
		{[]string{"throttle=2", "nth=2,reset"}, same, ".rttt"},
		{[]string{"assigning=2"}, []inject.Request{poll("1"), poll("2"), poll("1"), poll("1"), poll("2"), poll("2"), put("a")}, "aaa.a.."},
		{[]string{"assigning=forever"}, []inject.Request{poll("1"), poll("1"), put("a")}, "aa."},
		{[]string{"nth=2,assigning=5"}, []inject.Request{poll("1"), poll("1"), poll("1")}, ".a."},
	} {
		in := newInjector(t, 1, tt.rules...)
		got := ""
		for _, r := range tt.requests {
			if d := in.Decide(r); d != nil {
				got += string(d.Kind[0])
			} else {
				got += "."
			}
		}
		if got != tt.want {
			t.Errorf("%q: %s, want %s", tt.rules, got, tt.want)
		}
	}
}

func TestDecisionSaysWhich(t *testing.T) {
	in := newInjector(t, 1, "nth=2,op=put-*,status=503,retry-after=7")
	if d := in.Decide(put("x")); d != nil {
		t.Errorf("first request is hit: %+v", d)
	}
	d := in.Decide(put("y"))
	if d == nil || d.Rule != "op=put-*,nth=2,status=503,retry-after=7" || d.N != 2 || d.Status != 503 || d.RetryAfter != "7" {
		t.Errorf("decision %+v", d)
	}
}

func TestNone(t *testing.T) {
	var in *inject.Injector
	if in.Decide(put("a")) != nil {
		t.Error("no injector injects")
	}
	in.Close()
	if _, err := inject.New([]fault.Rule{{}}, 0); err == nil || !strings.Contains(err.Error(), "it does nothing") {
		t.Errorf("a rule that does nothing: %v", err)
	}
}

// decisions runs the same traffic, three requests for each of fifty ids, in an
// order that depends on shuffle, and returns for each request whether it was
// hit.
func decisions(t *testing.T, seed, shuffle uint64, texts ...string) map[string]bool {
	t.Helper()
	in := newInjector(t, seed, texts...)
	var order []string
	for i := range 150 {
		order = append(order, fmt.Sprintf("dev-%02d", i%50))
	}
	rng := rand.New(rand.NewPCG(shuffle, 0))
	rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	hit, count := map[string]bool{}, map[string]int{}
	for _, id := range order {
		count[id]++
		hit[fmt.Sprint(id, "#", count[id])] = in.Decide(put(id)) != nil
	}
	return hit
}

// TestReproducible: the decisions depend on the seed, and not on the order in
// which different ids arrive.
func TestReproducible(t *testing.T) {
	for _, rule := range []string{"percent=30,reset", "per-id,nth=2,percent=50,reset", "per-id,after=1,times=1,percent=70,close"} {
		want := decisions(t, 7, 1, rule)
		for shuffle := range uint64(20) {
			if diff := cmp.Diff(want, decisions(t, 7, shuffle, rule)); diff != "" {
				t.Fatalf("%s, another order: %s", rule, diff)
			}
		}
		if cmp.Equal(want, decisions(t, 8, 1, rule)) {
			t.Errorf("%s: another seed gives the same decisions", rule)
		}
	}
}

// TestGoldenDecisions pins the decisions themselves: a seed that somebody wrote
// down has to stay good.
func TestGoldenDecisions(t *testing.T) {
	in := newInjector(t, 42, "percent=30,reset")
	var got strings.Builder
	for i := range 60 {
		if in.Decide(put(fmt.Sprintf("dev-%d", i%7))) != nil {
			got.WriteByte('x')
		} else {
			got.WriteByte('.')
		}
	}
	const want = ".....x...x.....x......x......xxx.xx..xx.....x..x..x..x...x.x"
	if got.String() != want {
		t.Errorf("got  %s\nwant %s", &got, want)
	}
}

func TestPercent(t *testing.T) {
	for _, percent := range []int{1, 30, 99} {
		in := newInjector(t, 3, fmt.Sprintf("percent=%d,reset", percent))
		hits := 0
		for i := range 10000 {
			if in.Decide(put(fmt.Sprint(i))) != nil {
				hits++
			}
		}
		if want := 100 * percent; hits < want-200 || hits > want+200 {
			t.Errorf("%d %%: %d of 10000 hit", percent, hits)
		}
	}
}

// TestThrottle runs the documented limits on a clock that stands still until
// somebody waits.
func TestThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInjector(t, 0, "real-throttle")
		register := inject.Request{Plane: fault.Device, Op: "register", ID: "dev"}
		for minute := range 3 {
			passed := 0
			var last *inject.Decision
			for range 1500 {
				if d := in.Decide(register); d != nil {
					last = d
				} else {
					passed++
				}
			}
			if passed != 1000 || last == nil || last.Wait <= 0 || last.Wait > time.Minute {
				t.Fatalf("minute %d: %d passed, then %+v", minute, passed, last)
			}
			time.Sleep(last.Wait - time.Nanosecond)
			if in.Decide(register) == nil {
				t.Fatal("passed before the period was over")
			}
			time.Sleep(time.Nanosecond)
		}
		// Polls are counted for each device.
		for _, id := range []string{"a", "b"} {
			var got []bool
			for range 6 {
				got = append(got, in.Decide(inject.Request{Plane: fault.Device, Op: "poll", ID: id, Operation: "o"}) == nil)
			}
			if diff := cmp.Diff([]bool{true, true, true, true, true, false}, got); diff != "" {
				t.Errorf("polls of %s: %s", id, diff)
			}
		}
	})
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInjector(t, 0, "reset")
		if begin := time.Now(); !in.Wait(t.Context(), time.Hour) || time.Since(begin) != time.Hour {
			t.Errorf("waited %v", time.Since(begin))
		}
		if !in.Wait(t.Context(), 0) {
			t.Error("no delay is not gone through")
		}
		go func() {
			time.Sleep(time.Minute)
			in.Close()
		}()
		begin := time.Now()
		if in.Wait(t.Context(), time.Hour) || time.Since(begin) != time.Minute {
			t.Errorf("a closed injector waited %v", time.Since(begin))
		}
	})
}

func TestManyAtOnce(t *testing.T) {
	in := newInjector(t, 5, "times=100,reset", "throttle=50", "per-id,nth=1,close")
	var wg sync.WaitGroup
	var mu sync.Mutex
	kinds := map[fault.Kind]int{}
	for worker := range 8 {
		wg.Go(func() {
			for i := range 100 {
				kind := fault.Normal
				if d := in.Decide(put(fmt.Sprintf("dev-%d-%d", worker, i))); d != nil {
					kind = d.Kind
				}
				mu.Lock()
				kinds[kind]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	want := map[fault.Kind]int{fault.Reset: 100, fault.Throttle: 650, fault.Close: 50}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Error(diff)
	}
}

package crash_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	killFor  = flag.Duration("kill-for", 2500*time.Millisecond, "how long TestKillNine goes on killing")
	killSeed = flag.Uint64("kill-seed", 0, "seed of the moments and the requests; 0 takes a new one")
)

// What writes at the same time, and to how much.
const (
	workers           = 8
	idsOfWorker       = 20
	groupsOfWorker    = 6 // the service has room for 100
	bulkItems         = 10
	longestRun        = 300 * time.Millisecond
	longestStart      = 40 * time.Millisecond
	startsKilledOneIn = 4
)

func seed(t *testing.T) *rand.Rand {
	t.Helper()
	s := *killSeed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("-kill-seed %d", s)
	return rand.New(rand.NewPCG(s, 0))
}

// TestKillNine kills a writing emulator again and again. No acknowledged write
// may be lost, none may be there by half, and the store must open each time.
func TestKillNine(t *testing.T) {
	rng, dir, m := seed(t), t.TempDir(), newModel()
	ca := authority{dir: dir}
	var acked atomic.Int64
	var killed, early int
	var slowest time.Duration
	begin := time.Now()
	for cycle := 0; cycle < 4 || time.Since(begin) < *killFor; cycle++ {
		start := time.Now()
		p := spawn(t, dir)
		if rng.IntN(startsKilledOneIn) == 0 {
			timer := time.AfterFunc(time.Duration(rng.Int64N(int64(longestStart))), func() { _ = p.cmd.Process.Kill() })
			p.ready(t)
			timer.Stop()
			p.kill()
			ca.check(t)
			early++
			continue
		}
		if !p.ready(t) {
			p.kill()
			t.Fatalf("cycle %d: the store does not open", cycle)
		}
		slowest = max(slowest, time.Since(start))
		ca.check(t)
		m.check(t, p)
		if t.Failed() {
			p.kill()
			t.Fatalf("cycle %d of %d acknowledged writes", cycle, acked.Load())
		}
		m.writeUntilKilled(t, p, cycle, rng, &acked)
		killed++
	}
	p := spawn(t, dir)
	defer p.kill()
	if !p.ready(t) {
		t.Fatal("the store does not open")
	}
	m.check(t, p)
	t.Logf("%d acknowledged writes, %d kills under load, %d kills of a start, slowest start %v", acked.Load(), killed, early, slowest)
	if acked.Load() < 30 { // a loaded machine writes little between the kills
		t.Errorf("only %d writes were acknowledged", acked.Load())
	}
}

func newModel() model {
	m := model{"/enrollments": {}, "/enrollmentGroups": {}}
	for worker := range workers {
		for i := range idsOfWorker {
			m["/enrollments"][name(worker, i)] = &object{}
		}
		for i := range groupsOfWorker {
			m["/enrollmentGroups"][name(worker, i)] = &object{}
		}
	}
	return m
}

func name(worker, i int) string { return fmt.Sprintf("w%d-%02d", worker, i) }

// writeUntilKilled lets every worker write to objects of its own until the
// process is killed, at a random moment.
func (m model) writeUntilKilled(t *testing.T, p *process, cycle int, rng *rand.Rand, acked *atomic.Int64) {
	t.Helper()
	var wg sync.WaitGroup
	for worker := range workers {
		own := rand.New(rand.NewPCG(rng.Uint64(), 1))
		wg.Go(func() {
			for n := 0; ; n++ {
				count, ok := m.step(t, p, worker, versionOf(cycle, n), own)
				if !ok {
					return
				}
				acked.Add(count)
			}
		})
	}
	// What ends the run is the clock: a moment that no request chooses.
	timer := time.NewTimer(time.Duration(rng.Int64N(int64(longestRun))))
	<-timer.C
	p.kill()
	wg.Wait()
}

// step makes one request of one worker: create, update or delete one object, or
// several at once. It returns the number of acknowledged writes.
func (m model) step(t *testing.T, p *process, worker int, version string, rng *rand.Rand) (int64, bool) {
	t.Helper()
	collection, n := "/enrollments", idsOfWorker
	if rng.IntN(4) == 0 {
		collection, n = "/enrollmentGroups", groupsOfWorker
	}
	objects := m[collection]
	if rng.IntN(6) == 0 {
		if ids, create := m.batch(collection, worker, n); len(ids) > 0 {
			if !create {
				version = absent
			}
			return int64(len(ids)), writeBulk(t, p, collection, objects, ids, version)
		}
	}
	id := name(worker, rng.IntN(n))
	o := objects[id]
	if o.version != absent && rng.IntN(3) == 0 {
		version = absent
	}
	return 1, o.write(t, p, collection, id, version)
}

// batch chooses up to ten objects that are all absent, or else all there.
func (m model) batch(collection string, worker, n int) (ids []string, create bool) {
	for _, wantAbsent := range []bool{true, false} {
		ids = nil
		for i := range n {
			id := name(worker, i)
			if (m[collection][id].version == absent) == wantAbsent && len(ids) < bulkItems {
				ids = append(ids, id)
			}
		}
		if len(ids) > bulkItems/2 || len(ids) == n {
			return ids, wantAbsent
		}
	}
	return nil, false
}

// TestKillDuringFirstStart kills emulators that have never been ready: whatever
// they left, the next one starts, with the same TLS CA from then on.
func TestKillDuringFirstStart(t *testing.T) {
	rng := seed(t)
	for range 8 {
		dir := t.TempDir()
		ca := authority{dir: dir}
		for range 3 {
			p := spawn(t, dir)
			timer := time.AfterFunc(time.Duration(rng.Int64N(int64(longestStart))), func() { _ = p.cmd.Process.Kill() })
			p.ready(t)
			timer.Stop()
			p.kill()
			ca.check(t)
		}
		p := spawn(t, dir)
		if !p.ready(t) {
			p.kill()
			t.Fatal("the store does not open")
		}
		newModel().check(t, p)
		ca.check(t)
		p.kill()
	}
}

// authority is the TLS CA of a data folder: once it is there, clients trust it,
// and it must stay.
type authority struct {
	dir string
	pem []byte
}

func (a *authority) check(t *testing.T) {
	t.Helper()
	now, err := os.ReadFile(filepath.Join(a.dir, "ca.pem"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if a.pem != nil && !bytes.Equal(a.pem, now) {
		t.Errorf("the TLS CA was %q and is %q", a.pem, now)
	}
	a.pem = now
}

// complaints is a testing.TB that counts errors.
type complaints struct {
	testing.TB

	n int
}

func (c *complaints) Helper()               {}
func (c *complaints) Errorf(string, ...any) { c.n++ }

// TestSettle is the test of the test: what must not be is noticed.
func TestSettle(t *testing.T) {
	of := func(version, etag string) (s stored) {
		if version != absent {
			s.InitialTwin.Tags.Version, s.InitialTwin.Properties.Desired.Version = version, version
			s.InitialTwin.Properties.Desired.Fill = strings.Repeat(version+" ", 40)
		}
		s.ETag = etag
		return s
	}
	half := of("v2", "e")
	half.InitialTwin.Properties.Desired.Version = "v1"
	short := of("v2", "e")
	short.InitialTwin.Properties.Desired.Fill = "v2 v2"
	writing := object{version: "v1", etag: "e", pending: "v2", inFlight: true}
	for name, tt := range map[string]struct {
		known object
		there stored
		bad   bool
	}{
		"as acknowledged":       {object{version: "v1", etag: "e"}, of("v1", "e"), false},
		"acknowledged in bulk":  {object{version: "v1", etag: unknownETag}, of("v1", "e"), false},
		"nothing":               {object{}, stored{}, false},
		"before the last write": {writing, of("v1", "e"), false},
		"after the last write":  {writing, of("v2", "f"), false},
		"deleting, gone":        {object{version: "v1", etag: "e", inFlight: true}, stored{}, false},
		"deleting, still there": {object{version: "v1", etag: "e", inFlight: true}, of("v1", "e"), false},
		"creating, not there":   {object{pending: "v1", inFlight: true}, stored{}, false},
		"lost":                  {object{version: "v1", etag: "e"}, stored{}, true},
		"lost while it changes": {writing, stored{}, true},
		"an older one":          {object{version: "v2", etag: "e"}, of("v1", "d"), true},
		"another etag":          {object{version: "v1", etag: "e"}, of("v1", "d"), true},
		"deleted, and back":     {object{}, of("v1", "e"), true},
		"one that nobody wrote": {writing, of("v3", "g"), true},
		"half of two":           {writing, half, true},
		"not whole":             {writing, short, true},
	} {
		var c complaints
		known := tt.known
		known.settle(&c, name, tt.there)
		if (c.n > 0) != tt.bad {
			t.Errorf("%s: %d complaints", name, c.n)
		}
		if known.inFlight || known.version != tt.there.InitialTwin.Tags.Version || known.etag != tt.there.ETag {
			t.Errorf("%s: left as %+v", name, known)
		}
	}
}

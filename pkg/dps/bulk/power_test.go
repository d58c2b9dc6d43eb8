package bulk_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps/bulk"
)

// TestPowerCut ends the import at every request, before the service has done it
// and after, and leaves of the journal only what was on the disk then. The next
// run must finish the job with every row created once: with what exists taken
// for failed, a row that was sent and forgotten would fail.
func TestPowerCut(t *testing.T) {
	const rows = 47 // five requests
	for _, concurrency := range []int{1, 4} {
		for at := 1; at <= 5; at++ {
			for _, done := range []bool{false, true} {
				t.Run(fmt.Sprintf("%d at once, request %d, done %v", concurrency, at, done), func(t *testing.T) {
					emu, client := start(t)
					path := statePath(t)
					state := openState(t, path, "h")
					var onDisk atomic.Int64
					bulk.OnSync(state, onDisk.Store)
					ctx, end := context.WithCancel(t.Context())
					var left []byte
					power := &power{at: at, done: done, cut: func() {
						left = read1(t, path)[:onDisk.Load()]
						end()
					}}
					// At the last request all may have come to its end.
					_, _ = bulk.Import(ctx, connect(t, emu, power.roundTrip), devices(rows), &bulk.Options{State: state, Concurrency: concurrency})
					_ = state.Close()
					if lines := strings.Count(string(left), "\n"); lines < 2 {
						t.Fatalf("%d lines were on the disk: a header and the rows about to be sent are expected", lines)
					}
					if err := os.WriteFile(path, left, 0o600); err != nil {
						t.Fatal(err)
					}
					report, err := bulk.Import(t.Context(), client, devices(rows), &bulk.Options{State: openState(t, path, "h")})
					if err != nil {
						t.Fatal(err)
					}
					expectCounts(t, report, map[bulk.Outcome]int{bulk.Created: rows})
					if got := len(stored(t, client)); got != rows {
						t.Errorf("%d are stored, want %d", got, rows)
					}
				})
			}
		}
	}
}

// power is cut at a request, before it is sent or after the service has done it.
// From then on nothing is sent.
type power struct {
	at   int
	done bool
	cut  func()

	mu sync.Mutex
	n  int
	no bool
}

var errNoPower = errors.New("no power")

func (p *power) roundTrip(req *http.Request, next http.RoundTripper) (*http.Response, error) {
	this, ok := p.off(func() bool { p.n++; return !p.done && p.n == p.at })
	if !ok {
		return nil, errNoPower
	}
	resp, err := next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if _, ok := p.off(func() bool { return p.done && this == p.at }); !ok {
		_ = resp.Body.Close()
		return nil, errNoPower
	}
	return resp, nil
}

// off cuts the power if now says so. It returns the number of the latest request
// and whether there is power.
func (p *power) off(now func() bool) (n int, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.no && now() {
		p.no = true
		p.cut()
	}
	return p.n, !p.no
}

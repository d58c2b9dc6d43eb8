package emulator_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator"
)

// TestManyClientsOneDevice registers one id from 100 clients at once. All get
// the same operation, device and hub, and there is one record.
func TestManyClientsOneDevice(t *testing.T) {
	w, p := fleet(t, withHubs, func(o *emulator.Options) { o.RetryAfter = 20 * time.Second })
	dev := device(t, p.intermediate, "dev")
	const clients = 100
	answers := make([]answer, clients)
	parallel(clients, 25, func(i int) { answers[i] = w.register("dev", dev) })
	for _, a := range answers {
		w.want(a, 202, 0)
		if a.str("operationId") != answers[0].str("operationId") {
			t.Fatalf("operations %q and %q", a.str("operationId"), answers[0].str("operationId"))
		}
	}
	if list := w.service(http.MethodPost, "/registrations/fleet/query", nil, nil); len(list.items(t)) != 1 {
		t.Errorf("records: %s", list.raw)
	}
}

// TestManyClientsWithoutDelay does the same when each registration ends at once.
func TestManyClientsWithoutDelay(t *testing.T) {
	w, p := fleet(t, withHubs)
	dev := device(t, p.intermediate, "dev")
	const clients = 100
	answers := make([]answer, clients)
	parallel(clients, 25, func(i int) { answers[i] = w.assigned("dev", dev) })
	initial := 0
	for _, a := range answers {
		for _, member := range []string{"deviceId", "assignedHub", "createdDateTimeUtc"} {
			if got, want := a.str("registrationState", member), answers[0].str("registrationState", member); got != want || got == "" {
				t.Errorf("%s: %q and %q", member, got, want)
			}
		}
		if a.str("registrationState", "substatus") == "initialAssignment" {
			initial++
		}
	}
	if initial == 0 {
		t.Error("nobody got the initial assignment")
	}
	if list := w.service(http.MethodPost, "/registrations/fleet/query", nil, nil); len(list.items(t)) != 1 {
		t.Errorf("records: %s", list.raw)
	}
}

// parallel runs fn for 0..n-1 on a number of workers.
func parallel(n, workers int, fn func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				fn(i)
			}
		})
	}
	wg.Wait()
}

// TestOneWinner lets many writers create, and update from one etag, the same
// thing. Exactly one of them may succeed.
func TestOneWinner(t *testing.T) {
	w := newWorld(t)
	race := func(match string, lost int) {
		t.Helper()
		var won atomic.Int64
		parallel(30, 30, func(i int) {
			h := map[string]string{}
			if match != "" {
				h["If-Match"] = match
			}
			a := w.service(http.MethodPut, "/enrollments/e", symmetric("registrationId", "e", map[string]any{"deviceId": fmt.Sprint("d", i)}), h)
			switch {
			case a.status == 200:
				won.Add(1)
			case a.status != lost:
				t.Errorf("loser got %d %s", a.status, a.raw)
			}
		})
		if won.Load() != 1 {
			t.Errorf("%d of 30 writers succeeded", won.Load())
		}
	}
	race("", 409)
	race(w.service(http.MethodGet, "/enrollments/e", nil, nil).str("etag"), 412)
}

// TestDisableWhileRegistering toggles and deletes a group under registrations.
// Whatever the order, a device that was assigned after the PUT that disabled
// the group had returned would be a bug.
func TestDisableWhileRegistering(t *testing.T) {
	w, p := fleet(t)
	const devices = 30
	ids := make([]*tls.Certificate, devices)
	for i := range ids {
		ids[i] = device(t, p.intermediate, fmt.Sprintf("dev-%d", i))
	}
	var disabled atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		w.change("/enrollmentGroups/fleet", map[string]any{"provisioningStatus": "disabled"})
		disabled.Store(true)
	})
	wg.Go(func() {
		parallel(devices, 10, func(i int) {
			id := fmt.Sprintf("dev-%d", i)
			late := disabled.Load()
			got := w.assigned(id, ids[i]).str("status")
			if got != "assigned" && got != "disabled" || late && got == "assigned" {
				t.Errorf("%s: status %q, disabled before it asked: %v", id, got, late)
			}
		})
	})
	wg.Wait()
	// Deleted meanwhile: either assigned or refused, never an error.
	w.change("/enrollmentGroups/fleet", map[string]any{"provisioningStatus": "enabled"})
	wg.Go(func() { w.want(w.service(http.MethodDelete, "/enrollmentGroups/fleet", nil, nil), 204, 0) })
	wg.Go(func() {
		parallel(devices, 10, func(i int) {
			if a := w.register(fmt.Sprintf("dev-%d", i), ids[i]); a.status != 202 && a.status != 401 {
				t.Errorf("status %d: %s", a.status, a.raw)
			}
		})
	})
	wg.Wait()
	w.want(w.register("dev-0", ids[0]), 401, 401002)
}

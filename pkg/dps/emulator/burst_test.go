package emulator_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps/emulator"
)

// TestBurst registers many devices at once on a file, from several individual
// connections. All are assigned, each has one record, and all survive.
func TestBurst(t *testing.T) {
	const devices = 150
	dir := t.TempDir()
	inDir := func(o *emulator.Options) { o.DataDir = dir }
	w, p := fleet(t, withHubs, inDir)
	ids := make([]*tls.Certificate, devices)
	parallel(devices, 4, func(i int) { ids[i] = device(t, p.intermediate, fmt.Sprintf("dev-%03d", i)) })
	hubOf := make([]string, devices)
	parallel(devices, 50, func(i int) {
		a := w.assigned(fmt.Sprintf("dev-%03d", i), ids[i])
		if a.str("status") != "assigned" {
			t.Errorf("device %d: %s", i, a.raw)
		}
		hubOf[i] = a.str("registrationState", "assignedHub")
	})
	check := func(w *world) {
		t.Helper()
		list, _ := w.pages(t, "/registrations/fleet/query", "registrationId", nil, "")
		if len(list) != devices {
			t.Errorf("%d records for %d devices", len(list), devices)
		}
		for i, id := range list {
			if want := fmt.Sprintf("dev-%03d", i); id != want {
				t.Fatalf("record %d is of %s, want %s", i, id, want)
			}
		}
	}
	check(w)
	if err := w.e.Close(); err != nil {
		t.Fatal(err)
	}
	again := newWorld(t, withHubs, inDir)
	check(again)
	for i := range 5 {
		id := fmt.Sprintf("dev-%03d", i)
		if hub := again.service(http.MethodGet, "/registrations/"+id, nil, nil).str("assignedHub"); hub != hubOf[i] {
			t.Errorf("%s is on %s after the restart, was on %s", id, hub, hubOf[i])
		}
	}
}

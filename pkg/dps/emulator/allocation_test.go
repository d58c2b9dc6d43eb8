package emulator_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps/emulator"
)

var hubs = []string{"a.azure-devices.net", "b.azure-devices.net", "c.azure-devices.net"}

func withHubs(o *emulator.Options) { o.Hubs = hubs }

// change merges members into a group and writes it back.
func (w *world) change(path string, more map[string]any) {
	w.t.Helper()
	a := w.service(http.MethodGet, path, nil, nil)
	w.want(a, 200, 0)
	for k, v := range more {
		a.body[k] = v
	}
	w.want(w.service(http.MethodPut, path, a.body, map[string]string{"If-Match": a.str("etag")}), 200, 0)
}

func TestHashedAllocation(t *testing.T) {
	w, p := fleet(t, withHubs)
	count := map[string]int{}
	for i := range 30 {
		id := fmt.Sprintf("dev-%d", i)
		dev := device(t, p.intermediate, id)
		hub := w.assigned(id, dev).str("registrationState", "assignedHub")
		if again := w.assigned(id, dev).str("registrationState", "assignedHub"); again != hub {
			t.Errorf("%s moved from %s to %s", id, hub, again)
		}
		count[hub]++
	}
	for _, hub := range hubs {
		if count[hub] == 0 {
			t.Errorf("no device of 30 went to %s: %v", hub, count)
		}
	}
	if len(count) != len(hubs) {
		t.Errorf("devices went to %v", count)
	}
}

func TestAllocationPolicies(t *testing.T) {
	w, p := fleet(t, withHubs)
	dev := device(t, p.intermediate, "dev")
	for _, tt := range []struct {
		name string
		more map[string]any
		hub  string // "" means failed
		code float64
	}{
		{"static", map[string]any{"allocationPolicy": "static", "iotHubs": []string{"B.azure-devices.net"}}, "b.azure-devices.net", 0},
		{"one hub", map[string]any{"allocationPolicy": "hashed", "iotHubs": []string{"c.azure-devices.net"}}, "c.azure-devices.net", 0},
		{"latency", map[string]any{"allocationPolicy": "geoLatency", "iotHubs": []string{"a.azure-devices.net", "unlinked"}}, "a.azure-devices.net", 0},
		{"host name", map[string]any{"allocationPolicy": nil, "iotHubs": nil, "iotHubHostName": "b.azure-devices.net"}, "b.azure-devices.net", 0},
		{"host name that is not linked", map[string]any{"iotHubHostName": "z.azure-devices.net"}, "", 400208},
		{"static without hubs", map[string]any{"iotHubHostName": nil, "allocationPolicy": "static"}, "", 400208},
		{"no linked hub", map[string]any{"allocationPolicy": "hashed", "iotHubs": []string{"z.azure-devices.net"}}, "", 400208},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := w.in(t)
			w.change("/enrollmentGroups/fleet", tt.more)
			a := w.assigned("dev", dev)
			if tt.hub == "" {
				if a.str("status") != "failed" || a.body["registrationState"].(map[string]any)["errorCode"] != tt.code {
					t.Errorf("answer = %s, want failed with %v", a.raw, tt.code)
				}
				return
			}
			if got := a.str("registrationState", "assignedHub"); got != tt.hub {
				t.Errorf("hub = %q, want %q", got, tt.hub)
			}
		})
	}
}

func TestReprovisioning(t *testing.T) {
	const never, reset, migrate = "never", "reset", "migrate"
	policies := map[string]any{
		never:   map[string]any{"updateHubAssignment": false, "migrateDeviceData": true},
		reset:   map[string]any{"updateHubAssignment": true, "migrateDeviceData": false},
		migrate: map[string]any{},
		"":      nil,
	}
	for _, tt := range []struct {
		name, policy, version string
		hub, substatus        string // after the enrollment moved from hub a to hub b
		same                  string // substatus of one more registration
	}{
		{"no policy", "", "2021-10-01", hubs[1], "deviceDataMigrated", "reprovisionedToInitialAssignment"},
		{"no policy, older client", "", "2019-03-31", hubs[1], "deviceDataMigrated", "initialAssignment"},
		{"no policy, client before reprovisioning", "", "2018-04-01", hubs[0], "initialAssignment", "initialAssignment"},
		{"migrate", migrate, "2021-06-01", hubs[1], "deviceDataMigrated", "initialAssignment"},
		{"migrate, client before reprovisioning", migrate, "2018-04-01", hubs[1], "deviceDataMigrated", "initialAssignment"},
		{"reset", reset, "2021-10-01", hubs[1], "deviceDataReset", "reprovisionedToInitialAssignment"},
		{"never", never, "2021-10-01", hubs[0], "reprovisionedToInitialAssignment", "reprovisionedToInitialAssignment"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, p := fleet(t, withHubs)
			dev := device(t, p.intermediate, "dev")
			register := func() answer {
				t.Helper()
				a := w.deviceAt(tt.version, http.MethodPut, "/register", "dev", dev, nil, "{}")
				w.want(a, 202, 0)
				a = w.deviceAt(tt.version, http.MethodGet, "/operations/"+a.str("operationId"), "dev", dev, nil, nil)
				w.want(a, 200, 0)
				return a
			}
			static := func(hub string) map[string]any {
				return map[string]any{"allocationPolicy": "static", "iotHubs": []string{hub}, "reprovisionPolicy": policies[tt.policy]}
			}
			w.change("/enrollmentGroups/fleet", static(hubs[0]))
			first := register()
			if first.str("registrationState", "substatus") != "initialAssignment" {
				t.Errorf("first registration = %s", first.raw)
			}
			w.change("/enrollmentGroups/fleet", static(hubs[1]))
			moved := register()
			if moved.str("registrationState", "assignedHub") != tt.hub || moved.str("registrationState", "substatus") != tt.substatus {
				t.Errorf("after the move: %s; want %s, %s", moved.raw, tt.hub, tt.substatus)
			}
			if moved.str("registrationState", "createdDateTimeUtc") != first.str("registrationState", "createdDateTimeUtc") ||
				moved.str("registrationState", "etag") == first.str("registrationState", "etag") {
				t.Errorf("created must stay and the etag must change: %s, %s", first.raw, moved.raw)
			}
			if again := register(); again.str("registrationState", "substatus") != tt.same {
				t.Errorf("once more: %s, want %s", again.raw, tt.same)
			}
			// The service plane shows the documented value to everybody.
			if got := w.service(http.MethodGet, "/registrations/dev", nil, nil).str("substatus"); got != "reprovisionedToInitialAssignment" {
				t.Errorf("service plane says %q", got)
			}
		})
	}
}

// TestRecordFollowsTheEnrollment moves a device from a group to an enrollment
// of its own, under another device id.
func TestRecordFollowsTheEnrollment(t *testing.T) {
	w, p := fleet(t)
	dev := device(t, p.intermediate, "dev")
	w.assigned("dev", dev)
	own := selfSigned(t, "dev")
	w.individual("dev", own.Certificate, map[string]any{"deviceId": "dev-own"})
	a := w.assigned("dev", identity(t, own))
	if a.str("registrationState", "deviceId") != "dev-own" {
		t.Errorf("answer = %s", a.raw)
	}
	if list := w.service(http.MethodPost, "/registrations/fleet/query", nil, nil); string(list.raw) != "[]" {
		t.Errorf("group still lists the device: %s", list.raw)
	}
	w.want(w.service(http.MethodDelete, "/enrollments/dev", nil, nil), 204, 0)
	w.assigned("dev", dev)
	if list := w.service(http.MethodPost, "/registrations/fleet/query", nil, nil); len(list.items(t)) != 1 {
		t.Errorf("group does not list the device: %s", list.raw)
	}
}

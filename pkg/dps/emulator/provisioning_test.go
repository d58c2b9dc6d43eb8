package emulator_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/dps/emulator"
)

// weigh is the settings of a hub with a weight.
func weigh(weight int) emulator.HubSettings { return emulator.HubSettings{Weight: &weight} }

func far(latency time.Duration) emulator.HubSettings {
	return emulator.HubSettings{Latency: latency}
}

// withSettings links three hubs with these settings, in their order.
func withSettings(policy string, settings ...emulator.HubSettings) func(*emulator.Options) {
	return func(o *emulator.Options) {
		o.Hubs, o.AllocationPolicy, o.HubSettings = hubs, policy, map[string]emulator.HubSettings{}
		for i, s := range settings {
			o.HubSettings[strings.ToUpper(hubs[i])] = s
		}
	}
}

func TestHubSettings(t *testing.T) {
	none := emulator.HubSettings{}
	ms := time.Millisecond
	all := []string{"0", "1", "2"}
	for _, tt := range []struct {
		name  string
		opts  func(*emulator.Options)
		group map[string]any
		want  []string // hubs that get devices; nil: registrations fail
	}{
		{"weight 0", withSettings("", weigh(1), weigh(0)), nil, []string{"0", "2"}},
		{"weights 0 but one", withSettings("", weigh(0), weigh(1), weigh(0)), nil, []string{"1"}},
		{"weights 0", withSettings("", weigh(0), weigh(0), weigh(0)), nil, nil},
		{"weight 0, static", withSettings("", weigh(0)), map[string]any{"allocationPolicy": "static", "iotHubs": hubs[:1]}, nil},
		{"weight 0, by host name", withSettings("", weigh(0)), map[string]any{"iotHubHostName": hubs[0]}, nil},
		{"weight 1000", withSettings("", weigh(1), weigh(1000), weigh(1)), nil, []string{"1"}},
		{"latency", withSettings("", far(30*ms), far(20*ms), far(40*ms)), map[string]any{"allocationPolicy": "geoLatency"}, []string{"1"}},
		{"latency of two is the same", withSettings("", far(20*ms), far(30*ms), far(20*ms)), map[string]any{"allocationPolicy": "geoLatency"}, []string{"0", "2"}},
		{"latency of two is not known", withSettings("", none, none, far(time.Hour)), map[string]any{"allocationPolicy": "geoLatency"}, []string{"2"}},
		{"latency is not known", withSettings(""), map[string]any{"allocationPolicy": "geoLatency"}, all},
		{"latency among the hubs of the group", withSettings("", far(10*ms), far(20*ms), far(30*ms)),
			map[string]any{"allocationPolicy": "geoLatency", "iotHubs": hubs[1:]}, []string{"1"}},
		{"nearest hub takes none", withSettings("", emulator.HubSettings{Weight: new(int), Latency: ms}, far(20*ms), far(30*ms)),
			map[string]any{"allocationPolicy": "geoLatency"}, []string{"1"}},
		{"latency does not matter when hashed", withSettings("", far(30*ms), far(20*ms), far(40*ms)), map[string]any{"allocationPolicy": "hashed"}, all},
		{"policy of the service", withSettings("geoLatency", far(30*ms), far(20*ms), far(40*ms)), nil, []string{"1"}},
		{"policy of the group wins", withSettings("static", none), map[string]any{"allocationPolicy": "hashed"}, all},
		{"static as the policy of the service, no hub named", withSettings("static"), nil, nil},
		{"static as the policy of the service", withSettings("static"), map[string]any{"iotHubHostName": hubs[2]}, []string{"2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, p := fleet(t, tt.opts)
			if tt.group != nil {
				w.change("/enrollmentGroups/fleet", tt.group)
			}
			got := map[string]bool{}
			for i := range 12 {
				id := fmt.Sprint("dev-", i)
				a := w.assigned(id, device(t, p.intermediate, id))
				if tt.want == nil {
					state := a.body["registrationState"].(map[string]any)
					if a.str("status") != "failed" || state["errorCode"] != 400208.0 {
						t.Fatalf("answer = %s", a.raw)
					}
					if rec := w.logs.ended(t, id); rec["rule"] != "no-linked-hub" || rec["fix"] == nil || rec["code"] != 400208.0 {
						t.Errorf("record = %v", rec)
					}
					return
				}
				for n, hub := range hubs {
					if a.str("registrationState", "assignedHub") == hub {
						got[fmt.Sprint(n)] = true
					}
				}
			}
			want := map[string]bool{}
			for _, n := range tt.want {
				want[n] = true
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestHubSettingsOnARM shows weights and policy where tools read them.
func TestHubSettingsOnARM(t *testing.T) {
	w := newWorld(t, withSettings("geoLatency", weigh(7), weigh(0)))
	a := w.arm(http.MethodGet, "", armVersion, nil, nil)
	w.want(a, 200, 0)
	var resource struct {
		Properties struct {
			AllocationPolicy string
			IotHubs          []map[string]any
		}
	}
	if err := json.Unmarshal(a.raw, &resource); err != nil {
		t.Fatal(err)
	}
	got := resource.Properties
	if got.AllocationPolicy != "GeoLatency" || got.IotHubs[0]["allocationWeight"] != 7.0 || got.IotHubs[1]["applyAllocationPolicy"] != false {
		t.Errorf("properties = %+v", got)
	}
	for _, name := range []string{"allocationWeight", "applyAllocationPolicy"} {
		if v, ok := got.IotHubs[2][name]; ok {
			t.Errorf("%s = %v of a hub without settings", name, v)
		}
	}
}

func TestRefusedAllocationOptions(t *testing.T) {
	settings := func(name string, s emulator.HubSettings) emulator.Options {
		return emulator.Options{Hubs: hubs, HubSettings: map[string]emulator.HubSettings{name: s}}
	}
	for name, tt := range map[string]struct {
		opts emulator.Options
		want string
	}{
		"policy":           {emulator.Options{AllocationPolicy: "random"}, `"random"`},
		"custom":           {emulator.Options{AllocationPolicy: "custom"}, `"custom"`},
		"hub not linked":   {settings("z", emulator.HubSettings{}), `"z"`},
		"negative weight":  {settings(hubs[0], weigh(-1)), "-1"},
		"weight too large": {settings(hubs[0], weigh(1001)), "1001"},
		"negative latency": {settings(hubs[0], far(-1)), "latency -1ns"},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := emulator.Start(t.Context(), &tt.opts)
			if err == nil {
				e.Close()
				t.Fatal("started")
			}
			if !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q does not contain %q", err, tt.want)
			}
		})
	}
}

func twinOf(kind string) map[string]any {
	return map[string]any{"tags": map[string]any{"kind": kind}, "properties": map[string]any{"desired": map[string]any{"n": 1}}}
}

// TestInitialTwin follows what a hub would have through registrations.
func TestInitialTwin(t *testing.T) {
	w, p := fleet(t, withHubs)
	dev := device(t, p.intermediate, "dev")
	if _, ok, err := w.e.Device(t.Context(), "dev"); ok || err != nil {
		t.Errorf("a device that never registered: found %v, %v", ok, err)
	}
	static := func(hub, kind string, policy any) {
		t.Helper()
		w.change("/enrollmentGroups/fleet", map[string]any{
			"allocationPolicy": "static", "iotHubs": []string{hub}, "initialTwin": twinOf(kind),
			"capabilities": map[string]any{"iotEdge": true}, "reprovisionPolicy": policy,
		})
	}
	expect := func(hub, kind, id string) {
		t.Helper()
		got := w.on("DEV")
		want := emulator.Device{
			RegistrationID: "dev", Hub: hub, ID: id, IotEdge: true, CertificateThumbprint: got.CertificateThumbprint,
			Tags: json.RawMessage(`{"kind":"` + kind + `"}`), Desired: json.RawMessage(`{"n":1}`), Updated: got.Updated,
		}
		if diff := cmp.Diff(want, got); diff != "" || len(got.CertificateThumbprint) != 64 || got.Updated.IsZero() {
			t.Errorf("%+v: %s", got, diff)
		}
	}
	static(hubs[0], "first", nil)
	w.assigned("dev", dev)
	expect(hubs[0], "first", "dev")
	static(hubs[0], "same hub", nil) // stays
	w.assigned("dev", dev)
	expect(hubs[0], "first", "dev")
	static(hubs[1], "migrated", nil) // moves with its twin
	w.assigned("dev", dev)
	expect(hubs[1], "first", "dev")
	static(hubs[2], "never", map[string]any{"updateHubAssignment": false, "migrateDeviceData": true})
	w.assigned("dev", dev)
	expect(hubs[1], "first", "dev")
	static(hubs[2], "reset", map[string]any{"updateHubAssignment": true, "migrateDeviceData": false})
	w.assigned("dev", dev)
	expect(hubs[2], "reset", "dev")
	// A registration that fails leaves the device where it is, and the next
	// that succeeds knows that.
	static("z.azure-devices.net", "nowhere", nil)
	if a := w.assigned("dev", dev); a.str("status") != "failed" {
		t.Errorf("answer = %s", a.raw)
	}
	expect(hubs[2], "reset", "dev")
	static(hubs[2], "back", nil)
	if a := w.deviceAt("2021-10-01", http.MethodPut, "/register", "dev", dev, nil, "{}"); a.status != 202 {
		t.Errorf("answer = %s", a.raw)
	}
	if got := w.service(http.MethodGet, "/registrations/dev", nil, nil).str("substatus"); got != "reprovisionedToInitialAssignment" {
		t.Errorf("substatus = %q", got)
	}
	expect(hubs[2], "reset", "dev")
	// Another device id is another device on the hub.
	own := selfSigned(t, "dev")
	w.individual("dev", own.Certificate, map[string]any{
		"deviceId": "Other", "initialTwin": twinOf("own"), "capabilities": map[string]any{"iotEdge": true},
		"allocationPolicy": "static", "iotHubs": hubs[2:],
	})
	w.assigned("dev", identity(t, own))
	expect(hubs[2], "own", "Other")
	w.want(w.service(http.MethodDelete, "/registrations/dev", nil, nil), 204, 0)
	if _, ok, err := w.e.Device(t.Context(), "dev"); ok || err != nil {
		t.Errorf("after its record was deleted: found %v, %v", ok, err)
	}
	if err := w.e.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.e.Device(t.Context(), "dev"); err == nil {
		t.Error("a closed emulator has an answer")
	}
}

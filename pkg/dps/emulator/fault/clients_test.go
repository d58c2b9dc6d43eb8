package fault_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/device"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

// harm is every fault, to be put behind a match.
var harm = []string{
	"status=500", "status=502", "status=503,retry-after=5", "status=504", "status=500,committed",
	"status=429,retry-after=1", "status=429,retry-after=date:1", "status=429,retry-after=absent",
	"status=429,retry-after=garbage", "status=429,retry-after=0", "status=429,retry-after=-1",
	"status=429,retry-after=1000000000", "status=429,retry-after=date:1000000000", "status=429,retry-after=10ms",
	"reset", "close", "drop-ack", "close-after=0", "close-after=25", "truncate", "delay=1ms", "slow=1ms",
}

// matches hits the first request about each id, and a part of all requests.
var matches = []struct {
	text string
	seed uint64
}{{"per-id,nth=1", 0}, {"percent=35", 1}, {"percent=35", 2}}

// survive runs flow against an emulator with each fault in turn.
func survive(t *testing.T, plane string, flow func(w *world)) {
	for _, h := range harm {
		for _, m := range matches {
			rule := fmt.Sprintf("plane=%s,%s,%s", plane, m.text, h)
			t.Run(fmt.Sprintf("%s#%d", rule, m.seed), func(t *testing.T) {
				w := start(t, m.seed, rule)
				flow(w)
				if len(w.strikes()) == 0 {
					t.Error("the fault never struck")
				}
			})
		}
	}
}

// TestServiceClient creates, changes and deletes enrollments through every
// fault. In the end there is exactly what was asked for.
func TestServiceClient(t *testing.T) {
	survive(t, "service", enrollAndVerify)
}

func enrollAndVerify(w *world) {
	w.t.Helper()
	ctx, c := w.t.Context(), w.service()
	group := service.EnrollmentGroup{EnrollmentGroupID: "fleet", Attestation: service.SymmetricKeys("", "")}
	if _, err := c.PutGroup(ctx, group, nil); err != nil {
		w.t.Error(err)
	}
	ids := numbered("dev", 6)
	for _, id := range ids {
		if _, err := c.PutEnrollment(ctx, keyed(id), nil); err != nil {
			w.t.Error(err)
		}
	}
	w.bulkCreate(c, numbered("bulk", 4))

	changed, err := c.GetEnrollment(ctx, ids[0], nil)
	if err != nil {
		w.t.Fatal(err)
	}
	changed.ProvisioningStatus = "disabled"
	changed, err = c.PutEnrollment(ctx, changed, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := c.DeleteEnrollment(ctx, ids[5], &service.DeleteOptions{}); err != nil {
		w.t.Error(err)
	}

	wantEqual(w.t, "enrollments", append(numbered("bulk", 4), ids[:5]...), w.enrollments(c))
	got, err := c.GetEnrollment(ctx, ids[0], nil)
	if err != nil || got.ProvisioningStatus != "disabled" || got.ETag != changed.ETag {
		w.t.Errorf("changed enrollment: %+v, %v; etag %s", got, err, changed.ETag)
	}
	if _, err := c.GetEnrollment(ctx, ids[5], nil); !errors.Is(err, dps.ErrNotFound) {
		w.t.Errorf("deleted enrollment: %v", err)
	}
	mechanism, err := c.GetGroupAttestation(ctx, "fleet", nil)
	if err != nil || mechanism.SymmetricKey == nil || mechanism.SymmetricKey.PrimaryKey == "" {
		w.t.Errorf("keys of the group: %v", err)
	}
}

// TestARMClient proves possession of a CA through every fault.
func TestARMClient(t *testing.T) {
	ca := newCA(t)
	survive(t, "arm", func(w *world) {
		w.t.Helper()
		result, err := w.prove("root", ca)
		if err != nil || !result.Certificate.Verified {
			w.t.Fatalf("prove: %+v, %v", result, err)
		}
		list, err := w.arm().ListCertificates(w.t.Context())
		if err != nil || len(list) != 1 || !list[0].Verified {
			w.t.Errorf("certificates: %+v, %v", list, err)
		}
	})
}

// TestDeviceClient registers devices through every fault; each gets one hub and
// one record, and keeps both when it registers again.
func TestDeviceClient(t *testing.T) {
	ca := newCA(t)
	survive(t, "device", func(w *world) {
		w.t.Helper()
		w.fleet(ca)
		ids := numbered("dev", 3)
		hubs := map[string]string{}
		for _, id := range append(ids, ids[0]) {
			got, err := w.device(ca, id).Register(w.t.Context(), nil)
			switch {
			case err != nil:
				w.t.Errorf("register %s: %v", id, err)
			case got.Status != "assigned", got.DeviceID != id, hubs[id] != "" && hubs[id] != got.AssignedHub:
				w.t.Errorf("register %s: %+v, before %q", id, got, hubs[id])
			}
			hubs[id] = got.AssignedHub
		}
		wantEqual(w.t, "records", ids, w.records("fleet"))
	})
}

// TestDeviceClientOverMQTT does the same on connections that last.
func TestDeviceClientOverMQTT(t *testing.T) {
	ca := newCA(t)
	for _, transport := range []device.Transport{device.TransportMQTT, device.TransportMQTTWS} {
		for _, h := range append(harm, "op=poll,assigning=1") {
			t.Run(fmt.Sprintf("%s/%s", transport, h), func(t *testing.T) {
				t.Parallel() // they mostly wait: the emulator lets answers follow PUBACK after a while
				w := start(t, 0, "plane=device,per-id,nth=1,"+strings.TrimPrefix(h, "op=poll,"), "op=poll,nth=2,"+strings.TrimPrefix(h, "op=poll,"))
				w.fleet(ca)
				for range 2 {
					got, err := w.deviceOver(transport, ca, "dev").Register(t.Context(), nil)
					if err != nil || got.Status != "assigned" || got.AssignedHub == "" {
						t.Errorf("register: %+v, %v", got, err)
					}
				}
				wantEqual(t, "records", []string{"dev"}, w.records("fleet"))
				if len(w.strikes()) == 0 {
					t.Error("the fault never struck")
				}
			})
		}
	}
}

// TestAssigning: a device that is told to wait asks again, as often as it takes.
func TestAssigning(t *testing.T) {
	ca := newCA(t)
	for polls := 1; polls <= 3; polls++ { // a fourth would be above the rate of polls
		w := start(t, 0, fmt.Sprintf("id=dev-00,assigning=%d", polls))
		w.fleet(ca)
		for i, id := range numbered("dev", 2) {
			var seen []string
			got, err := w.device(ca, id).Register(t.Context(), &device.RegisterOptions{Progress: func(s string) { seen = append(seen, s) }})
			if err != nil || got.Status != "assigned" {
				t.Fatalf("register %s: %+v, %v", id, got, err)
			}
			want := []string{"assigning"} // of the register request
			if i == 0 {
				want = append(want, slices.Repeat([]string{"assigning"}, polls)...)
			}
			wantEqual(t, "progress of "+id, append(want, "assigned"), seen)
		}
	}
}

// TestAssigningForever: the client gives up when its caller says so, and says
// what it waited for.
func TestAssigningForever(t *testing.T) {
	ca := newCA(t)
	w := start(t, 0, "assigning=forever")
	w.fleet(ca)
	ctx, cancel := context.WithCancel(t.Context())
	polls := 0
	_, err := w.device(ca, "dev").Register(ctx, &device.RegisterOptions{Progress: func(string) {
		if polls++; polls == 3 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "still assigning") {
		t.Errorf("got %v", err)
	}
}

// TestThrottleOfMany: a burst beyond the limit of a period is through in as many
// periods as it needs.
func TestThrottleOfMany(t *testing.T) {
	w := start(t, 0, "op=put-enrollment,throttle=10/500ms")
	c := w.service()
	ids := numbered("dev", 30) // more than a loaded machine sends in one period
	var group errgroup.Group
	group.SetLimit(16)
	for _, id := range ids {
		group.Go(func() error {
			for { // Retry-After is a whole second, which these clients cut to a millisecond
				_, err := c.PutEnrollment(t.Context(), keyed(id), nil)
				if !errors.Is(err, dps.ErrThrottled) {
					return err
				}
			}
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	wantEqual(t, "enrollments", ids, w.enrollments(c))
	if len(w.strikes()) == 0 {
		t.Error("nobody was throttled")
	}
}

// TestWithoutHope: when a fault never ends the client ends, with an error that
// tells what was in the way.
func TestWithoutHope(t *testing.T) {
	for rule, want := range map[string]error{
		"op=put-enrollment,status=503":       dps.ErrUnavailable,
		"op=put-enrollment,status=429":       dps.ErrThrottled,
		"op=put-enrollment,reset":            dps.ErrUnavailable,
		"op=put-enrollment,drop-ack":         dps.ErrUnavailable, // it was done, but nobody can know
		"op=put-enrollment,times=3,drop-ack": nil,                // a later try finds its own
		"op=put-enrollment,times=3,truncate": nil,
		"op=*-enrollment,drop-ack":           dps.ErrUnavailable,
		"op=*-enrollment,close-after=3":      dps.ErrConflict, // a refusal is one even if its end is missing
		"op=*-enrollment,truncate":           dps.ErrConflict,
		"op=put-enrollment,status=401":       dps.ErrUnauthorized,
		"op=put-enrollment,status=400":       dps.ErrBadRequest,
		"op=put-enrollment,status=409":       dps.ErrConflict,
		"op=bulk-enrollments,status=503":     nil, // another operation
		"op=put-enrollment,id=b,reset":       nil, // another id
		"op=put-enrollment,after=1,reset":    nil, // a later one
	} {
		w := start(t, 0, rule)
		_, err := w.service().PutEnrollment(t.Context(), keyed("a"), nil)
		switch {
		case !errors.Is(err, want) || (want == nil) != (err == nil):
			t.Errorf("%s: %v, want %v", rule, err, want)
		case err != nil && strings.Contains(err.Error(), "\n"):
			t.Errorf("%s: more than one line: %q", rule, err)
		}
	}
}

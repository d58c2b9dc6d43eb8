package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/device"
	"github.com/dpskit/dpskit/pkg/dps/rollout"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

// TestRun registers 200 devices over each transport: each once, and each asked
// for its credential once.
func TestRun(t *testing.T) {
	for _, transport := range device.AllTransports() {
		t.Run(string(transport), func(t *testing.T) {
			w := newWorld(t)
			source := devices(200)
			last, calls := 0, 0
			s, err := w.run(t.Context(), source, func(o *rollout.Options) {
				o.Client = w.client(transport)
				o.Payload = []byte(`{"model":"x"}`)
				o.Progress = func(done, total int) {
					if calls++; done < last || total != 200 {
						t.Errorf("%d of %d after %d", done, total, last)
					}
					last = done
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			want := &rollout.Summary{Devices: 200, Assigned: 200, Hubs: map[string]int{"dpskit-emulator-hub.azure-devices.net": 200}}
			if diff := cmp.Diff(want, s, cmpopts.IgnoreFields(rollout.Summary{}, "Took"), cmpopts.IgnoreUnexported(rollout.Summary{}, rollout.Reason{})); diff != "" || s.Took <= 0 {
				t.Errorf("summary (-want +got):\n%s", diff)
			}
			if last != 200 || calls != 200 {
				t.Errorf("progress ended at %d after %d calls", last, calls)
			}
			for i, n := range source.read {
				if n != 1 {
					t.Errorf("the credential of device %d was read %d times", i, n)
				}
			}
			w.each(source)
		})
	}
}

// TestFaults has every kind of fault in passing at once.
func TestFaults(t *testing.T) {
	for _, transport := range device.AllTransports() {
		t.Run(string(transport), func(t *testing.T) {
			w := newWorld(t,
				"op=register,id=dev-*1,per-id,nth=1,drop-ack", "op=register,id=dev-*2,per-id,nth=1,status=503",
				"op=register,id=dev-*3,per-id,nth=1,reset", "op=register,id=dev-*4,per-id,nth=1,status=429,retry-after=absent",
				"op=poll,id=dev-*5,per-id,nth=1,drop-ack", "op=poll,id=dev-*6,per-id,nth=1,truncate",
				"op=poll,id=dev-*7,assigning=2", "op=poll,id=dev-*8,per-id,nth=1,status=500",
				"op=register,id=dev-0019,nth=1,status=429,retry-after=1")
			source := devices(60)
			report := filepath.Join(t.TempDir(), "r.jsonl")
			r := open(t, report, w.scope(), source, nil)
			var waits []rollout.Wait
			s, err := w.run(t.Context(), source, func(o *rollout.Options) {
				o.Client, o.Report = w.client(transport), r
				o.Client.RetryDelay = time.Millisecond
				o.Waiting = func(w rollout.Wait) { waits = append(waits, w) }
			})
			if err != nil || s.Assigned != 60 {
				t.Fatalf("%+v, %v", s, err)
			}
			w.each(source)
			asked := func(w rollout.Wait) bool {
				return errors.Is(w.Reason, dps.ErrThrottled) && w.Delay >= time.Second && w.Delay < 2*time.Second
			}
			if !slices.ContainsFunc(waits, asked) {
				t.Errorf("nobody told that the service asks to wait: %+v", waits)
			}
			finish(t, r)
			for i, row := range rowsOf(t, report) {
				n := map[byte]int{'0': 2, '9': 2, '7': 4}[source.ID(i)[7]]
				if n == 0 || source.ID(i) == "dev-0019" {
					n = 3
				}
				if row.RegistrationID[7] == '5' && transport == device.TransportHTTPS && row.Attempts == 2 {
					continue // net/http itself repeats a GET on a connection that it has used before
				}
				if row.Attempts != n {
					t.Errorf("%s took %d attempts, want %d", row.RegistrationID, row.Attempts, n)
				}
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	w := newWorld(t)
	other := devices(8)
	other.prefix, other.key = "other-", "bm9ib2R5LW5vYm9keS1ub2JvZHktbm9ib2R5LW5vYiE="
	// The last rows are of devices for which nothing is sent.
	other.errs = map[int]error{6: fmt.Errorf("%w: its key is encrypted", rollout.ErrSkip), 7: errors.New("disk on fire")}
	report := filepath.Join(t.TempDir(), "r.jsonl")
	r := open(t, report, w.scope(), other, nil)
	s, err := w.run(t.Context(), other, func(o *rollout.Options) {
		o.Report = r
		o.Reason = func(i int, err error) string {
			if !errors.Is(err, dps.ErrUnauthorized) {
				return ""
			}
			return fmt.Sprintf("the key of %d is wrong", i)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range s.Reasons {
		if s.Reasons[i].Err == nil {
			t.Errorf("reason %d has no error", i)
		}
		s.Reasons[i].Err = nil
	}
	want := &rollout.Summary{Devices: 8, Failed: 7, Skipped: 1, Hubs: map[string]int{}, Reasons: []rollout.Reason{
		{Status: rollout.Failed, Code: 401002, Text: "Unauthorized", Count: 6, IDs: []string{"other-0000", "other-0001", "other-0002"}},
		{Status: rollout.Skipped, Text: "its key is encrypted", Count: 1, IDs: []string{"other-0006"}, Index: 6},
		{Status: rollout.Failed, Text: "disk on fire", Count: 1, IDs: []string{"other-0007"}, Index: 7},
	}}
	if diff := cmp.Diff(want, s, cmpopts.IgnoreFields(rollout.Summary{}, "Took"), cmpopts.IgnoreUnexported(rollout.Summary{}, rollout.Reason{})); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
	finish(t, r)
	rows := rowsOf(t, report)
	if got := rows[3]; got.Status != rollout.Failed || got.ErrorCode != 401002 || got.Message != "Unauthorized; the key of 3 is wrong" || got.TrackingID == "" || got.Attempts != 1 {
		t.Errorf("%+v", got)
	}
	if got := rows[6]; got.Status != rollout.Skipped || got.Message != "its key is encrypted" || got.Attempts != 0 {
		t.Errorf("%+v", got)
	}
}

func TestDisabledAndInvalid(t *testing.T) {
	w := newWorld(t)
	g, err := w.service.GetGroup(t.Context(), group, nil)
	if err != nil {
		t.Fatal(err)
	}
	g.ProvisioningStatus = "disabled"
	if _, err := w.service.PutGroup(t.Context(), g, &service.PutOptions{IfMatch: g.ETag}); err != nil {
		t.Fatal(err)
	}
	source := devices(3)
	s, err := w.run(t.Context(), source, nil)
	if err != nil || s.Failed != 3 || len(s.Reasons) != 1 || s.Reasons[0].Status != rollout.Disabled || s.Reasons[0].Text != "the enrollment is disabled" {
		t.Errorf("%+v, %v", s, err)
	}
	source = devices(3)
	source.prefix = "no id "
	if s, err = w.run(t.Context(), source, nil); err != nil || s.Failed != 3 || len(s.Reasons) != 1 || !strings.Contains(s.Reasons[0].Text, "registration id") {
		t.Errorf("%+v, %v", s, err)
	}
	for _, n := range []int{-1, rollout.MaxConcurrency + 1} {
		if _, err := w.run(t.Context(), devices(1), func(o *rollout.Options) { o.Concurrency = n }); err == nil {
			t.Errorf("concurrency %d is no error", n)
		}
	}
}

// TestUnreachable ends when nobody answers, instead of asking for each device.
func TestUnreachable(t *testing.T) {
	w := newWorld(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	_ = l.Close()
	source := devices(1000)
	s, err := w.run(t.Context(), source, func(o *rollout.Options) { o.Client.Host = closed; o.Concurrency = 4 })
	if !errors.Is(err, rollout.ErrUnreachable) || !errors.Is(err, dps.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if s.Failed < 16 || s.Failed > 20 || s.Pending+s.Failed != 1000 {
		t.Errorf("%+v", s)
	}
	// A server that is not trusted is none.
	s, err = w.run(t.Context(), source, func(o *rollout.Options) { o.Client.RootCAs = nil; o.Concurrency = 4 })
	if !errors.Is(err, rollout.ErrUnreachable) || !errors.Is(err, dps.ErrUntrustedServer) || s.Pending < 980 {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestUndecided has a service that answers and never decides: each device fails
// for itself, and the run goes to its end.
func TestUndecided(t *testing.T) {
	w := newWorld(t, "op=poll,assigning=forever")
	source := devices(20)
	s, err := w.run(t.Context(), source, func(o *rollout.Options) { o.Concurrency = 20; o.Client.MaxWait = time.Second })
	if err != nil || s.Failed != 20 || len(s.Reasons) != 1 || !strings.HasPrefix(s.Reasons[0].Text, "still assigning after ") {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestInterruptAndResume ends a run in the middle. What it has assigned is not
// registered again.
func TestInterruptAndResume(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"r.csv", "r.jsonl"} {
		t.Run(name, func(t *testing.T) {
			report := filepath.Join(t.TempDir(), name)
			source := devices(100)
			r := open(t, report, w.scope(), source, nil)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			first, err := w.run(ctx, source, func(o *rollout.Options) {
				o.Report = r
				o.Progress = func(done, _ int) {
					if done == 30 {
						cancel()
					}
				}
			})
			if !errors.Is(err, context.Canceled) || first.Assigned < 30 || first.Pending == 0 || first.Pending+first.Assigned != 100 {
				t.Fatalf("%+v, %v", first, err)
			}
			finish(t, r)
			count := map[rollout.Status]int{}
			for i, row := range rowsOf(t, report) {
				if count[row.Status]++; row.RegistrationID != source.ID(i) {
					t.Errorf("row %d is of %s", i, row.RegistrationID)
				}
				if want := "the run ended before the device was done"; row.Status == rollout.Pending && row.Message != want {
					t.Errorf("row %d: message %q, want %q", i, row.Message, want)
				}
			}
			if diff := cmp.Diff(map[rollout.Status]int{rollout.Assigned: first.Assigned, rollout.Pending: first.Pending}, count); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}

			source = devices(100)
			r = open(t, report, w.scope(), source, nil)
			var asked atomic.Int64
			second, err := w.run(t.Context(), source, func(o *rollout.Options) {
				o.Report = r
				o.Progress = func(int, int) { asked.Add(1) }
			})
			finish(t, r)
			if err != nil || second.Earlier != first.Assigned || second.Assigned != first.Pending || len(source.read) != first.Pending || asked.Load() != 100 {
				t.Errorf("%+v after %+v, %v; %d credentials were read", second, first, err, len(source.read))
			}
			for _, row := range rowsOf(t, report) {
				if row.Status != rollout.Assigned || row.AssignedHub == "" || row.OperationID == "" {
					t.Errorf("%+v", row)
				}
			}
		})
	}
}

package desired_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/arm"
	"github.com/dpskit/dpskit/pkg/dps/desired"
	"github.com/dpskit/dpskit/pkg/dps/dpstest"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/dps/emulator/fault"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

// faultyWorld is a world whose emulator does something wrong, and whose clients
// repeat what failed, as those of a program do.
func faultyWorld(t *testing.T, text string) *world {
	t.Helper()
	rules, err := fault.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	emu := dpstest.Start(t, func(o *emulator.Options) { o.Faults = rules })
	info := emu.Info()
	cs, err := dps.ParseConnectionString(info.ConnectionString)
	if err != nil {
		t.Fatal(err)
	}
	client := emu.HTTPClient()
	t.Cleanup(client.CloseIdleConnections)
	w := &world{files: chain(t)}
	if w.service, err = service.NewClient(cs.HostName, service.SharedKey(cs.SharedAccessKeyName, cs.SharedAccessKey),
		&service.ClientOptions{HTTPClient: client, RetryDelay: 1}); err != nil {
		t.Fatal(err)
	}
	scope := arm.Scope{SubscriptionID: info.SubscriptionID, ResourceGroup: info.ResourceGroup, ServiceName: info.Name}
	if w.arm, err = arm.NewClient(scope, arm.StaticToken(info.Token),
		&arm.ClientOptions{Endpoint: info.ARMEndpoint, HTTPClient: client, RetryDelay: 1}); err != nil {
		t.Fatal(err)
	}
	return w
}

// TestApplyThroughFaults applies a document, changes it and prunes it, with one
// fault on the way at a time. Each change must be made once and be reported done,
// and a second comparison must find nothing to do.
func TestApplyThroughFaults(t *testing.T) {
	changed := strings.ReplaceAll(strings.Replace(everything, "site: north", "site: south", 1), "registrationId: tpm", "registrationId: other")
	for _, rule := range []string{
		"op=put-group,nth=1,status=429,retry-after=0",
		"op=put-group,nth=1,status=429,retry-after=absent",
		"op=put-group,nth=1,status=429,retry-after=garbage",
		"op=put-group,nth=1,status=429,retry-after=-1",
		"op=put-group,nth=1,status=429,retry-after=100ms",
		"op=put-group,nth=1,status=500", "op=put-group,nth=1,status=503,committed", "op=put-group,nth=2,drop-ack",
		"op=put-group,nth=3,drop-ack", "op=put-group,nth=1,reset", "op=put-group,nth=1,truncate", "op=put-group,nth=2,close",
		"op=put-enrollment,nth=1,drop-ack", "op=put-enrollment,nth=3,status=503,committed", "op=put-enrollment,nth=2,close-after=5",
		"op=delete-enrollment,nth=1,drop-ack", "op=delete-enrollment,nth=1,status=503,committed", "op=delete-enrollment,nth=1,reset",
		"op=get-group,nth=1,truncate", "op=query-enrollments,nth=1,reset", "op=query-groups,nth=1,status=500",
		"op=put-certificate,nth=1,drop-ack", "op=put-certificate,nth=1,status=503,committed", "op=generate-code,nth=1,drop-ack",
		"op=verify-certificate,nth=1,drop-ack", "op=verify-certificate,nth=1,status=503,committed", "op=list-certificates,nth=1,reset",
		"op=get-certificate,nth=1,truncate",
	} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			w := faultyWorld(t, rule)
			w.apply(t, everything, &desired.PlanOptions{Prune: true})
			w.apply(t, changed, &desired.PlanOptions{Prune: true})
			again := w.plan(t, changed, &desired.PlanOptions{Prune: true})
			if len(again.Changes) != 0 || again.Unchanged != 5 {
				t.Errorf("afterwards: %q, %d unchanged", outline(again), again.Unchanged)
			}
			for e, err := range w.service.Enrollments(t.Context(), nil) {
				if err != nil || e.RegistrationID == "tpm" {
					t.Errorf("%v is there, %v", e.RegistrationID, err)
				}
			}
		})
	}
}

// TestApplyGivesUp is the twin: a fault that stays ends everything, and the
// results say which change it was and which were not tried.
func TestApplyGivesUp(t *testing.T) {
	for rule, want := range map[string]error{
		"op=put-group,status=500": dps.ErrUnavailable, "op=put-group,status=429,retry-after=0": dps.ErrThrottled,
		"op=put-group,reset": dps.ErrUnavailable, "op=put-certificate,status=503": dps.ErrUnavailable,
	} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			w := faultyWorld(t, rule)
			results, err := w.plan(t, everything, nil).Apply(t.Context(), &desired.ApplyOptions{Concurrency: 1})
			if !errors.Is(err, want) {
				t.Fatalf("got %v, want %v", err, want)
			}
			failed := 0
			for i, r := range results {
				switch r.Status {
				case desired.Failed, desired.Unknown:
					if unknown := strings.HasSuffix(rule, "reset"); unknown != (r.Status == desired.Unknown) {
						t.Errorf("%s: %s", r.ID, r.Status)
					}
					if failed++; !errors.Is(r.Err, want) {
						t.Errorf("%s: %v", r.ID, r.Err)
					}
				case desired.Done:
					if failed > 0 {
						t.Errorf("%s was done after a failure", r.ID)
					}
				case desired.NotTried:
					if failed == 0 || r.Err != nil {
						t.Errorf("%d %s: not tried, %v", i, r.ID, r.Err)
					}
				}
			}
			if failed != 1 {
				t.Errorf("%d failed", failed)
			}
		})
	}
}

package bulk_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/bulk"
	"github.com/dpskit/dpskit/pkg/dps/dpstest"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/dps/emulator/fault"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

// TestImportSurvivesFaults imports through everything that the emulator does
// wrong on purpose. Every row must be there once and be reported created, or
// unchanged where it was there before.
func TestImportSurvivesFaults(t *testing.T) {
	rules := []string{
		"op=bulk-enrollments,nth=2,status=429,retry-after=1",
		"op=bulk-enrollments,nth=2,status=429,retry-after=0",
		"op=bulk-enrollments,nth=2,status=429,retry-after=-1",
		"op=bulk-enrollments,nth=2,status=429,retry-after=absent",
		"op=bulk-enrollments,nth=2,status=429,retry-after=garbage",
		"op=bulk-enrollments,nth=2,status=429,retry-after=date:1",
		"op=bulk-enrollments,nth=2,status=429,retry-after=700ms",
		"op=bulk-enrollments,nth=2,status=500",
		"op=bulk-enrollments,nth=2,status=503,retry-after=1",
		"op=bulk-enrollments,nth=2,status=503,committed",
		"op=bulk-enrollments,nth=2,status=408,committed",
		"op=bulk-enrollments,nth=2,reset",
		"op=bulk-enrollments,nth=2,close",
		"op=bulk-enrollments,nth=2,drop-ack",
		"op=bulk-enrollments,nth=2,close-after=5",
		"op=bulk-enrollments,nth=2,truncate",
		"op=bulk-enrollments,nth=2,slow=300ms",
		"op=bulk-enrollments,nth=2,delay=300ms",
		"op=bulk-enrollments,throttle=3/1s",
		"op=get-enrollment,nth=1,drop-ack",
		"op=get-enrollment,nth=1,truncate",
		"op=put-enrollment,nth=1,drop-ack",
		"op=put-enrollment,nth=1,status=503,committed",
		"op=put-enrollment,nth=1,truncate",
		"op=put-enrollment,nth=1,status=429,retry-after=1",
	}
	for _, text := range rules {
		t.Run(text, func(t *testing.T) {
			t.Parallel() // most of it is waiting
			rule, err := fault.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			emu := dpstest.Start(t, func(o *emulator.Options) { o.Faults = rule })
			client := connect(t, emu, nil)
			for id, deviceID := range map[string]string{"dev-00001": "d-1", "dev-00002": "other"} {
				e := service.IndividualEnrollment{RegistrationID: id, DeviceID: deviceID, Attestation: service.SymmetricKeys("", "")}
				if _, err := client.BulkEnrollments(t.Context(), service.BulkCreate, []service.IndividualEnrollment{e}); err != nil &&
					!errors.Is(err, dps.ErrUnavailable) && !errors.Is(err, dps.ErrThrottled) && !errors.Is(err, dps.ErrUnexpectedAnswer) {
					t.Fatal(err)
				}
			}
			report, err := bulk.Import(t.Context(), client, devices(60), &bulk.Options{Exists: bulk.Update, Concurrency: 3})
			if err != nil {
				t.Fatal(err)
			}
			count, _ := report.Count()
			if done := count[bulk.Created] + count[bulk.Updated] + count[bulk.Unchanged]; done != 60 {
				t.Errorf("%v", count)
			}
			all := stored(t, connect(t, emu, nil))
			if len(all) != 60 || all["dev-00002"].DeviceID != "d-2" {
				t.Errorf("%d are stored, want 60; dev-00002 is %q", len(all), all["dev-00002"].DeviceID)
			}
		})
	}
}

// TestAnAddressWhereNobodyIs gives up soon, because nothing ever answered.
func TestAnAddressWhereNobodyIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		gone := &dps.Error{Op: "bulk", Message: "connection refused", Err: errors.New("connection refused")}
		fake := newFake(func(context.Context, int) error { return gone })
		_, err := bulk.Import(t.Context(), fake, devices(10), nil)
		if !errors.Is(err, dps.ErrUnavailable) || time.Since(began) > 16*time.Second {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
	})
}

// TestADamagedAnswerIsNotTheEnd sends a page of a proxy instead of an answer.
func TestADamagedAnswerIsNotTheEnd(t *testing.T) {
	emu := dpstest.Start(t)
	n := 0
	client := connect(t, emu, func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
		if n++; n == 2 {
			return answer(req, http.StatusOK, nil, "<html>please log in</html>"), nil
		}
		return next.RoundTrip(req)
	})
	report, err := bulk.Import(t.Context(), client, devices(25), &bulk.Options{Concurrency: 1})
	if err != nil {
		t.Fatal(err)
	}
	expectCounts(t, report, map[bulk.Outcome]int{bulk.Created: 25})
	if strings.Contains(report.Results[10].ID, "html") {
		t.Error(report.Results[10])
	}
}

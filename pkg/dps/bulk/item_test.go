package bulk_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"testing"
	"testing/synctest"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/bulk"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

// perItem is a fake whose first requests refuse one item with a code.
type perItem struct {
	*fake
	id    string
	code  int
	times int
}

func (p *perItem) BulkEnrollments(ctx context.Context, mode service.BulkMode, list []service.IndividualEnrollment) (service.BulkResult, error) {
	var sent []service.IndividualEnrollment
	var refusals []*service.BulkError
	for _, e := range list {
		if e.RegistrationID == p.id && p.times > 0 {
			p.times--
			refusals = append(refusals, &service.BulkError{ID: "DEV-00003", Code: p.code, Message: "Busy."})
			continue
		}
		sent = append(sent, e)
	}
	result, err := p.fake.BulkEnrollments(ctx, mode, sent)
	result.Errors = append(result.Errors, refusals...)
	return result, err
}

// TestSingleItemsAreTriedAgain refuses one item of a request in passing, and
// then for good.
func TestSingleItemsAreTriedAgain(t *testing.T) {
	tests := []struct {
		name  string
		code  int
		times int
		want  bulk.Outcome
	}{
		{"throttled", 429001, 2, bulk.Created}, {"unavailable", 503000, 2, bulk.Created}, {"for good", 400000, 1, bulk.Failed},
		{"in passing, for ever", 429001, 1 << 30, bulk.Failed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := &perItem{fake: newFake(nil), id: "dev-00003", code: tt.code, times: tt.times}
				report, err := bulk.Import(t.Context(), client, devices(25), &bulk.Options{Concurrency: 1})
				if err != nil {
					t.Fatal(err)
				}
				if got := report.Results[3].Outcome; got != tt.want {
					t.Errorf("outcome is %s, want %s: %v", got, tt.want, report.Results[3].Err)
				}
				if count, _ := report.Count(); count[bulk.Created]+count[bulk.Failed] != 25 {
					t.Errorf("%v", count)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		client := &perItem{fake: newFake(nil), id: "dev-00003", code: 429001, times: 1 << 30}
		report, err := bulk.Import(t.Context(), client, devices(10), &bulk.Options{Patience: 1})
		if !errors.Is(err, dps.ErrThrottled) || report.Results[3].Outcome != bulk.Pending {
			t.Errorf("got %v, %+v", err, report.Results[3])
		}
	})
}

// TestNothingIsSentThatCannotBeNoted has the journal fail, as on a full disk.
func TestNothingIsSentThatCannotBeNoted(t *testing.T) {
	emu, _ := start(t)
	client := connect(t, emu, func(*http.Request, http.RoundTripper) (*http.Response, error) {
		t.Error("a request was sent")
		return nil, errors.New("no")
	})
	state := openState(t, statePath(t), "h")
	if err := state.Close(); err != nil {
		t.Fatal(err)
	}
	report, err := bulk.Import(t.Context(), client, devices(5), &bulk.Options{State: state})
	if !errors.Is(err, os.ErrClosed) || report == nil {
		t.Fatalf("got %v", err)
	}
	expectCounts(t, report, map[bulk.Outcome]int{bulk.Pending: 5})
}

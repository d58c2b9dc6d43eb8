package bulk_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/bulk"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

// steps is a service whose answers to the single requests are given: the n-th
// error of a list is that of the n-th request, and none after its end.
type steps struct {
	*fake
	bulk, get, put, attest []error
	puts                   []service.IndividualEnrollment
}

func next(list *[]error) error {
	if len(*list) == 0 {
		return nil
	}
	err := (*list)[0]
	*list = (*list)[1:]
	return err
}

func (s *steps) BulkEnrollments(ctx context.Context, mode service.BulkMode, list []service.IndividualEnrollment) (service.BulkResult, error) {
	if err := next(&s.bulk); err != nil {
		return service.BulkResult{}, err
	}
	return s.fake.BulkEnrollments(ctx, mode, list)
}

func (s *steps) GetEnrollment(ctx context.Context, id string, opts *service.GetOptions) (service.IndividualEnrollment, error) {
	if err := next(&s.get); err != nil {
		return service.IndividualEnrollment{}, err
	}
	return s.fake.GetEnrollment(ctx, id, opts)
}

func (s *steps) PutEnrollment(_ context.Context, e service.IndividualEnrollment, _ *service.PutOptions) (service.IndividualEnrollment, error) {
	s.puts = append(s.puts, e)
	return e, next(&s.put)
}

func (s *steps) GetEnrollmentAttestation(_ context.Context, id string, _ *service.GetOptions) (service.Attestation, error) {
	if err := next(&s.attest); err != nil {
		return service.Attestation{}, err
	}
	return service.SymmetricKeys(dps.Secret("key-of-"+id), ""), nil
}

// existing is a service that has the first of the devices, with another device
// id than the file gives.
func existing() *steps {
	s := &steps{fake: newFake(nil)}
	s.ids["dev-00000"] = service.IndividualEnrollment{RegistrationID: "dev-00000", DeviceID: "other", Attestation: service.Attestation{Type: service.AttestationSymmetricKey}}
	return s
}

func refuse(status, code int) error {
	return &dps.Error{Op: "o", StatusCode: status, Code: code, Message: "no"}
}

var down = refuse(503, 503000)

// TestSingleRequests: what may go away is tried again, what is about a row ends
// that row, and what is about everything ends the import.
func TestSingleRequests(t *testing.T) {
	fail, update := bulk.Fail, bulk.Update
	tests := []struct {
		name   string
		exists bulk.Existing
		keys   bool
		change func(*steps)
		want   bulk.Outcome // of the first row
		ends   error
		puts   int
	}{
		{"an update", update, false, func(*steps) {}, bulk.Updated, nil, 1},
		{"an update after an outage", update, false, func(s *steps) { s.put = []error{down, down} }, bulk.Updated, nil, 3},
		{"a read after throttling", update, false, func(s *steps) { s.get = []error{refuse(429, 429001)} }, bulk.Updated, nil, 1},
		{"deleted between", update, false, func(s *steps) { s.get = []error{refuse(404, 404201)} }, bulk.Failed, nil, 0},
		{"deleted under the update", update, false, func(s *steps) { s.put = []error{refuse(404, 404201)} }, bulk.Failed, nil, 1},
		{"a refused update", update, false, func(s *steps) { s.put = []error{refuse(400, 400000)} }, bulk.Failed, nil, 1},
		{"someone else writes all the time", update, false, func(s *steps) {
			s.put = []error{refuse(412, 412001), refuse(412, 412001), refuse(412, 412001), refuse(412, 412001), refuse(412, 412001)}
		}, bulk.Failed, nil, 4},
		{"someone else deletes", update, false, func(s *steps) { s.put, s.get = []error{refuse(412, 412001)}, []error{nil, refuse(404, 404201)} }, bulk.Failed, nil, 1},
		{"no right to read", update, false, func(s *steps) { s.get = []error{refuse(403, 403000)} }, bulk.Pending, dps.ErrUnauthorized, 0},
		{"no right to write", update, false, func(s *steps) { s.put = []error{refuse(401, 401000)} }, bulk.Pending, dps.ErrUnauthorized, 1},
		{"no right to read keys", fail, true, func(s *steps) { s.attest = []error{refuse(403, 403000)} }, bulk.Failed, dps.ErrUnauthorized, 0},
		{"deleted before its keys are read", fail, true, func(s *steps) { s.attest = []error{refuse(404, 404201)} }, bulk.Failed, nil, 0},
		{"keys after an outage", fail, true, func(s *steps) { s.attest = []error{down} }, bulk.Failed, nil, 0},
		{"a whole request refused, and an outage in between", fail, false, func(s *steps) {
			s.bulk = []error{refuse(400, 400000), nil, down, nil}
		}, bulk.Failed, nil, 0},
		{"a whole request refused, and then everything", fail, false, func(s *steps) {
			s.bulk = []error{refuse(400, 400000), nil, refuse(401, 401000)}
		}, bulk.Failed, dps.ErrUnauthorized, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := existing()
				tt.change(client)
				report, err := bulk.Import(t.Context(), client, devices(3), &bulk.Options{Exists: tt.exists, Keys: tt.keys, Concurrency: 1})
				if !errors.Is(err, tt.ends) || (err == nil) != (tt.ends == nil) {
					t.Fatalf("got %v, want %v", err, tt.ends)
				}
				if got := report.Results[0]; got.Outcome != tt.want {
					t.Errorf("the outcome is %s, want %s: %v", got.Outcome, tt.want, got.Err)
				}
				if len(client.puts) != tt.puts {
					t.Errorf("%d updates, want %d", len(client.puts), tt.puts)
				}
				if tt.ends != nil {
					return
				}
				for _, r := range report.Results[1:] {
					if r.Outcome != bulk.Created {
						t.Errorf("%s is %s: %v", r.ID, r.Outcome, r.Err)
					}
				}
			})
		})
	}
}

// TestInterruptDuringSingleRequests ends the import while it waits to repeat a
// read, an update and a read of keys: it ends at once, and says why.
func TestInterruptDuringSingleRequests(t *testing.T) {
	endless := func() []error { return slices.Repeat([]error{down}, 1000) }
	for name, change := range map[string]func(*steps){
		"read": func(s *steps) { s.get = endless() }, "update": func(s *steps) { s.put = endless() }, "keys": func(s *steps) { s.attest = endless() },
		"narrowing down": func(s *steps) { s.bulk = append([]error{refuse(400, 400000)}, endless()...) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := existing()
				change(client)
				ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
				defer cancel()
				began := time.Now()
				report, err := bulk.Import(ctx, client, devices(3), &bulk.Options{Exists: bulk.Update, Keys: name == "keys", Concurrency: 1})
				if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 92*time.Second {
					t.Errorf("%v after %v", err, time.Since(began))
				}
				if report == nil || len(report.Results) != 3 {
					t.Errorf("no report: %v", report)
				}
			})
		})
	}
}

// TestSourcesThatFail: a file that cannot be opened or read to its end is an
// error of its own, and nothing is sent.
func TestSourcesThatFail(t *testing.T) {
	broken := errors.New("the disk is gone")
	reader := func(text string) bulk.Source {
		return bulk.Source{Format: bulk.CSV, Open: func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(strings.NewReader(text), failingReader{broken})), nil
		}}
	}
	lines := reader(`{"registrationId":"a","attestation":{"symmetricKey":{}}}` + "\n")
	lines.Format = bulk.JSONLines
	for name, source := range map[string]bulk.Source{
		"open":   {Format: bulk.CSV, Open: func() (io.ReadCloser, error) { return nil, broken }},
		"header": reader(""), "rows": reader("registrationId,attestation\na,symmetricKey\n"), "lines": lines,
	} {
		report, err := bulk.Import(t.Context(), newFake(func(context.Context, int) error { t.Error("a request was sent"); return nil }), source, nil)
		if !errors.Is(err, broken) || report != nil {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := bulk.Validate(t.Context(), bulk.Source{Format: "xml", Open: devices(1).Open}); err == nil || !strings.Contains(err.Error(), `"xml"`) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := bulk.Validate(ctx, devices(3)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }

// TestReportsThatCannotBeWritten passes on what the writer says.
func TestReportsThatCannotBeWritten(t *testing.T) {
	full := errors.New("no space")
	report := &bulk.Report{Keys: map[int]bulk.Keys{}}
	for i := range 3000 { // more than the buffer of a csv.Writer
		report.Results = append(report.Results, bulk.Result{Line: i, ID: fmt.Sprintf("dev-%d", i), Outcome: bulk.Created})
		report.Keys[i] = bulk.Keys{Primary: "key"}
	}
	for _, room := range []int{0, 5000} {
		if err := report.WriteCSV(&limited{room, full}, false); !errors.Is(err, full) {
			t.Errorf("room %d: got %v", room, err)
		}
		if err := report.WriteKeysCSV(&limited{room, full}); !errors.Is(err, full) {
			t.Errorf("room %d: got %v", room, err)
		}
	}
}

// limited takes that many bytes.
type limited struct {
	room int
	err  error
}

func (l *limited) Write(p []byte) (int, error) {
	if len(p) > l.room {
		return 0, l.err
	}
	l.room -= len(p)
	return len(p), nil
}

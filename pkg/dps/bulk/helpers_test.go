package bulk_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/bulk"
	"github.com/dpskit/dpskit/pkg/dps/dpstest"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

// csvOf is a source with this text as its file.
func csvOf(text string) bulk.Source {
	return bulk.Source{Format: bulk.CSV, Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }}
}

func jsonOf(text string) bulk.Source {
	s := csvOf(text)
	s.Format = bulk.JSONLines
	return s
}

// devices is a CSV file of n devices with keys made by the service.
func devices(n int) bulk.Source {
	var b bytes.Buffer
	b.WriteString("registrationId,attestation,deviceId\n")
	for i := range n {
		fmt.Fprintf(&b, "dev-%05d,symmetricKey,d-%d\n", i, i)
	}
	return csvOf(b.String())
}

// hook sees every request; it may pass it on, spoil it, or lose its answer.
type hook struct {
	next http.RoundTripper
	do   func(req *http.Request, next http.RoundTripper) (*http.Response, error)
}

func (h *hook) RoundTrip(req *http.Request) (*http.Response, error) { return h.do(req, h.next) }

// connect returns a client as an import wants it: without retries of its own.
func connect(t testing.TB, emu *emulator.Emulator, do func(*http.Request, http.RoundTripper) (*http.Response, error)) *service.Client {
	t.Helper()
	cs, err := dps.ParseConnectionString(emu.Info().ConnectionString)
	if err != nil {
		t.Fatal(err)
	}
	client := emu.HTTPClient()
	if transport, ok := client.Transport.(*http.Transport); ok {
		transport.MaxIdleConnsPerHost = bulk.MaxConcurrency // as a program would that imports
	}
	t.Cleanup(client.CloseIdleConnections)
	if do != nil {
		client.Transport = &hook{client.Transport, do}
	}
	c, err := service.NewClient(cs.HostName, service.SharedKey(cs.SharedAccessKeyName, cs.SharedAccessKey),
		&service.ClientOptions{HTTPClient: client, MaxRetries: -1})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func start(t testing.TB) (*emulator.Emulator, *service.Client) {
	t.Helper()
	emu := dpstest.Start(t)
	return emu, connect(t, emu, nil)
}

// stored lists what the service has, by id.
func stored(t testing.TB, c *service.Client) map[string]service.IndividualEnrollment {
	t.Helper()
	all := map[string]service.IndividualEnrollment{}
	for e, err := range c.Enrollments(t.Context(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		all[e.RegistrationID] = e
	}
	return all
}

// expectCounts compares the report with "created 3, failed 1".
func expectCounts(t testing.TB, r *bulk.Report, want map[bulk.Outcome]int) {
	t.Helper()
	got, _ := r.Count()
	for _, o := range []bulk.Outcome{bulk.Pending, bulk.Created, bulk.Updated, bulk.Unchanged, bulk.Skipped, bulk.Failed} {
		if got[o] != want[o] {
			t.Errorf("%s: %d rows, want %d", o, got[o], want[o])
		}
	}
	if t.Failed() {
		for _, result := range r.Results {
			if result.Err != nil {
				t.Log(result.ID, result.Err)
			}
		}
	}
}

func openState(t testing.TB, path, host string) *bulk.State {
	t.Helper()
	s, err := bulk.OpenState(path, host, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func statePath(t testing.TB) string { return filepath.Join(t.TempDir(), "report.csv.state") }

// fake is a service in memory for tests of time, which cannot use a network.
type fake struct {
	mu       sync.Mutex
	ids      map[string]service.IndividualEnrollment
	calls    []time.Time
	running  int
	maxAtOne int
	// before decides about each bulk request, by its number from 1.
	before func(ctx context.Context, n int) error
}

func (f *fake) BulkEnrollments(ctx context.Context, _ service.BulkMode, list []service.IndividualEnrollment) (service.BulkResult, error) {
	f.mu.Lock()
	f.calls = append(f.calls, time.Now())
	n := len(f.calls)
	f.running++
	f.maxAtOne = max(f.maxAtOne, f.running)
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.running--
		f.mu.Unlock()
	}()
	if f.before != nil {
		if err := f.before(ctx, n); err != nil {
			return service.BulkResult{}, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var result service.BulkResult
	for _, e := range list {
		if _, ok := f.ids[e.RegistrationID]; ok {
			result.Errors = append(result.Errors, &service.BulkError{ID: e.RegistrationID, Code: 409201, Message: "Enrollment already exists."})
			continue
		}
		f.ids[e.RegistrationID] = e
	}
	return result, nil
}

var errUnused = errors.New("not part of this test")

func (f *fake) GetEnrollment(_ context.Context, id string, _ *service.GetOptions) (service.IndividualEnrollment, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e, ok := f.ids[id]; ok {
		return e, nil
	}
	return service.IndividualEnrollment{}, &dps.Error{StatusCode: http.StatusNotFound}
}

func (f *fake) PutEnrollment(context.Context, service.IndividualEnrollment, *service.PutOptions) (service.IndividualEnrollment, error) {
	return service.IndividualEnrollment{}, errUnused
}

func (f *fake) GetEnrollmentAttestation(context.Context, string, *service.GetOptions) (service.Attestation, error) {
	return service.Attestation{}, errUnused
}

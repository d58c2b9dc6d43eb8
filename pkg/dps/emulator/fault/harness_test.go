package fault_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/arm"
	"github.com/dpskit/dpskit/pkg/dps/device"
	"github.com/dpskit/dpskit/pkg/dps/dpstest"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/dps/emulator/fault"
	"github.com/dpskit/dpskit/pkg/dps/service"
	"github.com/dpskit/dpskit/pkg/pki"
)

// world is an emulator with faults and the log of its strikes.
type world struct {
	t    testing.TB
	e    *emulator.Emulator
	logs *logBuffer
}

// logBuffer collects log records.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func parse(t testing.TB, texts ...string) []fault.Rule {
	t.Helper()
	var all []fault.Rule
	for _, text := range texts {
		rules, err := fault.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, rules...)
	}
	return all
}

func start(t testing.TB, seed uint64, texts ...string) *world {
	t.Helper()
	logs := &logBuffer{}
	e := dpstest.Start(t, func(o *emulator.Options) {
		o.Faults, o.FaultSeed = parse(t, texts...), seed
		o.Logger = slog.New(slog.NewJSONHandler(logs, nil))
		o.AdminAddr = "127.0.0.1:0"
	})
	return &world{t: t, e: e, logs: logs}
}

// strikes returns "op id" of each time that a rule struck, in order.
func (w *world) strikes() (all []string) {
	w.t.Helper()
	for line := range strings.Lines(w.logs.String()) {
		var record struct{ Msg, Op, ID string }
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			w.t.Fatal(err)
		}
		if record.Msg == "fault injected" {
			all = append(all, strings.TrimSpace(record.Op+" "+record.ID))
		}
	}
	return all
}

// Clients that try often and wait for next to nothing.
const (
	tries   = 12
	noDelay = time.Nanosecond
	shortly = time.Millisecond
)

func (w *world) service() *service.Client {
	w.t.Helper()
	cs, err := dps.ParseConnectionString(w.e.Info().ConnectionString)
	if err != nil {
		w.t.Fatal(err)
	}
	client := w.e.HTTPClient()
	w.t.Cleanup(client.CloseIdleConnections)
	c, err := service.NewClient(w.e.Info().HostName, service.SharedKey(cs.SharedAccessKeyName, cs.SharedAccessKey), &service.ClientOptions{
		HTTPClient: client, MaxRetries: tries, RetryDelay: noDelay, MaxRetryDelay: shortly,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *world) arm() *arm.Client {
	w.t.Helper()
	info := w.e.Info()
	client := w.e.HTTPClient()
	w.t.Cleanup(client.CloseIdleConnections)
	scope := arm.Scope{SubscriptionID: info.SubscriptionID, ResourceGroup: info.ResourceGroup, ServiceName: info.Name}
	c, err := arm.NewClient(scope, arm.StaticToken(info.Token), &arm.ClientOptions{
		Endpoint: info.ARMEndpoint, HTTPClient: client, MaxRetries: tries, RetryDelay: noDelay, MaxRetryDelay: shortly,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *world) device(ca *pki.Authority, id string) *device.Client {
	w.t.Helper()
	return w.deviceOver(device.TransportHTTPS, ca, id)
}

func (w *world) deviceOver(transport device.Transport, ca *pki.Authority, id string) *device.Client {
	w.t.Helper()
	host := w.e.Info().HostName
	if transport == device.TransportMQTT {
		host = strings.TrimPrefix(w.e.Info().MQTT[0], "mqtts://")
	}
	b, err := ca.Issue(pki.IssueRequest{CommonName: id})
	if err != nil {
		w.t.Fatal(err)
	}
	cert, err := b.TLSCertificate()
	if err != nil {
		w.t.Fatal(err)
	}
	c, err := device.NewClient(w.e.Info().IDScope, id, device.X509(cert), &device.ClientOptions{
		Transport: transport, Host: host, RootCAs: w.e.CAPool(), MaxRetries: tries, RetryDelay: noDelay, MaxRetryDelay: shortly,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func newCA(t testing.TB) *pki.Authority {
	t.Helper()
	ca, err := pki.NewRoot(nil)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// prove proves possession of the key of ca.
func (w *world) prove(name string, ca *pki.Authority) (arm.ProveResult, error) {
	w.t.Helper()
	sign := func(_ context.Context, code string) (*x509.Certificate, error) {
		b, err := ca.Issue(pki.IssueRequest{Profile: pki.ProfileVerification, CommonName: code})
		if err != nil {
			return nil, err
		}
		return b.Certificate, nil
	}
	return w.arm().Prove(w.t.Context(), name, ca.Certificate(), sign, nil)
}

// fleet makes a group for devices of ca.
func (w *world) fleet(ca *pki.Authority) {
	w.t.Helper()
	if _, err := w.arm().UploadCertificate(w.t.Context(), "root", ca.Certificate(), &arm.UploadOptions{Verified: true}); err != nil {
		w.t.Fatal(err)
	}
	group := service.EnrollmentGroup{EnrollmentGroupID: "fleet", Attestation: service.SigningCertificate(ca.Certificate(), nil)}
	if _, err := w.service().PutGroup(w.t.Context(), group, nil); err != nil {
		w.t.Fatal(err)
	}
}

// records lists the devices of a group, sorted.
func (w *world) records(group string) []string {
	w.t.Helper()
	ids := []string{}
	for r, err := range w.service().Registrations(w.t.Context(), group, nil) {
		if err != nil {
			w.t.Fatal(err)
		}
		ids = append(ids, r.RegistrationID)
	}
	slices.Sort(ids)
	return ids
}

// enrollments lists the registration ids, sorted, each as often as it comes.
func (w *world) enrollments(c *service.Client) []string {
	w.t.Helper()
	ids := []string{}
	for e, err := range c.Enrollments(w.t.Context(), &service.ListOptions{PageSize: 4}) {
		if err != nil {
			w.t.Fatal(err)
		}
		ids = append(ids, e.RegistrationID)
	}
	slices.Sort(ids)
	return ids
}

func numbered(name string, n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("%s-%02d", name, i)
	}
	return ids
}

func keyed(id string) service.IndividualEnrollment {
	return service.IndividualEnrollment{RegistrationID: id, Attestation: service.SymmetricKeys("", "")}
}

// bulkCreate creates all of ids although a bulk request is never repeated by
// itself: what another try finds there was made by the one before.
func (w *world) bulkCreate(c *service.Client, ids []string) {
	w.t.Helper()
	list := make([]service.IndividualEnrollment, len(ids))
	for i, id := range ids {
		list[i] = keyed(id)
	}
	unsure := false
	for range tries {
		result, err := c.BulkEnrollments(w.t.Context(), service.BulkCreate, list)
		switch {
		case errors.Is(err, dps.ErrUnavailable), errors.Is(err, dps.ErrUnexpectedAnswer):
			unsure = true
			continue
		case err != nil:
			w.t.Fatal(err)
		}
		for _, e := range result.Errors {
			if !unsure || !errors.Is(e, dps.ErrConflict) {
				w.t.Errorf("bulk: %v", e)
			}
		}
		return
	}
	w.t.Errorf("bulk of %v: no answer in %d tries", ids, tries)
}

func wantEqual[T any](t testing.TB, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: %s", what, diff)
	}
}

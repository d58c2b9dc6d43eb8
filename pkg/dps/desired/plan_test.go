package desired_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/desired"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

func TestApplyTwice(t *testing.T) {
	w := newWorld(t, nil)
	plan := w.plan(t, everything, nil)
	want := []string{
		"create certificate my-root: certificate isVerified",
		"create enrollmentGroup line-1: attestation.type attestation.x509.signingCertificates.primary allocationPolicy initialTwin iotHubs",
		"create enrollmentGroup keys: attestation.type provisioningStatus",
		"create enrollment dev: attestation.type attestation.x509.clientCertificates.primary capabilities",
		"create enrollment tpm: attestation.type attestation.tpm",
	}
	if diff := cmp.Diff(want, outline(plan)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var told []string
	results, err := plan.Apply(t.Context(), &desired.ApplyOptions{Progress: func(r desired.Result) { told = append(told, r.ID) }, Concurrency: 1})
	if err != nil || len(told) != 5 || told[0] != "my-root" {
		t.Fatal(results, told, err)
	}
	for _, r := range results {
		if r.Status != desired.Done || r.Err != nil {
			t.Errorf("%s: %s, %v", r.ID, r.Status, r.Err)
		}
	}
	again := w.plan(t, everything, &desired.PlanOptions{Prune: true})
	if len(again.Changes) != 0 || again.Unchanged != 5 {
		t.Errorf("the second time: %q, %d unchanged", outline(again), again.Unchanged)
	}
	cert, err := w.arm.GetCertificate(t.Context(), "my-root")
	if err != nil || !cert.Verified {
		t.Errorf("the root: %+v, %v", cert, err)
	}
}

func TestUpdates(t *testing.T) {
	tests := []struct {
		name, before, after string
		want                []string
		values              string // in the first difference
	}{
		{name: "a setting changes", before: everything, after: strings.Replace(everything, "site: north", "site: south", 1),
			want: []string{"update enrollmentGroup line-1: initialTwin"}, values: `{"tags":{"site":"south","version":1}}`},
		{name: "a setting goes", before: everything, after: strings.Replace(everything, "    provisioningStatus: disabled\n", "", 1),
			want: []string{"update enrollmentGroup keys: provisioningStatus"}, values: `"disabled"`},
		{name: "a setting comes", before: everything, after: strings.Replace(everything, "capabilities:", "deviceId: d\n    capabilities:", 1),
			want: []string{"update enrollment dev: deviceId"}, values: `"d"`},
		{name: "a certificate changes", before: everything, after: strings.Replace(everything, "dev.pem", "dev2.pem", 1),
			want: []string{"update enrollment dev: attestation.x509.clientCertificates.primary"}, values: `"dev" (SHA-256 `},
		{name: "a rollover begins", before: everything, after: strings.Replace(everything, "{primary: {certificateFile: dev.pem}}", "{primary: {certificateFile: dev.pem}, secondary: {certificateFile: dev2.pem}}", 1),
			want: []string{"update enrollment dev: attestation.x509.clientCertificates.secondary"}},
		{name: "a key changes", before: everything, after: strings.Replace(everything, "key.txt", "key2.txt", 1),
			want: []string{"update enrollmentGroup keys: attestation.symmetricKey.primaryKey"}, values: "(hidden)"},
		{name: "a key is left to the service", before: everything, after: strings.Replace(everything, "{primaryKeyFile: key.txt}", "{}", 1)},
		{name: "a CA is vouched for", before: strings.Replace(everything, "    keyFile: root.key\n", "", 1), after: strings.Replace(everything, "keyFile: root.key", "isVerified: true", 1),
			want: []string{"verify certificate my-root: isVerified"}, values: "vouched for"},
		{name: "a CA is proven", before: strings.Replace(everything, "    keyFile: root.key\n", "", 1), after: everything,
			want: []string{"verify certificate my-root: isVerified"}, values: "by proof of possession"},
		{name: "verification is not taken back", before: everything, after: strings.Replace(everything, "    keyFile: root.key\n", "", 1)},
		{name: "a CA is replaced", before: everything, after: strings.Replace(strings.Replace(everything, "root.pem", "int.pem", 1), "root.key", "int.key", 1),
			want: []string{"replace certificate my-root: certificate isVerified"}},
		{name: "what is not listed stays", before: everything, after: "enrollments:\nenrollmentGroups: []\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.apply(t, tt.before, nil)
			plan := w.plan(t, tt.after, nil)
			if diff := cmp.Diff(tt.want, outline(plan)); diff != "" {
				t.Fatalf("(-want +got):\n%s", diff)
			}
			if tt.values != "" && !strings.Contains(plan.Changes[0].Differences[0].Before+plan.Changes[0].Differences[0].After, tt.values) {
				t.Errorf("difference is %+v, want %q in it", plan.Changes[0].Differences[0], tt.values)
			}
			w.apply(t, tt.after, nil)
			if again := w.plan(t, tt.after, nil); len(again.Changes) > 0 {
				t.Errorf("the second time: %q", outline(again))
			}
		})
	}
}

func TestPruneDeletesOnlyKindsOfTheDocument(t *testing.T) {
	w := newWorld(t, nil)
	w.apply(t, everything, nil)
	moved := `
enrollmentGroups:
  - enrollmentGroupId: line-2
    attestation: {x509: {signingCertificates: {primary: {certificateFile: int.pem}}}}
`
	plan := w.plan(t, moved, &desired.PlanOptions{Prune: true})
	want := []string{"delete enrollmentGroup keys", "delete enrollmentGroup line-1",
		"create enrollmentGroup line-2: attestation.type attestation.x509.signingCertificates.primary"}
	if diff := cmp.Diff(want, outline(plan)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// The certificate of line-1 goes to line-2: only in this order the service
	// takes it.
	w.apply(t, moved, &desired.PlanOptions{Prune: true})
	if _, err := w.service.GetEnrollment(t.Context(), "dev", nil); err != nil {
		t.Errorf("an enrollment is gone: %v", err)
	}
	if _, err := w.arm.GetCertificate(t.Context(), "my-root"); err != nil {
		t.Errorf("the CA is gone: %v", err)
	}
	w.apply(t, "certificates: []\nenrollmentGroups: []\nenrollments: []\n", &desired.PlanOptions{Prune: true})
	if plan := w.plan(t, "certificates: []\nenrollmentGroups: []\nenrollments: []\n", &desired.PlanOptions{Prune: true}); len(plan.Changes) != 0 {
		t.Errorf("there is still %q", outline(plan))
	}
}

func TestKeysAndMembersOfTheFutureStay(t *testing.T) {
	w := newWorld(t, nil)
	w.apply(t, everything, nil)
	before, err := w.service.GetGroupAttestation(t.Context(), "keys", nil)
	if err != nil {
		t.Fatal(err)
	}
	w.apply(t, strings.Replace(everything, "provisioningStatus: disabled", "capabilities: {iotEdge: true}", 1), nil)
	after, err := w.service.GetGroupAttestation(t.Context(), "keys", nil)
	if err != nil || before.SymmetricKey.PrimaryKey != after.SymmetricKey.PrimaryKey || before.SymmetricKey.SecondaryKey != after.SymmetricKey.SecondaryKey {
		t.Errorf("the keys changed: %v", err)
	}
}

// TestShownStateIsTheDesiredState takes what the service returns as the document.
func TestShownStateIsTheDesiredState(t *testing.T) {
	w := newWorld(t, nil)
	w.apply(t, everything, nil)
	var doc struct {
		Groups      []service.EnrollmentGroup      `json:"enrollmentGroups"`
		Enrollments []service.IndividualEnrollment `json:"enrollments"`
	}
	for g, err := range w.service.Groups(t.Context(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		doc.Groups = append(doc.Groups, g)
	}
	for e, err := range w.service.Enrollments(t.Context(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		doc.Enrollments = append(doc.Enrollments, e)
	}
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	if plan := w.plan(t, string(text), &desired.PlanOptions{Prune: true}); len(plan.Changes) != 0 || plan.Unchanged != 4 {
		t.Errorf("changes: %q", outline(plan))
	}
	if err := w.service.DeleteEnrollment(t.Context(), "dev", nil); err != nil {
		t.Fatal(err)
	}
	parsed, err := desired.Parse(text, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := desired.Compare(t.Context(), parsed, w.target(), nil); !errors.Is(err, dps.ErrBadRequest) || !strings.Contains(err.Error(), "only describes a certificate") {
		t.Errorf("a description of nothing: %v", err)
	}
}

// TestChangedSinceThePlan has someone else write between the plan and its
// application.
func TestChangedSinceThePlan(t *testing.T) {
	w := newWorld(t, nil)
	w.apply(t, everything, nil)
	changed := strings.ReplaceAll(strings.Replace(everything, "site: north", "site: south", 1), "registrationId: tpm", "registrationId: other")
	plan := w.plan(t, changed, &desired.PlanOptions{Prune: true})
	if diff := cmp.Diff([]string{"delete enrollment tpm", "update enrollmentGroup line-1: initialTwin", "create enrollment other: attestation.type attestation.tpm"}, outline(plan)); diff != "" {
		t.Fatal(diff)
	}
	for _, id := range []string{"line-1"} {
		g, err := w.service.GetGroup(t.Context(), id, nil)
		if err != nil {
			t.Fatal(err)
		}
		g.ProvisioningStatus = service.ProvisioningDisabled
		if _, err := w.service.PutGroup(t.Context(), g, nil); err != nil {
			t.Fatal(err)
		}
	}
	e, err := w.service.GetEnrollment(t.Context(), "tpm", nil)
	if err != nil {
		t.Fatal(err)
	}
	e.DeviceID = "theirs"
	if _, err := w.service.PutEnrollment(t.Context(), e, nil); err != nil {
		t.Fatal(err)
	}
	e.RegistrationID, e.ETag = "other", ""
	if _, err := w.service.PutEnrollment(t.Context(), e, nil); err != nil {
		t.Fatal(err)
	}
	results, err := plan.Apply(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []error{dps.ErrPrecondition, dps.ErrPrecondition, dps.ErrConflict} {
		if results[i].Status != desired.Failed || !errors.Is(results[i].Err, want) {
			t.Errorf("%s: %s, %v", results[i].ID, results[i].Status, results[i].Err)
		}
	}
	if g, err := w.service.GetGroup(t.Context(), "line-1", nil); err != nil || g.ProvisioningStatus != service.ProvisioningDisabled {
		t.Errorf("their change is lost: %+v, %v", g, err)
	}
}

// TestWhatConcernsAllStopsEverything refuses the credentials in the middle.
func TestWhatConcernsAllStopsEverything(t *testing.T) {
	puts := 0
	w := newWorld(t, func(req *http.Request) error {
		if req.Method == http.MethodPut {
			if puts++; puts > 1 {
				req.Header.Set("Authorization", "SharedAccessSignature sr=x&sig=eA%3D%3D&se=1&skn=x")
			}
		}
		return nil
	})
	results, err := w.plan(t, everything, nil).Apply(t.Context(), &desired.ApplyOptions{Concurrency: 1})
	if !errors.Is(err, dps.ErrUnauthorized) {
		t.Fatalf("got %v", err)
	}
	var got []desired.Status
	for _, r := range results {
		got = append(got, r.Status)
	}
	if diff := cmp.Diff([]desired.Status{desired.Done, desired.Done, desired.Failed, desired.NotTried, desired.NotTried}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	plan := w.plan(t, everything, nil)
	if results, err := plan.Apply(canceled, nil); !errors.Is(err, context.Canceled) || results[0].Status != desired.NotTried {
		t.Errorf("canceled: %v", err)
	}
}

func TestCompareNeedsTheService(t *testing.T) {
	w := newWorld(t, func(*http.Request) error { return errors.New("no route to host") })
	doc := w.parse(t, "enrollments: [{registrationId: a, attestation: {symmetricKey: {}}}]\n")
	if plan, err := desired.Compare(t.Context(), doc, w.target(), nil); !errors.Is(err, dps.ErrUnavailable) || plan != nil {
		t.Errorf("got %v, %v", plan, err)
	}
	empty := w.parse(t, "enrollments: []\n")
	if _, err := desired.Compare(t.Context(), empty, desired.Target{Enrollments: w.service}, &desired.PlanOptions{Prune: true}); !errors.Is(err, dps.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

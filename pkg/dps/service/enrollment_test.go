package service_test

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/device"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/dps/service"
	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/google/go-cmp/cmp"
)

func TestEnrollmentLifeCycle(t *testing.T) {
	_, c := start(t)
	cert, next := selfSigned(t, "dev-1"), selfSigned(t, "dev-1")
	want := service.IndividualEnrollment{
		RegistrationID: "dev-1", DeviceID: "Device-One",
		Attestation:               service.ClientCertificate(cert, next),
		OptionalDeviceInformation: json.RawMessage(`{"floor":3}`),
		AllocationPolicy:          service.AllocationStatic,
		IoTHubs:                   []string{"dpskit-emulator-hub.azure-devices.net"},
	}
	created := must[service.IndividualEnrollment](t)(c.PutEnrollment(t.Context(), want, nil))
	got := must[service.IndividualEnrollment](t)(c.GetEnrollment(t.Context(), "dev-1", nil))
	if d := want.Differences(got); len(d) != 0 || got.ETag != created.ETag {
		t.Errorf("stored differs in %v", d)
	}
	if got.RegistrationState == nil || got.RegistrationState.Status != "unassigned" {
		t.Errorf("state %+v", got.RegistrationState)
	}
	got.DeviceID = "Device-Two"
	updated := must[service.IndividualEnrollment](t)(c.PutEnrollment(t.Context(), got, nil))
	want.DeviceID = "Device-Two"
	if d := want.Differences(updated); len(d) != 0 || updated.ETag == created.ETag {
		t.Errorf("after the update it differs in %v", d)
	}
	if err := c.DeleteEnrollment(t.Context(), "dev-1", nil); err != nil {
		t.Fatal(err)
	}
	_, err := c.GetEnrollment(t.Context(), "dev-1", nil)
	wantError(t, err, dps.ErrNotFound, 404201)
}

func TestEnrollmentRefusals(t *testing.T) {
	_, c := start(t)
	enrollment := service.IndividualEnrollment{RegistrationID: "dev-1", Attestation: service.ClientCertificate(selfSigned(t, "dev-1"), nil)}
	first := must[service.IndividualEnrollment](t)(c.PutEnrollment(t.Context(), enrollment, nil))
	must[service.IndividualEnrollment](t)(c.PutEnrollment(t.Context(), first, nil))

	_, err := c.PutEnrollment(t.Context(), enrollment, nil)
	wantError(t, err, dps.ErrConflict, 409201)
	_, err = c.PutEnrollment(t.Context(), first, nil)
	wantError(t, err, dps.ErrPrecondition, 0)
	_, err = c.GetEnrollment(t.Context(), "none", nil)
	wantError(t, err, dps.ErrNotFound, 404201)
	wantError(t, c.DeleteEnrollment(t.Context(), "none", nil), dps.ErrNotFound, 0)
	wantError(t, c.DeleteEnrollment(t.Context(), "dev-1", &service.DeleteOptions{IfMatch: first.ETag}), dps.ErrPrecondition, 0)
	_, err = c.GetEnrollment(t.Context(), "a/../b", nil)
	wantError(t, err, dps.ErrInvalidID, 0)
	_, err = c.GetEnrollmentAttestation(t.Context(), "none", nil)
	wantError(t, err, dps.ErrNotFound, 0)
	_, err = c.GetEnrollmentAttestation(t.Context(), "", nil)
	wantError(t, err, dps.ErrInvalidID, 0)
	// A signing certificate is for groups.
	_, ca := newCA(t)
	_, err = c.PutEnrollment(t.Context(), service.IndividualEnrollment{RegistrationID: "x", Attestation: service.SigningCertificate(ca.Certificate(), nil)}, nil)
	wantError(t, err, dps.ErrBadRequest, 0)
}

func TestSymmetricKeysOfADevice(t *testing.T) {
	_, c := start(t)
	must[service.IndividualEnrollment](t)(c.PutEnrollment(t.Context(), service.IndividualEnrollment{
		RegistrationID: "dev-1", Attestation: service.SymmetricKeys("", "")}, nil))
	before := must[service.Attestation](t)(c.GetEnrollmentAttestation(t.Context(), "dev-1", nil))
	if before.SymmetricKey == nil || before.SymmetricKey.PrimaryKey == "" {
		t.Fatalf("no keys in %+v", before)
	}
	read := must[service.IndividualEnrollment](t)(c.GetEnrollment(t.Context(), "dev-1", nil))
	read.DeviceID = "other"
	must[service.IndividualEnrollment](t)(c.PutEnrollment(t.Context(), read, nil))
	if diff := cmp.Diff(before, must[service.Attestation](t)(c.GetEnrollmentAttestation(t.Context(), "dev-1", nil))); diff != "" {
		t.Errorf("the update changed the keys:\n%s", diff)
	}
}

func TestKeylessUpdateNeedsTheKeys(t *testing.T) {
	// If the keys cannot be read, nothing is written.
	s, c := scriptedClient(t, scriptedAnswer{status: 403, body: `{"errorCode":403000}`})
	_, err := c.PutGroup(t.Context(), service.EnrollmentGroup{EnrollmentGroupID: "g", ETag: "e", Attestation: service.SymmetricKeys("", "")}, nil)
	wantError(t, err, dps.ErrUnauthorized, 403000)
	if len(s.requests) != 1 || s.requests[0].URL.Path != "/enrollmentGroups/g/attestationmechanism" {
		t.Errorf("%d requests", len(s.requests))
	}
}

func TestRegistrations(t *testing.T) {
	e, c := start(t)
	root, ca := newCA(t)
	trust(t, e, "root", root)
	must[service.EnrollmentGroup](t)(c.PutGroup(t.Context(), service.EnrollmentGroup{
		EnrollmentGroupID: "fleet", Attestation: service.SigningCertificate(ca.Certificate(), nil)}, nil))
	list := func(group string) (ids []string, err error) {
		for s, e := range c.Registrations(t.Context(), group, &service.ListOptions{PageSize: 2}) {
			if e != nil {
				return ids, e
			}
			ids = append(ids, s.RegistrationID)
		}
		return ids, nil
	}
	if ids, err := list("fleet"); err != nil || len(ids) != 0 {
		t.Errorf("before: %v, %v", ids, err)
	}
	for _, id := range []string{"dev-1", "dev-2", "dev-3"} {
		register(t, e, ca, id)
	}
	if ids, err := list("fleet"); err != nil || len(ids) != 3 {
		t.Errorf("after: %v, %v", ids, err)
	}
	got := must[service.RegistrationState](t)(c.GetRegistration(t.Context(), "dev-2", nil))
	if got.Status != "assigned" || got.AssignedHub != "dpskit-emulator-hub.azure-devices.net" || got.DeviceID != "dev-2" || got.ETag == "" {
		t.Errorf("got %+v", got)
	}
	wantError(t, c.DeleteRegistration(t.Context(), "dev-2", &service.DeleteOptions{IfMatch: "c3RhbGU="}), dps.ErrPrecondition, 0)
	l, change := lossyClient(loseFirst(http.MethodDelete))
	if err := connect(t, e, change).DeleteRegistration(t.Context(), "dev-2", &service.DeleteOptions{IfMatch: got.ETag}); err != nil || l.lost != 1 {
		t.Errorf("%d answers lost, %v", l.lost, err)
	}
	_, err := c.GetRegistration(t.Context(), "dev-2", nil)
	wantError(t, err, dps.ErrNotFound, 0)
	wantError(t, c.DeleteRegistration(t.Context(), "dev-2", nil), dps.ErrNotFound, 0)
	_, err = c.GetRegistration(t.Context(), "..", nil)
	wantError(t, err, dps.ErrInvalidID, 0)
	_, err = list("a/b")
	wantError(t, err, dps.ErrInvalidID, 0)
	if ids, err := list("fleet"); err != nil || len(ids) != 2 {
		t.Errorf("at the end: %v, %v", ids, err)
	}
}

func register(t *testing.T, e *emulator.Emulator, ca *pki.Authority, id string) {
	t.Helper()
	cert := must[tls.Certificate](t)(must[*pki.Bundle](t)(ca.Issue(pki.IssueRequest{CommonName: id})).TLSCertificate())
	c := must[*device.Client](t)(device.NewClient(e.Info().IDScope, id, device.X509(cert),
		&device.ClientOptions{Host: e.Info().HostName, RootCAs: e.CAPool()}))
	must[device.Result](t)(c.Register(t.Context(), nil))
}

func TestLostAcknowledgementOfAnEnrollment(t *testing.T) {
	e, plain := start(t)
	cert := selfSigned(t, "dev-1")
	want := service.IndividualEnrollment{RegistrationID: "dev-1", Attestation: service.ClientCertificate(cert, nil)}
	l, change := lossyClient(loseFirst(http.MethodPut))
	created := must[service.IndividualEnrollment](t)(connect(t, e, change).PutEnrollment(t.Context(), want, nil))
	if l.lost != 1 || created.ETag == "" {
		t.Errorf("%d answers lost, %+v", l.lost, created)
	}
	other := want
	other.Attestation = service.ClientCertificate(selfSigned(t, "dev-1"), nil)
	l, change = lossyClient(loseFirst(http.MethodPut))
	_, err := connect(t, e, change).PutEnrollment(t.Context(), other, nil)
	if wantError(t, err, dps.ErrConflict, 409201); l.lost != 1 {
		t.Errorf("%d answers lost", l.lost)
	}
	l, change = lossyClient(loseFirst(http.MethodDelete))
	if err := connect(t, e, change).DeleteEnrollment(t.Context(), "dev-1", nil); err != nil || l.lost != 1 {
		t.Errorf("%d answers lost, %v", l.lost, err)
	}
	_, err = plain.GetEnrollment(t.Context(), "dev-1", nil)
	wantError(t, err, dps.ErrNotFound, 404201)
}

func TestRegistrationStateJSON(t *testing.T) {
	const text = `{"registrationId":"d","createdDateTimeUtc":"2026-01-02T03:04:05.1234567Z","assignedHub":"h","deviceId":"d",` +
		`"status":"failed","substatus":"initialAssignment","errorCode":400208,"errorMessage":"<no hub>","etag":"e","payload":{"a":1.0},"future":[1e400]}`
	var state service.RegistrationState
	if err := json.Unmarshal([]byte(text), &state); err != nil {
		t.Fatal(err)
	}
	if state.ErrorCode != 400208 || string(state.Payload) != `{"a":1.0}` || string(state.Unknown["future"]) != `[1e400]` {
		t.Errorf("got %+v", state)
	}
	var again service.RegistrationState
	if err := json.Unmarshal(must[[]byte](t)(json.Marshal(state)), &again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(state, again); diff != "" {
		t.Errorf("-first +second:\n%s", diff)
	}
	for _, bad := range []string{`[]`, `{"errorCode":"x"}`, `{"status":1}`} {
		if err := json.Unmarshal([]byte(bad), &again); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
}

func TestAllocationPolicies(t *testing.T) {
	_, c := start(t)
	for _, policy := range service.AllAllocationPolicies() {
		e := service.IndividualEnrollment{RegistrationID: "dev-" + string(policy), Attestation: service.SymmetricKeys("", ""), AllocationPolicy: policy}
		switch policy {
		case service.AllocationStatic:
			e.IoTHubs = []string{"dpskit-emulator-hub.azure-devices.net"}
		case service.AllocationCustom:
			e.CustomAllocationDefinition = &service.CustomAllocationDefinition{WebhookURL: "https://example.org/allocate?code=x", APIVersion: "2019-03-31"}
		}
		must[service.IndividualEnrollment](t)(c.PutEnrollment(t.Context(), e, nil))
		got := must[service.IndividualEnrollment](t)(c.GetEnrollment(t.Context(), e.RegistrationID, nil))
		if d := e.Differences(got); len(d) != 0 || got.AllocationPolicy != policy {
			t.Errorf("%s: stored differs in %v", policy, d)
		}
	}
	_, err := c.PutEnrollment(t.Context(), service.IndividualEnrollment{RegistrationID: "x", Attestation: service.SymmetricKeys("", ""), AllocationPolicy: "nearest"}, nil)
	wantError(t, err, dps.ErrBadRequest, 0)
}

// TestObjectsCalledLikeVerbs: POST /enrollments/query asks for a list, and
// every other method is about the object of that id.
func TestObjectsCalledLikeVerbs(t *testing.T) {
	_, c := start(t)
	for _, id := range []string{"query", "Query", "attestationmechanism"} {
		if id != "Query" { // ids differ in more than case
			must[service.EnrollmentGroup](t)(c.PutGroup(t.Context(), service.EnrollmentGroup{EnrollmentGroupID: id, Attestation: service.SymmetricKeys(testKey, testKey)}, nil))
			result := must[service.BulkResult](t)(c.BulkEnrollments(t.Context(), service.BulkCreate,
				[]service.IndividualEnrollment{{RegistrationID: id, Attestation: service.SymmetricKeys(testKey, testKey)}}))
			if len(result.Errors) > 0 {
				t.Fatal(result.Errors[0])
			}
		}
		if g := must[service.EnrollmentGroup](t)(c.GetGroup(t.Context(), id, nil)); g.ETag == "" {
			t.Errorf("got %v", g)
		}
		e := must[service.IndividualEnrollment](t)(c.GetEnrollment(t.Context(), id, nil))
		e.DeviceID = "of-" + id
		must[service.IndividualEnrollment](t)(c.PutEnrollment(t.Context(), e, nil))
		if a := must[service.Attestation](t)(c.GetEnrollmentAttestation(t.Context(), id, nil)); a.SymmetricKey == nil || a.SymmetricKey.PrimaryKey != testKey {
			t.Errorf("the keys of %q are not there", id)
		}
		for _, err := range c.Registrations(t.Context(), id, nil) {
			t.Error(err)
		}
	}
	all := 0
	for _, err := range c.Enrollments(t.Context(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		all++
	}
	if all != 2 {
		t.Errorf("%d enrollments are listed, want 2", all)
	}
	for _, id := range []string{"query", "attestationmechanism"} {
		if err := errors.Join(c.DeleteGroup(t.Context(), id, nil), c.DeleteEnrollment(t.Context(), id, nil)); err != nil {
			t.Error(err)
		}
	}
}

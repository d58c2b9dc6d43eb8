package service_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

func devices(n int) (list []service.IndividualEnrollment) {
	for i := range n {
		list = append(list, service.IndividualEnrollment{RegistrationID: fmt.Sprintf("dev-%d", i), Attestation: service.SymmetricKeys("", "")})
	}
	return list
}

func TestBulkEnrollments(t *testing.T) {
	_, c := start(t)
	list := devices(service.MaxBulk)
	result := must[service.BulkResult](t)(c.BulkEnrollments(t.Context(), service.BulkCreate, list))
	if len(result.Errors) != 0 {
		t.Errorf("create: %v", result.Errors)
	}
	// One bad row of four: three are done.
	mixed := append(devices(1), service.IndividualEnrollment{RegistrationID: "new-1", Attestation: service.SymmetricKeys("", "")},
		service.IndividualEnrollment{RegistrationID: "new-2", Attestation: service.SymmetricKeys("", "")})
	result = must[service.BulkResult](t)(c.BulkEnrollments(t.Context(), service.BulkCreate, mixed))
	if len(result.Errors) != 1 || result.Errors[0].ID != "dev-0" || result.Errors[0].Code != 409201 {
		t.Fatalf("mixed: %v", result.Errors)
	}
	bad := result.Errors[0]
	wantError(t, bad, dps.ErrConflict, 409201)
	if bad.TrackingID == "" || !strings.Contains(bad.Error(), "[tracking "+bad.TrackingID+"]") {
		t.Errorf("no tracking id in %v", bad)
	}
	if x, ok := dps.Explain(bad); !ok || !strings.Contains(x.What, "exists already") {
		t.Errorf("explained as %+v", x)
	}
	var other *service.BulkError
	if !errors.As(bad, &other) || errors.Is(bad, dps.ErrNotFound) || !strings.HasPrefix(bad.Error(), `bulk item "dev-0": 409 Conflict (code 409201)`) {
		t.Errorf("got %v", bad)
	}
	must[service.IndividualEnrollment](t)(c.GetEnrollment(t.Context(), "new-2", nil))

	// An update needs the etag; with it, it is done.
	stored := must[service.IndividualEnrollment](t)(c.GetEnrollment(t.Context(), "dev-1", nil))
	attestation := must[service.Attestation](t)(c.GetEnrollmentAttestation(t.Context(), "dev-1", nil))
	stored.DeviceID, stored.Attestation = "renamed", attestation
	result = must[service.BulkResult](t)(c.BulkEnrollments(t.Context(), service.BulkUpdateIfMatchETag, []service.IndividualEnrollment{stored}))
	if len(result.Errors) != 0 {
		t.Errorf("update: %v", result.Errors)
	}
	result = must[service.BulkResult](t)(c.BulkEnrollments(t.Context(), service.BulkUpdateIfMatchETag, []service.IndividualEnrollment{stored}))
	if len(result.Errors) != 1 || !errors.Is(result.Errors[0], dps.ErrPrecondition) {
		t.Errorf("stale update: %v", result.Errors)
	}
	result = must[service.BulkResult](t)(c.BulkEnrollments(t.Context(), service.BulkDelete, list))
	if len(result.Errors) != 0 {
		t.Errorf("delete: %v", result.Errors)
	}
	_, err := c.GetEnrollment(t.Context(), "dev-1", nil)
	wantError(t, err, dps.ErrNotFound, 404201)
}

func TestBulkGroups(t *testing.T) {
	_, c := start(t)
	list := []service.EnrollmentGroup{{EnrollmentGroupID: "a", Attestation: service.SymmetricKeys("", "")},
		{EnrollmentGroupID: "b", Attestation: service.SymmetricKeys("", "")}}
	if result := must[service.BulkResult](t)(c.BulkGroups(t.Context(), service.BulkCreate, list)); len(result.Errors) != 0 {
		t.Errorf("create: %v", result.Errors)
	}
	result := must[service.BulkResult](t)(c.BulkGroups(t.Context(), service.BulkCreate, list[1:]))
	if len(result.Errors) != 1 || result.Errors[0].Code != 409202 || result.Errors[0].ID != "b" {
		t.Errorf("again: %v", result.Errors)
	}
}

func TestBulkRefusals(t *testing.T) {
	s, c := scriptedClient(t, scriptedAnswer{})
	for name, tt := range map[string]struct {
		list []service.IndividualEnrollment
		want error
	}{
		"none":     {nil, dps.ErrBadRequest},
		"eleven":   {devices(11), dps.ErrBadRequest},
		"twice":    {append(devices(1), service.IndividualEnrollment{RegistrationID: "DEV-0"}), dps.ErrBadRequest},
		"wrong id": {[]service.IndividualEnrollment{{RegistrationID: "a/b"}}, dps.ErrInvalidID},
	} {
		if _, err := c.BulkEnrollments(t.Context(), service.BulkCreate, tt.list); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(s.requests) != 0 {
		t.Errorf("%d requests", len(s.requests))
	}
	// A lost answer leaves the outcome open: it is reported, not repeated.
	_, err := c.BulkEnrollments(t.Context(), service.BulkCreate, devices(2))
	if wantError(t, err, dps.ErrUnavailable, 0); len(s.requests) != 1 {
		t.Errorf("%d requests", len(s.requests))
	}
	for name, body := range map[string]string{"no result": `{}`, "list": `[]`, "not JSON": `<`, "no reason": `{"isSuccessful":false,"errors":[]}`} {
		_, c := scriptedClient(t, scriptedAnswer{status: 200, body: body})
		if _, err := c.BulkEnrollments(t.Context(), service.BulkDelete, devices(1)); !errors.Is(err, dps.ErrUnexpectedAnswer) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBulkBody(t *testing.T) {
	s, c := scriptedClient(t, scriptedAnswer{status: 200, body: `{"errors":[],"isSuccessful":true}`})
	_, err := c.BulkGroups(t.Context(), service.BulkUpdateIfMatchETag, []service.EnrollmentGroup{
		{EnrollmentGroupID: "a", ETag: "e1", Attestation: service.CAReference("x", "")}, {EnrollmentGroupID: "b", Attestation: service.SymmetricKeys(testKey, "")}})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"mode":"updateIfMatchETag","enrollmentGroups":[` +
		`{"enrollmentGroupId":"a","attestation":{"type":"x509","x509":{"caReferences":{"primary":"x"}}},"etag":"e1"},` +
		`{"enrollmentGroupId":"b","attestation":{"type":"symmetricKey","symmetricKey":{"primaryKey":"` + testKey + `"}}}]}`
	if s.bodies[0] != want || s.requests[0].Method != http.MethodPost || s.requests[0].URL.Path != "/enrollmentGroups" {
		t.Errorf("sent %s\nwant %s", s.bodies[0], want)
	}
}

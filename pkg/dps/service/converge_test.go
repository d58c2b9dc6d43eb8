package service_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

const storedGroup = `{"enrollmentGroupId":"g","attestation":{"type":"x509","x509":{"caReferences":{"primary":"ca"}}},"etag":"e2"}`

func wantedGroup() service.EnrollmentGroup {
	return service.EnrollmentGroup{EnrollmentGroupID: "g", Attestation: service.CAReference("ca", "")}
}

// TestAmbiguousPut: a refusal that may come from the client's own first attempt
// is looked into; any other is an error at once.
func TestAmbiguousPut(t *testing.T) {
	lost, busy := scriptedAnswer{}, scriptedAnswer{status: 429}
	conflict := scriptedAnswer{status: 409, body: `{"errorCode":409202}`}
	stale := scriptedAnswer{status: 412, body: `{"errorCode":412000}`}
	stored := scriptedAnswer{status: 200, body: storedGroup}
	foreign := scriptedAnswer{status: 200, body: strings.Replace(storedGroup, `"ca"`, `"another"`, 1)}
	for name, tt := range map[string]struct {
		answers  []scriptedAnswer
		ifMatch  string
		want     error
		requests int
	}{
		"create, lost, own":               {[]scriptedAnswer{lost, conflict, stored}, "", nil, 3},
		"create, lost, another's":         {[]scriptedAnswer{lost, conflict, foreign}, "", dps.ErrConflict, 3},
		"create, lost, unreadable":        {[]scriptedAnswer{lost, conflict, {status: 403}}, "", dps.ErrConflict, 3},
		"create, lost, gone meanwhile":    {[]scriptedAnswer{lost, conflict, {status: 404}}, "", dps.ErrConflict, 3},
		"create, failed, own":             {[]scriptedAnswer{{status: 500}, conflict, stored}, "", nil, 3},
		"create, conflict at once":        {[]scriptedAnswer{conflict, stored}, "", dps.ErrConflict, 1},
		"create, throttled, conflict":     {[]scriptedAnswer{busy, conflict, stored}, "", dps.ErrConflict, 2},
		"update, lost, own":               {[]scriptedAnswer{lost, stale, stored}, "e1", nil, 3},
		"update, lost, another's":         {[]scriptedAnswer{lost, stale, foreign}, "e1", dps.ErrPrecondition, 3},
		"update, stale at once":           {[]scriptedAnswer{stale, stored}, "e1", dps.ErrPrecondition, 1},
		"create, lost, lost, then stored": {[]scriptedAnswer{lost, lost, stored}, "", nil, 3},
		"create, refused after all":       {[]scriptedAnswer{lost, {status: 400}}, "", dps.ErrBadRequest, 2},
	} {
		s, c := scriptedClient(t, tt.answers...)
		got, err := c.PutGroup(t.Context(), wantedGroup(), &service.PutOptions{IfMatch: tt.ifMatch})
		if !errors.Is(err, tt.want) || len(s.requests) != tt.requests {
			t.Errorf("%s: %d requests, %v", name, len(s.requests), err)
		}
		if err == nil && got.ETag != "e2" {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

func TestAmbiguousDelete(t *testing.T) {
	lost, stale := scriptedAnswer{}, scriptedAnswer{status: 412, body: `{"errorCode":412000}`}
	gone, there := scriptedAnswer{status: 404, body: `{"errorCode":404204}`}, scriptedAnswer{status: 200, body: storedGroup}
	for name, tt := range map[string]struct {
		answers  []scriptedAnswer
		want     error
		requests int
	}{
		"gone":                    {[]scriptedAnswer{lost, gone}, nil, 2},
		"etag is gone":            {[]scriptedAnswer{lost, stale, gone}, nil, 3},
		"there again":             {[]scriptedAnswer{lost, stale, there}, dps.ErrPrecondition, 3},
		"gone from the start":     {[]scriptedAnswer{gone}, dps.ErrNotFound, 1},
		"stale from the start":    {[]scriptedAnswer{stale, gone}, dps.ErrPrecondition, 1},
		"throttled, then gone":    {[]scriptedAnswer{{status: 429}, gone}, dps.ErrNotFound, 2},
		"deleted at the second":   {[]scriptedAnswer{lost, {status: 204}}, nil, 2},
		"forbidden at the second": {[]scriptedAnswer{lost, {status: 403}}, dps.ErrUnauthorized, 2},
	} {
		s, c := scriptedClient(t, tt.answers...)
		err := c.DeleteGroup(t.Context(), "g", &service.DeleteOptions{IfMatch: "e1"})
		if !errors.Is(err, tt.want) || len(s.requests) != tt.requests {
			t.Errorf("%s: %d requests, %v", name, len(s.requests), err)
		}
	}
}

func TestOptionsOfTheClient(t *testing.T) {
	s := &scripted{answers: []scriptedAnswer{{status: 503}}}
	c := must[*service.Client](t)(service.NewClient("x.azure-devices-provisioning.net", service.SharedKey("o", testKey),
		&service.ClientOptions{HTTPClient: clientOf(s), APIVersion: "2019-03-31", MaxRetries: 2, RetryDelay: 1}))
	_, err := c.GetGroup(t.Context(), "g", nil)
	wantError(t, err, dps.ErrUnavailable, 0)
	if len(s.requests) != 3 || s.requests[0].URL.RawQuery != "api-version=2019-03-31" {
		t.Errorf("%d requests, %s", len(s.requests), s.requests[0].URL)
	}
	s.requests = nil
	c = must[*service.Client](t)(service.NewClient("x.azure-devices-provisioning.net", service.SharedKey("o", testKey),
		&service.ClientOptions{HTTPClient: clientOf(s), MaxRetries: -1}))
	_, err = c.GetGroup(t.Context(), "g", nil)
	wantError(t, err, dps.ErrUnavailable, 0)
	if len(s.requests) != 1 || s.requests[0].URL.RawQuery != "api-version=2021-10-01" {
		t.Errorf("%d requests, %s", len(s.requests), s.requests[0].URL)
	}
}

func TestNobodyListens(t *testing.T) {
	e, c := start(t)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	_, err := c.GetGroup(t.Context(), "g", nil)
	wantError(t, err, dps.ErrUnavailable, 0)
	if x, ok := dps.Explain(err); !ok || !strings.Contains(x.Fix, "enroll emulator") {
		t.Errorf("explained as %+v", x)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestClockThatIsWrong(t *testing.T) {
	for skew, refused := range map[time.Duration]bool{-2 * time.Hour: true, -30 * time.Minute: false, 2 * time.Hour: false} {
		_, c := start(t, func(o *service.ClientOptions) { o.Now = func() time.Time { return time.Now().Add(skew) } })
		_, err := c.GetGroup(t.Context(), "g", nil)
		if !refused {
			wantError(t, err, dps.ErrNotFound, 404204)
			continue
		}
		wantError(t, err, dps.ErrUnauthorized, 0)
		var e *dps.Error
		if errors.As(err, &e) && (e.ClockSkew-skew).Abs() > 2*time.Second {
			t.Errorf("skew %v, want %v", e.ClockSkew, skew)
		}
		if x, ok := dps.Explain(err); !ok || !strings.Contains(x.What, "behind the server's") {
			t.Errorf("explained as %+v", x)
		}
	}
}

// TestManyAtOnce shares one client between goroutines; of all that create the
// same group, one succeeds.
func TestManyAtOnce(t *testing.T) {
	_, c := start(t)
	var group sync.WaitGroup
	var mu sync.Mutex
	created := 0
	for i := range 16 {
		group.Go(func() {
			own := service.IndividualEnrollment{RegistrationID: fmt.Sprint("dev-", i), Attestation: service.SymmetricKeys("", "")}
			if _, err := c.PutEnrollment(t.Context(), own, nil); err != nil {
				t.Error(err)
			}
			_, err := c.PutGroup(t.Context(), service.EnrollmentGroup{EnrollmentGroupID: "g", Attestation: service.SymmetricKeys("", "")}, nil)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				created++
			} else {
				wantError(t, err, dps.ErrConflict, 409202)
			}
		})
	}
	group.Wait()
	if created != 1 {
		t.Errorf("%d of 16 created the group", created)
	}
	if ids, err := collectEnrollments(t, c); err != nil || len(ids) != 16 {
		t.Errorf("%d enrollments, %v", len(ids), err)
	}
}

func collectEnrollments(t *testing.T, c *service.Client) (ids []string, err error) {
	t.Helper()
	for e, err := range c.Enrollments(t.Context(), &service.ListOptions{PageSize: 5}) {
		if err != nil {
			return ids, err
		}
		ids = append(ids, e.RegistrationID)
	}
	return ids, nil
}

func TestTPMEnrollment(t *testing.T) {
	_, c := start(t)
	const ek = "AToAAQALAAMAsgAgg3GXZ0SEs/gakMyNRqXXJP1S124GUgtk8qHaGzMUaaoABgCAAEMAEAgAAAAAAAEA"
	want := service.IndividualEnrollment{RegistrationID: "tpm-1", Attestation: service.EndorsementKey(ek, "")}
	created := must[service.IndividualEnrollment](t)(c.PutEnrollment(t.Context(), want, nil))
	got := must[service.IndividualEnrollment](t)(c.GetEnrollment(t.Context(), "tpm-1", nil))
	if d := want.Differences(got); len(d) != 0 || got.Attestation.TPM.EndorsementKey != ek || got.ETag != created.ETag {
		t.Errorf("stored differs in %v: %+v", d, got)
	}
	must[service.IndividualEnrollment](t)(c.PutEnrollment(t.Context(), got, nil))
}

func TestCAReferenceOfAnUploadedCA(t *testing.T) {
	e, c := start(t)
	root, _ := newCA(t)
	trust(t, e, "root", root)
	want := service.EnrollmentGroup{EnrollmentGroupID: "by-name", Attestation: service.CAReference("root", "")}
	must[service.EnrollmentGroup](t)(c.PutGroup(t.Context(), want, nil))
	got := must[service.EnrollmentGroup](t)(c.GetGroup(t.Context(), "by-name", nil))
	if d := want.Differences(got); len(d) != 0 {
		t.Errorf("stored differs in %v", d)
	}
	register(t, e, root, "dev-1")
	if got := must[service.RegistrationState](t)(c.GetRegistration(t.Context(), "dev-1", nil)); got.Status != "assigned" {
		t.Errorf("got %+v", got)
	}
}

func TestHeadersOfTheService(t *testing.T) {
	// An etag goes back byte for byte, whatever is in it.
	s, c := scriptedClient(t, scriptedAnswer{status: 200, body: storedGroup})
	for _, etag := range []string{"AAAAABaw6bU=", `"quoted"`, "W/\"weak\"", "*"} {
		s.requests = nil
		must[service.EnrollmentGroup](t)(c.PutGroup(t.Context(), wantedGroup(), &service.PutOptions{IfMatch: etag}))
		if got := s.requests[0].Header.Values("If-Match"); len(got) != 1 || got[0] != etag {
			t.Errorf("%s: sent %q", etag, got)
		}
	}
	s.requests = nil
	must[service.EnrollmentGroup](t)(c.PutGroup(t.Context(), wantedGroup(), nil))
	if _, sent := s.requests[0].Header[http.CanonicalHeaderKey("If-Match")]; sent {
		t.Error("a create carries If-Match")
	}
}

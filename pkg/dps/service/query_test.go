package service_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

func page(next string, ids ...string) scriptedAnswer {
	items := make([]string, len(ids))
	for i, id := range ids {
		items[i] = `{"enrollmentGroupId":"` + id + `","attestation":{"type":"x509"}}`
	}
	a := scriptedAnswer{status: 200, body: "[" + strings.Join(items, ",") + "]", header: http.Header{}}
	if next != "" {
		a.header.Set("x-ms-continuation", next)
	}
	return a
}

// collect reads at most 1000 groups.
func collect(t *testing.T, c *service.Client, opts *service.ListOptions) (ids []string, err error) {
	t.Helper()
	for g, e := range c.Groups(t.Context(), opts) {
		if err != nil {
			t.Fatal("the sequence goes on after an error")
		}
		if err = e; e == nil {
			ids = append(ids, g.EnrollmentGroupID)
		}
		if len(ids) > 1000 {
			t.Fatal("endless")
		}
	}
	return ids, err
}

func TestListPages(t *testing.T) {
	s, c := scriptedClient(t, page("one", "a", "b"), page("two"), page("three", "B", "c"), page("", "c", "d"))
	ids, err := collect(t, c, &service.ListOptions{PageSize: 2})
	if err != nil || !slices.Equal(ids, []string{"a", "b", "c", "d"}) {
		t.Errorf("got %v, %v", ids, err)
	}
	for i, want := range []string{"", "one", "two", "three"} {
		req := s.requests[i]
		if got := req.Header.Get("x-ms-continuation"); got != want {
			t.Errorf("page %d asked with %q", i, got)
		}
		if req.Method != http.MethodPost || req.URL.Path != "/enrollmentGroups/query" || req.Header.Get("x-ms-max-item-count") != "2" {
			t.Errorf("page %d: %s %s", i, req.Method, req.URL)
		}
		if s.bodies[i] != `{"query":"SELECT * FROM enrollmentGroups"}` {
			t.Errorf("page %d: body %s", i, s.bodies[i])
		}
	}
}

func TestListDoesNotRepeatAnItemThatMoved(t *testing.T) {
	_, c := scriptedClient(t, page("one", "a", "b"), page("", "B", "c"))
	ids, err := collect(t, c, nil)
	if err != nil || !slices.Equal(ids, []string{"a", "b", "c"}) {
		t.Errorf("got %v, %v", ids, err)
	}
}

func TestListEnds(t *testing.T) {
	var endless []scriptedAnswer
	for i := range 300 {
		endless = append(endless, page(fmt.Sprint("t", i)))
	}
	for name, tt := range map[string]struct {
		answers  []scriptedAnswer
		ids      []string
		requests int
	}{
		"the same token again":   {[]scriptedAnswer{page("x", "a"), page("x", "b")}, []string{"a", "b"}, 2},
		"tokens in a circle":     {[]scriptedAnswer{page("x", "a"), page("y", "b"), page("x", "c")}, []string{"a", "b", "c"}, 3},
		"empty pages for ever":   {endless, nil, 101},
		"a page that is no list": {[]scriptedAnswer{page("x", "a"), {status: 200, body: "{}"}}, []string{"a"}, 2},
		"an item that is none":   {[]scriptedAnswer{{status: 200, body: "[5]"}}, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s, c := scriptedClient(t, tt.answers...)
			ids, err := collect(t, c, nil)
			wantError(t, err, dps.ErrUnexpectedAnswer, 0)
			if !slices.Equal(ids, tt.ids) || len(s.requests) != tt.requests {
				t.Errorf("got %v with %d requests", ids, len(s.requests))
			}
		})
	}
}

func TestListErrors(t *testing.T) {
	s, c := scriptedClient(t, page("one", "a"), scriptedAnswer{status: 401, body: `{"errorCode":401000,"message":"Unauthorized"}`})
	ids, err := collect(t, c, nil)
	wantError(t, err, dps.ErrUnauthorized, 401000)
	if !slices.Equal(ids, []string{"a"}) || !strings.HasPrefix(fmt.Sprint(err), "list enrollment groups: 401") {
		t.Errorf("got %v, %v", ids, err)
	}
	_, err = collect(t, c, &service.ListOptions{PageSize: -1})
	wantError(t, err, dps.ErrBadRequest, 0)
	if len(s.requests) != 2 {
		t.Errorf("%d requests", len(s.requests))
	}
	_, c = scriptedClient(t, scriptedAnswer{}, page("", "a"))
	if ids, err := collect(t, c, nil); err != nil || len(ids) != 1 {
		t.Errorf("a query was not repeated: %v, %v", ids, err)
	}
}

func TestListStopsWithItsConsumer(t *testing.T) {
	s, c := scriptedClient(t, page("one", "a", "b"), page("", "c"))
	for range c.Groups(t.Context(), nil) {
		break
	}
	if len(s.requests) != 1 {
		t.Errorf("%d requests", len(s.requests))
	}
}

func TestListsOfTheEmulator(t *testing.T) {
	_, c := start(t)
	var want []string
	for i := range 7 {
		id := fmt.Sprintf("fleet-%d", i)
		want = append(want, id)
		must[service.EnrollmentGroup](t)(c.PutGroup(t.Context(), service.EnrollmentGroup{
			EnrollmentGroupID: id, Attestation: service.SymmetricKeys("", "")}, nil))
		must[service.IndividualEnrollment](t)(c.PutEnrollment(t.Context(), service.IndividualEnrollment{
			RegistrationID: id, Attestation: service.SymmetricKeys("", "")}, nil))
	}
	for _, size := range []int{0, 1, 3, 7, 100} {
		ids, err := collect(t, c, &service.ListOptions{PageSize: size})
		slices.Sort(ids)
		if err != nil || !slices.Equal(ids, want) {
			t.Errorf("groups by %d: %v, %v", size, ids, err)
		}
		ids = nil
		for e, err := range c.Enrollments(t.Context(), &service.ListOptions{PageSize: size}) {
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, e.RegistrationID)
		}
		slices.Sort(ids)
		if !slices.Equal(ids, want) {
			t.Errorf("enrollments by %d: %v", size, ids)
		}
	}
}

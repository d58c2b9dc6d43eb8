package emulator_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// items decodes an answer that is an array.
func (a answer) items(t *testing.T) []map[string]any {
	t.Helper()
	var out []map[string]any
	if err := json.Unmarshal(a.raw, &out); err != nil {
		t.Fatalf("%s: %v", a.raw, err)
	}
	return out
}

// pages walks a query to its end.
func (w *world) pages(t *testing.T, path, member string, body any, size string) (ids []string, pages int) {
	t.Helper()
	header := map[string]string{"x-ms-max-item-count": size}
	for {
		a := w.service(http.MethodPost, path, body, header)
		w.want(a, 200, 0)
		pages++
		for _, item := range a.items(t) {
			ids = append(ids, item[member].(string))
		}
		next := a.header.Get("x-ms-continuation")
		if next == "" {
			return ids, pages
		}
		header["x-ms-continuation"] = next
	}
}

func TestQueryPaging(t *testing.T) {
	w := newWorld(t)
	var want []string
	for i := range 150 {
		if i%10 == 0 {
			var items []any
			for j := range 10 {
				id := fmt.Sprintf("Dev-%03d", i+j)
				want = append(want, id)
				items = append(items, symmetric("registrationId", id))
			}
			w.want(w.service(http.MethodPost, "/enrollments/", map[string]any{"mode": "create", "enrollments": items}, nil), 200, 0)
		}
	}
	for _, tt := range []struct {
		size  string
		pages int
	}{{"", 2}, {"0", 2}, {"50", 3}, {"149", 2}, {"150", 1}, {"1000000", 1}, {"1", 150}} {
		ids, pages := w.pages(t, "/enrollments/query", "registrationId", `{"query":"SELECT * FROM enrollments"}`, tt.size)
		slices.Sort(ids)
		if diff := cmp.Diff(want, ids); diff != "" || pages != tt.pages {
			t.Errorf("size %q: %d pages, want %d; %s", tt.size, pages, tt.pages, diff)
		}
	}
	a := w.service(http.MethodPost, "/enrollments/query", `{"query":""}`, map[string]string{"x-ms-max-item-count": "2"})
	if a.header.Get("x-ms-item-type") != "Enrollment" || a.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers = %v", a.header)
	}
	token := a.header.Get("x-ms-continuation")
	if raw, err := base64.StdEncoding.DecodeString(token); err != nil || !strings.HasPrefix(string(raw), `[{"token":`) {
		t.Errorf("token is %q, %v", raw, err)
	}
	// A token is good for its own collection, also when its row is gone.
	w.want(w.service(http.MethodDelete, "/enrollments/dev-001", nil, nil), 204, 0)
	a = w.service(http.MethodPost, "/enrollments/query", `{"query":""}`, map[string]string{"x-ms-max-item-count": "1", "x-ms-continuation": token})
	if got := a.items(t)[0]["registrationId"]; got != "Dev-002" {
		t.Errorf("after the deleted row comes %v, want Dev-002", got)
	}
	for _, bad := range []string{"x", "W10=", base64.StdEncoding.EncodeToString([]byte(`[{"token":"enrollmentGroups#a"}]`)), base64.StdEncoding.EncodeToString([]byte(`[{"token":"enrollments#"}]`))} {
		w.want(w.service(http.MethodPost, "/enrollments/query", `{"query":""}`, map[string]string{"x-ms-continuation": bad}), 400, 400000)
	}
	w.want(w.service(http.MethodPost, "/enrollmentGroups/query", `{"query":""}`, map[string]string{"x-ms-continuation": token}), 400, 400000)
	for _, bad := range []string{"-1", "ten", "1.5"} {
		w.want(w.service(http.MethodPost, "/enrollments/query", `{"query":""}`, map[string]string{"x-ms-max-item-count": bad}), 400, 400000)
	}
}

func TestQueryTexts(t *testing.T) {
	w := newWorld(t)
	for _, text := range []string{"", "*", "SELECT *", "select *", " Select  * From enrollmentGroups ", "select * from deviceRegistrations"} {
		a := w.service(http.MethodPost, "/enrollmentGroups/query", map[string]any{"query": text}, nil)
		w.want(a, 200, 0)
		if string(a.raw) != "[]" {
			t.Errorf("%q: %s", text, a.raw)
		}
	}
	for _, text := range []string{"select registrationId from enrollments", "select * from enrollments where a = 1", "drop table", "select * from other"} {
		w.want(w.service(http.MethodPost, "/enrollments/query", map[string]any{"query": text}, nil), 400, 400000)
		if w.rule() != "query" {
			t.Errorf("%q: rule %q", text, w.rule())
		}
	}
}

func TestBulk(t *testing.T) {
	for _, kind := range []struct {
		path, list, member string
		notFound, exists   int
		already            string
	}{
		{"/enrollments", "enrollments", "registrationId", 404201, 409201, "Enrollment already exists."},
		{"/enrollmentGroups", "enrollmentGroups", "enrollmentGroupId", 404204, 409202, "EnrollmentGroup already exists."},
	} {
		t.Run(kind.list, func(t *testing.T) {
			w := newWorld(t)
			run := func(mode string, items ...any) answer {
				t.Helper()
				return w.service(http.MethodPost, kind.path, map[string]any{"mode": mode, kind.list: items}, nil)
			}
			// errorsOf returns "id code" for each failed item.
			errorsOf := func(a answer) (out []string) {
				t.Helper()
				w.want(a, 200, 0)
				list := a.body["errors"].([]any)
				for _, e := range list {
					m := e.(map[string]any)
					out = append(out, fmt.Sprintf("%v %v", m[kind.member], m["errorCode"]))
				}
				if a.body["isSuccessful"] != (len(list) == 0) {
					t.Errorf("isSuccessful = %v with %d errors", a.body["isSuccessful"], len(list))
				}
				return out
			}
			thing := func(id string, more ...map[string]any) any { return symmetric(kind.member, id, more...) }
			get := func(id string) answer { return w.service(http.MethodGet, kind.path+"/"+id, nil, nil) }

			if e := errorsOf(run("create", thing("a"), thing("b"))); e != nil {
				t.Errorf("create: %v", e)
			}
			// The good item of a mixed request is applied, every bad one is reported.
			a := run("create", thing("A"), thing("c"), thing("bad id"), map[string]any{kind.member: "d", "attestation": map[string]any{"type": "x509"}})
			if diff := cmp.Diff([]string{fmt.Sprint("A ", kind.exists), "bad id 400000", "d 400000"}, errorsOf(a)); diff != "" {
				t.Error(diff)
			}
			var rules []string
			for _, rec := range w.logs.refusals(t) {
				if rec["bulk_item"] == true && rec["request_id"] == a.header.Get("x-ms-request-id") {
					rules = append(rules, fmt.Sprint(rec["rule"]))
					checkExplained(t, rec)
				}
			}
			if diff := cmp.Diff([]string{"already-exists", "identifier", "body-content"}, rules); diff != "" {
				t.Error(diff)
			}
			if !strings.Contains(string(a.raw), kind.already) {
				t.Errorf("no %q in %s", kind.already, a.raw)
			}
			w.want(get("c"), 200, 0)
			w.want(get("d"), 404, kind.notFound)

			current := get("a")
			if diff := cmp.Diff([]string{fmt.Sprint("a ", kind.exists), "b 412000", fmt.Sprint("none ", kind.notFound)},
				errorsOf(run("update", thing("a"), thing("b", map[string]any{"etag": "stale"}), thing("none")))); diff != "" {
				t.Error(diff)
			}
			if e := errorsOf(run("Update", current.body)); e != nil { // a fetched object, without its keys
				t.Errorf("update: %v", e)
			}
			if diff := cmp.Diff([]string{"a 412000", "b 412000"}, errorsOf(run("updateIfMatchETag", current.body, thing("b")))); diff != "" {
				t.Error(diff)
			}
			if e := errorsOf(run("updateIfMatchEtag", get("a").body)); e != nil { // as Node spells it
				t.Errorf("updateIfMatchEtag: %v", e)
			}
			if diff := cmp.Diff([]string{fmt.Sprint("none ", kind.notFound)}, errorsOf(run("delete", thing("none"), map[string]any{kind.member: "a"}, thing("b")))); diff != "" {
				t.Error(diff)
			}
			w.want(get("a"), 404, kind.notFound)

			// A bad envelope changes nothing.
			var eleven []any
			for i := range 11 {
				eleven = append(eleven, thing(fmt.Sprint("x", i)))
			}
			w.want(run("create", eleven...), 400, 400000)
			w.want(run("create", thing("same"), thing("SAME")), 400, 400000)
			w.want(run("create"), 400, 400000)
			w.want(run("create", nil), 400, 400000)
			w.want(run("upsert", thing("x")), 400, 400000)
			w.want(get("same"), 404, kind.notFound)
			w.want(get("x0"), 404, kind.notFound)
		})
	}
}

func TestRegistrationRecords(t *testing.T) {
	w := newWorld(t)
	p := newPKI(t)
	w.prove("root", p.root)
	w.group("Fleet", p.intermediate.Certificate())
	w.want(w.service(http.MethodGet, "/registrations/dev-0", nil, nil), 404, 404202)
	w.want(w.service(http.MethodDelete, "/registrations/dev-0", nil, nil), 404, 404202)
	w.want(w.service(http.MethodPost, "/registrations/nobody/query", nil, nil), 404, 404204)
	if a := w.service(http.MethodPost, "/registrations/fleet/query", nil, nil); string(a.raw) != "[]" {
		t.Errorf("empty group has %s", a.raw)
	}
	var want []string
	for i := range 5 {
		id := fmt.Sprintf("dev-%d", i)
		w.assigned(id, device(t, p.intermediate, id))
		want = append(want, id)
	}
	for _, body := range []any{nil, `{"query":"select * from deviceRegistrations"}`} {
		ids, pages := w.pages(t, "/registrations/FLEET/query", "registrationId", body, "2")
		if diff := cmp.Diff(want, ids); diff != "" || pages != 3 {
			t.Errorf("%d pages, want 3; %s", pages, diff)
		}
	}
	w.want(w.service(http.MethodPost, "/registrations/fleet/query", `{"query":1}`, nil), 400, 400000)
	w.want(w.service(http.MethodPost, "/registrations/fleet/query", `{"query":"where"}`, nil), 400, 400000)
	w.want(w.service(http.MethodPost, "/registrations/fleet/query", nil, map[string]string{"x-ms-continuation": "x"}), 400, 400000)

	a := w.service(http.MethodGet, "/registrations/DEV-1", nil, nil)
	w.want(a, 200, 0)
	for k, want := range map[string]string{
		"registrationId": "dev-1", "status": "assigned", "substatus": "initialAssignment", "deviceId": "dev-1",
		"assignedHub": "dpskit-emulator-hub.azure-devices.net",
	} {
		if a.str(k) != want {
			t.Errorf("%s = %q, want %q", k, a.str(k), want)
		}
	}
	w.want(w.service(http.MethodDelete, "/registrations/dev-1", nil, map[string]string{"If-Match": "stale"}), 412, 412000)
	w.want(w.service(http.MethodDelete, "/registrations/dev-1", nil, map[string]string{"If-Match": a.str("etag")}), 204, 0)
	// The records outlive their group.
	w.want(w.service(http.MethodDelete, "/enrollmentGroups/fleet", nil, nil), 204, 0)
	ids, _ := w.pages(t, "/registrations/fleet/query", "registrationId", nil, "")
	if diff := cmp.Diff([]string{"dev-0", "dev-2", "dev-3", "dev-4"}, ids); diff != "" {
		t.Error(diff)
	}
}

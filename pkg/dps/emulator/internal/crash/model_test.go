package crash_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// object is what the test knows of one enrollment. Version 0 means that there
// is none; others are written into the tags of its twin.
type object struct {
	version, etag string // acknowledged
	pending       string // being written when the process was killed
	inFlight      bool
}

// model is what an emulator must have, by path of the collection and id.
type model map[string]map[string]*object

const absent = ""

// collections are the paths of what is written, and the member that names it.
var collections = map[string]string{"/enrollments": "registrationId", "/enrollmentGroups": "enrollmentGroupId"}

// body is an enrollment of this version, with enough in it that half of one
// would show.
func body(collection, id, version string) map[string]any {
	return map[string]any{
		collections[collection]: id,
		"attestation":           map[string]any{"type": "symmetricKey"},
		"initialTwin": map[string]any{
			"tags":       map[string]any{"version": version},
			"properties": map[string]any{"desired": map[string]any{"version": version, "fill": strings.Repeat(version+" ", 40)}},
		},
	}
}

// stored is an enrollment as the emulator lists it.
type stored struct {
	RegistrationID    string `json:"registrationId"`
	EnrollmentGroupID string `json:"enrollmentGroupId"`
	ETag              string `json:"etag"`
	InitialTwin       struct {
		Tags       struct{ Version string }
		Properties struct {
			Desired struct{ Version, Fill string }
		}
	}
}

// check reads everything from a fresh process and compares it with m. What was
// in flight is settled then.
func (m model) check(t *testing.T, p *process) {
	t.Helper()
	for collection, objects := range m {
		found := map[string]stored{}
		for token := "first"; token != ""; {
			if token == "first" {
				token = ""
			}
			page, next := list(t, p, collection, token)
			for _, s := range page {
				id := s.RegistrationID + s.EnrollmentGroupID
				if _, twice := found[id]; twice {
					t.Errorf("%s/%s is listed twice", collection, id)
				}
				found[id] = s
			}
			token = next
		}
		for id, o := range objects {
			o.settle(t, collection+"/"+id, found[id])
			delete(found, id)
		}
		for id := range found {
			t.Errorf("%s/%s is there, and nobody wrote it", collection, id)
		}
	}
}

// settle compares one object with what is stored, which is zero if nothing is.
func (o *object) settle(t testing.TB, name string, s stored) {
	t.Helper()
	version := s.InitialTwin.Tags.Version
	desired := s.InitialTwin.Properties.Desired
	if desired.Version != version || desired.Fill != strings.Repeat(version+" ", 40) && version != absent {
		t.Errorf("%s is half of one version and half of another: %+v", name, s)
	}
	switch {
	case version == o.version && (s.ETag == o.etag || o.etag == unknownETag):
	case o.inFlight && version == o.pending:
	default:
		t.Errorf("%s: version %q (etag %q) is stored; %q (%q) was acknowledged, %v %q in flight",
			name, version, s.ETag, o.version, o.etag, o.inFlight, o.pending)
	}
	*o = object{version: version, etag: s.ETag}
}

func list(t *testing.T, p *process, collection, token string) (page []stored, next string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		p.info.HTTPS[0]+collection+"/query?api-version=2021-10-01", strings.NewReader(`{"query":"*"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.info.Token)
	req.Header.Set("X-Ms-Max-Item-Count", "1000")
	if token != "" {
		req.Header.Set("X-Ms-Continuation", token)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&page); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("list %s: %s, %v", collection, resp.Status, err)
	}
	return page, resp.Header.Get("X-Ms-Continuation")
}

// write makes one request that changes o, and notes the outcome. It reports
// false when there was no answer.
func (o *object) write(t *testing.T, p *process, collection, id, version string) bool {
	method, content := http.MethodPut, any(body(collection, id, version))
	if version == absent {
		method, content = http.MethodDelete, nil
	}
	o.pending, o.inFlight = version, true
	status, answer, _, err := p.send(method, collection+"/"+id, o.etag, content)
	if err != nil {
		return false
	}
	var s stored
	if version != absent {
		if err := json.Unmarshal(answer, &s); err != nil || status != http.StatusOK {
			t.Errorf("%s %s/%s: status %d, %v: %s", method, collection, id, status, err, answer)
		}
	} else if status != http.StatusNoContent {
		t.Errorf("%s %s/%s: status %d: %s", method, collection, id, status, answer)
	}
	*o = object{version: version, etag: s.ETag}
	return true
}

// writeBulk creates or deletes all of ids in one request.
func writeBulk(t *testing.T, p *process, collection string, objects map[string]*object, ids []string, version string) bool {
	mode, items := "create", []any{}
	if version == absent {
		mode = "delete"
	}
	for _, id := range ids {
		objects[id].pending, objects[id].inFlight = version, true
		items = append(items, body(collection, id, version))
	}
	member := strings.TrimPrefix(collection, "/")
	status, answer, _, err := p.send(http.MethodPost, collection, "", map[string]any{"mode": mode, member: items})
	if err != nil {
		return false
	}
	if status != http.StatusOK || !strings.Contains(string(answer), `"isSuccessful":true`) {
		t.Errorf("bulk %s of %v: status %d: %s", mode, ids, status, answer)
	}
	for _, id := range ids {
		*objects[id] = object{}
		if version == absent {
			continue
		}
		var s stored
		status, answer, _, err := p.send(http.MethodGet, collection+"/"+id, "", nil)
		if err != nil { // acknowledged all the same
			*objects[id] = object{version: version, etag: unknownETag}
			continue
		}
		if err := json.Unmarshal(answer, &s); err != nil || status != http.StatusOK {
			t.Errorf("get %s/%s after its bulk: status %d, %v: %s", collection, id, status, err, answer)
		}
		*objects[id] = object{version: version, etag: s.ETag}
	}
	return true
}

// unknownETag is one that was acknowledged in a bulk request, which does not
// tell it.
const unknownETag = "unknown"

func versionOf(cycle, n int) string { return fmt.Sprintf("v%d.%d", cycle, n) }

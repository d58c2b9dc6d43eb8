package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/dpstest"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/dps/enrollment"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

// hook calls before ahead of every request.
type hook struct {
	next   http.RoundTripper
	before func(*http.Request) error
}

func (h *hook) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := h.before(req); err != nil {
		return nil, err
	}
	return h.next.RoundTrip(req)
}

// serviceClient connects to an emulator; before may be nil.
func serviceClient(t testing.TB, emu *emulator.Emulator, before func(*http.Request) error) *service.Client {
	t.Helper()
	cs, err := dps.ParseConnectionString(emu.Info().ConnectionString)
	if err != nil {
		t.Fatal(err)
	}
	client := emu.HTTPClient()
	t.Cleanup(client.CloseIdleConnections)
	if before != nil {
		client.Transport = &hook{client.Transport, before}
	}
	c, err := service.NewClient(cs.HostName, service.SharedKey(cs.SharedAccessKeyName, cs.SharedAccessKey),
		&service.ClientOptions{HTTPClient: client, RetryDelay: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestUpdateLosesNobodysChange lets another editor write between our read and
// our write: about something else, about the same, and again and again.
func TestUpdateLosesNobodysChange(t *testing.T) {
	disabled := service.ProvisioningDisabled
	tests := []struct {
		name    string
		ours    changes
		theirs  func(n int, e *service.IndividualEnrollment)
		times   int
		refused bool
		says    string
		want    func(e service.IndividualEnrollment) bool
	}{
		{name: "nobody else", ours: changes{DeviceID: "ours"},
			want: func(e service.IndividualEnrollment) bool { return e.DeviceID == "ours" }},
		{name: "another member", ours: changes{DeviceID: "ours"}, times: 1,
			theirs: func(_ int, e *service.IndividualEnrollment) { e.ProvisioningStatus = disabled },
			says:   "trying once more",
			want: func(e service.IndividualEnrollment) bool {
				return e.DeviceID == "ours" && e.ProvisioningStatus == disabled
			}},
		{name: "the same member", ours: changes{DeviceID: "ours"}, times: 1,
			theirs:  func(_ int, e *service.IndividualEnrollment) { e.DeviceID = "theirs" },
			refused: true, says: `someone else changed deviceId: "dev" -> "theirs"`,
			want: func(e service.IndividualEnrollment) bool { return e.DeviceID == "theirs" }},
		{name: "hubs and policy hang together", ours: changes{IoTHubs: []string{"ours.net"}}, times: 1,
			theirs: func(_ int, e *service.IndividualEnrollment) {
				e.AllocationPolicy, e.IoTHubs = service.AllocationGeoLatency, []string{"a.net", "theirs.net"}
			},
			refused: true, says: "someone else changed allocationPolicy",
			want: func(e service.IndividualEnrollment) bool { return e.IoTHubs[1] == "theirs.net" }},
		{name: "again and again", ours: changes{DeviceID: "ours"}, times: 2,
			theirs: func(n int, e *service.IndividualEnrollment) {
				e.InitialTwin = &service.InitialTwin{Tags: json.RawMessage(`{"n":` + string(rune('0'+n)) + `}`)}
			},
			refused: true, says: "412",
			want: func(e service.IndividualEnrollment) bool { return e.DeviceID == "dev" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			emu := dpstest.Start(t)
			other := serviceClient(t, emu, nil)
			if _, err := other.PutEnrollment(t.Context(), service.IndividualEnrollment{RegistrationID: "d", DeviceID: "dev",
				Attestation: service.SymmetricKeys("", ""), AllocationPolicy: service.AllocationHashed, IoTHubs: []string{"a.net"}}, nil); err != nil {
				t.Fatal(err)
			}
			writes := 0
			client := serviceClient(t, emu, func(req *http.Request) error {
				if req.Method != http.MethodPut || writes >= tt.times {
					return nil
				}
				writes++
				e, err := other.GetEnrollment(t.Context(), "d", nil)
				if err == nil {
					tt.theirs(writes, &e)
					_, err = other.PutEnrollment(t.Context(), e, nil)
				}
				return err
			})
			var stderr bytes.Buffer
			env := &cliapp.Env{Out: io.Discard, Err: &stderr, Now: time.Now}
			_, err := update[service.IndividualEnrollment]{kind: individualKind, client: client, env: env, id: "d", changes: tt.ours}.run(t.Context())
			if errors.Is(err, dps.ErrPrecondition) != tt.refused || err != nil && !tt.refused {
				t.Fatalf("got error %v, want a stale etag: %v", err, tt.refused)
			}
			if err != nil && exitCodeOf(err) != cliapp.ExitConflict {
				t.Errorf("exit code %d, want %d", exitCodeOf(err), cliapp.ExitConflict)
			}
			if all := stderr.String() + errorString(err); !strings.Contains(all, tt.says) {
				t.Errorf("nobody says %q:\n%s", tt.says, all)
			}
			stored, err := other.GetEnrollment(t.Context(), "d", nil)
			if err != nil || !tt.want(stored) {
				t.Errorf("stored is %+v, %v", stored, err)
			}
		})
	}
}

func errorString(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestCreateRacesWithAnother has the enrollment appear between our look and our
// write.
func TestCreateRacesWithAnother(t *testing.T) {
	for _, what := range []existing{existsSkip, existsUpdate} {
		t.Run(string(what), func(t *testing.T) {
			emu := dpstest.Start(t)
			other, writes := serviceClient(t, emu, nil), 0
			object := service.IndividualEnrollment{RegistrationID: "d", Attestation: service.SymmetricKeys("", "")}
			client := serviceClient(t, emu, func(req *http.Request) error {
				if req.Method != http.MethodPut || writes > 0 {
					return nil
				}
				writes++
				_, err := other.PutEnrollment(t.Context(), object, nil)
				return err
			})
			c := creation[service.IndividualEnrollment]{kind: individualKind, client: client,
				env:  &cliapp.Env{Err: io.Discard, Now: time.Now},
				opts: createOptions{ID: "d", IfExists: what, Changes: changes{DeviceID: "ours", Attestation: attestationChanges{SymmetricKey: true}}}}
			got, err := c.run(t.Context(), object)
			if err != nil {
				t.Fatal(err)
			}
			if want := map[existing]string{existsSkip: "", existsUpdate: "ours"}[what]; got.DeviceID != want {
				t.Errorf("device id is %q, want %q", got.DeviceID, want)
			}
		})
	}
}

// TestUpdateKeepsMembersOfTheFuture goes through the service with a member that
// this program does not know.
func TestUpdateKeepsMembersOfTheFuture(t *testing.T) {
	var sent []byte
	client := serviceClient(t, dpstest.Start(t), func(req *http.Request) error {
		if req.Method == http.MethodPut {
			sent, _ = io.ReadAll(req.Body)
			req.Body = io.NopCloser(bytes.NewReader(sent))
		}
		return nil
	})
	if _, err := client.PutGroup(context.Background(), service.EnrollmentGroup{EnrollmentGroupID: "g",
		Attestation: service.SymmetricKeys("", "")}, nil); err != nil {
		t.Fatal(err)
	}
	before, err := client.GetGroup(t.Context(), "g", nil)
	if err != nil {
		t.Fatal(err)
	}
	before.Unknown = map[string]json.RawMessage{"futureMember": json.RawMessage(`{ "a" : 1.0 }`)}
	edge := true
	u := update[service.EnrollmentGroup]{kind: groupKind, client: client, env: &cliapp.Env{Err: io.Discard}, id: "g", changes: changes{Edge: &edge, CredentialPolicy: "p"}}
	after, differences, err := u.change(before)
	if err != nil || len(differences) != 2 {
		t.Fatalf("got %v, %v", differences, err)
	}
	if _, err := client.PutGroup(t.Context(), after, nil); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"futureMember":{ "a" : 1.0 }`, `"credentialPolicyName":"p"`, `"iotEdge":true`, `"primaryKey"`} {
		if !bytes.Contains(sent, []byte(want)) {
			t.Errorf("the request lacks %s:\n%s", want, sent)
		}
	}
	if len(before.Unknown) != 1 || before.Capabilities != nil {
		t.Error("the object that was read was changed")
	}
}

func TestChangeText(t *testing.T) {
	for want, d := range map[string]enrollment.Difference{
		`a: "x" -> "y"`:                   {Member: "a", Before: `"x"`, After: `"y"`},
		`a: (not set) -> "y"`:             {Member: "a", After: `"y"`},
		"k: differs (hidden)":             {Member: "k", Before: "(hidden)", After: "(hidden)"},
		"w: h?R, its hidden part differs": {Member: "w", Before: "h?R", After: "h?R"},
	} {
		if got := changeText(d); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

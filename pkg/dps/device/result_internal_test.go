package device

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
)

// The answer is that of the documentation
// (azure-docs, articles/iot-dps/iot-dps-https-x509-support.md), shortened.
func TestResultOfADocumentedAnswer(t *testing.T) {
	const body = `{"operationId":"5.316aac5bdc130deb.b1e02da8-c3a0-4ff2-a121-7ea7a6b7f550","status":"assigned","registrationState":{
	 "x509":{"enrollmentGroupId":"my-group"},"registrationId":"my-x509-device","createdDateTimeUtc":"2022-05-05T21:57:42.6875001Z",
	 "assignedHub":"contoso-hub-2.azure-devices.net","deviceId":"my-x509-device","status":"assigned","substatus":"initialAssignment",
	 "lastUpdatedDateTimeUtc":"2022-05-05T21:57:42.8525Z","etag":"IjEy","payload":{"a":[1.0]},"future":{}}}`
	var op operation
	if err := json.Unmarshal([]byte(body), &op); err != nil {
		t.Fatal(err)
	}
	want := Result{
		RegistrationID: "my-x509-device", DeviceID: "my-x509-device", AssignedHub: "contoso-hub-2.azure-devices.net",
		Status: "assigned", Substatus: "initialAssignment", EnrollmentGroupID: "my-group",
		OperationID: "5.316aac5bdc130deb.b1e02da8-c3a0-4ff2-a121-7ea7a6b7f550", ETag: "IjEy",
		Created:     time.Date(2022, 5, 5, 21, 57, 42, 687500100, time.UTC),
		LastUpdated: time.Date(2022, 5, 5, 21, 57, 42, 852500000, time.UTC),
		Payload:     json.RawMessage(`{"a":[1.0]}`),
	}
	if diff := cmp.Diff(want, op.result("asked-for")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	// A date that cannot be read is no reason to lose an assignment.
	if err := json.Unmarshal([]byte(`{"status":"assigned","registrationState":{"createdDateTimeUtc":"yesterday"}}`), &op); err != nil {
		t.Fatal(err)
	}
	if got := op.result("asked-for"); !got.Created.IsZero() || got.RegistrationID == "" {
		t.Errorf("got %+v", got)
	}
}

func FuzzOperation(f *testing.F) {
	for _, seed := range []string{
		`{"operationId":"o","status":"assigning"}`,
		`{"status":"assigned","registrationState":{"registrationId":"d","x509":{"enrollmentGroupId":"g"},"symmetricKey":null}}`,
		`{"status":"failed","registrationState":{"errorCode":400207,"errorMessage":"{\"Message\":\"m\"}"}}`,
		`{"status":"failed","registrationState":{"errorCode":1e400,"errorMessage":"\u001b[2J"}}`,
		`{"registrationState":{"status":"DISABLED","createdDateTimeUtc":"x"}}`, `null`, `[]`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		var op operation
		if json.Unmarshal([]byte(body), &op) != nil {
			return
		}
		e := op.refusal("register", "dev-1")
		for _, text := range []string{e.Error(), e.Status, e.Message} {
			if strings.ContainsFunc(text, func(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf) }) {
				t.Fatalf("not clean: %q", text)
			}
		}
		if got := op.result("dev-1"); got.RegistrationID == "" || got.Status != op.outcome() {
			t.Fatalf("got %+v", got)
		}
	})
}

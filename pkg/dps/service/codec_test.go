package service_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/service"
	"github.com/google/go-cmp/cmp"
)

// The raw values are what encoding/json would change: white space, escapes,
// numbers beyond a float, member order, duplicates.
const (
	rawOdd   = "{ \"b\" : 1.0 ,\"a\":[ 1e400, 12345678901234567890, -0.0 ],\n\"<&>\":\"\\u003c\\/é\\ud800\" }"
	rawTwin  = `{"version":7,"count":2,"$version":3,"additionalProperties":{"hello":"world"},"metadata":null}`
	rawOther = `{"z":1,"z":2}`
)

// fetchedGroup is a group as a later version of the service might return it,
// with a member that the model does not have at every level.
const fetchedGroup = `{"enrollmentGroupId":"g","futureTop":` + rawOdd + `,
 "attestation":{"type":"x509","futureAttestation":` + rawOdd + `,
  "x509":{"futureX509":` + rawOdd + `,"signingCertificates":{"futureCertificates":` + rawOdd + `,
   "primary":{"futurePrimary":` + rawOdd + `,"info":{"subjectName":"CN=x","sha1Thumbprint":"AB","sha256Thumbprint":"CD","issuerName":"CN=y",
    "notBeforeUtc":"2026-01-01T00:00:00Z","notAfterUtc":"2027-01-01T00:00:00Z","serialNumber":"01","version":3,"futureInfo":` + rawOdd + `}}}}},
 "capabilities":{"iotEdge":true,"futureCapability":` + rawOdd + `},
 "initialTwin":{"tags":` + rawTwin + `,"properties":{"desired":` + rawOther + `,"futureProperty":` + rawOdd + `},"futureTwin":` + rawOdd + `},
 "etag":"IjAwIg==","provisioningStatus":null,
 "reprovisionPolicy":{"updateHubAssignment":true,"migrateDeviceData":false,"futurePolicy":` + rawOdd + `},
 "createdDateTimeUtc":"2026-01-01T00:00:00.1234567Z","lastUpdatedDateTimeUtc":"2026-01-02T00:00:00Z",
 "allocationPolicy":"custom","iotHubs":["a.example"],"credentialPolicyName":"later",
 "customAllocationDefinition":{"webhookUrl":"https://x/?a=1&b=<2>","apiVersion":"2019-03-31","futureWebhook":` + rawOdd + `}}`

func TestUnknownMembersSurviveByteForByte(t *testing.T) {
	s, c := scriptedClient(t, scriptedAnswer{status: 200, body: fetchedGroup})
	group := must[service.EnrollmentGroup](t)(c.GetGroup(t.Context(), "g", nil))
	must[service.EnrollmentGroup](t)(c.PutGroup(t.Context(), group, nil))
	sent := s.bodies[1]
	for _, name := range []string{"futureTop", "futureAttestation", "futureX509", "futureCertificates", "futurePrimary", "futureInfo",
		"futureCapability", "futureProperty", "futureTwin", "futurePolicy", "futureWebhook"} {
		if !strings.Contains(sent, `"`+name+`":`+rawOdd) {
			t.Errorf("%s did not survive in\n%s", name, sent)
		}
	}
	for _, want := range []string{`"tags":` + rawTwin, `"desired":` + rawOther, `"credentialPolicyName":"later"`, `"webhookUrl":"https://x/?a=1&b=<2>"`} {
		if !strings.Contains(sent, want) {
			t.Errorf("%s did not survive in\n%s", want, sent)
		}
	}
	for _, readOnly := range []string{"etag", "createdDateTimeUtc", "lastUpdatedDateTimeUtc", "provisioningStatus"} {
		if strings.Contains(sent, `"`+readOnly+`"`) {
			t.Errorf("%s was sent in\n%s", readOnly, sent)
		}
	}
	if got := s.requests[1].Header.Get("If-Match"); got != "IjAwIg==" {
		t.Errorf("If-Match %q", got)
	}
	// Reading what was sent gives the same model, less the read-only members.
	var again service.EnrollmentGroup
	if err := json.Unmarshal([]byte(sent), &again); err != nil {
		t.Fatal(err)
	}
	again.ETag, again.CreatedDateTimeUTC, again.LastUpdatedDateTimeUTC = group.ETag, group.CreatedDateTimeUTC, group.LastUpdatedDateTimeUTC
	if diff := cmp.Diff(group, again); diff != "" {
		t.Errorf("-read +sent:\n%s", diff)
	}
}

func TestEnrollmentIsReadAndSentBack(t *testing.T) {
	const body = `{"registrationId":"d","deviceId":"D","registrationState":{"registrationId":"d","status":"assigned","errorCode":null,
	 "payload":` + rawOther + `,"future":1},"optionalDeviceInformation":` + rawTwin + `,
	 "attestation":{"type":"tpm","tpm":{"endorsementKey":"AA==","storageRootKey":"BB==","future":` + rawOdd + `}},"etag":"e"}`
	s, c := scriptedClient(t, scriptedAnswer{status: 200, body: body})
	e := must[service.IndividualEnrollment](t)(c.GetEnrollment(t.Context(), "d", nil))
	if e.RegistrationState == nil || e.RegistrationState.Status != "assigned" || string(e.RegistrationState.Payload) != rawOther {
		t.Errorf("state %+v", e.RegistrationState)
	}
	must[service.IndividualEnrollment](t)(c.PutEnrollment(t.Context(), e, nil))
	want := `{"registrationId":"d","deviceId":"D","optionalDeviceInformation":` + rawTwin +
		`,"attestation":{"type":"tpm","tpm":{"endorsementKey":"AA==","storageRootKey":"BB==","future":` + rawOdd + `}}}`
	if s.bodies[1] != want {
		t.Errorf("sent %s\nwant %s", s.bodies[1], want)
	}
}

func TestTypedMemberBeatsUnknown(t *testing.T) {
	s, c := scriptedClient(t, scriptedAnswer{status: 200, body: fetchedGroup})
	group := service.EnrollmentGroup{EnrollmentGroupID: "g", Attestation: service.CAReference("ca", ""),
		Unknown: map[string]json.RawMessage{"enrollmentGroupId": json.RawMessage(`"other"`), "etag": json.RawMessage(`"x"`), "a": json.RawMessage(`1`)}}
	must[service.EnrollmentGroup](t)(c.PutGroup(t.Context(), group, nil))
	want := `{"enrollmentGroupId":"g","attestation":{"type":"x509","x509":{"caReferences":{"primary":"ca"}}},"a":1}`
	if s.bodies[0] != want {
		t.Errorf("sent %s\nwant %s", s.bodies[0], want)
	}
	group.Unknown = map[string]json.RawMessage{"bad": json.RawMessage(`{`)}
	if _, err := c.PutGroup(t.Context(), group, nil); err == nil || !strings.Contains(err.Error(), "member bad: invalid JSON") {
		t.Errorf("got %v", err)
	}
	group.Unknown = map[string]json.RawMessage{"empty": {}}
	if _, err := c.PutGroup(t.Context(), group, nil); err == nil {
		t.Error("an empty raw value was sent")
	}
	if len(s.requests) != 1 {
		t.Errorf("%d requests", len(s.requests))
	}
}

func TestTimes(t *testing.T) {
	for text, want := range map[string]time.Time{
		"2026-01-02T03:04:05Z":          time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		"2026-01-02T03:04:05.1234567Z":  time.Date(2026, 1, 2, 3, 4, 5, 123456700, time.UTC),
		"2026-01-02T03:04:05.5":         time.Date(2026, 1, 2, 3, 4, 5, 500000000, time.UTC),
		"2026-01-02T03:04:05+02:00":     time.Date(2026, 1, 2, 1, 4, 5, 0, time.UTC),
		"0001-01-01T00:00:00Z":          {},
		"2026-01-02T03:04:05.47686968Z": time.Date(2026, 1, 2, 3, 4, 5, 476869680, time.UTC),
	} {
		var s service.RegistrationState
		if err := json.Unmarshal([]byte(`{"createdDateTimeUtc":"`+text+`"}`), &s); err != nil || !s.CreatedDateTimeUTC.Equal(want) {
			t.Errorf("%s: got %v, %v", text, s.CreatedDateTimeUTC, err)
		}
	}
}

func TestUnreadableAnswers(t *testing.T) {
	for name, tt := range map[string]struct{ body, want string }{
		"web page":      {"<html>sign in</html>", "web page"},
		"empty":         {"", "empty"},
		"truncated":     {`{"enrollmentGroupId":"g"`, "the answer is cut off"},
		"trailing data": {`{} {}`, "not valid JSON"},
		"list":          {`[]`, "not a JSON object"},
		"text":          {`"x"`, "not a JSON object"},
		"other type":    {`{"enrollmentGroupId":5}`, "member enrollmentGroupId: not a string"},
		"nested":        {`{"attestation":{"x509":{"signingCertificates":[]}}}`, "member attestation: member x509: member signingCertificates: not a JSON object"},
		"bad time":      {`{"createdDateTimeUtc":"\u001b[2Jyesterday"}`, "not a date and time"},
		"deep":          {strings.Repeat(`{"a":`, 20000) + "1" + strings.Repeat("}", 20000), "not valid JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			_, c := scriptedClient(t, scriptedAnswer{status: 200, body: tt.body})
			_, err := c.GetGroup(t.Context(), "g", nil)
			sentinel := dps.ErrUnexpectedAnswer
			if name == "truncated" { // a problem of the connection
				sentinel = dps.ErrUnavailable
			}
			wantError(t, err, sentinel, 0)
			if !strings.Contains(fmt.Sprint(err), tt.want) || strings.Contains(fmt.Sprint(err), "\x1b") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestDisplayFormHidesKeys(t *testing.T) {
	group := service.EnrollmentGroup{EnrollmentGroupID: "g", Attestation: service.SymmetricKeys(testKey, testKey), ETag: "e"}
	shown, err := json.Marshal(group)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"enrollmentGroupId":"g","attestation":{"type":"symmetricKey","symmetricKey":{"primaryKey":"REDACTED","secondaryKey":"REDACTED"}},"etag":"e"}`
	if string(shown) != want {
		t.Errorf("got %s", shown)
	}
	enrollment := service.IndividualEnrollment{RegistrationID: "d", Attestation: group.Attestation,
		RegistrationState: &service.RegistrationState{Status: "unassigned"}}
	attestation, err := json.Marshal(group.Attestation)
	if err != nil {
		t.Fatal(err)
	}
	individual, err := json.Marshal(enrollment)
	if err != nil {
		t.Fatal(err)
	}
	all := string(attestation) + string(individual) + fmt.Sprintf("%v %+v %#v %v", group, enrollment, group.Attestation.SymmetricKey, &group)
	if strings.Contains(all, testKey) {
		t.Errorf("the key is shown: %s", all)
	}
	if !strings.Contains(string(individual), `"registrationState":{"status":"unassigned"}`) {
		t.Errorf("got %s", individual)
	}
}

func FuzzGroupSurvives(f *testing.F) {
	f.Add(fetchedGroup)
	f.Add(`{"enrollmentGroupId":"g","attestation":{"type":"symmetricKey","symmetricKey":{"primaryKey":"a","x":1}}}`)
	f.Add(`{"attestation":null,"iotHubs":[],"etag":5}`)
	f.Add(`{"a":{"b":1e999}}`)
	f.Fuzz(func(t *testing.T, body string) {
		var first, second service.EnrollmentGroup
		if json.Unmarshal([]byte(body), &first) != nil {
			return
		}
		first.Attestation.SymmetricKey = nil // redacted on purpose
		shown, err := json.Marshal(first)
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		if err := json.Unmarshal(shown, &second); err != nil {
			t.Fatalf("%s: %v", shown, err)
		}
		if d := first.Differences(second); len(d) != 0 {
			t.Fatalf("%s and %s differ in %v", body, shown, d)
		}
		if first.ETag != second.ETag || len(first.Unknown) != len(second.Unknown) {
			t.Fatalf("%s became %s", body, shown)
		}
	})
}

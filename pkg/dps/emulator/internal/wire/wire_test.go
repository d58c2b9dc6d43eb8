package wire_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"
	"github.com/dpskit/dpskit/pkg/pki"
)

func TestTime(t *testing.T) {
	for _, tt := range []struct {
		in   time.Time
		want string
	}{
		{time.Date(2023, 5, 19, 20, 53, 47, 686968000, time.UTC), `"2023-05-19T20:53:47.686968Z"`},
		{time.Date(2023, 5, 19, 20, 53, 47, 0, time.UTC), `"2023-05-19T20:53:47Z"`},
		{time.Date(2023, 5, 19, 20, 53, 40, 0, time.UTC), `"2023-05-19T20:53:40Z"`},
		{time.Date(2023, 5, 19, 20, 53, 47, 123456789, time.UTC), `"2023-05-19T20:53:47.1234567Z"`},
		{time.Date(2023, 5, 19, 22, 53, 47, 100, time.FixedZone("", 7200)), `"2023-05-19T20:53:47.0000001Z"`},
	} {
		got, err := json.Marshal(wire.At(tt.in))
		if err != nil || string(got) != tt.want {
			t.Errorf("%v -> %s, %v; want %s", tt.in, got, err, tt.want)
		}
		var back wire.Time
		if err := json.Unmarshal(got, &back); err != nil || !back.Equal(wire.At(tt.in).Time) {
			t.Errorf("%s -> %v, %v", got, back, err)
		}
	}
	for _, bad := range []string{`"yesterday"`, `12`, `"2023-05-19"`, `{}`} {
		var back wire.Time
		if err := json.Unmarshal([]byte(bad), &back); err == nil {
			t.Errorf("%s was read as %v", bad, back)
		}
	}
	back := wire.At(time.Unix(1, 0))
	if err := json.Unmarshal([]byte("null"), &back); err != nil || back.Unix() != 1 {
		t.Errorf("null changed the time: %v, %v", back, err)
	}
}

func TestHTTPDate(t *testing.T) {
	in := time.Date(2023, 6, 27, 23, 25, 31, 0, time.FixedZone("", 7200))
	got, err := json.Marshal(wire.HTTPDate{Time: in})
	if err != nil || string(got) != `"Tue, 27 Jun 2023 21:25:31 GMT"` {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestProvisioningStatus(t *testing.T) {
	for in, want := range map[string]string{
		`{}`:                                `{"provisioningStatus":"enabled"}`,
		`{"provisioningStatus":null}`:       `{"provisioningStatus":null}`,
		`{"provisioningStatus":"disabled"}`: `{"provisioningStatus":"disabled"}`,
	} {
		var v struct {
			ProvisioningStatus wire.ProvisioningStatus `json:"provisioningStatus"`
		}
		if err := json.Unmarshal([]byte(in), &v); err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(v)
		if err != nil || string(got) != want {
			t.Errorf("%s -> %s, %v; want %s", in, got, err, want)
		}
		if v.ProvisioningStatus.Disabled() != strings.Contains(in, "disabled") {
			t.Errorf("%s: Disabled() = %v", in, v.ProvisioningStatus.Disabled())
		}
	}
	var s wire.ProvisioningStatus
	if err := json.Unmarshal([]byte(`1`), &s); err == nil {
		t.Error("a number was read as a status")
	}
}

// TestMemberOrder pins the order that recordings of the service show.
func TestMemberOrder(t *testing.T) {
	yes, now := true, wire.At(time.Unix(1_700_000_000, 0))
	common := wire.Common{
		Attestation:       &wire.Attestation{Type: "symmetricKey", SymmetricKey: &wire.SymmetricKey{PrimaryKey: "p", SecondaryKey: "s"}},
		Capabilities:      &wire.Capabilities{IotEdge: true},
		IotHubHostName:    "hub",
		InitialTwin:       &wire.InitialTwin{Tags: json.RawMessage(`{"a":1}`), Properties: &wire.TwinProperties{Desired: json.RawMessage(`{}`)}},
		ETag:              "e",
		ReprovisionPolicy: &wire.ReprovisionPolicy{UpdateHubAssignment: &yes, MigrateDeviceData: &yes},

		CreatedDateTimeUTC: now, LastUpdatedDateTimeUTC: now,
		AllocationPolicy: "custom", IotHubs: []string{"hub"},
		CustomAllocationDefinition: &wire.CustomAllocationDefinition{WebhookURL: "https://x", APIVersion: "2019-03-31"},
	}
	tail := `"attestation":{"type":"symmetricKey","symmetricKey":{"primaryKey":"p","secondaryKey":"s"}},` +
		`"capabilities":{"iotEdge":true},"iotHubHostName":"hub",` +
		`"initialTwin":{"tags":{"a":1},"properties":{"desired":{}}},"etag":"e","provisioningStatus":"enabled",` +
		`"reprovisionPolicy":{"updateHubAssignment":true,"migrateDeviceData":true},` +
		`"createdDateTimeUtc":"2023-11-14T22:13:20Z","lastUpdatedDateTimeUtc":"2023-11-14T22:13:20Z",` +
		`"allocationPolicy":"custom","iotHubs":["hub"],` +
		`"customAllocationDefinition":{"webhookUrl":"https://x","apiVersion":"2019-03-31"}}`
	for _, tt := range []struct {
		in   any
		want string
	}{
		{wire.IndividualEnrollment{
			RegistrationID: "r", DeviceID: "d", Common: common, OptionalDeviceInformation: json.RawMessage(`{}`),
			RegistrationState: &wire.RegistrationState{RegistrationID: "r", Status: "unassigned"},
		}, `{"registrationId":"r","deviceId":"d","registrationState":{"registrationId":"r","status":"unassigned"},` +
			`"optionalDeviceInformation":{},` + tail},
		{wire.EnrollmentGroup{EnrollmentGroupID: "g", Common: common}, `{"enrollmentGroupId":"g",` + tail},
		{wire.BulkResult{Errors: []wire.BulkError{}, IsSuccessful: true}, `{"errors":[],"isSuccessful":true}`},
	} {
		got, err := json.Marshal(tt.in)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, string(got)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestErrorBodies(t *testing.T) {
	now := time.Date(2024, 1, 2, 3, 4, 5, 600_000_000, time.UTC)
	r := &refuse.Refusal{Status: http.StatusPreconditionFailed, Code: 412001, Message: "Invalid ETag supplied."}
	front := &refuse.Refusal{Status: http.StatusNotFound, ErrorCode: "ResourceNotFound", Message: "Gone."}
	for _, tt := range []struct {
		in   any
		want string
	}{
		{wire.NewServiceError(r, "id", now), `{"errorCode":412001,"trackingId":"id","message":"Invalid ETag supplied.","timestampUtc":"2024-01-02T03:04:05.6Z"}`},
		{wire.NewServiceError(&refuse.Refusal{Status: 401, Code: 401002, Message: "m", Rule: "r", Expected: "e", Fix: "f",
			Certificate: refuse.Certificate{Subject: "CN=a", Thumbprint: "AB", Position: 1}}, "id", now),
			`{"errorCode":401002,"trackingId":"id","message":"m","info":{"certificatePosition":"1","certificateSubject":"CN=a",` +
				`"certificateThumbprint":"AB","expected":"e","fix":"f","rule":"r"},"timestampUtc":"2024-01-02T03:04:05.6Z"}`},
		{wire.NewARMError(r, "id", now), `{"code":412001,"httpStatusCode":"PreconditionFailed","message":"Invalid ETag supplied. ` +
			`If you contact a support representative please include this correlation identifier: id, timestamp: 2024-01-02 03:04:05Z, errorcode: IH412001."}`},
		{wire.NewARMError(front, "id", now), `{"error":{"code":"ResourceNotFound","message":"Gone."}}`},
	} {
		got, err := json.Marshal(tt.in)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, string(got)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestDistinguishedName(t *testing.T) {
	oid := func(parts ...int) asn1.ObjectIdentifier { return parts }
	name := func(attrs ...pkix.AttributeTypeAndValue) pkix.RDNSequence {
		var seq pkix.RDNSequence
		for _, a := range attrs {
			seq = append(seq, pkix.RelativeDistinguishedNameSET{a})
		}
		return seq
	}
	c := pkix.AttributeTypeAndValue{Type: oid(2, 5, 4, 6), Value: "US"}
	o := pkix.AttributeTypeAndValue{Type: oid(2, 5, 4, 10), Value: "Contoso, Inc."}
	st := pkix.AttributeTypeAndValue{Type: oid(2, 5, 4, 8), Value: "WA"}
	cn := pkix.AttributeTypeAndValue{Type: oid(2, 5, 4, 3), Value: `say "x"`}
	other := pkix.AttributeTypeAndValue{Type: oid(1, 2, 3), Value: "v"}
	for _, tt := range []struct {
		in   pkix.RDNSequence
		want string
	}{
		{name(), ""},
		{name(c), "C=US"},
		{name(c, st, o, cn), `CN="say ""x""", O="Contoso, Inc.", S=WA, C=US`},
		{name(other), "OID.1.2.3=v"},
		{pkix.RDNSequence{{c, o}}, `C=US + O="Contoso, Inc."`},
	} {
		raw, err := asn1.Marshal(tt.in)
		if err != nil {
			t.Fatal(err)
		}
		if got := wire.DistinguishedName(raw); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
	if got := wire.DistinguishedName([]byte("no DER")); got != "" {
		t.Errorf("garbage gave %q", got)
	}
}

func TestInfoOf(t *testing.T) {
	root, err := pki.NewRoot(&pki.CAOptions{CommonName: "Test Root"})
	if err != nil {
		t.Fatal(err)
	}
	cert := root.Certificate()
	info := wire.InfoOf(cert)
	if info.SubjectName != "CN=Test Root" || info.IssuerName != "CN=Test Root" || info.Version != 3 {
		t.Errorf("info = %+v", info)
	}
	if len(info.SHA1Thumbprint) != 40 || len(info.SHA256Thumbprint) != 64 ||
		strings.ToUpper(info.SHA256Thumbprint) != info.SHA256Thumbprint {
		t.Errorf("thumbprints %q, %q: want upper-case hex", info.SHA1Thumbprint, info.SHA256Thumbprint)
	}
	if info.SHA1Thumbprint != pki.SHA1Thumbprint(cert) || info.SHA256Thumbprint != pki.SHA256Thumbprint(cert) {
		t.Error("thumbprints differ from those of package pki")
	}
	n, ok := new(big.Int).SetString(info.SerialNumber, 16)
	if !ok || n.Cmp(cert.SerialNumber) != 0 || len(info.SerialNumber)%2 != 0 {
		t.Errorf("serial number %q of %v", info.SerialNumber, cert.SerialNumber)
	}
	zero := wire.InfoOf(&x509.Certificate{SerialNumber: big.NewInt(0)})
	if zero.SerialNumber != "00" {
		t.Errorf("serial number 0 is %q", zero.SerialNumber)
	}
}

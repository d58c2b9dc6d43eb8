package enrollment_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/dps/enrollment"
	"github.com/dpskit/dpskit/pkg/dps/service"
	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/pkitest"
)

func TestDiff(t *testing.T) {
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	tests := []struct {
		name          string
		before, after func(*service.IndividualEnrollment)
		want          []enrollment.Difference
	}{
		{name: "the same"},
		{name: "defaults written out", after: func(e *service.IndividualEnrollment) {
			e.DeviceID, e.ProvisioningStatus, e.AllocationPolicy = "dev-1", service.ProvisioningEnabled, service.AllocationHashed
			e.Capabilities, e.ReprovisionPolicy = &service.DeviceCapabilities{}, &service.ReprovisionPolicy{UpdateHubAssignment: true, MigrateDeviceData: true}
			e.IoTHubs, e.InitialTwin = []string{}, &service.InitialTwin{Tags: raw(`{}`), Properties: &service.InitialTwinProperties{}}
			e.ETag, e.RegistrationState = "e", &service.RegistrationState{Status: "assigned"}
		}},
		{name: "order and case of hubs", before: func(e *service.IndividualEnrollment) { e.IoTHubs = []string{"A.net", "b.net"} },
			after: func(e *service.IndividualEnrollment) { e.IoTHubs = []string{"b.net", "a.net"} }},
		{name: "spelling of a twin", before: func(e *service.IndividualEnrollment) {
			e.InitialTwin = &service.InitialTwin{Tags: raw(`{"a":1,"b":{}}`)}
		}, after: func(e *service.IndividualEnrollment) {
			e.InitialTwin = &service.InitialTwin{Tags: raw(`{ "b":{}, "a":1 }`)}
		}},
		{name: "an empty object in tags is a value", before: func(e *service.IndividualEnrollment) {
			e.InitialTwin = &service.InitialTwin{Tags: raw(`{"a":1,"b":{}}`)}
		}, after: func(e *service.IndividualEnrollment) { e.InitialTwin = &service.InitialTwin{Tags: raw(`{"a":1}`)} },
			want: []enrollment.Difference{{Member: "initialTwin", Before: `{"tags":{"a":1,"b":{}}}`, After: `{"tags":{"a":1}}`}}},
		{name: "settings", after: func(e *service.IndividualEnrollment) {
			e.DeviceID, e.ProvisioningStatus, e.IoTHubs, e.AllocationPolicy = "d", "disabled", []string{"h.net"}, "static"
			e.Capabilities = &service.DeviceCapabilities{IoTEdge: true}
			e.ReprovisionPolicy = &service.ReprovisionPolicy{}
			e.OptionalDeviceInformation = raw(`{"serial":"<1>"}`)
			e.Unknown = map[string]json.RawMessage{"credentialPolicyName": raw(`"p"`)}
		}, want: []enrollment.Difference{
			{Member: "allocationPolicy", After: `"static"`},
			{Member: "capabilities", Before: `{"iotEdge":false}`, After: `{"iotEdge":true}`},
			{Member: "credentialPolicyName", After: `"p"`},
			{Member: "deviceId", Before: `"dev-1"`, After: `"d"`},
			{Member: "iotHubs", After: `["h.net"]`},
			{Member: "optionalDeviceInformation", After: `{"serial":"<1>"}`},
			{Member: "provisioningStatus", Before: `"enabled"`, After: `"disabled"`},
			{Member: "reprovisionPolicy", Before: `{"migrateDeviceData":true,"updateHubAssignment":true}`, After: `{"migrateDeviceData":false,"updateHubAssignment":false}`},
		}},
		{name: "a policy that goes", before: func(e *service.IndividualEnrollment) {
			e.AllocationPolicy, e.IoTHubs = "geoLatency", []string{"h.net"}
		}, after: func(e *service.IndividualEnrollment) { e.IoTHubs = []string{"h.net"} },
			want: []enrollment.Difference{{Member: "allocationPolicy", Before: `"geoLatency"`}}},
		{name: "a webhook without its key", after: func(e *service.IndividualEnrollment) {
			e.CustomAllocationDefinition = &service.CustomAllocationDefinition{WebhookURL: "https://u:secretpart@f.example/api?code=secretpart#secretpart", APIVersion: "2019-03-31"}
		}, want: []enrollment.Difference{{Member: "customAllocationDefinition",
			After: `{"apiVersion":"2019-03-31","webhookUrl":"https://f.example/api?REDACTED"}`}}},
		{name: "another key of a webhook", before: func(e *service.IndividualEnrollment) {
			e.CustomAllocationDefinition = &service.CustomAllocationDefinition{WebhookURL: "https://f.example/api?code=secretpart", APIVersion: "2019-03-31"}
		}, after: func(e *service.IndividualEnrollment) {
			e.CustomAllocationDefinition = &service.CustomAllocationDefinition{WebhookURL: "https://f.example/api?code=secretpart2", APIVersion: "2019-03-31"}
		}, want: []enrollment.Difference{{Member: "customAllocationDefinition.webhookUrl",
			Before: `"https://f.example/api?REDACTED"`, After: `"https://f.example/api?REDACTED"`}}},
		{name: "another version of a webhook", before: func(e *service.IndividualEnrollment) {
			e.CustomAllocationDefinition = &service.CustomAllocationDefinition{WebhookURL: "https://f.example/api?code=secretpart", APIVersion: "2019-03-31"}
		}, after: func(e *service.IndividualEnrollment) {
			e.CustomAllocationDefinition = &service.CustomAllocationDefinition{WebhookURL: "https://f.example/api?code=secretpart", APIVersion: "2021-10-01"}
		}, want: []enrollment.Difference{{Member: "customAllocationDefinition.apiVersion", Before: `"2019-03-31"`, After: `"2021-10-01"`}}},
		{name: "a webhook that is no URL", after: func(e *service.IndividualEnrollment) {
			e.CustomAllocationDefinition = &service.CustomAllocationDefinition{WebhookURL: ":secretpart", APIVersion: "2019-03-31"}
		}, want: []enrollment.Difference{{Member: "customAllocationDefinition", After: `{"apiVersion":"2019-03-31","webhookUrl":"REDACTED"}`}}},
		{name: "keys that one side does not know", before: func(e *service.IndividualEnrollment) { e.Attestation = service.SymmetricKeys(key(20), key(20)) }},
		{name: "another key", before: func(e *service.IndividualEnrollment) { e.Attestation = service.SymmetricKeys(key(20), key(20)) },
			after: func(e *service.IndividualEnrollment) { e.Attestation = service.SymmetricKeys(key(20), key(21)) },
			want:  []enrollment.Difference{{Member: "attestation.symmetricKey.secondaryKey", Before: "(hidden)", After: "(hidden)"}}},
		{name: "another kind", after: func(e *service.IndividualEnrollment) { e.Attestation = service.EndorsementKey("AToAAQ==", "") },
			want: []enrollment.Difference{{Member: "attestation.type", Before: "symmetricKey", After: "tpm"}}},
		{name: "another TPM", before: func(e *service.IndividualEnrollment) {
			e.Attestation = service.Attestation{Type: service.AttestationTPM}
		}, after: func(e *service.IndividualEnrollment) {
			e.Attestation = service.EndorsementKey("AToAAQALAAMAsgAgg3GX", "")
		},
			want: []enrollment.Difference{{Member: "attestation.tpm", After: "endorsement key AToAAQALAAMA…"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := service.IndividualEnrollment{RegistrationID: "dev-1", Attestation: service.SymmetricKeys("", "")}
			after := before
			if tt.before != nil {
				tt.before(&before)
			}
			if tt.after != nil {
				tt.after(&after)
			}
			got := enrollment.Diff(before, after)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if back := enrollment.Diff(after, before); len(back) != len(got) {
				t.Errorf("backwards there are %d differences, forwards %d", len(back), len(got))
			}
			if strings.Contains(cmp.Diff(nil, got), "secretpart") {
				t.Error("a secret is shown")
			}
		})
	}
}

func TestDiffShowsCertificates(t *testing.T) {
	root, ca, dev := pkitest.Root(t), pkitest.Intermediate(t), pkitest.Device(t, "dev-1")
	group := func(a service.Attestation) service.EnrollmentGroup {
		return service.EnrollmentGroup{EnrollmentGroupID: "g", Attestation: a}
	}
	described := service.Attestation{Type: service.AttestationX509, X509: &service.X509Attestation{SigningCertificates: &service.X509Certificates{
		Primary: &service.X509CertificateWithInfo{Info: &service.X509CertificateInfo{
			SubjectName: "CN=The root, O=Contoso", SHA256Thumbprint: pki.SHA256Thumbprint(root.Certificate()), NotAfterUTC: root.Certificate().NotAfter}}}}}
	if got := enrollment.Diff(group(described), group(service.SigningCertificate(root.Certificate(), nil))); got != nil {
		t.Errorf("a certificate differs from its description: %v", got)
	}
	got := enrollment.Diff(group(described), group(service.SigningCertificate(ca.Certificate(), root.Certificate())))
	if len(got) != 2 || !strings.HasPrefix(got[0].Before, `"The root" (SHA-256 `+pki.SHA256Thumbprint(root.Certificate())[:16]) ||
		!strings.HasPrefix(got[0].After, `"`+ca.Certificate().Subject.CommonName) || got[1].Before != "" {
		t.Errorf("got %q", got)
	}
	got = enrollment.Diff(group(described), group(service.CAReference("a", "b")))
	if len(got) != 2 || got[1].After != "a and b" {
		t.Errorf("got %q", got)
	}
	individual := enrollment.Diff(service.IndividualEnrollment{Attestation: service.ClientCertificate(dev.Certificate, nil)},
		service.IndividualEnrollment{Attestation: service.ClientCertificate(dev.Certificate, ca.Certificate())})
	if len(individual) != 1 || individual[0].Member != "attestation.x509.clientCertificates.secondary" {
		t.Errorf("got %q", individual)
	}
}

package enrollment_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/enrollment"
	"github.com/dpskit/dpskit/pkg/dps/service"
	"github.com/dpskit/dpskit/pkg/pki/pkitest"
)

// full is a stored enrollment with every member.
func full(t *testing.T) service.IndividualEnrollment {
	t.Helper()
	dev := pkitest.Device(t, "dev-1")
	return service.IndividualEnrollment{
		RegistrationID: "Dev-1", DeviceID: "d", ETag: "e1",
		Attestation: service.ClientCertificate(dev.Certificate, pkitest.Device(t, "dev-1").Certificate),
		InitialTwin: &service.InitialTwin{Tags: json.RawMessage(`{"a":1}`),
			Properties: &service.InitialTwinProperties{Desired: json.RawMessage(`{"p":1}`)}},
		Capabilities: &service.DeviceCapabilities{IoTEdge: true}, ProvisioningStatus: service.ProvisioningDisabled,
		ReprovisionPolicy: &service.ReprovisionPolicy{}, AllocationPolicy: service.AllocationCustom, IoTHubs: []string{"a.net", "b.net"},
		CustomAllocationDefinition: &service.CustomAllocationDefinition{WebhookURL: "https://f.example", APIVersion: "2019-03-31"},
		OptionalDeviceInformation:  json.RawMessage(`{"s":1}`),
		Unknown:                    map[string]json.RawMessage{"future": json.RawMessage(`1`)},
	}
}

func TestOverlayKeepsWhatIsLeftOut(t *testing.T) {
	stored := full(t)
	got, err := enrollment.Overlay(stored, service.IndividualEnrollment{RegistrationID: "dev-1"})
	if err != nil {
		t.Fatal(err)
	}
	if d := enrollment.Diff(stored, got); d != nil || got.ETag != "e1" || got.RegistrationID != "Dev-1" {
		t.Errorf("an empty overlay changed %v, id %s, etag %s", d, got.RegistrationID, got.ETag)
	}
}

func TestOverlayReplacesWhatIsGiven(t *testing.T) {
	stored, renewed := full(t), pkitest.Device(t, "dev-1")
	wanted := service.IndividualEnrollment{
		RegistrationID: "dev-1", DeviceID: "d2", ProvisioningStatus: service.ProvisioningEnabled,
		Attestation:  service.ClientCertificate(renewed.Certificate, nil),
		InitialTwin:  &service.InitialTwin{Properties: &service.InitialTwinProperties{Desired: json.RawMessage(`{"p":2}`)}},
		Capabilities: &service.DeviceCapabilities{}, ReprovisionPolicy: &service.ReprovisionPolicy{UpdateHubAssignment: true},
		AllocationPolicy: service.AllocationStatic, IoTHubs: []string{"c.net"}, OptionalDeviceInformation: json.RawMessage(`{"s":2}`),
		Unknown: map[string]json.RawMessage{"credentialPolicyName": json.RawMessage(`"p"`)},
	}
	got, err := enrollment.Overlay(stored, wanted)
	if err != nil {
		t.Fatal(err)
	}
	var changed []string
	for _, d := range enrollment.Diff(stored, got) {
		changed = append(changed, d.Member)
	}
	want := []string{"attestation.x509.clientCertificates.primary", "allocationPolicy", "capabilities", "credentialPolicyName",
		"customAllocationDefinition", "deviceId", "initialTwin", "iotHubs", "optionalDeviceInformation", "provisioningStatus", "reprovisionPolicy"}
	if len(changed) != len(want) {
		t.Errorf("changed %v, want %v", changed, want)
	}
	if got.Attestation.X509.ClientCertificates.Secondary == nil || string(got.InitialTwin.Tags) != `{"a":1}` || len(got.Unknown) != 2 {
		t.Errorf("something that was not given is gone: %+v", got)
	}
	if got.CustomAllocationDefinition != nil {
		t.Error("the webhook stayed although the policy is static")
	}
	if stored.InitialTwin.Properties.Desired[5] != '1' || len(stored.Unknown) != 1 || stored.Attestation.X509.ClientCertificates.Primary.Certificate ==
		got.Attestation.X509.ClientCertificates.Primary.Certificate {
		t.Error("the stored object itself was changed")
	}
	if problems := enrollment.Check(got); problems != nil {
		t.Error(problems)
	}
}

func TestOverlayAttestation(t *testing.T) {
	tests := []struct {
		name           string
		stored, wanted service.Attestation
		want           service.Attestation
		refused        bool
	}{
		{name: "none given", stored: service.EndorsementKey("AQ==", ""), want: service.EndorsementKey("AQ==", "")},
		{name: "another TPM", stored: service.EndorsementKey("AQ==", ""), wanted: service.EndorsementKey("Ag==", ""), want: service.EndorsementKey("Ag==", "")},
		{name: "keys without keys stay", stored: service.SymmetricKeys(key(20), key(20)), wanted: service.SymmetricKeys("", ""), want: service.SymmetricKeys(key(20), key(20))},
		{name: "other keys", stored: service.SymmetricKeys("", ""), wanted: service.SymmetricKeys(key(21), key(22)), want: service.SymmetricKeys(key(21), key(22))},
		{name: "x509 without its member", stored: service.CAReference("a", ""), wanted: service.Attestation{Type: service.AttestationX509}, want: service.CAReference("a", "")},
		{name: "another kind", stored: service.SymmetricKeys("", ""), wanted: service.EndorsementKey("AQ==", ""), refused: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := enrollment.Overlay(service.IndividualEnrollment{Attestation: tt.stored}, service.IndividualEnrollment{Attestation: tt.wanted})
			if tt.refused != errors.Is(err, dps.ErrConflict) || err != nil && !tt.refused {
				t.Fatalf("error %v, want one: %v", err, tt.refused)
			}
			if d := enrollment.Diff(got, service.IndividualEnrollment{Attestation: tt.want}); d != nil && err == nil {
				t.Errorf("differs in %v", d)
			}
		})
	}
}

func TestOverlayFromReferenceToCertificate(t *testing.T) {
	ca := pkitest.Intermediate(t)
	got, err := enrollment.Overlay(service.EnrollmentGroup{EnrollmentGroupID: "g", Attestation: service.CAReference("a", "b")},
		service.EnrollmentGroup{EnrollmentGroupID: "g", Attestation: service.SigningCertificate(ca.Certificate(), nil)})
	if err != nil || got.Attestation.X509.CAReferences != nil || enrollment.Check(got) != nil {
		t.Errorf("got %+v, %v, %v", got.Attestation.X509, err, enrollment.Check(got))
	}
}

func TestReplaceRemovesWhatIsLeftOut(t *testing.T) {
	stored := full(t)
	wanted := service.IndividualEnrollment{RegistrationID: "dev-1", Attestation: stored.Attestation}
	got := enrollment.Replace(stored, wanted)
	if got.ETag != "e1" || got.RegistrationID != "Dev-1" || string(got.Unknown["future"]) != "1" {
		t.Errorf("what only the service has is gone: %+v", got)
	}
	if got.InitialTwin != nil || got.IoTHubs != nil || got.CustomAllocationDefinition != nil || got.DeviceID != "" {
		t.Errorf("what was left out is still there: %+v", got)
	}
	if len(stored.Unknown) != 1 || wanted.ETag != "" {
		t.Error("an argument was changed")
	}
}

func TestSetTwinParts(t *testing.T) {
	e := full(t)
	shared := e.InitialTwin
	f := enrollment.Of(&e)
	f.SetTags(nil)
	if e.InitialTwin.Tags != nil || string(e.InitialTwin.Properties.Desired) != `{"p":1}` {
		t.Errorf("got %+v", e.InitialTwin)
	}
	f.SetDesired(nil)
	if e.InitialTwin != nil {
		t.Errorf("an empty twin stayed: %+v", e.InitialTwin)
	}
	f.SetDesired(json.RawMessage(`{"q":1}`))
	f.SetTags(json.RawMessage(`{"t":1}`))
	if string(e.InitialTwin.Tags) != `{"t":1}` || string(e.InitialTwin.Properties.Desired) != `{"q":1}` {
		t.Errorf("got %+v", e.InitialTwin)
	}
	if string(shared.Tags) != `{"a":1}` || string(shared.Properties.Desired) != `{"p":1}` {
		t.Error("a twin that another object shares was changed")
	}
}

package service_test

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/service"
	"github.com/dpskit/dpskit/pkg/pki"
)

func TestGroupDifferences(t *testing.T) {
	root, ca := newCA(t)
	base := func() service.EnrollmentGroup {
		return service.EnrollmentGroup{EnrollmentGroupID: "g", Attestation: service.SigningCertificate(ca.Certificate(), nil)}
	}
	described := func(thumbprint string) service.Attestation {
		return service.Attestation{Type: service.AttestationX509, X509: &service.X509Attestation{SigningCertificates: &service.X509Certificates{
			Primary: &service.X509CertificateWithInfo{Info: &service.X509CertificateInfo{SHA256Thumbprint: thumbprint}}}}}
	}
	other := base()
	other.Attestation.X509.SigningCertificates.Primary.Certificate = base64.StdEncoding.EncodeToString(ca.Certificate().Raw)
	doubly := base()
	doubly.Attestation.X509.SigningCertificates.Primary.Certificate =
		base64.StdEncoding.EncodeToString(pki.EncodeCertificatesPEM(ca.Certificate()))
	tests := []struct {
		name         string
		want, stored func(*service.EnrollmentGroup)
		differs      []string
	}{
		{name: "the same"},
		{name: "id in another case", stored: func(g *service.EnrollmentGroup) { g.EnrollmentGroupID = "G" }},
		{name: "another id", stored: func(g *service.EnrollmentGroup) { g.EnrollmentGroupID = "h" }, differs: []string{"enrollmentGroupId"}},
		{name: "description", stored: func(g *service.EnrollmentGroup) { g.Attestation = described(pki.SHA256Thumbprint(ca.Certificate())) }},
		{name: "description of another", stored: func(g *service.EnrollmentGroup) { g.Attestation = described(pki.SHA256Thumbprint(root.Certificate())) },
			differs: []string{"attestation.x509.signingCertificates.primary"}},
		{name: "base64 of DER", stored: func(g *service.EnrollmentGroup) { *g = other }},
		{name: "base64 of PEM", stored: func(g *service.EnrollmentGroup) { *g = doubly }},
		{name: "secondary too", stored: func(g *service.EnrollmentGroup) {
			g.Attestation = service.SigningCertificate(ca.Certificate(), root.Certificate())
		}, differs: []string{"attestation.x509.signingCertificates.secondary"}},
		{name: "reference instead", stored: func(g *service.EnrollmentGroup) { g.Attestation = service.CAReference("r", "") },
			differs: []string{"attestation.x509.signingCertificates.primary", "attestation.x509.caReferences"}},
		{name: "keys instead", stored: func(g *service.EnrollmentGroup) { g.Attestation = service.SymmetricKeys("", "") },
			differs: []string{"attestation.type"}},
		{name: "defaults written out", stored: func(g *service.EnrollmentGroup) {
			g.ProvisioningStatus, g.AllocationPolicy = service.ProvisioningEnabled, service.AllocationHashed
			g.Capabilities, g.ReprovisionPolicy = &service.DeviceCapabilities{}, &service.ReprovisionPolicy{UpdateHubAssignment: true, MigrateDeviceData: true}
			g.ETag, g.InitialTwin = "e", &service.InitialTwin{}
		}},
		{name: "every setting", stored: func(g *service.EnrollmentGroup) {
			g.ProvisioningStatus, g.IoTHubHostName, g.IoTHubs = service.ProvisioningDisabled, "h", []string{"a"}
			g.Capabilities, g.ReprovisionPolicy = &service.DeviceCapabilities{IoTEdge: true}, &service.ReprovisionPolicy{}
			g.InitialTwin = &service.InitialTwin{Tags: json.RawMessage(`{"a":1}`)}
			g.CustomAllocationDefinition = &service.CustomAllocationDefinition{WebhookURL: "u"}
		}, differs: []string{"capabilities", "iotHubHostName", "initialTwin", "provisioningStatus", "reprovisionPolicy", "iotHubs",
			"customAllocationDefinition"}},
		{name: "another policy", want: func(g *service.EnrollmentGroup) { g.AllocationPolicy = service.AllocationStatic },
			stored: func(g *service.EnrollmentGroup) { g.AllocationPolicy = service.AllocationHashed }, differs: []string{"allocationPolicy"}},
		{name: "hubs in another order and case", want: func(g *service.EnrollmentGroup) { g.IoTHubs = []string{"A.example", "b.example"} },
			stored: func(g *service.EnrollmentGroup) { g.IoTHubs = []string{"b.example", "a.example"} }},
		{name: "twin spelled otherwise", want: func(g *service.EnrollmentGroup) {
			g.InitialTwin = &service.InitialTwin{Tags: json.RawMessage(`{"a":1,"b":{"c":"é"}}`)}
		}, stored: func(g *service.EnrollmentGroup) {
			g.InitialTwin = &service.InitialTwin{Tags: json.RawMessage(`{ "b": {"c":"\u00e9"}, "a": 1 }`)}
		}},
		{name: "unknown member missing", want: func(g *service.EnrollmentGroup) {
			g.Unknown = map[string]json.RawMessage{"credentialPolicyName": json.RawMessage(`"x"`)}
		}, differs: []string{"credentialPolicyName"}},
		{name: "unknown member more", stored: func(g *service.EnrollmentGroup) {
			g.Unknown = map[string]json.RawMessage{"new": json.RawMessage(`1`)}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want, stored := base(), base()
			if tt.want != nil {
				tt.want(&want)
			}
			if tt.stored != nil {
				tt.stored(&stored)
			}
			if got := want.Differences(stored); !slices.Equal(got, tt.differs) {
				t.Errorf("got %q, want %q", got, tt.differs)
			}
		})
	}
}

func TestEnrollmentDifferences(t *testing.T) {
	cert := selfSigned(t, "d")
	keys := func(a, b dps.Secret) service.IndividualEnrollment {
		return service.IndividualEnrollment{RegistrationID: "d", Attestation: service.SymmetricKeys(a, b)}
	}
	x509 := func() service.IndividualEnrollment {
		return service.IndividualEnrollment{RegistrationID: "d", Attestation: service.ClientCertificate(cert, nil)}
	}
	with := func(e service.IndividualEnrollment, change func(*service.IndividualEnrollment)) service.IndividualEnrollment {
		change(&e)
		return e
	}
	for name, tt := range map[string]struct {
		want, stored service.IndividualEnrollment
		differs      []string
	}{
		"same certificate":  {x509(), x509(), nil},
		"device id written": {x509(), with(x509(), func(e *service.IndividualEnrollment) { e.DeviceID = "d" }), nil},
		"another device id": {x509(), with(x509(), func(e *service.IndividualEnrollment) { e.DeviceID = "D2" }), []string{"deviceId"}},
		"information":       {x509(), with(x509(), func(e *service.IndividualEnrollment) { e.OptionalDeviceInformation = json.RawMessage(`{}`) }), []string{"optionalDeviceInformation"}},
		"registration state": {x509(), with(x509(), func(e *service.IndividualEnrollment) {
			e.RegistrationState = &service.RegistrationState{Status: "assigned"}
		}), nil},
		"another certificate": {x509(), with(x509(), func(e *service.IndividualEnrollment) {
			e.Attestation = service.ClientCertificate(selfSigned(t, "d"), nil)
		}), []string{"attestation.x509.clientCertificates.primary"}},
		"generated keys":       {keys("", ""), keys("a", "b"), nil},
		"keys not shown":       {keys("a", "b"), keys("", ""), nil},
		"same keys":            {keys("a", "b"), keys("a", "b"), nil},
		"one key generated":    {keys("a", ""), keys("a", "b"), nil},
		"another primary":      {keys("a", "b"), keys("c", "b"), []string{"attestation.symmetricKey.primaryKey"}},
		"another secondary":    {keys("a", "b"), keys("a", "c"), []string{"attestation.symmetricKey.secondaryKey"}},
		"unreadable text":      {certText("x"), certText("x"), nil},
		"other unreadable":     {certText("x"), certText("y"), []string{"attestation.x509.clientCertificates.primary"}},
		"tpm":                  {tpm("a"), tpm("a"), nil},
		"another tpm":          {tpm("a"), tpm("b"), []string{"attestation.tpm"}},
		"another registration": {tpm("a"), with(tpm("a"), func(e *service.IndividualEnrollment) { e.RegistrationID, e.DeviceID = "e", "t" }), []string{"registrationId"}},
	} {
		if name == "another registration" {
			tt.want.DeviceID = "t"
		}
		if got := tt.want.Differences(tt.stored); !slices.Equal(got, tt.differs) {
			t.Errorf("%s: got %q, want %q", name, got, tt.differs)
		}
	}
}

func tpm(ek string) service.IndividualEnrollment {
	return service.IndividualEnrollment{RegistrationID: "t", Attestation: service.EndorsementKey(ek, "")}
}

func certText(text string) service.IndividualEnrollment {
	return service.IndividualEnrollment{RegistrationID: "d", Attestation: service.Attestation{Type: service.AttestationX509,
		X509: &service.X509Attestation{ClientCertificates: &service.X509Certificates{Primary: &service.X509CertificateWithInfo{Certificate: text}}}}}
}

package enrollment_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/enrollment"
	"github.com/dpskit/dpskit/pkg/dps/service"
	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/pkitest"
)

// key returns a symmetric key of n bytes.
func key(n int) dps.Secret {
	return dps.Secret(base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", n))))
}

// members lists what the problems are about.
func members(problems []enrollment.Problem) []string {
	var list []string
	for _, p := range problems {
		list = append(list, p.Member)
	}
	return list
}

func TestCheckEnrollment(t *testing.T) {
	ca, dev := pkitest.Intermediate(t), pkitest.Device(t, "dev-1")
	chain := string(dev.FullChainPEM())
	x509With := func(primary, secondary string) service.Attestation {
		slot := func(text string) *service.X509CertificateWithInfo {
			if text == "" {
				return nil
			}
			return &service.X509CertificateWithInfo{Certificate: text}
		}
		return service.Attestation{Type: service.AttestationX509, X509: &service.X509Attestation{
			ClientCertificates: &service.X509Certificates{Primary: slot(primary), Secondary: slot(secondary)}}}
	}
	tests := []struct {
		name   string
		change func(*service.IndividualEnrollment)
		want   []string // members
		says   string   // in the text or the fix of the first
	}{
		{name: "service-made keys", change: func(e *service.IndividualEnrollment) {}},
		{name: "keys of the smallest and largest size", change: func(e *service.IndividualEnrollment) { e.Attestation = service.SymmetricKeys(key(16), key(64)) }},
		{name: "client certificates", change: func(e *service.IndividualEnrollment) {
			e.Attestation = service.ClientCertificate(dev.Certificate, pkitest.Device(t, "dev-1").Certificate)
		}},
		{name: "base64 of DER", change: func(e *service.IndividualEnrollment) {
			e.Attestation = x509With(base64.StdEncoding.EncodeToString(dev.Certificate.Raw), "")
		}},
		{name: "only a secondary", change: func(e *service.IndividualEnrollment) { e.Attestation = x509With("", string(dev.CertificatePEM())) }},
		{name: "a description of what is stored", change: func(e *service.IndividualEnrollment) {
			e.Attestation = x509With("", "")
			e.Attestation.X509.ClientCertificates.Primary = &service.X509CertificateWithInfo{Info: &service.X509CertificateInfo{SHA256Thumbprint: "AB"}}
		}},
		{name: "CA references", change: func(e *service.IndividualEnrollment) { e.Attestation = service.CAReference("root", "") }},
		{name: "TPM", change: func(e *service.IndividualEnrollment) { e.Attestation = service.EndorsementKey("AToAAQ==", "") }},
		{name: "static to one hub", change: func(e *service.IndividualEnrollment) {
			e.AllocationPolicy, e.IoTHubs = service.AllocationStatic, []string{"hub.azure-devices.net"}
		}},
		{name: "the older single hub", change: func(e *service.IndividualEnrollment) { e.IoTHubHostName = "hub.azure-devices.net" }},
		{name: "custom with a webhook", change: func(e *service.IndividualEnrollment) {
			e.AllocationPolicy = service.AllocationCustom
			e.CustomAllocationDefinition = &service.CustomAllocationDefinition{WebhookURL: "https://f.example/api?code=x", APIVersion: "2019-03-31"}
		}},
		{name: "every sign of a device id", change: func(e *service.IndividualEnrollment) { e.DeviceID = "a-:.+%_#*?!(),=@;$'" }},
		{name: "a tag named version", change: func(e *service.IndividualEnrollment) {
			e.InitialTwin = &service.InitialTwin{Tags: json.RawMessage(`{"version":1,"additionalProperties":{}}`)}
		}},

		{name: "no id", change: func(e *service.IndividualEnrollment) { e.RegistrationID = "" }, want: []string{"registrationId"}},
		{name: "a slash in the id", change: func(e *service.IndividualEnrollment) { e.RegistrationID = "a/b" }, want: []string{"registrationId"}, says: `"a/b"`},
		{name: "65 characters with X.509", change: func(e *service.IndividualEnrollment) {
			e.RegistrationID, e.Attestation = strings.Repeat("a", 65), service.ClientCertificate(dev.Certificate, nil)
		}, want: []string{"registrationId"}, says: "at most 64"},
		{name: "no attestation", change: func(e *service.IndividualEnrollment) { e.Attestation = service.Attestation{} }, want: []string{"attestation"}},
		{name: "attestation none", change: func(e *service.IndividualEnrollment) { e.Attestation.Type = service.AttestationNone },
			want: []string{"attestation.type"}, says: "x509, symmetricKey or tpm"},
		{name: "a CA certificate", change: func(e *service.IndividualEnrollment) {
			e.Attestation = service.ClientCertificate(ca.Certificate(), nil)
		}, want: []string{"attestation.x509.clientCertificates.primary"}, says: "it is a CA certificate"},
		{name: "a CA certificate as the second", change: func(e *service.IndividualEnrollment) {
			e.Attestation = service.ClientCertificate(dev.Certificate, ca.Certificate())
		}, want: []string{"attestation.x509.clientCertificates.secondary"}},
		{name: "a whole chain", change: func(e *service.IndividualEnrollment) { e.Attestation = x509With(chain, "") },
			want: []string{"attestation.x509.clientCertificates.primary"}, says: "it holds 3 certificates: give one"},
		{name: "no certificate in the text", change: func(e *service.IndividualEnrollment) { e.Attestation = x509With("hello", "") },
			want: []string{"attestation.x509.clientCertificates.primary"}},
		{name: "no certificate at all", change: func(e *service.IndividualEnrollment) { e.Attestation = x509With("", "") },
			want: []string{"attestation.x509.clientCertificates"}},
		{name: "signing certificates", change: func(e *service.IndividualEnrollment) {
			e.Attestation = service.SigningCertificate(ca.Certificate(), nil)
		}, want: []string{"attestation.x509.signingCertificates"}, says: "make a group"},
		{name: "two sources of trust", change: func(e *service.IndividualEnrollment) {
			e.Attestation = service.ClientCertificate(dev.Certificate, nil)
			e.Attestation.X509.CAReferences = &service.X509CAReferences{Primary: "root"}
		}, want: []string{"attestation.x509"}, says: "exactly one"},
		{name: "x509 without its member", change: func(e *service.IndividualEnrollment) {
			e.Attestation = service.Attestation{Type: service.AttestationX509}
		}, want: []string{"attestation.x509"}, says: "has 0"},
		{name: "a key of 15 bytes", change: func(e *service.IndividualEnrollment) { e.Attestation = service.SymmetricKeys(key(15), "") },
			want: []string{"attestation.symmetricKey.primaryKey"}, says: "16 to 64 bytes, this one 15"},
		{name: "a key of 65 bytes", change: func(e *service.IndividualEnrollment) { e.Attestation = service.SymmetricKeys(key(20), key(65)) },
			want: []string{"attestation.symmetricKey.secondaryKey"}},
		{name: "a key that is not base64", change: func(e *service.IndividualEnrollment) { e.Attestation = service.SymmetricKeys("hello!", "") },
			want: []string{"attestation.symmetricKey.primaryKey"}, says: "not base64"},
		{name: "a hidden key", change: func(e *service.IndividualEnrollment) { e.Attestation = service.SymmetricKeys("REDACTED", "") },
			want: []string{"attestation.symmetricKey.primaryKey"}, says: "hides a key"},
		{name: "TPM without a key", change: func(e *service.IndividualEnrollment) {
			e.Attestation = service.Attestation{Type: service.AttestationTPM}
		}, want: []string{"attestation.tpm.endorsementKey"}},
		{name: "TPM keys that are not base64", change: func(e *service.IndividualEnrollment) { e.Attestation = service.EndorsementKey("a b", "-") },
			want: []string{"attestation.tpm.endorsementKey", "attestation.tpm.storageRootKey"}},
		{name: "an unknown status", change: func(e *service.IndividualEnrollment) { e.ProvisioningStatus = "off" },
			want: []string{"provisioningStatus"}, says: "enabled, disabled"},
		{name: "a space in the device id", change: func(e *service.IndividualEnrollment) { e.DeviceID = "a b" }, want: []string{"deviceId"}},
		{name: "device information that is a list", change: func(e *service.IndividualEnrollment) {
			e.OptionalDeviceInformation = json.RawMessage(`[1]`)
		}, want: []string{"optionalDeviceInformation"}, says: "want an object in braces, found a list"},
		{name: "twins that are not objects", change: func(e *service.IndividualEnrollment) {
			e.InitialTwin = &service.InitialTwin{Tags: json.RawMessage(`"x"`),
				Properties: &service.InitialTwinProperties{Desired: json.RawMessage(`{"a":1,"a":2}`)}}
		}, want: []string{"initialTwin.tags", "initialTwin.properties.desired"}, says: "found text"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := service.IndividualEnrollment{RegistrationID: "dev-1", Attestation: service.SymmetricKeys("", "")}
			tt.change(&e)
			expect(t, enrollment.Check(e), tt.want, tt.says)
		})
	}
}

func expect(t *testing.T, got []enrollment.Problem, want []string, says string) {
	t.Helper()
	if diff := cmp.Diff(want, members(got)); diff != "" {
		t.Errorf("problems (-want +got):\n%s\n%v", diff, got)
	}
	if says != "" && len(got) > 0 && !strings.Contains(got[0].Error()+" "+got[0].Fix, says) {
		t.Errorf("got %q (fix %q), want %q in it", got[0].Error(), got[0].Fix, says)
	}
}

func TestCheckGroup(t *testing.T) {
	ca, dev := pkitest.Intermediate(t), pkitest.Device(t, "dev-1")
	plain, err := pki.SelfSigned(pki.IssueRequest{Profile: pki.ProfileVerification, CommonName: "x"})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		change func(*service.EnrollmentGroup)
		want   []string
		says   string
	}{
		{name: "signing certificates", change: func(g *service.EnrollmentGroup) {
			g.Attestation = service.SigningCertificate(ca.Certificate(), pkitest.Root(t).Certificate())
		}},
		{name: "an id longer than a common name", change: func(g *service.EnrollmentGroup) { g.EnrollmentGroupID = strings.Repeat("g", 128) }},
		{name: "hashed among hubs", change: func(g *service.EnrollmentGroup) {
			g.AllocationPolicy, g.IoTHubs = service.AllocationHashed, []string{"a.azure-devices.net", "b.azure-devices.net"}
		}},
		{name: "an id that is too long", change: func(g *service.EnrollmentGroup) { g.EnrollmentGroupID = strings.Repeat("g", 129) },
			want: []string{"enrollmentGroupId"}},
		{name: "a leaf", change: func(g *service.EnrollmentGroup) {
			g.Attestation = service.SigningCertificate(dev.Certificate, nil)
		}, want: []string{"attestation.x509.signingCertificates.primary"}, says: "not a CA certificate"},
		{name: "a leaf as the second", change: func(g *service.EnrollmentGroup) {
			g.Attestation = service.SigningCertificate(ca.Certificate(), plain.Certificate)
		}, want: []string{"attestation.x509.signingCertificates.secondary"}},
		{name: "client certificates", change: func(g *service.EnrollmentGroup) {
			g.Attestation = service.ClientCertificate(dev.Certificate, nil)
		}, want: []string{"attestation.x509.clientCertificates"}, says: "by the CA that signed them"},
		{name: "TPM", change: func(g *service.EnrollmentGroup) { g.Attestation = service.EndorsementKey("AToAAQ==", "") },
			want: []string{"attestation.type"}, says: "belongs to one device"},
		{name: "references without a name", change: func(g *service.EnrollmentGroup) { g.Attestation = service.CAReference("", "") },
			want: []string{"attestation.x509.caReferences"}},
		{name: "hubs without a policy", change: func(g *service.EnrollmentGroup) { g.IoTHubs = []string{"a.azure-devices.net"} },
			want: []string{"allocationPolicy"}, says: "static for one hub"},
		{name: "static without a hub", change: func(g *service.EnrollmentGroup) { g.AllocationPolicy = service.AllocationStatic },
			want: []string{"iotHubs"}, says: "exactly one hub, here are 0"},
		{name: "static with two hubs", change: func(g *service.EnrollmentGroup) {
			g.AllocationPolicy, g.IoTHubs = service.AllocationStatic, []string{"a.azure-devices.net", "b.azure-devices.net"}
		}, want: []string{"iotHubs"}, says: "here are 2"},
		{name: "the older single hub with a policy", change: func(g *service.EnrollmentGroup) {
			g.AllocationPolicy, g.IoTHubHostName = service.AllocationHashed, "a.azure-devices.net"
		}, want: []string{"iotHubHostName"}},
		{name: "an unknown policy", change: func(g *service.EnrollmentGroup) { g.AllocationPolicy = "random" },
			want: []string{"allocationPolicy"}, says: "hashed, geoLatency, static, custom"},
		{name: "hubs that are no host names", change: func(g *service.EnrollmentGroup) {
			g.AllocationPolicy, g.IoTHubs = service.AllocationHashed, []string{"https://a.net", "hub", "A.net", "a.net", ""}
		}, want: []string{"iotHubs", "iotHubs", "iotHubs", "iotHubs"}, says: "not a host name"},
		{name: "custom without a webhook", change: func(g *service.EnrollmentGroup) { g.AllocationPolicy = service.AllocationCustom },
			want: []string{"customAllocationDefinition"}},
		{name: "custom with a bad webhook", change: func(g *service.EnrollmentGroup) {
			g.AllocationPolicy = service.AllocationCustom
			g.CustomAllocationDefinition = &service.CustomAllocationDefinition{WebhookURL: "f.example/secretcode", APIVersion: "v1"}
		}, want: []string{"customAllocationDefinition.webhookUrl", "customAllocationDefinition.apiVersion"}},
		{name: "a webhook that was hidden", change: func(g *service.EnrollmentGroup) {
			g.AllocationPolicy = service.AllocationCustom
			g.CustomAllocationDefinition = &service.CustomAllocationDefinition{WebhookURL: enrollment.HideQuery("https://f.example/secretcode?code=secretcode"), APIVersion: "2019-03-31"}
		}, want: []string{"customAllocationDefinition.webhookUrl"}, says: "it was hidden"},
		{name: "a webhook without custom", change: func(g *service.EnrollmentGroup) {
			g.CustomAllocationDefinition = &service.CustomAllocationDefinition{WebhookURL: "https://f.example", APIVersion: "2019-03-31"}
		}, want: []string{"customAllocationDefinition"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := service.EnrollmentGroup{EnrollmentGroupID: "g", Attestation: service.CAReference("root", "")}
			tt.change(&g)
			got := enrollment.Check(g)
			expect(t, got, tt.want, tt.says)
			for _, p := range got {
				if strings.Contains(p.Error(), "secretcode") {
					t.Errorf("%q repeats the URL of the webhook", p.Error())
				}
			}
		})
	}
}

func TestParseObject(t *testing.T) {
	got, err := enrollment.ParseObject([]byte("\ufeff{ \"b\": 1.0,\r\n \"a\": {} }\n"))
	if err != nil || string(got) != `{"b":1.0,"a":{}}` {
		t.Errorf("got %s, %v", got, err)
	}
	for in, want := range map[string]string{
		`[]`:              "1:1: want an object in braces, found a list",
		`{"a":1,"a":2}`:   `1:8: member "a" appears twice`,
		`{"a":1} x`:       "1:9: text after the end",
		``:                "1:1: the text ends",
		`{"a":"\ud800"}`:  "surrogate",
		`{"a":` + "\xff}": "not UTF-8",
	} {
		if got, err := enrollment.ParseObject([]byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %s and %v, want %q", in, got, err, want)
		}
	}
}

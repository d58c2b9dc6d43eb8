package document_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/dps/enrollment"
	"github.com/dpskit/dpskit/pkg/dps/internal/document"
	"github.com/dpskit/dpskit/pkg/dps/internal/tree"
	"github.com/dpskit/dpskit/pkg/dps/service"
	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/pkitest"
)

func parse(t *testing.T, text string) *tree.Node {
	t.Helper()
	n, err := tree.ParseJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// files is a folder of a few files.
func files(t *testing.T) document.Files {
	t.Helper()
	dev := pkitest.Device(t, "dev-1")
	keyPEM, err := dev.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	content := map[string][]byte{
		"dev.pem": dev.FullChainPEM(), "ca.pem": pki.EncodeCertificatesPEM(pkitest.Intermediate(t).Chain()...), "dev.key": keyPEM,
		"key.txt": []byte("\ufeff" + strings.Repeat("a2tr", 8) + "\r\n"), "empty": []byte(" \n"), "hook": []byte("https://f.example/?code=x\n"),
	}
	return func(name string) ([]byte, error) {
		if data, ok := content[name]; ok {
			return data, nil
		}
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
}

func TestEnrollmentWithEverything(t *testing.T) {
	e, problems := document.Enrollment(parse(t, `{
		"registrationId": "dev-1", "deviceId": "d",
		"attestation": {"x509": {"clientCertificates": {"primary": {"certificateFile": "dev.pem"}, "secondary": null}}},
		"capabilities": {"iotEdge": true}, "initialTwin": {"tags": {"version": 1, "n": null}, "properties": {"desired": {"a": 1.0}}},
		"provisioningStatus": "disabled", "reprovisionPolicy": {"updateHubAssignment": true, "migrateDeviceData": false},
		"allocationPolicy": "custom", "iotHubs": ["a.azure-devices.net"],
		"customAllocationDefinition": {"webhookUrlFile": "hook", "apiVersion": "2019-03-31"},
		"optionalDeviceInformation": {"s": "1"}, "credentialPolicyName": "p",
		"etag": "old", "createdDateTimeUtc": 17, "lastUpdatedDateTimeUtc": null, "registrationState": {"status": "assigned"}
	}`), files(t), nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	want := service.IndividualEnrollment{
		RegistrationID: "dev-1", DeviceID: "d", Attestation: service.ClientCertificate(pkitest.Device(t, "dev-1").Certificate, nil),
		Capabilities: &service.DeviceCapabilities{IoTEdge: true}, ProvisioningStatus: service.ProvisioningDisabled,
		InitialTwin:       &service.InitialTwin{Tags: []byte(`{"version":1,"n":null}`), Properties: &service.InitialTwinProperties{Desired: []byte(`{"a":1.0}`)}},
		ReprovisionPolicy: &service.ReprovisionPolicy{UpdateHubAssignment: true}, AllocationPolicy: service.AllocationCustom,
		IoTHubs:                    []string{"a.azure-devices.net"},
		CustomAllocationDefinition: &service.CustomAllocationDefinition{WebhookURL: "https://f.example/?code=x", APIVersion: "2019-03-31"},
		OptionalDeviceInformation:  []byte(`{"s":"1"}`), Unknown: e.Unknown,
	}
	// The certificate of the folder is another one of the same name.
	want.Attestation = e.Attestation
	if diff := cmp.Diff(want, e); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if e.Attestation.Type != service.AttestationX509 || string(e.Unknown["credentialPolicyName"]) != `"p"` || e.ETag != "" || e.RegistrationState != nil {
		t.Errorf("got %+v", e)
	}
	if text := e.Attestation.X509.ClientCertificates.Primary.Certificate; strings.Count(text, "BEGIN") != 1 {
		t.Errorf("the certificate is %q", text)
	}
}

func TestAttestationsWithoutType(t *testing.T) {
	for text, want := range map[string]service.AttestationType{
		`{"symmetricKey": {"primaryKeyFile": "key.txt"}}`:                                               service.AttestationSymmetricKey,
		`{"symmetricKey": {}}`:                                                                          service.AttestationSymmetricKey,
		`{"tpm": {"endorsementKey": "AQID"}}`:                                                           service.AttestationTPM,
		`{"x509": {"caReferences": {"primary": "root"}}}`:                                               service.AttestationX509,
		`{"type": "symmetricKey"}`:                                                                      service.AttestationSymmetricKey,
		`{"x509": {"clientCertificates": {"primary": {"info": {"sha256Thumbprint": "AB"}}}}}`:           service.AttestationX509,
		`{"type": "x509", "x509": {"clientCertificates": {"primary": {"certificateFile": "dev.pem"}}}}`: service.AttestationX509,
	} {
		e, problems := document.Enrollment(parse(t, `{"registrationId": "dev-1", "attestation": `+text+`}`), files(t), nil)
		if len(problems) > 0 || e.Attestation.Type != want {
			t.Errorf("%s: got %q, %v", text, e.Attestation.Type, problems)
		}
	}
}

// TestShownIsADocument reads what show commands print.
func TestShownIsADocument(t *testing.T) {
	group := service.EnrollmentGroup{EnrollmentGroupID: "g", ETag: "e", Attestation: service.CAReference("root", ""),
		ReprovisionPolicy: &service.ReprovisionPolicy{UpdateHubAssignment: true}}
	text, err := group.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	got, problems := document.Group(parse(t, string(text)), nil)
	if len(problems) > 0 || enrollment.Diff(group, got) != nil || got.ETag != "" {
		t.Errorf("got %+v, %v", got, problems)
	}
}

func TestProblemsHaveAPlace(t *testing.T) {
	ok := `"attestation": {"symmetricKey": {}}`
	tests := []struct {
		name, in string
		group    bool
		want     []string // "LINE:COLUMN: text", a prefix, in order
		fix      string
	}{
		{name: "not an object", in: `[]`, want: []string{"1:1: the enrollment: want an object, found a list"}},
		{name: "a misspelt member", in: "{\"registrationId\": \"a\",\n \"provisioningstatus\": \"enabled\", " + ok + "}",
			want: []string{"2:2: provisioningstatus: there is no such member"}, fix: `did you mean "provisioningStatus"?`},
		{name: "a letter too few", in: `{"registrationId": "a", "iotHub": [], ` + ok + `}`, want: []string{"1:25: iotHub: "}, fix: `did you mean "iotHubs"?`},
		{name: "an unknown member below", in: `{"registrationId": "a", "attestation": {"symmetricKey": {"key": "x"}}}`,
			want: []string{`1:58: attestation.symmetricKey.key: there is no such member`}, fix: "the members here are primaryKey, primaryKeyFile, secondaryKey, secondaryKeyFile"},
		{name: "a member of the other kind", in: `{"enrollmentGroupId": "a", "deviceId": "d", ` + ok + `}`, group: true, want: []string{"1:28: deviceId: "}},
		{name: "a number as id", in: `{"registrationId": 4711, ` + ok + `}`, want: []string{"1:20: registrationId: want text, found a number"}, fix: "put it in double quotes"},
		{name: "text as a truth", in: `{"registrationId": "a", "capabilities": {"iotEdge": "yes"}, ` + ok + `}`,
			want: []string{"1:53: capabilities.iotEdge: want true or false, found text"}},
		{name: "hubs that are text", in: `{"registrationId": "a", "iotHubs": "h", ` + ok + `}`, want: []string{"1:36: iotHubs: want a list, found text"}},
		{name: "a hub that is a number", in: `{"registrationId": "a", "iotHubs": ["a.net", 7], ` + ok + `}`, want: []string{"1:46: iotHubs: want text"}},
		{name: "tags that are a list", in: `{"registrationId": "a", "initialTwin": {"tags": [1]}, ` + ok + `}`, want: []string{"1:49: initialTwin.tags: want an object"}},
		{name: "several at once", in: `{"registrationId": 1, "attestation": null, "x": 1}`, want: []string{"1:20: registrationId", "1:44: x: there is no such member"}},
		{name: "what the service would refuse", in: "{\"registrationId\": \"a/b\",\n\"iotHubs\": [\"hub\"],\n\"allocationPolicy\": \"static\", " + ok + "}",
			want: []string{`1:20: registrationId: "a/b": invalid identifier`, "2:12: iotHubs: \"hub\" is the name of a hub"}},
		{name: "no attestation", in: `{"registrationId": "a"}`, want: []string{"1:1: attestation: it is missing"}},
		{name: "a CA for one device", in: "{\"registrationId\": \"dev-1\", \"attestation\": {\"x509\": {\"clientCertificates\":\n {\"primary\": {\"certificateFile\": \"ca.pem\"}}}}}",
			want: []string{"2:34: attestation.x509.clientCertificates.primary: it is a CA certificate"}, fix: "give the device's own certificate"},
		{name: "a leaf for a group", in: `{"enrollmentGroupId": "g", "attestation": {"x509": {"signingCertificates": {"primary": {"certificateFile": "dev.pem"}}}}}`, group: true,
			want: []string{"1:108: attestation.x509.signingCertificates.primary: it is not a CA certificate"}},
		{name: "no such file", in: `{"registrationId": "a", "attestation": {"x509": {"clientCertificates": {"primary": {"certificateFile": "nowhere"}}}}}`,
			want: []string{"1:104: attestation.x509.clientCertificates.primary.certificateFile: open nowhere: file does not exist"}},
		{name: "a key instead of a certificate", in: `{"registrationId": "a", "attestation": {"x509": {"clientCertificates": {"primary": {"certificateFile": "dev.key"}}}}}`,
			want: []string{`1:104: attestation.x509.clientCertificates.primary.certificateFile: "dev.key": `}},
		{name: "an empty key file", in: `{"registrationId": "a", "attestation": {"symmetricKey": {"primaryKeyFile": "empty"}}}`,
			want: []string{`1:76: attestation.symmetricKey.primaryKeyFile: "empty": the file is empty`}},
		{name: "both forms", in: `{"registrationId": "a", "attestation": {"symmetricKey": {"primaryKey": "x", "primaryKeyFile": "key.txt"}}}`,
			want: []string{"1:95: attestation.symmetricKey.primaryKeyFile: primaryKey is given, too"}},
		{name: "a file name that is a number", in: `{"registrationId": "a", "attestation": {"symmetricKey": {"primaryKeyFile": 7}}}`,
			want: []string{"1:76: attestation.symmetricKey.primaryKeyFile: want the name of a file"}},
		{name: "File after a member that takes none", in: `{"registrationIdFile": "a", ` + ok + `}`, want: []string{"1:2: registrationIdFile: there is no such member"}},
		{name: "a description that is wrong", in: `{"registrationId": "a", "attestation": {"x509": {"clientCertificates": {"primary": {"info": {"version": "x"}}}}}}`,
			want: []string{"1:1: member attestation: "}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var problems []document.Problem
			if tt.group {
				_, problems = document.Group(parse(t, tt.in), files(t))
			} else {
				_, problems = document.Enrollment(parse(t, tt.in), files(t), nil)
			}
			if len(problems) != len(tt.want) {
				t.Fatalf("got %v, want %q", problems, tt.want)
			}
			for i, want := range tt.want {
				if got := problems[i].Error.Error(); !strings.HasPrefix(got, want) {
					t.Errorf("got  %q\nwant %q", got, want)
				}
			}
			if !strings.HasPrefix(problems[0].Fix, tt.fix) {
				t.Errorf("fix is %q, want %q", problems[0].Fix, tt.fix)
			}
		})
	}
	_, problems := document.Enrollment(parse(t, `{"registrationId": "a", "attestation": {"symmetricKey": {"primaryKeyFile": "k"}}}`), nil, nil)
	if len(problems) != 1 || !strings.Contains(problems[0].Text, "files cannot be read here") {
		t.Errorf("without files: %v", problems)
	}
}

// FuzzEnrollment wants a clean model or problems with a place, never a panic,
// and no secret in a problem.
func FuzzEnrollment(f *testing.F) {
	for _, seed := range []string{
		`{"registrationId":"a","attestation":{"symmetricKey":{"primaryKey":"c2VjcmV0Y2FuYXJ5"}}}`, `{"attestation":null}`, `[]`, `{"iotHubs":[null]}`,
		`{"registrationId":"a","attestation":{"x509":{"clientCertificates":{"primary":{"certificateFile":"x"}}}}}`, `{"a":{"b":1}}`,
		`{"attestation":{"x509":{"clientCertificates":{"primary":{"info":{"notAfterUtc":1}}}}}}`,
	} {
		f.Add([]byte(seed))
	}
	nothing := func(name string) ([]byte, error) { return nil, errors.New("no such file") }
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := tree.ParseJSON(data)
		if err != nil {
			return
		}
		e, problems := document.Enrollment(n, nothing, nil)
		for _, p := range problems {
			if p.Line < 1 || p.Column < 1 || p.Text == "" {
				t.Errorf("a problem without a place: %+v", p)
			}
		}
		if len(problems) == 0 && enrollment.Check(e) != nil {
			t.Errorf("accepted, and yet %v", enrollment.Check(e))
		}
		if _, problems := document.Group(n, nothing); len(problems) == 0 && n.Member("enrollmentGroupId") == nil {
			t.Error("a group without an id was accepted")
		}
		if all := fmt.Sprint(problems); strings.Contains(all, "c2VjcmV0Y2FuYXJ5") {
			t.Errorf("a key is repeated: %s", all)
		}
	})
}

package desired_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps/desired"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

const everything = `
certificates:
  - name: my-root
    certificateFile: root.pem
    keyFile: root.key
enrollmentGroups:
  - enrollmentGroupId: line-1
    attestation: {x509: {signingCertificates: {primary: {certificateFile: int.pem}}}}
    allocationPolicy: static
    iotHubs: [my-hub.azure-devices.net]
    initialTwin: {tags: {version: 1, site: north}}
  - enrollmentGroupId: keys
    attestation: {symmetricKey: {primaryKeyFile: key.txt}}
    provisioningStatus: disabled
enrollments:
  - registrationId: dev
    attestation: {x509: {clientCertificates: {primary: {certificateFile: dev.pem}}}}
    capabilities: {iotEdge: true}
  - registrationId: tpm
    attestation: {type: tpm, tpm: {endorsementKey: AQID}}
`

func TestParse(t *testing.T) {
	w := &world{files: chain(t)}
	doc := w.parse(t, everything)
	if len(doc.Certificates) != 1 || !doc.Certificates[0].Verified || doc.Certificates[0].Key == nil || len(doc.Groups) != 2 || len(doc.Enrollments) != 2 {
		t.Errorf("got %+v", doc)
	}
	if doc.Groups[1].Attestation.SymmetricKey.PrimaryKey != "bXktb3duLXByaW1hcnkta2V5LTEyMw==" || doc.Enrollments[0].Attestation.Type != service.AttestationX509 {
		t.Errorf("got %+v", doc)
	}
	for kind, want := range map[desired.Kind]bool{desired.KindCertificate: true, desired.KindGroup: true, desired.KindEnrollment: true} {
		if doc.Sections[kind] != want {
			t.Errorf("section %s: %v", kind, doc.Sections[kind])
		}
	}
	only := w.parse(t, "enrollments:\n")
	if only.Sections[desired.KindGroup] || !only.Sections[desired.KindEnrollment] {
		t.Errorf("got %+v", only)
	}
	fromJSON, err := desired.Parse([]byte(`{"enrollmentGroups":[{"enrollmentGroupId":"g","attestation":{"symmetricKey":{}}}]}`), &desired.ParseOptions{Format: desired.JSON})
	if err != nil || len(fromJSON.Groups) != 1 {
		t.Errorf("got %+v, %v", fromJSON, err)
	}
}

func TestParseProblems(t *testing.T) {
	w := &world{files: chain(t)}
	group := "enrollmentGroups:\n  - enrollmentGroupId: g\n    attestation: {symmetricKey: {}}\n"
	tests := []struct {
		name, in string
		want     []string
		fix      string
	}{
		{name: "nothing", in: "", want: []string{"1:1: the document is empty"}},
		{name: "a list", in: "- a\n", want: []string{"1:1: want an object with sections, found a list"}, fix: "the sections are"},
		{name: "no section", in: "{}", want: []string{"1:1: the document has no section"}},
		{name: "another section", in: "groups: []\n", want: []string{`1:1: there is no section "groups"`}, fix: "the sections are"},
		{name: "a section that is text", in: "enrollments: x\n", want: []string{"1:14: enrollments: want a list, found text"}},
		{name: "an entry that is text", in: "enrollmentGroups: [x]\n", want: []string{"1:20: the enrollment: want an object, found text"}},
		{name: "twice", in: group + "  - enrollmentGroupId: G\n    attestation: {symmetricKey: {}}\n", want: []string{`4:5: enrollmentGroups: "G" is in line 2 already`}},
		{name: "a number as id", in: "enrollments:\n  - registrationId: 4711\n    attestation: {symmetricKey: {}}\n", want: []string{"2:21: registrationId: want text, found a number"}, fix: "put it in double quotes"},
		{name: "an unknown member", in: strings.Replace(group, "attestation", "attestations", 1), want: []string{"3:5: attestations: there is no such member"}, fix: `did you mean "attestation"?`},
		{name: "what the service would refuse", in: group + "    iotHubs: [a.net]\n", want: []string{"2:5: allocationPolicy: it must be given together with hubs"}},
		{name: "a duplicate member", in: group + "    enrollmentGroupId: h\n", want: []string{`4:5: member "enrollmentGroupId" appears twice`}},
		{name: "several", in: "certificates:\n  - name: 'a b'\n    certificateFile: root.pem\nenrollments:\n  - registrationId: 'a b'\n    attestation: {symmetricKey: {}}\n",
			want: []string{`2:11: name: "a b": want 1 to 64`, `5:21: registrationId: "a b": invalid`}},
		{name: "a CA without a certificate", in: "certificates: [{name: r}]\n", want: []string{`1:16: certificate "r": it is missing`}, fix: "give certificateFile"},
		{name: "a CA that is text", in: "certificates: [r]\n", want: []string{"1:16: certificates: want an object, found text"}},
		{name: "a leaf as CA", in: "certificates: [{name: r, certificateFile: dev.pem}]\n", want: []string{`1:16: certificate "r": not a CA certificate`}},
		{name: "the key of another CA", in: "certificates: [{name: r, certificateFile: root.pem, keyFile: int.key}]\n", want: []string{`1:62: certificate "r": the key is not the certificate's`}},
		{name: "a key that is none", in: "certificates: [{name: r, certificateFile: root.pem, keyFile: key.txt}]\n", want: []string{`1:62: keyFile: "key.txt": `}},
		{name: "no such file", in: "certificates: [{name: r, certificateFile: nowhere}]\n", want: []string{"1:43: certificateFile: open nowhere: no such file"}},
		{name: "an empty file name", in: "certificates: [{name: r, certificateFile: ''}]\n", want: []string{"1:43: certificateFile: want the name of a file"}},
		{name: "not a truth", in: "certificates: [{name: r, certificateFile: root.pem, isVerified: yes}]\n", want: []string{"1:65: isVerified: want true or false, found text"}},
		{name: "an unknown member of a CA", in: "certificates: [{name: r, certificateFile: root.pem, verified: true}]\n", want: []string{"1:53: certificates: verified: there is no such member"}, fix: "the members are name"},
		{name: "a certificate twice", in: "certificates: [{name: r, certificateFile: root.pem, certificate: x}]\n", want: []string{"1:66: certificate: "}},
		{name: "a number as file", in: "certificates: [{name: r, certificateFile: 7}]\n", want: []string{"1:43: certificateFile: want text"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := desired.Parse([]byte(tt.in), &desired.ParseOptions{Files: w.read})
			var problems desired.Problems
			if !errors.As(err, &problems) || len(problems) != len(tt.want) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			for i, want := range tt.want {
				if !strings.HasPrefix(problems[i].Error(), want) {
					t.Errorf("got  %q\nwant %q", problems[i].Error(), want)
				}
			}
			if !strings.HasPrefix(problems[0].Fix, tt.fix) {
				t.Errorf("fix is %q, want %q", problems[0].Fix, tt.fix)
			}
		})
	}
	if _, err := desired.Parse([]byte("certificates: [{name: r, certificateFile: x}]"), nil); err == nil || !strings.Contains(err.Error(), "files cannot be read here") {
		t.Errorf("without files: %v", err)
	}
	if _, err := desired.Parse([]byte("{}"), &desired.ParseOptions{Format: "toml"}); err == nil {
		t.Error("an unknown format was accepted")
	}
	if _, err := desired.Parse([]byte("{a: 1}"), &desired.ParseOptions{Format: desired.JSON}); err == nil || !strings.Contains(err.Error(), "double quotes") {
		t.Errorf("YAML as JSON: %v", err)
	}
}

// FuzzParse wants a document or problems with a place, and never a panic.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{everything, "certificates: [{name: r, certificate: x}]", "enrollments: [{registrationId: a}]", "{}", "- x", "enrollmentGroups: [null]", "certificates:\n- name: a\n  keyFile: k\n"} {
		f.Add([]byte(seed))
	}
	nothing := func(string) ([]byte, error) { return nil, errors.New("no such file") }
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := desired.Parse(data, &desired.ParseOptions{Files: nothing})
		if err == nil {
			if len(doc.Sections) == 0 {
				t.Error("a document without a section")
			}
			return
		}
		var problems desired.Problems
		if !errors.As(err, &problems) || len(problems) == 0 {
			t.Fatalf("not problems: %#v", err)
		}
		for _, p := range problems {
			if p.Line < 1 || p.Column < 1 || p.Text == "" {
				t.Errorf("a problem without a place: %+v", p)
			}
		}
	})
}

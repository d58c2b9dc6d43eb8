package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

func printed(t *testing.T, document any) string {
	t.Helper()
	var out bytes.Buffer
	if err := (&cliapp.Env{Out: &out}).Print(cliapp.FormatJSON, cliapp.View{Value: document}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

var testEntry = workspace.Entry{
	Name: "dev-1", Profile: pki.ProfileDevice, Subject: "CN=dev-1", Issuer: "CN=ca", CA: "root", Serial: "AB",
	NotBefore: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC),
	SHA1Thumbprint: "1A", SHA256Thumbprint: "2B", KeyType: pki.KeyECP256,
	Files: workspace.Files{
		Certificate: "certs/dev-1.cert.pem", FullChain: "certs/dev-1-full-chain.cert.pem", Key: "private/dev-1.key.pem",
		PFX: "certs/dev-1.cert.pfx", PFXPassword: "private/dev-1.pfx.password",
	},
}

// The names in the JSON documents are a contract with scripts.
func TestResultJSON(t *testing.T) {
	done := true
	r := &result{Dir: "d", ChainCA: "d/certs/chain", Renewed: &done, Certificates: []certificate{newCertificate("d", testEntry)}}
	want := `{
  "dir": "d",
  "chainCa": "d/certs/chain",
  "certificates": [
    {
      "name": "dev-1",
      "profile": "device",
      "subject": "CN=dev-1",
      "issuer": "CN=ca",
      "serial": "AB",
      "notBefore": "2026-03-01T00:00:00Z",
      "notAfter": "2026-03-31T12:00:00Z",
      "keyType": "ec-p256",
      "sha1Thumbprint": "1A",
      "sha256Thumbprint": "2B",
      "files": {
        "certificate": "d/certs/dev-1.cert.pem",
        "fullChain": "d/certs/dev-1-full-chain.cert.pem",
        "key": "d/private/dev-1.key.pem",
        "pfx": "d/certs/dev-1.cert.pfx",
        "pfxPassword": "d/private/dev-1.pfx.password"
      }
    }
  ],
  "renewed": true
}
`
	if d := cmp.Diff(want, printed(t, r)); d != "" {
		t.Errorf("document (-want +got):\n%s", d)
	}
	bare := testEntry
	bare.Files = workspace.Files{Certificate: "certs/dev-1.cert.pem"}
	got := printed(t, &result{Dir: "d", Certificates: []certificate{newCertificate("d", bare)}})
	for _, absent := range []string{"chainCa", "renewed", "fullChain", "key\"", "pfx"} {
		if strings.Contains(got, absent) {
			t.Errorf("document has %q although there is no such thing:\n%s", absent, got)
		}
	}
}

func TestInspectionJSON(t *testing.T) {
	yes, one := true, 1
	item := inspection{
		Source: "x", Format: "pem", Chain: &chainInfo{Problem: "p"},
		Certificates: []certificateDetails{{
			certificateInfo: certificateInfo{Subject: "CN=x", KeyType: "ec-p256"}, IsCA: true, MaxPathLen: &one,
			KeyUsage: []string{"keyCertSign"}, ExtKeyUsage: []string{}, DNSNames: []string{}, IPAddresses: []string{},
			OtherNames: []string{"uri:u"}, SubjectKeyID: "A", AuthorityKeyID: "B", SignatureAlgorithm: "S", Version: 3,
		}},
		Key:     &keyInfo{KeyType: "ec-p256", Encrypted: true, Matches: &yes},
		Request: &requestInfo{Subject: "CN=r", DNSNames: []string{}, IPAddresses: []string{}},
		Files:   &files{Certificate: "c"},
	}
	got := printed(t, inspectResult{Items: []inspection{item}})
	for _, name := range []string{
		"items", "source", "format", "certificates", "subject", "issuer", "serial", "notBefore", "notAfter", "keyType",
		"sha1Thumbprint", "sha256Thumbprint", "isCa", "maxPathLen", "keyUsage", "extKeyUsage", "dnsNames", "ipAddresses",
		"otherNames", "subjectKeyId", "authorityKeyId", "signatureAlgorithm", "version", "chain", "valid", "problem",
		"privateKey", "encrypted", "matchesCertificate", "request", "files", "certificate",
	} {
		if !strings.Contains(got, `"`+name+`":`) {
			t.Errorf("document lacks %q:\n%s", name, got)
		}
	}
	if strings.Contains(got, "null") {
		t.Errorf("document has a null: a list without members is []\n%s", got)
	}
}

func TestResultText(t *testing.T) {
	r := &result{Dir: "d", Certificates: []certificate{newCertificate("d", testEntry)}, next: nextCommand("my folder", "inspect", "dev-1")}
	want := `device dev-1
  certificate   d/certs/dev-1.cert.pem
  full chain    d/certs/dev-1-full-chain.cert.pem
  key           d/private/dev-1.key.pem
  PFX           d/certs/dev-1.cert.pfx
  PFX password  d/private/dev-1.pfx.password
  subject       CN=dev-1
  issuer        CN=ca
  key type      ec-p256
  expires       2026-03-31 12:00:00 UTC (in 30 days)
  SHA-1         1A
  SHA-256       2B
next: certgen inspect dev-1 --dir 'my folder'
`
	if d := cmp.Diff(want, r.render(testNow)); d != "" {
		t.Errorf("text (-want +got):\n%s", d)
	}
}

func TestTitle(t *testing.T) {
	for _, tt := range []struct {
		name    string
		profile pki.Profile
		want    string
	}{
		{"root", pki.ProfileRoot, "root"},
		{"intermediate2", pki.ProfileIntermediate, "intermediate2"},
		{"plant", pki.ProfileIntermediate, "intermediate plant"},
		{"verification-code", pki.ProfileVerification, "verification-code"},
		{"dev", pki.ProfileDevice, "device dev"},
	} {
		if got := (certificate{Name: tt.name, Profile: tt.profile}).title(); got != tt.want {
			t.Errorf("title of %s %s = %q, want %q", tt.profile, tt.name, got, tt.want)
		}
	}
}

func TestNextCommand(t *testing.T) {
	for dir, want := range map[string]string{
		"./pki": "certgen list", "pki": "certgen list --dir pki", "other": "certgen list --dir other",
	} {
		if got := commandLine(nextCommand(dir, "list")...); got != want {
			t.Errorf("next command in %q = %q, want %q", dir, got, want)
		}
	}
}

// A certificate that is shorter than asked for is worth a note.
func TestNoteShortened(t *testing.T) {
	now := func() time.Time { return testNow }
	root, err := pki.NewRoot(&pki.CAOptions{Validity: pki.Validity{Days: 10}, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	day := 24 * time.Hour
	tests := []struct {
		name     string
		validity pki.Validity
		asked    bool
		note     bool
	}{
		{"the default is a little longer", pki.Validity{Days: 10}, false, false},
		{"the default is much longer", pki.Validity{Days: 30}, false, true},
		{"more days than there are", pki.Validity{Days: 11}, true, true},
		{"as many as there are", pki.Validity{Days: 10}, true, false},
		{"a later date", pki.Validity{NotAfter: testNow.Add(10*day + time.Hour)}, true, true},
		{"an earlier date", pki.Validity{NotAfter: testNow.Add(day)}, true, false},
		{"days from a later beginning", pki.Validity{NotBefore: testNow.Add(5 * day), Days: 6}, true, true},
		{"days from an earlier beginning", pki.Validity{NotBefore: testNow.Add(-5 * day), Days: 14}, true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, err := root.Issue(pki.IssueRequest{CommonName: "dev-1", Validity: tt.validity, Now: now})
			if err != nil {
				t.Fatal(err)
			}
			var errOut bytes.Buffer
			env := &cliapp.Env{Err: &errOut, Now: now}
			noteShortened(env, commonOptions{}, issueOptions{Validity: tt.validity, ExpiryAsked: tt.asked}, b)
			if got := errOut.Len() > 0; got != tt.note {
				t.Errorf("note = %q, want one: %v", errOut.String(), tt.note)
			}
			errOut.Reset()
			noteShortened(env, commonOptions{Quiet: true}, issueOptions{Validity: tt.validity, ExpiryAsked: tt.asked}, b)
			if errOut.Len() > 0 {
				t.Errorf("quiet, and yet: %q", errOut.String())
			}
		})
	}
}

package doctor_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"strings"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/pki/doctor"
)

func certs(members ...*member) []*x509.Certificate {
	return source("", nil, members...).Certificates
}

// What the enrollment and the list of CAs hold decides between the answers of the service.
func TestDeviceEnrollment(t *testing.T) {
	f := newFamily(t, nil, nil, nil)
	newRoot := mint(t, template("Test Root", true), nil, nil)
	other := newFamily(t, func(c *x509.Certificate) { c.Subject.CommonName = "Other Root" },
		func(c *x509.Certificate) { c.Subject.CommonName = "Other Sub" }, nil)
	newSub := mint(t, template("Test Sub", true), f.root, f.sub.key)
	renewed := mint(t, template("dev-1", false), f.sub, nil)
	short, lone := one(source("c", nil, f.leaf, f.sub)), one(source("c", nil, f.leaf))
	tests := []struct {
		name      string
		sources   []doctor.Source
		enrolled  *member
		cas       []*x509.Certificate
		check     doctor.CheckID
		severity  doctor.Severity
		word      string
		predicted string // of the report
	}{
		{"group holds the intermediate", short, f.sub, certs(f.root), doctor.CheckEnrolled, "ok", `holds "Test Sub"`, ""},
		{"group holds the root", short, f.root, certs(f.root), doctor.CheckEnrolled, "ok", `holds "Test Root"`, ""},
		{"group holds the root, list unknown", short, f.root, nil, doctor.CheckEnrolled, "ok", `holds "Test Root"`, ""},
		{"root verified", short, f.sub, certs(other.root, f.root), doctor.CheckCAList, "ok", `leads to "Test Root"`, ""},
		{"intermediate verified", short, f.sub, certs(f.sub), doctor.CheckCAList, "ok", `leads to "Test Sub"`, ""},
		{"list alone", short, nil, certs(f.root), doctor.CheckCAList, "ok", "", ""},

		{"group holds the root, chain has no intermediate", lone, f.root, certs(f.root), doctor.CheckChainComplete, "fatal", "is missing", unknownCA},
		{"group holds the root, only the leaf and the root are sent", one(source("c", nil, f.leaf, f.root)), f.root, certs(f.root),
			doctor.CheckChainComplete, "fatal", "is missing", unknownCA},
		{"group holds the intermediate, only the leaf is sent", lone, f.sub, certs(f.root), doctor.CheckChainComplete, "fatal",
			`the intermediate certificate "Test Sub" is missing`, unknownCA},
		{"root not verified", short, f.sub, certs(other.root), doctor.CheckCAList, "fatal", `its issuer "CN=Test Root" is not in the list`, unknownCA},
		{"root not verified, but sent", one(f.chain()), f.sub, certs(other.root), doctor.CheckCAList, "fatal", `upload "Test Root"`, unknownCA},
		{"another root of that name verified", one(f.chain()), f.sub, certs(newRoot), doctor.CheckCAList, "fatal", "made anew", unknownCA},
		{"verified below the group", short, f.root, certs(f.sub), doctor.CheckEnrolled, "fatal", "not in the chain", noGroup},
		{"group of another CA", one(f.chain()), other.sub, certs(f.root), doctor.CheckEnrolled, "fatal",
			`the enrollment holds "Other Sub", which is not in the chain of the device ("dev-1", issued by "Test Sub", issued by "Test Root")`, noGroup},
		{"group of another CA, nothing verified", one(f.chain()), other.sub, certs(other.root), doctor.CheckEnrolled, "fatal", "Other Sub", unknownCA},
		{"group of another certificate of the CA", one(f.chain()), newSub, certs(f.root), doctor.CheckEnrolled, "fatal",
			`another certificate with the name "Test Sub"`, noGroup},
		{"individual enrollment after all", one(f.chain()), f.leaf, nil, doctor.CheckEnrolled, "info", "individual enrollment", ""},
		{"individual enrollment of an older certificate", one(f.chain()), renewed, nil, doctor.CheckEnrolled, "fatal", "a renewed one is another one", invalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			opts := doctor.Options{Role: doctor.RoleDevice, CAs: tt.cas}
			if tt.enrolled != nil {
				opts.Enrolled = tt.enrolled.cert
			}
			r := check(tt.sources, opts)
			f := r.Find(tt.check)
			if f == nil || f.Severity != tt.severity || !strings.Contains(f.What+f.Why+f.Fix, tt.word) {
				t.Errorf("check %s: want %s with %q, got %+v", tt.check, tt.severity, tt.word, f)
			}
			got := ""
			if r.Predicted != nil {
				got = r.Predicted.String()
			}
			if got != tt.predicted {
				t.Errorf("predicts %q, want %q:\n%s", got, tt.predicted, describe(r))
			}
		})
	}
}

// The certificate in the wrong place, and its twin in the right one.
func TestRoles(t *testing.T) {
	f := newFamily(t, nil, nil, nil)
	self := mint(t, template("dev-9", false), nil, nil)
	marked := mint(t, func() *x509.Certificate {
		c := template("dev-9", true)
		c.KeyUsage, c.ExtKeyUsage = 0, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		return c
	}(), nil, nil)
	silent := mint(t, func() *x509.Certificate {
		c := template("old-root", false)
		c.BasicConstraintsValid, c.ExtKeyUsage, c.KeyUsage = false, nil, 0
		return c
	}(), nil, nil)
	tests := []struct {
		name      string
		sources   []doctor.Source
		role      doctor.Role
		check     doctor.CheckID
		severity  doctor.Severity
		word      string
		predicted string
	}{
		{"root in an individual enrollment", one(source("c", nil, f.root)), doctor.RoleIndividual, doctor.CheckRole, "fatal", `"Test Root" is a CA certificate`, invalid},
		{"intermediate in an individual enrollment", one(source("c", nil, f.sub, f.root)), doctor.RoleIndividual, doctor.CheckRole, "fatal", `"Test Sub" is a CA`, invalid},
		{"self-signed in an individual enrollment", one(source("c", nil, self)), doctor.RoleIndividual, doctor.CheckRole, "ok", "", ""},
		{"CA-signed in an individual enrollment", one(source("c", nil, f.leaf)), doctor.RoleIndividual, doctor.CheckRole, "ok", "", ""},
		{"marked as CA by openssl", one(source("c", nil, marked)), doctor.RoleIndividual, doctor.CheckRole, "warning", "openssl req", ""},
		{"device in a group", one(f.chain()), doctor.RoleGroup, doctor.CheckRole, "ok", `"Test Sub" can be the CA`, ""},
		{"device alone in a group", one(source("c", nil, f.leaf)), doctor.RoleGroup, doctor.CheckRole, "fatal", `put its issuer "CN=Test Sub" into the group`, noGroup},
		{"root in a group", one(source("c", nil, f.root)), doctor.RoleGroup, doctor.CheckRole, "ok", "", ""},
		{"CA without constraints in a group", one(source("c", nil, silent)), doctor.RoleGroup, doctor.CheckCAFlag, "warning", "old roots", ""},
		{"CA as device", one(source("c", f.sub.key, f.sub, f.root)), doctor.RoleDevice, doctor.CheckCAFlag, "fatal", `"Test Sub" is a CA certificate`, invalid},
		{"root as device", one(source("c", f.root.key, f.root)), doctor.RoleDevice, doctor.CheckCAFlag, "fatal", `"Test Root" is a CA certificate`, invalid},
		{"self-signed as device of a group", one(source("c", nil, self)), doctor.RoleDevice, doctor.CheckRole, "fatal", "individual enrollment", invalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := check(tt.sources, doctor.Options{Role: tt.role})
			expect(t, r, tt.check, tt.severity, tt.word, tt.predicted)
			if tt.severity != doctor.SeverityFatal {
				expectOnly(t, r, tt.check, doctor.CheckChainOrder)
			}
			if r.Role != tt.role || r.RoleGuessed {
				t.Errorf("role %q, guessed %v", r.Role, r.RoleGuessed)
			}
		})
	}
}

func TestRoleGuess(t *testing.T) {
	f := newFamily(t, nil, nil, nil)
	asDevice := mint(t, func() *x509.Certificate {
		c := template("dev-1", true)
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		return c
	}(), f.sub, nil)
	code := mint(t, template(strings.Repeat("0A", 24), false), f.root, nil)
	for _, tt := range []struct {
		name    string
		members []*member
		want    doctor.Role
		subject string
	}{
		{"device", []*member{f.leaf, f.sub, f.root}, doctor.RoleDevice, "CN=dev-1"},
		{"device in any order", []*member{f.root, f.leaf, f.sub}, doctor.RoleDevice, "CN=dev-1"},
		{"CA marked as TLS client", []*member{asDevice, f.sub, f.root}, doctor.RoleDevice, "CN=dev-1"},
		{"CAs", []*member{f.root, f.sub}, doctor.RoleGroup, "CN=Test Sub"},
		{"self-signed", []*member{mint(t, template("dev-9", false), nil, nil)}, doctor.RoleIndividual, "CN=dev-9"},
		{"proof", []*member{code, f.root}, doctor.RoleVerification, "CN=" + strings.Repeat("0A", 24)},
	} {
		r := check(one(source("c", nil, tt.members...)), doctor.Options{})
		if r.Role != tt.want || !r.RoleGuessed || r.Certificate.Subject != tt.subject {
			t.Errorf("%s: got role %q of %v, want %q of %q", tt.name, r.Role, r.Certificate, tt.want, tt.subject)
		}
	}
}

func TestParseRole(t *testing.T) {
	for _, role := range append(doctor.AllRoles(), doctor.RoleAuto) {
		if got, err := doctor.ParseRole(string(role)); err != nil || got != role {
			t.Errorf("%q: got %q, %v", role, got, err)
		}
	}
	if _, err := doctor.ParseRole("leaf\n"); err == nil || !strings.Contains(err.Error(), `"leaf\n": known roles are device, group`) {
		t.Errorf("got %v", err)
	}
}

// Of several certificates, the one with the given key is in question.
func TestSubjectByKey(t *testing.T) {
	f := newFamily(t, nil, nil, nil)
	second := mint(t, template("dev-2", false), f.sub, nil)
	r := check(one(source("c", nil, f.leaf, second, f.sub, f.root), source("k", second.key)), doctor.Options{})
	if r.Certificate.Subject != "CN=dev-2" || r.Certificate.Position != 2 || r.Certificate.Source != "c" {
		t.Errorf("got %+v", r.Certificate)
	}
	expect(t, r, doctor.CheckChainOrder, "fatal", `"dev-2" is certificate 2`, noTLS)
}

func TestRegistrationIDOption(t *testing.T) {
	f := newFamily(t, nil, nil, nil)
	for id, want := range map[string]doctor.Severity{"": "ok", "dev-1": "ok", "DEV-1": "ok", "dev-2": "fatal", "dev 2": "fatal"} {
		r := check(one(f.chain()), doctor.Options{RegistrationID: id})
		if got := r.Find(doctor.CheckRegistrationID).Severity; got != want {
			t.Errorf("%q: got %s, want %s", id, got, want)
		}
		if want == "fatal" {
			expect(t, r, doctor.CheckRegistrationID, "fatal", `register as "dev-1"`, invalid)
		}
	}
	if r := check(one(source("c", nil, f.sub)), doctor.Options{RegistrationID: "x"}); r.Find(doctor.CheckRegistrationID) != nil {
		t.Error("a CA was checked for a registration id")
	}
}

func TestIndividualEnrollment(t *testing.T) {
	f := newFamily(t, nil, nil, nil)
	self, renewed := mint(t, template("dev-9", false), nil, nil), mint(t, template("dev-9", false), nil, nil)
	tests := []struct {
		name      string
		members   []*member
		enrolled  *member
		cas       []*x509.Certificate
		check     doctor.CheckID
		severity  doctor.Severity
		word      string
		predicted string
	}{
		{"this one", []*member{self}, self, nil, doctor.CheckEnrolled, "ok", "", ""},
		{"an older one", []*member{renewed}, self, nil, doctor.CheckEnrolled, "fatal", "another certificate", invalid},
		{"the root", []*member{f.leaf}, f.root, nil, doctor.CheckEnrolled, "fatal", `holds the CA certificate "Test Root"`, invalid},
		{"root verified", []*member{f.leaf, f.sub}, f.leaf, certs(f.root), doctor.CheckCAList, "ok", "", ""},
		{"root not verified", []*member{f.leaf, f.sub}, f.leaf, certs(self), doctor.CheckCAList, "warning", "not known", ""},
		{"own signature", []*member{self}, nil, nil, doctor.CheckChainSignature, "ok", "", ""},
		{"another CA beside it", []*member{f.leaf, mint(t, template("Test Sub", true), nil, nil)}, nil, nil, doctor.CheckChainSignature, "warning", "another CA", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			opts := doctor.Options{Role: doctor.RoleIndividual, CAs: tt.cas}
			if tt.enrolled != nil {
				opts.Enrolled = tt.enrolled.cert
			}
			expect(t, check(one(source("c", nil, tt.members...)), opts), tt.check, tt.severity, tt.word, tt.predicted)
		})
	}
	// Only the certificate itself counts: an expired CA beside it does not.
	old := newFamily(t, func(c *x509.Certificate) { c.NotAfter = testNow.AddDate(0, 0, -1) }, nil, nil)
	r := check(one(old.chain()), doctor.Options{Role: doctor.RoleIndividual})
	expect(t, r, doctor.CheckValidity, "ok", "", "")
	expect(t, check(one(old.chain()), doctor.Options{Role: doctor.RoleDevice}), doctor.CheckValidity, "fatal", "", invalid)
}

func TestGroupEnrollment(t *testing.T) {
	f, other := newFamily(t, nil, nil, nil), newFamily(t, nil, nil, nil)
	knownRoot := []doctor.Source{source("root.pem", nil, f.root)}
	tests := []struct {
		name      string
		members   []*member
		cas       []*x509.Certificate
		known     []doctor.Source
		check     doctor.CheckID
		severity  doctor.Severity
		word      string
		predicted string
	}{
		{"itself verified", []*member{f.sub}, certs(f.sub), nil, doctor.CheckCAList, "ok", `"Test Sub" is in the list`, ""},
		{"root verified", []*member{f.sub}, certs(f.root), nil, doctor.CheckCAList, "ok", `"Test Root" is in the list`, ""},
		{"nothing verified", []*member{f.sub}, certs(other.root), nil, doctor.CheckCAList, "fatal", "neither", unknownCA},
		{"issuer not given", []*member{f.sub}, nil, nil, doctor.CheckChainComplete, "info", `"CN=Test Root", was not given`, ""},
		{"issuer known", []*member{f.sub}, nil, knownRoot, doctor.CheckChainComplete, "ok", "", ""},
		{"root first in the file", []*member{f.root, f.sub}, nil, nil, doctor.CheckChainOrder, "warning", "is certificate 2", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := check(one(source("c", nil, tt.members...)), doctor.Options{Role: doctor.RoleGroup, CAs: tt.cas, Known: tt.known})
			expect(t, r, tt.check, tt.severity, tt.word, tt.predicted)
		})
	}
}

func TestProof(t *testing.T) {
	f, other := newFamily(t, nil, nil, nil), newFamily(t, nil, nil, nil)
	proof := mint(t, template("CODE", false), f.root, nil)
	self := mint(t, template("CODE", false), nil, nil)
	two := mint(t, func() *x509.Certificate {
		c := template("", false)
		c.Subject = pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{
			{Type: []int{2, 5, 4, 3}, Value: "CODE"}, {Type: []int{2, 5, 4, 3}, Value: "CODE2"},
		}}
		return c
	}(), f.root, nil)
	spaced := mint(t, template("CODE ", false), f.root, nil)
	expired := mint(t, func() *x509.Certificate {
		c := template("CODE", false)
		c.NotAfter = testNow.Add(-time.Hour)
		return c
	}(), f.root, nil)
	tests := []struct {
		name      string
		members   []*member
		code      string
		cas       []*x509.Certificate
		check     doctor.CheckID
		severity  doctor.Severity
		word      string
		predicted string
	}{
		{"right code", []*member{proof, f.root}, "CODE", nil, doctor.CheckCode, "ok", "", ""},
		{"any code", []*member{proof, f.root}, "", nil, doctor.CheckCode, "ok", "", ""},
		{"another code", []*member{proof, f.root}, "code", nil, doctor.CheckCode, "fatal", `"CODE" is not the code "code"`, noProof},
		{"two names", []*member{two, f.root}, "", nil, doctor.CheckCode, "fatal", "2 common names", noProof},
		{"with a space", []*member{spaced, f.root}, "", nil, doctor.CheckCode, "fatal", "cannot be a verification code", noProof},
		{"signed by the CA", []*member{proof, f.root}, "", nil, doctor.CheckCAList, "ok", `key of "Test Root"`, ""},
		{"signed by the uploaded CA", []*member{proof}, "", certs(f.root), doctor.CheckCAList, "ok", `key of "Test Root"`, ""},
		{"signed by the root instead", []*member{proof, f.root}, "", certs(f.sub), doctor.CheckCAList, "fatal", `not signed by the uploaded CA "Test Sub"`, noProof},
		{"signed by another root of that name", []*member{proof}, "", certs(other.root), doctor.CheckCAList, "fatal", "made anew", noProof},
		{"CA not given", []*member{proof}, "", nil, doctor.CheckCAList, "info", "was not given", ""},
		{"self-signed", []*member{self}, "", nil, doctor.CheckCAList, "fatal", "proves nothing", noProof},
		{"expired", []*member{expired, f.root}, "", nil, doctor.CheckValidity, "fatal", "has expired", noProof},
		{"in time", []*member{proof, f.root}, "", nil, doctor.CheckValidity, "ok", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := check(one(source("c", nil, tt.members...)), doctor.Options{Role: doctor.RoleVerification, Code: tt.code, CAs: tt.cas})
			expect(t, r, tt.check, tt.severity, tt.word, tt.predicted)
			if r.Fatal() != (tt.severity == doctor.SeverityFatal) {
				t.Error(describe(r))
			}
		})
	}
}

// A code is that of a proof, whatever the certificate looks like.
func TestCodeMeansProof(t *testing.T) {
	f := newFamily(t, nil, nil, nil)
	proof := mint(t, template("ABCD", false), f.root, nil)
	for code, severity := range map[string]doctor.Severity{"ABCD": "ok", "ABCE": "fatal"} {
		r := check(one(source("c", nil, proof)), doctor.Options{Code: code})
		if r.Role != doctor.RoleVerification || r.RoleGuessed {
			t.Errorf("role %q, guessed: %v", r.Role, r.RoleGuessed)
		}
		predicted := ""
		if severity == "fatal" {
			predicted = noProof
		}
		expect(t, r, doctor.CheckCode, severity, "", predicted)
	}
	if r := check(one(source("c", nil, proof)), doctor.Options{Code: "ABCE", Role: doctor.RoleDevice}); r.Role != doctor.RoleDevice {
		t.Errorf("role %q, want the one asked for", r.Role)
	}
}

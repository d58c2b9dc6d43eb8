package doctor_test

import (
	"crypto/x509"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/pki/doctor"
)

// twin is another certificate of the same CA.
func twin(t *testing.T, of, issuer *member, bends ...bend) *member {
	t.Helper()
	tmpl := template(of.cert.Subject.CommonName, true)
	tmpl.SubjectKeyId = of.cert.SubjectKeyId
	for _, f := range bends {
		f(tmpl)
	}
	return mint(t, tmpl, issuer, of.key)
}

func expired(c *x509.Certificate) { c.NotAfter = testNow.Add(-time.Minute) }

// A device with two chains is sound if one of them is, and the other one is told of.
func TestTwoWays(t *testing.T) {
	f := newFamily(t, nil, nil, nil)
	other := mint(t, template("Other Root", true), nil, nil)
	cross := twin(t, f.sub, other)
	old := twin(t, f.sub, other, expired)
	oldRoot := twin(t, f.root, nil, expired)
	tests := []struct {
		name     string
		members  []*member
		known    []*member
		opts     doctor.Options
		severity doctor.Severity // of the certificate that is not needed; "" for none
		word     string
	}{
		{"sound both", []*member{f.leaf, f.sub, cross}, nil, doctor.Options{}, "info", `"Test Sub" by "CN=Other Root"`},
		{"expired first", []*member{f.leaf, old, f.sub}, nil, doctor.Options{}, "info", `"Test Sub" by "CN=Other Root"`},
		{"expired last", []*member{f.leaf, f.sub, old}, nil, doctor.Options{}, "info", `"Test Sub" by "CN=Other Root"`},
		{"with roots", []*member{f.leaf, old, f.sub, other, f.root}, nil, doctor.Options{}, "info", `"Test Sub" by "CN=Other Root"`},
		{"enrolled last", []*member{f.leaf, cross, f.sub}, nil, doctor.Options{Enrolled: f.sub.cert}, "info", "another chain"},
		{"verified last", []*member{f.leaf, cross, f.sub}, []*member{other, f.root}, doctor.Options{CAs: []*x509.Certificate{f.root.cert}}, "info", "another chain"},
		{"expired root first", []*member{f.leaf, f.sub, oldRoot, f.root}, nil, doctor.Options{}, "info", `"Test Root" by "CN=Test Root"`},
		{"expired root known", []*member{f.leaf, f.sub}, []*member{oldRoot, f.root}, doctor.Options{}, "", ""},
		{"expired root given, the new one verified", []*member{f.leaf, f.sub, oldRoot}, nil, doctor.Options{CAs: []*x509.Certificate{f.root.cert}}, "info", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.opts.Role = doctor.RoleDevice
			for i, m := range tt.known {
				tt.opts.Known = append(tt.opts.Known, source(fmt.Sprintf("known%d.pem", i), nil, m))
			}
			r := check(one(source("c.pem", f.leaf.key, tt.members...)), tt.opts)
			expectOnly(t, r)
			got := r.Find(doctor.CheckSurplus)
			if tt.severity == "" {
				tt.severity = doctor.SeverityOK
			}
			if got == nil || got.Severity != tt.severity || !strings.Contains(got.What, tt.word) {
				t.Errorf("got %+v, want %s with %q", got, tt.severity, tt.word)
			}
		})
	}
}

// Of two chains that are both wrong the report is about the one that gets farthest, and about what is wrong with it.
func TestTwoWaysWrong(t *testing.T) {
	f := newFamily(t, nil, nil, nil)
	other := mint(t, template("Other Root", true), nil, nil)
	old := twin(t, f.sub, other, expired)
	dead := newFamily(t, nil, expired, nil)
	alsoDead := twin(t, dead.sub, other, expired)
	cas := []*x509.Certificate{other.cert}
	r := check(one(source("c.pem", nil, f.leaf, f.sub, old)), doctor.Options{Role: doctor.RoleDevice, CAs: cas, Enrolled: old.cert})
	expect(t, r, doctor.CheckValidity, "fatal", `"Test Sub" has expired`, invalid)
	if r.Predicted == nil || r.Predicted.String() != invalid {
		t.Errorf("predicted %v, want %s", r.Predicted, invalid)
	}
	r = check(one(source("c.pem", nil, dead.leaf, dead.sub, alsoDead)), doctor.Options{Role: doctor.RoleDevice})
	expect(t, r, doctor.CheckValidity, "fatal", `"Test Sub" has expired`, invalid)
	r = check(one(source("c.pem", nil, f.leaf, f.sub, old)), doctor.Options{Role: doctor.RoleDevice, CAs: []*x509.Certificate{dead.root.cert}})
	expect(t, r, doctor.CheckCAList, "fatal", "is not in the list of CA certificates", unknownCA)
}

// Four CAs that all certified each other make more ways than anybody can follow.
func TestManyWays(t *testing.T) {
	start := time.Now()
	cas := make([]*member, 4)
	for i := range cas {
		cas[i] = mint(t, template(fmt.Sprintf("CA %d", i), true), nil, nil)
	}
	leaf := mint(t, template("dev-1", false), cas[0], nil)
	members := []*member{leaf}
	for range 4 {
		for _, subject := range cas {
			for _, issuer := range cas {
				if subject != issuer {
					members = append(members, twin(t, subject, issuer))
				}
			}
		}
	}
	r := check(one(source("c.pem", leaf.key, members...)), doctor.Options{Role: doctor.RoleDevice, CAs: []*x509.Certificate{cas[3].cert}})
	if r.Certificate == nil || r.Certificate.Subject != "CN=dev-1" {
		t.Errorf("the report is about %+v", r.Certificate)
	}
	expectOnly(t, r, doctor.CheckChainOrder, doctor.CheckSurplus)
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("took %v", d)
	}
}

// What all certificates of a chain have in common is said once.
func TestEnds2038Once(t *testing.T) {
	late := func(c *x509.Certificate) { c.NotAfter = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) }
	r := check(one(newFamily(t, late, late, late).chain()), doctor.Options{Role: doctor.RoleDevice})
	n := 0
	for _, f := range r.Findings {
		if f.Check == doctor.CheckValidity2038 {
			n++
		}
	}
	expect(t, r, doctor.CheckValidity2038, "warning", `"dev-1" (9999-12-31 23:59:59 UTC), "Test Sub" (9999-12-31 23:59:59 UTC), "Test Root"`, "")
	if n != 1 {
		t.Errorf("it is said %d times:\n%s", n, describe(r))
	}
	begins := func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Date(9990, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	r = check(one(newFamily(t, nil, nil, begins).chain()), doctor.Options{Role: doctor.RoleDevice})
	expect(t, r, doctor.CheckValidity, "fatal", "in 2908", invalid) // days, not the 106751 of the longest duration
}

package doctor_test

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/pki/doctor"
)

func TestChain(t *testing.T) {
	f := newFamily(t, nil, nil, nil)
	sub2 := mint(t, template("Test Sub 2", true), f.sub, nil)
	deep := mint(t, template("dev-2", false), sub2, nil)
	newSub := mint(t, template("Test Sub", true), f.root, nil)
	stranger := newFamily(t, func(c *x509.Certificate) { c.Subject.CommonName = "Strange Root" },
		func(c *x509.Certificate) { c.Subject.CommonName = "Strange Sub" }, nil)
	renamed := mint(t, template("Test Sub Renamed", true), f.root, f.sub.key)
	flat := mint(t, template("dev-3", false), f.root, nil)
	known := func(members ...*member) doctor.Options {
		o := doctor.Options{Role: doctor.RoleDevice}
		for i, m := range members {
			o.Known = append(o.Known, source(fmt.Sprintf("ca%d.pem", i+1), nil, m))
		}
		return o
	}
	dev := known()
	tests := []struct {
		name      string
		sources   []doctor.Source
		opts      doctor.Options
		check     doctor.CheckID
		severity  doctor.Severity
		word      string
		predicted string
	}{
		{"whole", one(f.chain()), dev, doctor.CheckChainComplete, "ok", `"dev-1", issued by "Test Sub", issued by "Test Root"`, ""},
		{"without the root", one(source("c", nil, f.leaf, f.sub)), dev, doctor.CheckChainComplete, "info", `"CN=Test Root" was taken for the root`, ""},
		{"without the root, which is known", one(source("c", nil, f.leaf, f.sub)), known(f.root), doctor.CheckChainComplete, "ok", "", ""},
		{"leaf alone", one(source("c", nil, f.leaf)), dev, doctor.CheckChainComplete, "fatal", `issuer, "CN=Test Sub", is missing`, unknownCA},
		{"leaf alone, the CAs are known", one(source("c", nil, f.leaf)), known(f.root, f.sub), doctor.CheckChainComplete, "fatal",
			`add "ca2.pem" behind "dev-1"`, unknownCA},
		{"leaf and root", one(source("c", nil, f.leaf, f.root)), dev, doctor.CheckChainComplete, "fatal", `"CN=Test Sub", is missing`, unknownCA},
		{"leaf and root, the CAs are known", one(source("c", nil, f.leaf, f.root)), known(f.sub), doctor.CheckChainComplete, "fatal",
			`the intermediate certificate "Test Sub" is missing`, unknownCA},
		{"leaf of the root alone", one(source("c", nil, flat)), known(f.root), doctor.CheckChainComplete, "ok", "", ""},
		{"gap in the middle", one(source("c", nil, deep, f.sub, f.root)), dev, doctor.CheckChainComplete, "fatal",
			`"CN=Test Sub 2", is missing from the chain; "Test Sub" is there instead`, unknownCA},
		{"gap below the root", one(source("c", nil, deep, sub2, f.root)), dev, doctor.CheckChainComplete, "fatal",
			`between "Test Sub 2" and the root "Test Root" the certificate of "CN=Test Sub" is missing`, unknownCA},
		{"gap below the root, known", one(source("c", nil, deep, sub2, f.root)), known(f.sub), doctor.CheckChainComplete, "fatal",
			`the intermediate certificate "Test Sub" is missing`, unknownCA},
		{"two intermediates", one(source("c", nil, deep, sub2, f.sub, f.root)), dev, doctor.CheckChainComplete, "ok", "", ""},
		{"another CA", one(source("c", nil, f.leaf, stranger.sub, stranger.root)), dev, doctor.CheckChainComplete, "fatal",
			`"Strange Sub" is there instead`, unknownCA},
		{"CA made anew", one(source("c", nil, f.leaf, newSub, f.root)), dev, doctor.CheckChainSignature, "fatal",
			"signed by another CA with the name", unknownCA},
		{"CA made anew, both given", one(source("c", nil, f.leaf, newSub, f.sub, f.root)), dev, doctor.CheckChainSignature, "ok", "", ""},
		{"CA renamed", one(source("c", nil, f.leaf, renamed, f.root)), dev, doctor.CheckChainComplete, "fatal", `is called "CN=Test Sub Renamed"`, unknownCA},
		{"key identifiers fit", one(f.chain()), dev, doctor.CheckChainKeyID, "ok", "", ""},

		{"in order", one(f.chain()), dev, doctor.CheckChainOrder, "ok", "", ""},
		{"issuers reversed", one(source("c.pem", nil, f.leaf, f.root, f.sub)), dev, doctor.CheckChainOrder, "warning",
			`"Test Root" is certificate 2 of "c.pem", and should come later`, ""},
		{"reversed", one(source("c.pem", nil, f.root, f.sub, f.leaf)), dev, doctor.CheckChainOrder, "fatal",
			`"dev-1" is certificate 3 of "c.pem", and must be the first`, noTLS},
		{"a PFX has no order", one(doctor.Source{Name: "p", Format: doctor.FormatPFX, Certificates: []*x509.Certificate{f.leaf.cert, f.root.cert, f.sub.cert}}, f.chain()),
			dev, doctor.CheckChainOrder, "ok", "", ""},

		{"twice", one(source("c.pem", nil, f.leaf, f.sub, f.sub, f.root)), dev, doctor.CheckDuplicate, "warning",
			`"Test Sub" is in "c.pem" twice, as certificate 2 and 3`, ""},
		{"twice, in two files", one(f.chain(), source("leaf.pem", nil, f.leaf)), dev, doctor.CheckDuplicate, "ok", "", ""},
		{"surplus CA", one(source("c.pem", nil, f.leaf, f.sub, f.root, stranger.sub)), dev, doctor.CheckSurplus, "warning", `"Strange Sub" is not in the chain`, ""},
		{"surplus device", one(source("c.pem", nil, f.leaf, f.sub, f.root, deep)), dev, doctor.CheckSurplus, "warning", "a device presents one", ""},
		{"nothing surplus", one(f.chain()), dev, doctor.CheckSurplus, "ok", "", ""},

		{"in one file", one(f.chain()), dev, doctor.CheckChainFile, "ok", "", ""},
		{"in several files", one(source("a", nil, f.leaf), source("b", nil, f.sub), source("c", nil, f.root)), dev, doctor.CheckChainFile, "warning",
			`no file holds "dev-1" together with its intermediates`, ""},
		{"a PFX with less", one(f.chain(), doctor.Source{Name: "d.pfx", Format: doctor.FormatPFX, Certificates: []*x509.Certificate{f.leaf.cert}}),
			dev, doctor.CheckChainFile, "warning", `"d.pfx" lacks intermediate`, ""},

		{"key", one(f.chain()), dev, doctor.CheckKeyMatch, "ok", `in "chain.pem" belongs to "dev-1"`, ""},
		{"key in another file", one(source("c", nil, f.leaf, f.sub), source("k", f.leaf.key)), dev, doctor.CheckKeyMatch, "ok", `in "k"`, ""},
		{"key of the CA", one(source("c", nil, f.leaf, f.sub), source("k", f.sub.key)), dev, doctor.CheckKeyMatch, "fatal",
			`in "k" does not belong to "dev-1" but to "Test Sub"`, noTLS},
		{"key of a stranger", one(source("c", newKey(t), f.leaf, f.sub)), dev, doctor.CheckKeyMatch, "fatal", `does not belong to "dev-1"`, noTLS},
		{"key of a stranger beside the right one", one(source("k", newKey(t)), f.chain()), dev, doctor.CheckKeyMatch, "fatal",
			`in "k" does not belong to "dev-1"`, noTLS},
		{"key of the CA beside the right one", one(source("k", f.sub.key), f.chain()), dev, doctor.CheckKeyMatch, "ok", "", ""},
		{"key of another CA", one(source("c", nil, f.sub), source("k", newKey(t))), doctor.Options{Role: doctor.RoleGroup}, doctor.CheckKeyMatch, "warning",
			"devices and proofs of possession alike", ""},
		{"key of the group's CA", one(source("c", nil, f.sub), source("k", f.sub.key)), doctor.Options{Role: doctor.RoleGroup}, doctor.CheckKeyMatch, "ok", "", ""},
		{"locked key", one(source("c", nil, f.leaf, f.sub), doctor.Source{Name: "k", KeyLocked: true}), dev, doctor.CheckKeyMatch, "info", "encrypted", ""},
		{"no key", one(source("c", nil, f.leaf, f.sub)), dev, doctor.CheckKeyMatch, "info", "no private key was given", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			expect(t, check(tt.sources, tt.opts), tt.check, tt.severity, tt.word, tt.predicted)
		})
	}
}

// A signature with one wrong bit is found wherever it stands.
func TestBadSignature(t *testing.T) {
	flip := func(m *member) *member {
		der := bytes.Clone(m.cert.Raw)
		der[len(der)-1] ^= 1
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return &member{cert, m.key}
	}
	f := newFamily(t, nil, nil, nil)
	for _, tt := range []struct {
		name    string
		members []*member
		word    string
	}{
		{"leaf", []*member{flip(f.leaf), f.sub, f.root}, `the signature of "dev-1" is not that of "Test Sub"`},
		{"intermediate", []*member{f.leaf, flip(f.sub), f.root}, `the signature of "Test Sub" is not that of "Test Root"`},
		{"root", []*member{f.leaf, f.sub, flip(f.root)}, `the self-signed certificate "Test Root" is not its own`},
	} {
		r := check(one(source("c", nil, tt.members...)), doctor.Options{Role: doctor.RoleDevice})
		expect(t, r, doctor.CheckChainSignature, "fatal", tt.word, invalid)
	}
}

// Circles of issuers end, and so do chains that are made to cost time.
func TestHostileChains(t *testing.T) {
	start := time.Now()
	a := mint(t, template("A", true), nil, nil)
	b := mint(t, template("B", true), a, nil)
	again := template("A", true)
	again.SubjectKeyId = a.cert.SubjectKeyId
	circle := mint(t, again, b, a.key) // A, issued by B, which A issued
	leaf := mint(t, template("dev-1", false), circle, nil)
	r := check(one(source("c", nil, leaf, circle, b)), doctor.Options{})
	expect(t, r, doctor.CheckChainComplete, "warning", `in a circle: "B" was issued by "A"`, "")

	// Hundreds of CAs with one name and one key identifier, none of which signed the others.
	id := []byte{1, 2, 3}
	crowd := doctor.Source{Name: "crowd", Format: doctor.FormatPEM}
	var last *member
	for range 250 {
		tmpl := template("A", true)
		tmpl.SubjectKeyId = id
		last = mint(t, tmpl, nil, nil)
		crowd.Certificates = append(crowd.Certificates, last.cert)
	}
	lone := mint(t, template("dev-1", false), last, nil)
	crowd.Certificates = append([]*x509.Certificate{lone.cert}, crowd.Certificates...)
	r = check(one(crowd), doctor.Options{Role: doctor.RoleDevice})
	expect(t, r, doctor.CheckInput, "fatal", "251 certificates were given", invalid)
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("took %v", d)
	}
}

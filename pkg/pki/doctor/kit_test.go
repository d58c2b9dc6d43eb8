package doctor_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/doctor"
)

var (
	testNow = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	clock   = func() time.Time { return testNow }
)

// member is one certificate of a test chain with its key.
type member struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// template is a sound certificate for a member of a chain; a test bends what it wants to.
func template(cn string, ca bool) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	t := &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)), Subject: pkix.Name{CommonName: cn},
		NotBefore: testNow.Add(-time.Hour), NotAfter: testNow.AddDate(0, 3, 0), BasicConstraintsValid: true,
		IsCA: ca, KeyUsage: x509.KeyUsageDigitalSignature, MaxPathLen: -1,
	}
	if ca {
		t.KeyUsage |= x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	} else {
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	return t
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// mint signs a template with the issuer, or with its own key when issuer is nil.
func mint(t testing.TB, tmpl *x509.Certificate, issuer *member, key crypto.Signer) *member {
	t.Helper()
	if key == nil {
		key = newKey(t)
	}
	if tmpl.SubjectKeyId == nil {
		der, err := x509.MarshalPKIXPublicKey(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		sum := sha1.Sum(der)
		tmpl.SubjectKeyId = sum[:]
	}
	parent, signer := tmpl, key
	if issuer != nil {
		parent, signer = issuer.cert, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &member{cert, key}
}

// family is root, intermediate and device, each bent by a function that may be nil.
type family struct{ root, sub, leaf *member }

type bend func(*x509.Certificate)

func newFamily(t testing.TB, root, sub, leaf bend) family {
	t.Helper()
	bent := func(tmpl *x509.Certificate, f bend) *x509.Certificate {
		if f != nil {
			f(tmpl)
		}
		return tmpl
	}
	var f family
	f.root = mint(t, bent(template("Test Root", true), root), nil, nil)
	f.sub = mint(t, bent(template("Test Sub", true), sub), f.root, nil)
	f.leaf = mint(t, bent(template("dev-1", false), leaf), f.sub, nil)
	return f
}

// chain is what a device of the family presents, with its key.
func (f family) chain() doctor.Source {
	return source("chain.pem", f.leaf.key, f.leaf, f.sub, f.root)
}

func source(name string, key crypto.Signer, members ...*member) doctor.Source {
	s := doctor.Source{Name: name, Format: doctor.FormatPEM, Key: key}
	for _, m := range members {
		s.Certificates = append(s.Certificates, m.cert)
	}
	return s
}

func check(sources []doctor.Source, opts doctor.Options) *doctor.Report {
	if opts.Now == nil {
		opts.Now = clock
	}
	return doctor.Check(sources, &opts)
}

func one(s ...doctor.Source) []doctor.Source { return s }

// expect checks that a check came to a severity, with a word in its texts and a predicted message.
func expect(t *testing.T, r *doctor.Report, id doctor.CheckID, severity doctor.Severity, word, predicted string) {
	t.Helper()
	f := r.Find(id)
	if f == nil {
		t.Fatalf("check %s did not apply:\n%s", id, describe(r))
	}
	if f.Severity != severity {
		t.Errorf("check %s: severity %s, want %s:\n%s", id, f.Severity, severity, describe(r))
	}
	if all := f.What + "\n" + f.Why + "\n" + f.Fix; !strings.Contains(all, word) {
		t.Errorf("check %s: %q is not in:\n%s", id, word, all)
	}
	got := ""
	if f.Predicted != nil {
		got = f.Predicted.String()
	}
	if got != predicted {
		t.Errorf("check %s: predicts %q, want %q", id, got, predicted)
	}
}

func describe(r *doctor.Report) string {
	var b strings.Builder
	for _, f := range r.Findings {
		b.WriteString(string(f.Severity) + " " + string(f.Check) + ": " + f.What + "\n")
	}
	return b.String()
}

// expectOnly checks that nothing but the named checks is worse than info.
func expectOnly(t *testing.T, r *doctor.Report, ids ...doctor.CheckID) {
	t.Helper()
	for _, f := range r.Findings {
		bad := f.Severity == doctor.SeverityFatal || f.Severity == doctor.SeverityWarning
		for _, id := range ids {
			bad = bad && f.Check != id
		}
		if bad {
			t.Errorf("unexpected %s %s: %s", f.Severity, f.Check, f.What)
		}
	}
}

const (
	invalid   = "401002 Invalid certificate."
	unknownCA = "401002 CA certificate not found."
	noGroup   = "401002 Signing certificate info did not match chain elements."
	badID     = "400004 Invalid RegistrationId"
	noProof   = "400053 Proof-Of-Possession failed."
	noTLS     = "none: the TLS handshake fails before the service sees the certificate"
)

func newDevice(t testing.TB, id string) *pki.Bundle {
	t.Helper()
	root, err := pki.NewRoot(&pki.CAOptions{Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	sub, err := root.NewIntermediate(&pki.CAOptions{Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	b, err := sub.Issue(pki.IssueRequest{CommonName: id, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

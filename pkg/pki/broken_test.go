package pki_test

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/pkitest"
)

const day = 24 * time.Hour

// facts are what the faults change.
type facts struct {
	Begins, Ends string // relative to now: past, near (within 10 minutes), future
	CA           bool
	Usages       []x509.ExtKeyUsage
	Issuers      []string
	Error        error // of pki.Verify
}

func factsOf(t *testing.T, b *pki.Bundle, now time.Time) facts {
	t.Helper()
	place := func(at time.Time) string {
		switch d := at.Sub(now); {
		case d < -10*time.Minute:
			return "past"
		case d > 10*time.Minute:
			return "future"
		}
		return "near"
	}
	f := facts{
		Begins: place(b.Certificate.NotBefore), Ends: place(b.Certificate.NotAfter), CA: b.Certificate.IsCA,
		Usages: b.Certificate.ExtKeyUsage,
	}
	for _, c := range b.Issuers {
		f.Issuers = append(f.Issuers, c.Subject.CommonName)
	}
	for _, reason := range []error{
		pki.ErrExpired, pki.ErrNotYetValid, pki.ErrNotCA, pki.ErrBadSignature, pki.ErrIncompleteChain, pki.ErrUnsupportedKey,
	} {
		if err := pki.Verify(b.Certificate, b.Issuers, now); errors.Is(err, reason) {
			f.Error = reason
		}
	}
	return f
}

// Every fault changes what it is meant to change and nothing else.
func TestIssueBroken(t *testing.T) {
	client, server := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	sound := func(change func(*facts)) facts {
		f := facts{
			Begins: "near", Ends: "future", Usages: client, Issuers: []string{pki.DefaultIntermediateCN, pki.DefaultRootCN},
		}
		change(&f)
		return f
	}
	want := map[pki.Fault]facts{
		pki.FaultExpired:        sound(func(f *facts) { f.Begins, f.Ends, f.Error = "past", "past", pki.ErrExpired }),
		pki.FaultNotYetValid:    sound(func(f *facts) { f.Begins, f.Error = "future", pki.ErrNotYetValid }),
		pki.FaultCATrue:         sound(func(f *facts) { f.CA = true }),
		pki.FaultWrongEKU:       sound(func(f *facts) { f.Usages = server }),
		pki.FaultNoEKU:          sound(func(f *facts) { f.Usages = nil }),
		pki.FaultWrongIssuer:    sound(func(f *facts) { f.Error = pki.ErrIncompleteChain }),
		pki.FaultWeakKey:        sound(func(f *facts) { f.Error = pki.ErrUnsupportedKey }),
		pki.FaultBadSignature:   sound(func(f *facts) { f.Error = pki.ErrBadSignature }),
		pki.FaultReordered:      sound(func(f *facts) { f.Issuers = []string{pki.DefaultRootCN, pki.DefaultIntermediateCN} }),
		pki.FaultNoIntermediate: sound(func(f *facts) { f.Issuers, f.Error = []string{pki.DefaultRootCN}, pki.ErrIncompleteChain }),
	}
	now := time.Now()
	for _, fault := range pki.AllFaults() {
		t.Run(string(fault), func(t *testing.T) {
			b, err := pkitest.Intermediate(t).IssueBroken(pki.IssueRequest{CommonName: "d"}, fault)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want[fault], factsOf(t, b, now), cmp.Comparer(func(a, b error) bool { return a == b })); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if b.Certificate.Subject.CommonName != "d" || !pki.KeyMatches(b.Certificate, b.Key) || b.Profile != pki.ProfileDevice {
				t.Errorf("got subject %v, profile %q, key matches: %v", b.Certificate.Subject, b.Profile, pki.KeyMatches(b.Certificate, b.Key))
			}
			if _, err := b.PFX(pki.PFXOptions{Password: "x"}); err != nil {
				t.Errorf("no PFX: %v", err)
			}
			if len(pkitest.Intermediate(t).Chain()) != 2 {
				t.Error("the chain of the CA was changed")
			}
		})
	}
	if diff := cmp.Diff(sound(func(*facts) {}), factsOf(t, pkitest.Device(t, "d"), now)); diff != "" {
		t.Errorf("a sound certificate has other facts (-want +got)\n%s", diff)
	}
}

func TestIssueBrokenKeys(t *testing.T) {
	weak := func(keyType pki.KeyType) any {
		b, err := pkitest.Intermediate(t).IssueBroken(pki.IssueRequest{CommonName: "d", KeyType: keyType}, pki.FaultWeakKey)
		if err != nil {
			t.Fatal(err)
		}
		return b.Certificate.PublicKey
	}
	for _, keyType := range []pki.KeyType{"", pki.KeyRSA2048} {
		if k, ok := weak(keyType).(*rsa.PublicKey); !ok || k.N.BitLen() != 1024 {
			t.Errorf("key type %q: got %T", keyType, weak(keyType))
		}
	}
	if k, ok := weak(pki.KeyECP384).(*ecdsa.PublicKey); !ok || k.Curve.Params().BitSize != 224 {
		t.Errorf("got %T", weak(pki.KeyECP384))
	}
	// A damaged RSA signature parses as well.
	rsaCA, err := pki.NewRoot(&pki.CAOptions{KeyType: pki.KeyRSA2048})
	if err != nil {
		t.Fatal(err)
	}
	b, err := rsaCA.IssueBroken(pki.IssueRequest{CommonName: "d"}, pki.FaultBadSignature)
	if err != nil {
		t.Fatal(err)
	}
	if err := pki.Verify(b.Certificate, b.Issuers, time.Now()); !errors.Is(err, pki.ErrBadSignature) {
		t.Errorf("got %v", err)
	}
}

func TestIssueBrokenLifetime(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		fault       pki.Fault
		begin, life time.Duration
	}{
		{pki.FaultExpired, -8 * day, 7 * day},
		{pki.FaultNotYetValid, day, 7 * day},
	} {
		b, err := pkitest.Intermediate(t).IssueBroken(pki.IssueRequest{
			CommonName: "d", Validity: pki.Validity{Days: 7}, Now: func() time.Time { return now },
		}, tt.fault)
		if err != nil {
			t.Fatal(err)
		}
		c := b.Certificate
		if got := c.NotBefore.Sub(now.Truncate(time.Second)); (got - tt.begin).Abs() > 2*time.Hour { // days of 23 and 25 hours
			t.Errorf("%s: begins %v from now, want %v", tt.fault, got, tt.begin)
		}
		if got := c.NotAfter.Sub(c.NotBefore); (got - tt.life).Abs() > 2*time.Hour {
			t.Errorf("%s: lasts %v, want %v", tt.fault, got, tt.life)
		}
	}
	// A default lifetime ends with the issuer, as that of a sound certificate does.
	b, err := pkitest.Intermediate(t).IssueBroken(pki.IssueRequest{CommonName: "d"}, pki.FaultNotYetValid)
	if err != nil {
		t.Fatal(err)
	}
	if end := pkitest.Intermediate(t).Certificate().NotAfter; !b.Certificate.NotAfter.Equal(end) {
		t.Errorf("ends %v, its issuer %v", b.Certificate.NotAfter, end)
	}
}

func TestSelfSignedBroken(t *testing.T) {
	for _, fault := range pki.AllFaults() {
		b, err := pki.SelfSignedBroken(pki.IssueRequest{CommonName: "d"}, fault)
		if fault.InChain() {
			if err == nil || !strings.Contains(err.Error(), "self-signed") {
				t.Errorf("%s: got %v", fault, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", fault, err)
			continue
		}
		if len(b.Issuers) != 0 || !cmp.Equal(b.Certificate.RawIssuer, b.Certificate.RawSubject) {
			t.Errorf("%s: it is not self-signed", fault)
		}
		own := b.Certificate.CheckSignature(b.Certificate.SignatureAlgorithm, b.Certificate.RawTBSCertificate, b.Certificate.Signature)
		if (own != nil) != (fault == pki.FaultBadSignature) {
			t.Errorf("%s: its own signature: %v", fault, own)
		}
	}
}

func TestIssueBrokenRefuses(t *testing.T) {
	ca := pkitest.Intermediate(t)
	key, err := pki.GenerateKey("")
	if err != nil {
		t.Fatal(err)
	}
	expired := func() time.Time { return time.Now().AddDate(1, 0, 0) }
	tests := []struct {
		name  string
		ca    *pki.Authority
		req   pki.IssueRequest
		fault pki.Fault
		want  string
	}{
		{"unknown fault", ca, pki.IssueRequest{CommonName: "d"}, "rusty", "known faults are expired, "},
		{"no fault", ca, pki.IssueRequest{CommonName: "d"}, "", "known faults are"},
		{"unknown profile", ca, pki.IssueRequest{CommonName: "d", Profile: "x"}, pki.FaultExpired, "known profiles"},
		{"ca", ca, pki.IssueRequest{CommonName: "d", Profile: pki.ProfileEdgeCA}, pki.FaultExpired, "signs nothing"},
		{"bad id", ca, pki.IssueRequest{CommonName: "d d"}, pki.FaultExpired, "registration id"},
		{"dates", ca, pki.IssueRequest{CommonName: "d", Validity: pki.Validity{NotAfter: time.Now()}}, pki.FaultExpired, "lifetime in days"},
		{"days", ca, pki.IssueRequest{CommonName: "d", Validity: pki.Validity{Days: -1}}, pki.FaultExpired, "-1 days"},
		{"weak key given", ca, pki.IssueRequest{CommonName: "d", Key: key}, pki.FaultWeakKey, "makes its own key"},
		{"root, reordered", pkitest.Root(t), pki.IssueRequest{CommonName: "d"}, pki.FaultReordered, "needs an intermediate CA"},
		{"root, no intermediate", pkitest.Root(t), pki.IssueRequest{CommonName: "d"}, pki.FaultNoIntermediate, "needs an intermediate CA"},
		{"expired ca", ca, pki.IssueRequest{CommonName: "d", Now: expired}, pki.FaultNoEKU, "has expired"},
		{"self-signed public key", nil, pki.IssueRequest{CommonName: "d", PublicKey: key.Public()}, pki.FaultNoEKU, "cannot sign"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			issue := pki.SelfSignedBroken
			if tt.ca != nil {
				issue = tt.ca.IssueBroken
			}
			b, err := issue(tt.req, tt.fault)
			if err == nil || !strings.Contains(err.Error(), tt.want) || b != nil {
				t.Errorf("got %v, %v; want an error with %q", b, err, tt.want)
			}
		})
	}
	for _, given := range []pki.IssueRequest{{CommonName: "d", Key: key}, {CommonName: "d", PublicKey: key.Public()}} {
		if b, err := ca.IssueBroken(given, pki.FaultNoEKU); err != nil || !cmp.Equal(b.Certificate.PublicKey, key.Public()) {
			t.Errorf("a key that was given: %v", err)
		}
	}
}

func TestParseFault(t *testing.T) {
	for _, f := range pki.AllFaults() {
		if got, err := pki.ParseFault(string(f)); err != nil || got != f {
			t.Errorf("%s: got %q, %v", f, got, err)
		}
	}
	if _, err := pki.ParseFault("Expired"); err == nil || !strings.Contains(err.Error(), "missing-intermediate") {
		t.Errorf("got %v", err)
	}
}

// OpenSSL refuses what a strict service refuses. What it takes is taken by DPS or depends on its configuration.
func TestOpenSSLVerifyBroken(t *testing.T) {
	tests := []struct {
		fault   pki.Fault
		keyType pki.KeyType
		flags   []string
		refusal string // "": accepted
	}{
		{fault: pki.FaultExpired, refusal: "certificate has expired"},
		{fault: pki.FaultNotYetValid, refusal: "certificate is not yet valid"},
		{fault: pki.FaultCATrue},
		{fault: pki.FaultWrongEKU, refusal: "purpose"},
		{fault: pki.FaultNoEKU},
		{fault: pki.FaultWrongIssuer, refusal: "unable to get local issuer certificate"},
		{fault: pki.FaultWeakKey, flags: []string{"-auth_level", "2"}, refusal: "EE certificate key too weak"},
		{fault: pki.FaultWeakKey, keyType: pki.KeyECP256, flags: []string{"-auth_level", "3"}, refusal: "EE certificate key too weak"},
		{fault: pki.FaultBadSignature, refusal: "certificate signature failure"},
		{fault: pki.FaultReordered}, // it takes any order
		{fault: pki.FaultNoIntermediate, refusal: "unable to get local issuer certificate"},
	}
	root := save(t, "root.pem", pki.EncodeCertificatesPEM(pkitest.Root(t).Certificate()))
	for _, tt := range tests {
		t.Run(string(tt.fault)+string(tt.keyType), func(t *testing.T) {
			b, err := pkitest.Intermediate(t).IssueBroken(pki.IssueRequest{CommonName: "d", KeyType: tt.keyType}, tt.fault)
			if err != nil {
				t.Fatal(err)
			}
			args := append([]string{"verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", root, "-untrusted",
				save(t, "chain.pem", b.FullChainPEM())}, tt.flags...)
			out, err := openssl(t, append(args, save(t, "leaf.pem", b.CertificatePEM()))...)
			if (err != nil) != (tt.refusal != "") || !strings.Contains(out, tt.refusal) {
				t.Errorf("want %q, got %v\n%s", tt.refusal, err, out)
			}
		})
	}
}

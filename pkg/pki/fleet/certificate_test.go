package fleet_test

import (
	"bytes"
	"crypto"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/fleet"
	"github.com/dpskit/dpskit/pkg/pki/pkitest"
)

// hardIDs use every character, both string types of a common name, and lengths on both sides of a DER length.
var hardIDs = list{
	"a", "0", "dev-1", "A-b.c:9", "with_underscore", "-dash-", ".dot", strings.Repeat("x", 33), strings.Repeat("y", 63),
	strings.Repeat("_", 63) + "z", strings.Repeat(":", 63) + "z", "con", "NUL.txt", "a-full-chain",
}

// Every certificate of a fleet is the one that [pki.Authority.Issue] makes for the same key and dates, byte for byte
// but for the serial number and the signature.
func TestCertificatesAreThoseOfIssue(t *testing.T) {
	now := func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }
	authority := func(keyType pki.KeyType) *pki.Authority {
		root, err := pki.NewRoot(&pki.CAOptions{Now: now})
		if err != nil {
			t.Fatal(err)
		}
		ca, err := root.NewIntermediate(&pki.CAOptions{KeyType: keyType, Now: now})
		if err != nil {
			t.Fatal(err)
		}
		return ca
	}
	ec := authority(pki.KeyECP256)
	tests := []struct {
		name    string
		ca      *pki.Authority
		keyType pki.KeyType
		ids     list
		dates   pki.Validity
	}{
		{"P-256", ec, "", hardIDs, pki.Validity{}},
		{"P-384", ec, pki.KeyECP384, hardIDs, pki.Validity{Days: 3}},
		{"RSA", ec, pki.KeyRSA2048, hardIDs[:2], pki.Validity{}},
		{"below P-384", authority(pki.KeyECP384), "", hardIDs, pki.Validity{NotAfter: now().AddDate(100, 0, 0)}},
		{"below RSA", authority(pki.KeyRSA2048), "", hardIDs, pki.Validity{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var sink collect
			opts := fleet.Options{Authority: tt.ca, IDs: tt.ids, KeyType: tt.keyType, Validity: tt.dates, Now: now}
			if _, err := fleet.Run(t.Context(), opts, &sink); err != nil {
				t.Fatal(err)
			}
			for i, d := range sink.devices {
				if d.id != tt.ids[i] {
					t.Fatalf("device %d is %q, want %q", i, d.id, tt.ids[i])
				}
				checkLikeIssue(t, tt.ca, d, tt.keyType, tt.dates, now)
			}
		})
	}
}

func checkLikeIssue(t *testing.T, ca *pki.Authority, d made, keyType pki.KeyType, dates pki.Validity, now func() time.Time) {
	t.Helper()
	cert := parse(t, d.cert)
	key, err := pki.ParseKey([]byte(d.key), nil)
	if err != nil {
		t.Fatal(err)
	}
	alone, err := ca.Issue(pki.IssueRequest{CommonName: d.id, Key: key, Validity: dates, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	want := alone.Certificate.RawTBSCertificate
	want = bytes.Replace(want, alone.Certificate.SerialNumber.Bytes(), cert.SerialNumber.Bytes(), 1)
	if !bytes.Equal(cert.RawTBSCertificate, want) {
		t.Errorf("certificate of %q\n%x, want\n%x", d.id, cert.RawTBSCertificate, want)
	}
	if err := cert.CheckSignatureFrom(ca.Certificate()); err != nil {
		t.Errorf("signature of %q: %v", d.id, err)
	}
	keyPEM, err := pki.EncodeKeyPEM(key)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pki.KeyTypeOf(key.Public())
	if err != nil || keyType != "" && got != keyType {
		t.Errorf("key of %q is %s, %v; want %s", d.id, got, err, keyType)
	}
	b := pki.Bundle{Certificate: cert, Key: key, Issuers: ca.Chain()}
	for what, pair := range map[string][2]string{
		"key":                {d.key, string(keyPEM)},
		"certificate":        {d.cert, string(b.CertificatePEM())},
		"full chain":         {d.chain, string(b.FullChainPEM())},
		"SHA-1 thumbprint":   {d.sha1, pki.SHA1Thumbprint(cert)},
		"SHA-256 thumbprint": {d.sha256, pki.SHA256Thumbprint(cert)},
		"serial number":      {d.serial, strings.ToUpper(cert.SerialNumber.Text(16))},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s of %q is\n%s, want\n%s", what, d.id, pair[0], pair[1])
		}
	}
}

func TestSerialsAndKeysDiffer(t *testing.T) {
	const n = 3000
	seen := make(map[string]bool, 2*n)
	opts := options(t, n)
	_, err := fleet.Run(t.Context(), opts, sinkFunc(func(d *fleet.Device) error {
		if len(d.Serial) != 32 || d.Serial[0] < '4' || d.Serial[0] > '7' {
			t.Errorf("serial number %q is not 16 bytes and positive", d.Serial)
		}
		seen[d.Serial] = true
		seen[string(d.Files.Key.Data)] = true
		return nil
	}))
	if err != nil || len(seen) != 2*n {
		t.Errorf("%d different serial numbers and keys, %v; want %d", len(seen), err, 2*n)
	}
}

func TestPFX(t *testing.T) {
	opts := options(t, 3)
	opts.PFX = &pki.PFXOptions{}
	var random collect
	if _, err := fleet.Run(t.Context(), opts, &random); err != nil {
		t.Fatal(err)
	}
	opts.PFX = &pki.PFXOptions{Profile: pki.PFXLegacy, Password: "1234"}
	var given collect
	if _, err := fleet.Run(t.Context(), opts, &given); err != nil {
		t.Fatal(err)
	}
	words := map[string]bool{}
	for _, d := range random.devices {
		if len(d.word) != 25 {
			t.Errorf("password file %q, want 24 characters and a newline", d.word)
		}
		words[d.word] = true
		checkPFX(t, d, strings.TrimSuffix(d.word, "\n"))
	}
	if len(words) != 3 {
		t.Errorf("%d different passwords, want 3", len(words))
	}
	for _, d := range given.devices {
		if d.word != "" {
			t.Errorf("a password file for a password that was given")
		}
		checkPFX(t, d, "1234")
	}
}

func checkPFX(t *testing.T, d made, password string) {
	t.Helper()
	b, err := pki.DecodePFX([]byte(d.pfx), password)
	if err != nil {
		t.Fatal(err)
	}
	if string(b.FullChainPEM()) != d.chain {
		t.Errorf("the PFX of %q does not hold its chain", d.id)
	}
}

func TestRunRefuses(t *testing.T) {
	soon := time.Now().Add(time.Hour)
	expired, err := pki.NewRoot(&pki.CAOptions{Now: func() time.Time { return soon.AddDate(-1, 0, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	ca, ids := pkitest.Intermediate(t), numbered(t, "d", 2)
	tests := []struct {
		name string
		opts fleet.Options
		is   error
	}{
		{"nothing", fleet.Options{}, nil},
		{"no authority", fleet.Options{IDs: ids}, nil},
		{"no ids", fleet.Options{Authority: ca}, nil},
		{"an empty list", fleet.Options{Authority: ca, IDs: list{}}, nil},
		{"an expired ca", fleet.Options{Authority: expired, IDs: ids}, pki.ErrExpired},
		{"a part that is not there", fleet.Options{Authority: ca, IDs: ids, Shard: fleet.Shard{Index: 2, Count: 2}}, nil},
		{"an unknown key type", fleet.Options{Authority: ca, IDs: ids, KeyType: "dsa"}, nil},
		{"an unknown PFX profile", fleet.Options{Authority: ca, IDs: ids, PFX: &pki.PFXOptions{Profile: "x"}}, nil},
		{"a password that no PFX can have", fleet.Options{Authority: ca, IDs: ids, PFX: &pki.PFXOptions{Password: "\U0001F511"}}, nil},
		{"dates in the wrong order", fleet.Options{Authority: ca, IDs: ids, Validity: pki.Validity{NotBefore: soon, NotAfter: soon}}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var sink collect
			_, err := fleet.Run(t.Context(), tt.opts, &sink)
			if err == nil || tt.is != nil && !errors.Is(err, tt.is) || len(sink.devices) > 0 {
				t.Errorf("Run() = %v with %d devices, want an error that wraps %v and none", err, len(sink.devices), tt.is)
			}
		})
	}
}

// faultySigner is a key outside of the process that gives wrong signatures after a while.
type faultySigner struct {
	crypto.Signer
	good int
}

func (s *faultySigner) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	sig, err := s.Signer.Sign(random, digest, opts)
	if s.good--; s.good < 0 {
		sig[len(sig)-1] ^= 1
	}
	return sig, err
}

func TestFaultySignerIsNoticed(t *testing.T) {
	ca := pkitest.Intermediate(t)
	// The model is the first signature, which crypto/x509 verifies by itself.
	faulty, err := pki.LoadAuthority(ca.Chain(), &faultySigner{Signer: ca.Key(), good: 4})
	if err != nil {
		t.Fatal(err)
	}
	var sink collect
	summary, err := fleet.Run(t.Context(), fleet.Options{Authority: faulty, IDs: numbered(t, "d", 5), Workers: 1}, &sink)
	if !errors.Is(err, fleet.ErrSomeFailed) || summary.Made != 3 || summary.Failed != 2 {
		t.Fatalf("Run() = %+v, %v; want 3 made and 2 failed", summary, err)
	}
	if d := sink.devices[3]; d.err == nil || d.cert != "" || d.serial != "" {
		t.Errorf("a device with a wrong signature was handed on: %+v", d)
	}
}

package doctor_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/pki/doctor"
)

// A sound chain passes every check that applies to a device.
func TestSoundDevice(t *testing.T) {
	r := check(one(newFamily(t, nil, nil, nil).chain()), doctor.Options{})
	for _, f := range r.Findings {
		if f.Severity != doctor.SeverityOK {
			t.Errorf("%s %s: %s", f.Severity, f.Check, f.What)
		}
	}
	var got []string
	for _, f := range r.Findings {
		got = append(got, string(f.Check))
	}
	want := []doctor.CheckID{
		doctor.CheckInput, doctor.CheckRole, doctor.CheckKeyMatch, doctor.CheckChainOrder, doctor.CheckChainComplete,
		doctor.CheckChainSignature, doctor.CheckChainKeyID, doctor.CheckKeyType, doctor.CheckValidity,
		doctor.CheckValidityMargin, doctor.CheckValidity2038, doctor.CheckValidityIssuer, doctor.CheckSignatureHash,
		doctor.CheckVersion, doctor.CheckSerial, doctor.CheckExtensions, doctor.CheckCAFlag, doctor.CheckPathLength,
		doctor.CheckKeyUsage, doctor.CheckExtKeyUsage, doctor.CheckRegistrationID, doctor.CheckChainFile,
		doctor.CheckDuplicate, doctor.CheckSurplus,
	}
	for _, id := range want {
		if n := strings.Count(" "+strings.Join(got, "  ")+" ", " "+string(id)+" "); n != 1 {
			t.Errorf("check %s: %d findings", id, n)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %d findings, want %d: %q", len(got), len(want), got)
	}
	if r.Role != doctor.RoleDevice || !r.RoleGuessed || r.Predicted != nil || r.Fatal() || !r.Time.Equal(testNow) {
		t.Errorf("role %q, guessed %v, predicted %v, time %v", r.Role, r.RoleGuessed, r.Predicted, r.Time)
	}
}

// Each case bends one thing of a sound chain, and that check, and no other, finds it.
func TestContents(t *testing.T) {
	later := func(d time.Duration) bend { return func(c *x509.Certificate) { c.NotAfter = testNow.Add(d) } }
	tests := []struct {
		name            string
		root, sub, leaf bend
		check           doctor.CheckID
		severity        doctor.Severity
		word            string
		predicted       string
		also            []doctor.CheckID
	}{
		{name: "expired leaf", leaf: later(-time.Minute), check: doctor.CheckValidity, severity: "fatal", word: `"dev-1" has expired`, predicted: invalid},
		{name: "expired issuer", sub: later(-time.Minute), check: doctor.CheckValidity, severity: "fatal", word: `"Test Sub" has expired`, predicted: invalid,
			also: []doctor.CheckID{doctor.CheckValidityIssuer}},
		{name: "expired root", root: func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = testNow.AddDate(-1, 0, 0), testNow.Add(-49*time.Hour)
		}, check: doctor.CheckValidity, severity: "fatal", word: "2 days ago", predicted: invalid,
			also: []doctor.CheckID{doctor.CheckValidityIssuer}},
		{name: "not yet valid", leaf: func(c *x509.Certificate) { c.NotBefore = testNow.Add(90 * time.Minute) }, check: doctor.CheckValidity, severity: "fatal",
			word: "in 90 minutes", predicted: invalid},
		{name: "ends before it begins", leaf: func(c *x509.Certificate) { c.NotBefore = c.NotAfter.Add(time.Hour) }, check: doctor.CheckValidity,
			severity: "fatal", word: "before it begins", predicted: invalid},
		{name: "just made", leaf: func(c *x509.Certificate) { c.NotBefore = testNow.Add(-4 * time.Minute) }, check: doctor.CheckValidityMargin,
			severity: "warning", word: "comes and goes"},
		{name: "ends soon", leaf: func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = testNow.AddDate(0, -1, 0), testNow.Add(6*24*time.Hour)
		}, check: doctor.CheckValidityMargin, severity: "warning", word: "in 6 days"},
		{name: "after 2038", root: func(c *x509.Certificate) { c.NotAfter = time.Date(2038, 1, 19, 3, 14, 8, 0, time.UTC) }, check: doctor.CheckValidity2038,
			severity: "warning", word: `"Test Root" (2038-01-19 03:14:08 UTC)`},
		{name: "outlives its issuer", leaf: later(400 * 24 * time.Hour), check: doctor.CheckValidityIssuer, severity: "warning", word: `outlives its issuer "Test Sub"`},
		{name: "serial 0", leaf: func(c *x509.Certificate) { c.SerialNumber = big.NewInt(0) }, check: doctor.CheckSerial, severity: "warning", word: "must be positive"},
		{name: "unknown critical extension", leaf: func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
		}, check: doctor.CheckExtensions, severity: "fatal", word: "critical extension 1.2.3.4", predicted: invalid},
		{name: "name constraint", sub: func(c *x509.Certificate) {
			c.PermittedDNSDomains, c.PermittedDNSDomainsCritical = []string{"example.org"}, true
		}, leaf: func(c *x509.Certificate) { c.DNSNames = []string{"dev-1"} }, check: doctor.CheckExtensions, severity: "fatal",
			word: "does not allow the names", predicted: invalid},
		{name: "leaf is a CA", leaf: func(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, c.KeyUsage|x509.KeyUsageCertSign }, check: doctor.CheckCAFlag,
			severity: "fatal", word: "CA:TRUE", predicted: invalid},
		{name: "issuer is no CA", sub: func(c *x509.Certificate) { c.IsCA = false }, check: doctor.CheckCAFlag, severity: "fatal",
			word: `"Test Sub" issues certificates but says that it is no CA`, predicted: invalid},
		{name: "issuer has no constraints", sub: func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = false, false }, check: doctor.CheckCAFlag,
			severity: "fatal", word: "no basicConstraints", predicted: invalid},
		{name: "root has no constraints", root: func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = false, false }, check: doctor.CheckCAFlag,
			severity: "warning", word: "at the top of a chain"},
		{name: "path length", root: func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = 0, true }, check: doctor.CheckPathLength, severity: "fatal",
			word: "allows 0 CAs below it, and there are 1", predicted: invalid},
		{name: "issuer may not sign", sub: func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }, check: doctor.CheckKeyUsage,
			severity: "fatal", word: "lacks keyCertSign", predicted: invalid},
		{name: "leaf may not sign", leaf: func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }, check: doctor.CheckKeyUsage,
			severity: "warning", word: "lacks digitalSignature"},
		{name: "leaf may sign certificates", leaf: func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCertSign }, check: doctor.CheckKeyUsage,
			severity: "warning", word: "although it is no CA"},
		{name: "no purposes", leaf: func(c *x509.Certificate) { c.ExtKeyUsage = nil }, check: doctor.CheckExtKeyUsage, severity: "warning", word: "any purpose"},
		{name: "server", leaf: func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, check: doctor.CheckExtKeyUsage,
			severity: "fatal", word: "lacks clientAuth", predicted: invalid},
		{name: "unknown purpose", leaf: func(c *x509.Certificate) {
			c.ExtKeyUsage, c.UnknownExtKeyUsage = nil, []asn1.ObjectIdentifier{{1, 2, 3}}
		}, check: doctor.CheckExtKeyUsage, severity: "fatal", word: "lacks clientAuth", predicted: invalid},
		{name: "CA for servers", sub: func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, check: doctor.CheckExtKeyUsage,
			severity: "fatal", word: `the CA "Test Sub"`, predicted: invalid},
		{name: "policy", sub: func(c *x509.Certificate) { c.ExtraExtensions = append(c.ExtraExtensions, demandPolicy) }, check: doctor.CheckExtensions,
			severity: "fatal", word: "demands a certificate policy", predicted: invalid},
		{name: "key identifiers", leaf: func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 35}, Value: []byte{0x30, 4, 0x80, 2, 0xab, 0xcd}}}
		}, check: doctor.CheckChainKeyID, severity: "fatal", word: "names the key ABCD", predicted: unknownCA},
		{name: "upper case", leaf: func(c *x509.Certificate) { c.Subject.CommonName = "Dev-1" }, check: doctor.CheckRegistrationID, severity: "warning", word: "2020"},
		{name: "space", leaf: func(c *x509.Certificate) { c.Subject.CommonName = "dev 1" }, check: doctor.CheckRegistrationID, severity: "fatal",
			word: `character ' ' is not allowed`, predicted: badID},
		{name: "65 characters", leaf: func(c *x509.Certificate) { c.Subject.CommonName = strings.Repeat("a", 65) }, check: doctor.CheckRegistrationID,
			severity: "fatal", word: "65 characters", predicted: badID},
		{name: "ends in a dot", leaf: func(c *x509.Certificate) { c.Subject.CommonName = "dev." }, check: doctor.CheckRegistrationID, severity: "fatal",
			word: "ends with", predicted: badID},
		{name: "no common name", leaf: func(c *x509.Certificate) { c.Subject = pkix.Name{Organization: []string{"o"}} }, check: doctor.CheckRegistrationID,
			severity: "fatal", word: "has 0 common names", predicted: invalid},
		{name: "two common names", leaf: func(c *x509.Certificate) {
			c.Subject = pkix.Name{CommonName: "dev-1", ExtraNames: []pkix.AttributeTypeAndValue{
				{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "dev-1"}, {Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "dev-2"},
			}}
		}, check: doctor.CheckRegistrationID, severity: "fatal", word: "has 2 common names", predicted: invalid},
		{name: "another DNS name", leaf: func(c *x509.Certificate) { c.DNSNames = []string{"host.local"} }, check: doctor.CheckRegistrationID,
			severity: "warning", word: "C# device SDK"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := check(one(newFamily(t, tt.root, tt.sub, tt.leaf).chain()), doctor.Options{Role: doctor.RoleDevice})
			expect(t, r, tt.check, tt.severity, tt.word, tt.predicted)
			expectOnly(t, r, append(tt.also, tt.check)...)
			if got := r.Predicted != nil && r.Predicted.String() == tt.predicted; got != (tt.predicted != "") {
				t.Errorf("the report predicts %v, want %q", r.Predicted, tt.predicted)
			}
		})
	}
}

// What looks like the cases above and is sound.
func TestContentsTwins(t *testing.T) {
	tests := []struct {
		name            string
		root, sub, leaf bend
		check           doctor.CheckID
	}{
		{name: "made five minutes ago", leaf: func(c *x509.Certificate) { c.NotBefore = testNow.Add(-5 * time.Minute) }, check: doctor.CheckValidityMargin},
		{name: "outlives its issuer by seconds", leaf: func(c *x509.Certificate) { c.NotAfter = testNow.AddDate(0, 3, 0).Add(time.Minute) }, check: doctor.CheckValidityIssuer},
		{name: "short lifetime", leaf: func(c *x509.Certificate) { c.NotAfter = testNow.Add(2 * time.Hour) }, check: doctor.CheckValidityMargin},
		{name: "last second of 2038", root: func(c *x509.Certificate) { c.NotAfter = time.Unix(1<<31-1, 0) }, check: doctor.CheckValidity2038},
		{name: "ends now", leaf: func(c *x509.Certificate) { c.NotAfter = testNow }, check: doctor.CheckValidity},
		{name: "serial of 20 bytes", leaf: func(c *x509.Certificate) { c.SerialNumber = new(big.Int).Lsh(big.NewInt(1), 158) }, check: doctor.CheckSerial},
		{name: "path length 1", root: func(c *x509.Certificate) { c.MaxPathLen = 1 }, check: doctor.CheckPathLength},
		{name: "no key usage", sub: func(c *x509.Certificate) { c.KeyUsage = 0 }, leaf: func(c *x509.Certificate) { c.KeyUsage = 0 }, check: doctor.CheckKeyUsage},
		{name: "any purpose", leaf: func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }, check: doctor.CheckExtKeyUsage},
		{name: "both purposes", leaf: func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
		}, check: doctor.CheckExtKeyUsage},
		{name: "permitted name", sub: func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"example.org"} },
			leaf: func(c *x509.Certificate) {
				c.Subject.CommonName, c.DNSNames = "d.example.org", []string{"d.example.org"}
			},
			check: doctor.CheckExtensions},
		{name: "64 characters", leaf: func(c *x509.Certificate) { c.Subject.CommonName = strings.Repeat("a", 64) }, check: doctor.CheckRegistrationID},
		{name: "all kinds of characters", leaf: func(c *x509.Certificate) { c.Subject.CommonName = "a-b_c.d:e-" }, check: doctor.CheckRegistrationID},
		{name: "same DNS name", leaf: func(c *x509.Certificate) { c.DNSNames = []string{"DEV-1"} }, check: doctor.CheckRegistrationID},
		{name: "more than a common name", leaf: func(c *x509.Certificate) { c.Subject.Organization = []string{"o"} }, check: doctor.CheckRegistrationID},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := check(one(newFamily(t, tt.root, tt.sub, tt.leaf).chain()), doctor.Options{})
			expect(t, r, tt.check, doctor.SeverityOK, "", "")
			expectOnly(t, r)
		})
	}
}

func TestKeyTypes(t *testing.T) {
	ec := func(c elliptic.Curve) crypto.Signer {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	rsaKey := func(bits int) crypto.Signer {
		k, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name     string
		key      crypto.Signer
		severity doctor.Severity
		word     string
	}{
		{"P-256", ec(elliptic.P256()), "ok", "EC on P-256"},
		{"P-384", ec(elliptic.P384()), "ok", "EC on P-384"},
		{"RSA 2048", rsaKey(2048), "ok", "RSA with 2048 bits"},
		{"P-521", ec(elliptic.P521()), "warning", "not known whether the service takes it"},
		{"P-224", ec(elliptic.P224()), "fatal", "EC on P-224"},
		{"RSA 1024", rsaKey(1024), "fatal", "RSA with 1024 bits"},
		{"Ed25519", edwards, "fatal", "Ed25519"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFamily(t, nil, nil, nil)
			f.leaf = mint(t, template("dev-1", false), f.sub, tt.key)
			predicted := ""
			if tt.severity == doctor.SeverityFatal {
				predicted = invalid
			}
			r := check(one(f.chain()), doctor.Options{})
			expect(t, r, doctor.CheckKeyType, tt.severity, tt.word, predicted)
			expectOnly(t, r, doctor.CheckKeyType)
		})
	}
	t.Run("weak CA", func(t *testing.T) {
		f := newFamily(t, nil, nil, nil)
		f.sub = mint(t, template("Test Sub", true), f.root, rsaKey(1024))
		f.leaf = mint(t, template("dev-1", false), f.sub, nil)
		expect(t, check(one(f.chain()), doctor.Options{}), doctor.CheckKeyType, "fatal", `"Test Sub" has a key`, invalid)
	})
	t.Run("huge CA", func(t *testing.T) {
		// Nobody verifies a signature with such a key, so any number will do.
		n := new(big.Int).Lsh(big.NewInt(1), 16383)
		f := newFamily(t, nil, nil, nil)
		f.sub.cert.PublicKey = &rsa.PublicKey{N: n.SetBit(n, 0, 1), E: 65537}
		r := check(one(f.chain()), doctor.Options{})
		expect(t, r, doctor.CheckKeyType, "fatal", "RSA with 16384 bits", invalid)
		expect(t, r, doctor.CheckChainSignature, "warning", "not verified", "")
	})
}

func TestSignatureHash(t *testing.T) {
	tests := []struct {
		algorithm x509.SignatureAlgorithm
		severity  doctor.Severity
		predicted string
	}{
		{x509.ECDSAWithSHA256, "ok", ""},
		{x509.ECDSAWithSHA1, "fatal", invalid},
		{x509.MD5WithRSA, "fatal", invalid},
	}
	for _, tt := range tests {
		f := newFamily(t, nil, nil, nil)
		f.leaf.cert.SignatureAlgorithm = tt.algorithm // crypto/x509 does not make others
		r := check(one(f.chain()), doctor.Options{})
		expect(t, r, doctor.CheckSignatureHash, tt.severity, "", tt.predicted)
	}
	f := newFamily(t, nil, nil, nil)
	f.root.cert.SignatureAlgorithm = x509.MD5WithRSA // of a root it does not matter
	expect(t, check(one(f.chain()), doctor.Options{}), doctor.CheckSignatureHash, "ok", "", "")
}

func TestVersion(t *testing.T) {
	f := newFamily(t, nil, nil, nil)
	f.leaf.cert.Version = 1
	expect(t, check(one(f.chain()), doctor.Options{}), doctor.CheckVersion, "warning", "version 1", "")
	expect(t, check(one(newFamily(t, nil, nil, nil).chain()), doctor.Options{}), doctor.CheckVersion, "ok", "", "")
}

func TestSerialTwins(t *testing.T) {
	f := newFamily(t, nil, nil, nil)
	serial := func(c *x509.Certificate) *x509.Certificate {
		c.SerialNumber = f.leaf.cert.SerialNumber
		return c
	}
	twin := mint(t, serial(template("dev-2", false)), f.sub, nil)
	r := check(one(f.chain(), source("twin.pem", nil, twin)), doctor.Options{})
	expect(t, r, doctor.CheckSerial, "warning", `"dev-1" and "dev-2" have the same issuer`, "")
	other := mint(t, serial(template("dev-2", false)), f.root, nil)
	r = check(one(f.chain(), source("other.pem", nil, other)), doctor.Options{})
	expect(t, r, doctor.CheckSerial, "ok", "", "")
}

var flagName = regexp.MustCompile(`(^|\s)--?[a-z][a-z-]+`)

// The texts are one line each, say what to do where something is wrong, name no flags, and carry nothing that a
// terminal would obey.
func TestTexts(t *testing.T) {
	hostile := "a\x1b[2J\n\u202e" + strings.Repeat("x", 300)
	bends := []bend{nil, func(c *x509.Certificate) {
		c.Subject.CommonName = hostile
		c.NotAfter, c.IsCA, c.KeyUsage = testNow.Add(-time.Hour), true, x509.KeyUsageCRLSign
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		c.IPAddresses, c.DNSNames = []net.IP{net.IPv4(1, 2, 3, 4)}, []string{"other"}
	}}
	roles := append(doctor.AllRoles(), doctor.RoleAuto)
	for _, b := range bends {
		for _, role := range roles {
			f := newFamily(t, nil, b, b)
			other := newFamily(t, b, b, b)
			for _, sources := range [][]doctor.Source{
				one(f.chain()), one(source(hostile, newKey(t), f.leaf)), one(source("x", nil, f.sub, f.leaf, f.leaf)),
				one(source("x", nil, f.leaf, other.sub, other.root)), one(source("x", nil, f.root)), one(),
				one(source("a", nil, f.leaf), source("b", nil, f.sub), source("c", nil, f.root)),
			} {
				for _, opts := range []doctor.Options{
					{Role: role}, {Role: role, RegistrationID: hostile, Code: hostile, CAs: []*x509.Certificate{other.root.cert}, Enrolled: other.sub.cert},
					{Role: role, CAs: []*x509.Certificate{f.root.cert}, Enrolled: other.leaf.cert, Known: one(source(hostile, nil, f.sub))},
				} {
					checkTexts(t, check(sources, opts))
				}
			}
		}
	}
}

func checkTexts(t *testing.T, r *doctor.Report) {
	t.Helper()
	lines := []string{}
	for i, f := range r.Findings {
		lines = append(lines, f.What)
		if f.Severity == doctor.SeverityFatal || f.Severity == doctor.SeverityWarning {
			lines = append(lines, f.Why, f.Fix)
		}
		if i > 0 && slices.Index(doctor.AllSeverities(), f.Severity) < slices.Index(doctor.AllSeverities(), r.Findings[i-1].Severity) {
			t.Errorf("%s stands behind %s", f.Severity, r.Findings[i-1].Severity)
		}
		if f.Severity == doctor.SeverityOK && (f.Why != "" || f.Fix != "" || f.Predicted != nil) {
			t.Errorf("check %s is ok and explains itself", f.Check)
		}
	}
	for _, p := range r.Placements {
		lines = append(lines, p.Text)
	}
	for _, line := range lines {
		switch {
		case line == "":
			t.Errorf("a text is empty in\n%s", describe(r))
		case strings.ContainsAny(line, "\n\r\x1b\u202e"):
			t.Errorf("a control character is in %q", line)
		case strings.HasSuffix(line, "."):
			t.Errorf("a period ends %q", line)
		case flagName.MatchString(strings.ReplaceAll(strings.ReplaceAll(line, "openssl req -x509", ""), "-addext", "")):
			t.Errorf("a flag is named in %q", line)
		case len(line) > 1200:
			t.Errorf("%d characters: %q", len(line), line)
		}
	}
	if (r.Predicted != nil) && !r.Fatal() {
		t.Error("an answer is predicted without a fatal finding")
	}
}

// What the service never sees is judged by its key, its chain and its dates alone, and no answer is foretold.
func TestOther(t *testing.T) {
	f := newFamily(t, nil, nil, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	if r := check(one(f.chain()), doctor.Options{}); !r.Fatal() {
		t.Errorf("a server as a device:\n%s", describe(r))
	}
	r := check(one(f.chain()), doctor.Options{Role: doctor.RoleOther})
	expect(t, r, doctor.CheckRole, "info", "DPS never sees", "")
	if r.Fatal() || len(r.Placements) > 0 {
		t.Errorf("got %v\n%s", r.Placements, describe(r))
	}
	s := f.chain()
	s.Key = newKey(t)
	r = check(one(s), doctor.Options{Role: doctor.RoleOther, Now: func() time.Time { return f.leaf.cert.NotAfter.Add(time.Hour) }})
	for _, id := range []doctor.CheckID{doctor.CheckKeyMatch, doctor.CheckValidity} {
		if found := r.Find(id); found == nil || found.Severity != doctor.SeverityFatal || found.Predicted != nil {
			t.Errorf("%s: got %+v", id, found)
		}
	}
	if r.Predicted != nil {
		t.Errorf("foretold %v", r.Predicted)
	}
}

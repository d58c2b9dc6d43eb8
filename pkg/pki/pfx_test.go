package pki_test

import (
	"crypto/ecdsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/pkitest"
)

func TestPFXRoundTrip(t *testing.T) {
	b := pkitest.Device(t, "pfx")
	for _, profile := range append(pki.AllPFXProfiles(), "") {
		for _, password := range []string{"", "1234", "pass word", "pässwörd", "密码"} {
			data, err := b.PFX(pki.PFXOptions{Profile: profile, Password: password})
			if err != nil {
				t.Fatalf("%s %q: %v", profile, password, err)
			}
			got, err := pki.DecodePFX(data, password)
			if err != nil {
				t.Fatalf("%s %q: %v", profile, password, err)
			}
			if !got.Certificate.Equal(b.Certificate) || !pki.KeyMatches(got.Certificate, got.Key) ||
				!slices.EqualFunc(got.Issuers, b.Issuers, (*x509.Certificate).Equal) || got.Profile != pki.ProfileDevice {
				t.Errorf("%s %q: the bundle does not come back", profile, password)
			}
			if _, err := pki.DecodePFX(data, password+"x"); !errors.Is(err, pki.ErrWrongPassphrase) {
				t.Errorf("%s %q: wrong password: got %v", profile, password, err)
			}
		}
	}
}

func TestPFXRefuses(t *testing.T) {
	b := pkitest.Device(t, "pfx")
	other := pkitest.Device(t, "other")
	tests := []struct {
		name   string
		bundle *pki.Bundle
		opts   pki.PFXOptions
		want   string
	}{
		{"no certificate", &pki.Bundle{Key: b.Key}, pki.PFXOptions{}, "no certificate"},
		{"no key", &pki.Bundle{Certificate: b.Certificate}, pki.PFXOptions{}, "does not belong"},
		{"foreign key", &pki.Bundle{Certificate: b.Certificate, Key: other.Key}, pki.PFXOptions{}, "does not belong"},
		{"missing issuer", &pki.Bundle{Certificate: b.Certificate, Key: b.Key, Issuers: []*x509.Certificate{nil}}, pki.PFXOptions{}, "an issuer is missing"},
		{"unknown profile", b, pki.PFXOptions{Profile: "rc2"}, "known profiles are modern, legacy"},
		{"emoji", b, pki.PFXOptions{Password: "p😀"}, "cannot hold"},
		{"invalid UTF-8", b, pki.PFXOptions{Password: "p\xff"}, "cannot hold"},
		{"nul", b, pki.PFXOptions{Password: "p\x00q"}, "cannot hold"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			data, err := tt.bundle.PFX(tt.opts)
			if err == nil || data != nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "😀") {
				t.Errorf("the error shows the password: %q", err)
			}
		})
	}
}

// What OpenSSL 3 writes by default, and with -legacy: RC2-40.
func TestDecodePFXOfOpenSSL(t *testing.T) {
	for _, name := range []string{"ec.pfx", "ec.legacy.pfx"} {
		b, err := pki.DecodePFX(fixture(t, name), "1234")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !b.Certificate.Equal(fixtureCert(t)) || !pki.KeyMatches(b.Certificate, b.Key) {
			t.Errorf("%s: another certificate", name)
		}
	}
}

// Windows writes the root first; go-pkcs12 takes the first for the leaf.
func TestDecodePFXOrder(t *testing.T) {
	b := pkitest.Device(t, "order")
	data, err := pkcs12.Modern2023.Encode(b.Key, b.Issuers[1], []*x509.Certificate{b.Certificate, b.Issuers[0]}, "x")
	if err != nil {
		t.Fatal(err)
	}
	got, err := pki.DecodePFX(data, "x")
	if err != nil {
		t.Fatal(err)
	}
	if !got.Certificate.Equal(b.Certificate) || len(got.Issuers) != 2 || !got.Issuers[1].Equal(b.Issuers[1]) {
		t.Error("the chain is not put in order")
	}
}

// Two CAs that issued each other must not send the reader round in circles.
func TestDecodePFXIssuerCycle(t *testing.T) {
	a, b := cycle(t)
	leaf := rawSigned(t, &a, func(c *x509.Certificate) { c.Subject.CommonName, c.IsCA = "leaf", false })
	data, err := pkcs12.Modern2023.Encode(leaf.key, leaf.cert, []*x509.Certificate{a.cert, b.cert}, "x")
	if err != nil {
		t.Fatal(err)
	}
	got, err := pki.DecodePFX(data, "x")
	if err != nil || len(got.Issuers) != 2 {
		t.Errorf("got %v", err)
	}
}

// cycle returns certificates "a" issued by "b" and "b" issued by "a".
func cycle(t *testing.T) (a, b rawCert) {
	t.Helper()
	name := func(s string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: s} }
	}
	selfA, selfB := rawCA(t, name("a")), rawCA(t, name("b"))
	cross := func(subject, issuer rawCert) rawCert {
		tmpl := *subject.cert
		tmpl.AuthorityKeyId = nil
		der, err := x509.CreateCertificate(nil, &tmpl, issuer.cert, subject.key.Public(), issuer.key)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return rawCert{cert, subject.key}
	}
	return cross(selfA, selfB), cross(selfB, selfA)
}

func TestDecodePFXRefuses(t *testing.T) {
	b := pkitest.Device(t, "refuse")
	good, err := b.PFX(pki.PFXOptions{Password: "x"})
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := pkcs12.Modern2023.Encode(pkitest.Device(t, "z").Key, b.Certificate, nil, "x")
	if err != nil {
		t.Fatal(err)
	}
	many, err := pkcs12.Modern2023.Encode(b.Key, b.Certificate, slices.Repeat(b.Issuers, 60), "x")
	if err != nil {
		t.Fatal(err)
	}
	weak, err := pkcs12.Modern2023.Encode(p224(t), b.Certificate, nil, "x")
	if err != nil {
		t.Fatal(err)
	}
	trust, err := pkcs12.Modern2023.EncodeTrustStore(b.Issuers, "x")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name     string
		in       []byte
		password string
		is       error
		want     string
	}{
		{"nothing", nil, "", nil, "not a PKCS#12 file"},
		{"text", []byte("hello"), "", nil, "not a PKCS#12 file"},
		{"pem", b.CertificatePEM(), "", nil, "is PEM, not PKCS#12"},
		{"certificate", b.Certificate.Raw, "", nil, "not a PKCS#12 file"},
		{"cut short", good[:len(good)-10], "x", nil, "not a PKCS#12 file"},
		{"more behind", append(slices.Clone(good), 0), "x", nil, "not a PKCS#12 file"},
		{"large", make([]byte, 1<<20+1), "x", nil, "more than the limit"},
		{"foreign key", foreign, "x", pki.ErrKeyMismatch, "none of the 1 certificates"},
		{"many certificates", many, "x", nil, "more than the limit of 100"},
		{"weak key", weak, "x", pki.ErrUnsupportedKey, "P-224"},
		{"no key", trust, "x", pki.ErrNoPrivateKey, "no private key"},
		{"no password", good, "", pki.ErrWrongPassphrase, ""},
		{"password that cannot be", good, "😀", nil, "cannot hold"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := pki.DecodePFX(tt.in, tt.password)
			if err == nil || got != nil {
				t.Fatal("got a bundle, want an error")
			}
			if tt.is != nil && !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.want) ||
				strings.Contains(err.Error(), "\n") {
				t.Errorf("got %q, want %v with %q", err, tt.is, tt.want)
			}
		})
	}
}

// Every place of a file that can ask for work is checked before the work is done.
func TestDecodePFXBombs(t *testing.T) {
	b := pkitest.Device(t, "bomb")
	// 2,000 rounds and 2,048 of the encoders stand for what a bomb would have: DER integers of the same size.
	encode := func(e *pkcs12.Encoder) []byte {
		data, err := e.Encode(b.Key, b.Certificate, b.Issuers, "x")
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	const rounds = 1<<31 - 1
	for name, encoder := range map[string]*pkcs12.Encoder{
		"modern": pkcs12.Modern2023, "legacy": pkcs12.LegacyDES, "rc2": pkcs12.LegacyRC2, "pbmac1": pkcs12.Modern2026,
	} {
		file := readPFX(t, encode(encoder))
		for place, change := range file.bombs(t, rounds) {
			t.Run(name+" "+place, func(t *testing.T) {
				start := time.Now()
				_, err := pki.DecodePFX(change, "x")
				if err == nil || !strings.Contains(err.Error(), "2147483647 rounds") {
					t.Errorf("got %v, want a refusal of the rounds", err)
				}
				if d := time.Since(start); d > time.Second {
					t.Errorf("it took %s", d)
				}
			})
		}
	}
}

// A file that holds anything else than the bundle is not handed out.
func TestPFXSelfTest(t *testing.T) {
	b, other := pkitest.Device(t, "self"), pkitest.Device(t, "other")
	write := func(b pki.Bundle) []byte {
		data, err := pkcs12.Modern2023.Encode(b.Key, b.Certificate, b.Issuers, "x")
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	if err := pki.CheckPFX(b, write(*b), "x", ""); err != nil {
		t.Errorf("the bundle itself: %v", err)
	}
	short, leaf, key := *b, *b, *b
	short.Issuers = short.Issuers[:len(short.Issuers)-1]
	leaf.Certificate = other.Certificate
	key.Key = other.Key
	for name, data := range map[string][]byte{
		"a short chain": write(short), "another leaf": write(leaf), "another key": write(key), "a damaged file": write(*b)[1:],
	} {
		if err := pki.CheckPFX(b, data, "x", ""); err == nil {
			t.Errorf("%s is taken for the bundle", name)
		}
	}
	if err := pki.CheckPFX(b, write(*b), "y", ""); !errors.Is(err, pki.ErrWrongPassphrase) {
		t.Errorf("another password: got %v, want ErrWrongPassphrase", err)
	}
}

func TestGuessPFXProfile(t *testing.T) {
	b := pkitest.Device(t, "guess")
	for _, want := range pki.AllPFXProfiles() {
		data, err := b.PFX(pki.PFXOptions{Profile: want, Password: "x"})
		if err != nil {
			t.Fatal(err)
		}
		if got := pki.GuessPFXProfile(data); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if got := pki.GuessPFXProfile(data[:len(data)-1]); got != "" {
			t.Errorf("a cut file is %q", got)
		}
	}
	if got := pki.GuessPFXProfile(b.CertificatePEM()); got != "" {
		t.Errorf("PEM is %q", got)
	}
}

// Rounds that are fine each by itself are added up, and so are the containers.
func TestDecodePFXBudget(t *testing.T) {
	b := pkitest.Device(t, "budget")
	data, err := pkcs12.Modern2023.Encode(b.Key, b.Certificate, b.Issuers, "x")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 { // every place asks for the most that one may
		p := readPFX(t, data)
		data = p.bombs(t, 2_000_000)[[]string{"mac", "certificates", "key"}[i]]
	}
	p := readPFX(t, data)
	many := slices.Clone(p.parts)
	for len(many) < 8 {
		many = append(many, p.parts[0])
	}
	for want, file := range map[string][]byte{
		"more than 6000000 rounds together": data, "it has 8 containers": p.write(t, many),
		"it has 3 containers": p.write(t, many[:3]),
	} {
		start := time.Now()
		if _, err := pki.DecodePFX(file, "x"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
		if d := time.Since(start); d > time.Second {
			t.Errorf("%s: it took %s", want, d)
		}
	}
	careful, err := pkcs12.Modern2023.WithIterations(100_000).Encode(b.Key, b.Certificate, b.Issuers, "x")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := pki.DecodePFX(careful, "x"); err != nil || !got.Certificate.Equal(b.Certificate) {
		t.Errorf("100,000 rounds: %v", err)
	}
}

// A key inside of the encrypted container hides its number of rounds until that is decrypted.
func TestDecodePFXNestedKey(t *testing.T) {
	b := pkitest.Device(t, "nested")
	key := b.Key.(*ecdsa.PrivateKey)
	if _, _, _, err := pkcs12.DecodeChain(nestedPFX(t, key, b.Certificate, 1), "x"); err != nil {
		t.Fatalf("the file of this test is wrong: %v", err)
	}
	for _, rounds := range []int{1, 1<<31 - 1} {
		data := nestedPFX(t, key, b.Certificate, rounds)
		start := time.Now()
		_, err := pki.DecodePFX(data, "x")
		if !errors.Is(err, pki.ErrUnsupportedKey) || !strings.Contains(err.Error(), "inside the encrypted certificates") {
			t.Errorf("%d rounds: got %v, want a refusal", rounds, err)
		}
		if d := time.Since(start); d > time.Second {
			t.Errorf("%d rounds: it took %s", rounds, d)
		}
	}
}

// The parts of a PKCS#12 file that tests take apart.
type (
	testPFX struct {
		Version  int
		AuthSafe testContent
		MAC      testMAC `asn1:"optional"`
	}
	testContent struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"tag:0,explicit,optional"`
	}
	testMAC struct {
		Digest struct {
			Algorithm pkix.AlgorithmIdentifier
			Value     []byte
		}
		Salt   []byte
		Rounds int `asn1:"optional,default:1"`
	}
	testEncryptedData struct {
		Version int
		Info    struct {
			Type      asn1.ObjectIdentifier
			Algorithm pkix.AlgorithmIdentifier
			Data      []byte `asn1:"tag:0,optional"`
		}
	}
	testBag struct {
		ID         asn1.ObjectIdentifier
		Value      asn1.RawValue   `asn1:"tag:0,explicit"`
		Attributes []asn1.RawValue `asn1:"set,optional"`
	}
	testPBE struct {
		Salt   []byte
		Rounds int
	}
)

func unmarshal(t *testing.T, der []byte, out any) {
	t.Helper()
	if rest, err := asn1.Unmarshal(der, out); err != nil || len(rest) > 0 {
		t.Fatalf("read back what was written: %v", err)
	}
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	out, err := asn1.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func tagged(der []byte) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: der}
}

var (
	oidData      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidEncrypted = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 6}
	oidPBES2     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBMAC1    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 14}
)

type parsedPFX struct {
	file  testPFX
	parts []testContent
}

func readPFX(t *testing.T, data []byte) parsedPFX {
	t.Helper()
	var p parsedPFX
	var safe []byte
	unmarshal(t, data, &p.file)
	unmarshal(t, p.file.AuthSafe.Content.Bytes, &safe)
	unmarshal(t, safe, &p.parts)
	return p
}

// write returns the file; its MAC does not fit any more, which is checked later than the rounds.
func (p parsedPFX) write(t *testing.T, parts []testContent) []byte {
	t.Helper()
	file := p.file
	file.AuthSafe = testContent{Type: oidData, Content: tagged(marshal(t, marshal(t, parts)))}
	return marshal(t, file)
}

// bombs returns the file with the rounds of one place raised.
func (p parsedPFX) bombs(t *testing.T, rounds int) map[string][]byte {
	t.Helper()
	mac := p
	if mac.file.MAC.Digest.Algorithm.Algorithm.Equal(oidPBMAC1) {
		mac.file.MAC.Digest.Algorithm.Parameters.FullBytes = raise(t, mac.file.MAC.Digest.Algorithm.Parameters.FullBytes, rounds)
	} else {
		mac.file.MAC.Rounds = rounds
	}
	out := map[string][]byte{"mac": mac.write(t, p.parts)}
	for i, part := range p.parts {
		changed := slices.Clone(p.parts)
		if part.Type.Equal(oidEncrypted) {
			var enc testEncryptedData
			unmarshal(t, part.Content.Bytes, &enc)
			enc.Info.Algorithm.Parameters.FullBytes = raise(t, enc.Info.Algorithm.Parameters.FullBytes, rounds)
			changed[i].Content = tagged(marshal(t, enc))
			out["certificates"] = p.write(t, changed)
			continue
		}
		var raw []byte
		var bags []testBag
		unmarshal(t, part.Content.Bytes, &raw)
		unmarshal(t, raw, &bags)
		var key testEncrypted
		unmarshal(t, bags[0].Value.Bytes, &key)
		key.Algorithm.Parameters.FullBytes = raise(t, key.Algorithm.Parameters.FullBytes, rounds)
		bags[0].Value = tagged(marshal(t, key))
		changed[i].Content = tagged(marshal(t, marshal(t, bags)))
		out["key"] = p.write(t, changed)
	}
	if len(out) != 3 {
		t.Fatalf("found %d places that ask for work, want 3", len(out))
	}
	return out
}

// raise sets the rounds in the parameters of either generation.
func raise(t *testing.T, params []byte, rounds int) []byte {
	t.Helper()
	var old testPBE
	if rest, err := asn1.Unmarshal(params, &old); err == nil && len(rest) == 0 {
		old.Rounds = rounds
		return marshal(t, old)
	}
	var p testPBES2
	var k testPBKDF2
	unmarshal(t, params, &p)
	unmarshal(t, p.KDF.Parameters.FullBytes, &k)
	k.Rounds = rounds
	p.KDF.Parameters.FullBytes = marshal(t, k)
	return marshal(t, p)
}

package pki_test

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/pkitest"
)

func TestPFXFriendlyName(t *testing.T) {
	ec := pkitest.Device(t, "dev-1")
	rsa := pkitest.Issue(t, pkitest.Root(t), pki.IssueRequest{CommonName: "dev-rsa", KeyType: pki.KeyRSA2048})
	alone, err := pki.SelfSigned(pki.IssueRequest{CommonName: "alone"})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		bundle *pki.Bundle
		friendly,
		want string
	}{
		{"default", ec, "", "dev-1"},
		{"default, RSA", rsa, "", "dev-rsa"},
		{"default, self-signed", alone, "", "alone"},
		{"name", ec, "My device", "My device"},
		{"name, RSA", rsa, "My device", "My device"},
		{"not ASCII", ec, "Gerät № 7 密码 \u00a0é", "Gerät № 7 密码 \u00a0é"},
		{"zero bytes inside", ec, "\u0100\u0100", "\u0100\u0100"},
		{"longest", ec, strings.Repeat("é", 255), strings.Repeat("é", 255)},
		{"an authority", pkitest.Intermediate(t).Bundle(), "", pki.DefaultIntermediateCN},
	}
	for _, tt := range tests {
		for _, profile := range pki.AllPFXProfiles() {
			for _, password := range []string{"1234", "", "pässwörd 密码"} {
				t.Run(tt.name+" "+string(profile)+" "+password, func(t *testing.T) {
					data, err := tt.bundle.PFX(pki.PFXOptions{Profile: profile, Password: password, FriendlyName: tt.friendly})
					if err != nil {
						t.Fatal(err)
					}
					if got := pki.PFXFriendlyName(data); got != tt.want {
						t.Errorf("the key is called %q, want %q", got, tt.want)
					}
					got, err := pki.DecodePFX(data, password)
					if err != nil {
						t.Fatal(err)
					}
					if !got.Certificate.Equal(tt.bundle.Certificate) || !pki.KeyMatches(got.Certificate, got.Key) ||
						!slices.EqualFunc(got.Issuers, tt.bundle.Issuers, (*x509.Certificate).Equal) {
						t.Error("the bundle does not come back")
					}
					if _, err := pki.DecodePFX(data, password+"x"); !errors.Is(err, pki.ErrWrongPassphrase) {
						t.Errorf("wrong password: got %v, want ErrWrongPassphrase", err)
					}
					if got := pki.GuessPFXProfile(data); got != profile {
						t.Errorf("the profile is %q, want %q", got, profile)
					}
				})
			}
		}
	}
}

// The common name of a certificate from elsewhere may be anything; the file is made all the same.
func TestPFXWithoutFriendlyName(t *testing.T) {
	for _, cn := range []string{"", "device 😀", "a\tb", strings.Repeat("long", 80)} {
		raw := rawCA(t, func(c *x509.Certificate) { c.Subject.CommonName = cn })
		b := &pki.Bundle{Certificate: raw.cert, Key: raw.key}
		data, err := b.PFX(pki.PFXOptions{Password: "x"})
		if err != nil {
			t.Fatalf("%q: %v", cn, err)
		}
		if got := pki.PFXFriendlyName(data); got != "" {
			t.Errorf("%q: the friendly name is %q", cn, got)
		}
		if data, err = b.PFX(pki.PFXOptions{Password: "x", FriendlyName: "better"}); err != nil || pki.PFXFriendlyName(data) != "better" {
			t.Errorf("%q: with a name: %v", cn, err)
		}
	}
}

func TestPFXFriendlyNameRefuses(t *testing.T) {
	b := pkitest.Device(t, "dev-1")
	for name, want := range map[string]string{
		strings.Repeat("x", 256): "has 256 characters, PKCS#12 allows 255",
		"😀":                      "PKCS#12 cannot hold character '\\U0001f600'",
		"a\nb":                   "character '\\n' is not printable",
		"a\x00":                  "character '\\x00' is not printable",
		"a\x1b[31m":              "character '\\x1b' is not printable",
		"\u202egpj.exe":          "character '\\u202e' is not printable",
		"\xff":                   "not valid UTF-8",
	} {
		opts := pki.PFXOptions{Password: "x", FriendlyName: name}
		data, err := b.PFX(opts)
		if err == nil || data != nil || !errors.Is(err, pki.ErrInvalidID) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want ErrInvalidID with %q", name, err, want)
		}
		if err != nil {
			oneLine(t, err)
		}
		if err := opts.Check(); !errors.Is(err, pki.ErrInvalidID) {
			t.Errorf("%q: the check beforehand says %v", name, err)
		}
	}
}

// The self-test looks at the names, too.
func TestPFXSelfTestNames(t *testing.T) {
	b := pkitest.Device(t, "dev-1")
	named, err := b.PFX(pki.PFXOptions{Password: "x", FriendlyName: "right"})
	if err != nil {
		t.Fatal(err)
	}
	plain, err := pkcs12.Modern2023.Encode(b.Key, b.Certificate, b.Issuers, "x")
	if err != nil {
		t.Fatal(err)
	}
	if err := pki.CheckPFX(b, named, "x", "right"); err != nil {
		t.Errorf("the file itself: %v", err)
	}
	for want, data := range map[string][]byte{"wrong": named, "": named, "right": plain} {
		if err := pki.CheckPFX(b, data, "x", want); err == nil || !strings.Contains(err.Error(), "friendly name") {
			t.Errorf("want %q: got %v", want, err)
		}
	}
}

func TestPFXFriendlyNameOfOthers(t *testing.T) {
	b := pkitest.Device(t, "dev-1")
	plain, err := pkcs12.Modern2023.Encode(b.Key, b.Certificate, b.Issuers, "x")
	if err != nil {
		t.Fatal(err)
	}
	named, err := b.PFX(pki.PFXOptions{Password: "x"})
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"nothing": nil, "PEM": b.CertificatePEM(), "no name": plain, "cut short": named[:len(named)-1], "large": make([]byte, 1<<20+1),
	} {
		if got := pki.PFXFriendlyName(data); got != "" {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

// Known answers of "openssl kdf ... PKCS12KDF". The second and third need more than one block, where blocks are added.
func TestPKCS12KDF(t *testing.T) {
	smeg, queeg := []byte("\x00s\x00m\x00e\x00g\x00\x00"), []byte("\x00q\x00u\x00e\x00e\x00g\x00\x00")
	for _, tt := range []struct {
		purpose  byte
		password []byte
		salt     string
		rounds   int
		want     string
	}{
		{2, smeg, "0A58CF64530D823F", 1, "79993DFE048D3B76"},
		{1, smeg, "0A58CF64530D823F", 1, "8AAAE6297B6CB04642AB5B077851284EB7128F1A2A7FBCA3"},
		{1, queeg, "05DEC959ACFF72F7", 1000, "ED2034E36328830FF09DF1E1A07DD357185DAC0D4F9EB3D4"},
		{3, smeg, "3D83C0E4546AC140", 1, "8D967D88F6CAA9D714800AB3D48051D63F73A312"},
	} {
		salt, _ := hex.DecodeString(tt.salt)
		want, _ := hex.DecodeString(tt.want)
		if got := pki.PKCS12KDF(tt.purpose, tt.password, salt, tt.rounds, len(want)); !bytes.Equal(got, want) {
			t.Errorf("purpose %d, salt %s: got %X, want %s", tt.purpose, tt.salt, got, tt.want)
		}
	}
}

// openssl finds the name on the key and its certificate, and on no other.
func TestOpenSSLFriendlyName(t *testing.T) {
	ec := pkitest.Device(t, "dev-1")
	rsa := pkitest.Issue(t, pkitest.Root(t), pki.IssueRequest{CommonName: "dev-1", KeyType: pki.KeyRSA2048})
	for name, b := range map[string]*pki.Bundle{"EC": ec, "RSA": rsa} {
		for _, profile := range pki.AllPFXProfiles() {
			for _, password := range []string{"1234", ""} {
				data, err := b.PFX(pki.PFXOptions{Profile: profile, Password: password, FriendlyName: "My device 7"})
				if err != nil {
					t.Fatal(err)
				}
				args := []string{"pkcs12", "-info", "-nodes", "-in", save(t, "d.pfx", data), "-passin", "pass:" + password, "-legacy"}
				out, err := openssl(t, args...)
				if err != nil && strings.Contains(out, "nrecognized flag legacy") {
					out, err = openssl(t, args[:len(args)-1]...)
				}
				if n := strings.Count(out, "friendlyName: My device 7\n"); err != nil || n != 2 {
					t.Errorf("%s, %s: openssl shows the name %d times, want 2: %v\n%s", name, profile, n, err, out)
				}
			}
		}
	}
}

// The alias in Java is the name, and its entry has the key and the chain.
func TestKeytoolAlias(t *testing.T) {
	path, err := exec.LookPath("keytool")
	if err != nil {
		t.Skip("the keytool program of Java is not installed, so its view of the alias is not checked")
	}
	b := pkitest.Device(t, "dev-1")
	for _, tt := range []struct{ friendly, alias string }{{"", "dev-1"}, {"My Gerät 密码", "my gerät 密码"}} {
		for _, profile := range pki.AllPFXProfiles() {
			data, err := b.PFX(pki.PFXOptions{Profile: profile, Password: "changeit", FriendlyName: tt.friendly})
			if err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command(path, "-J-Duser.language=en", "-J-Dstdout.encoding=UTF-8", "-J-Dfile.encoding=UTF-8", "-list",
				"-v", "-storetype", "PKCS12", "-keystore", save(t, "d.pfx", data), "-storepass", "changeit").CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for _, want := range []string{
				"contains 1 entry", "Alias name: " + tt.alias + "\n", "Entry type: PrivateKeyEntry", "Certificate chain length: 3",
			} {
				if !strings.Contains(string(out), want) {
					t.Errorf("%s: keytool does not show %q in\n%s", profile, want, out)
				}
			}
		}
	}
}

package pki_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/pkitest"
)

// openssl runs the program and returns what it prints. The test is skipped without it.
func openssl(t *testing.T, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("the openssl program is not installed, so its view of the certificates is not checked")
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	return string(out), err
}

func save(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func keyPEM(t *testing.T, b *pki.Bundle) []byte {
	t.Helper()
	data, err := b.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// OpenSSL with all its strictness takes the chain of every profile and key type, for its purpose and no other.
func TestOpenSSLVerify(t *testing.T) {
	client, server := "sslclient", "sslserver"
	tests := []struct {
		name    string
		req     pki.IssueRequest
		good    string // purpose
		refused string
	}{
		{"device", pki.IssueRequest{CommonName: "d"}, client, server},
		{"device P-384", pki.IssueRequest{CommonName: "d", KeyType: pki.KeyECP384}, client, server},
		{"device RSA", pki.IssueRequest{CommonName: "d", KeyType: pki.KeyRSA2048}, client, server},
		{"verification", pki.IssueRequest{Profile: pki.ProfileVerification, CommonName: "ABC"}, client, server},
		{"edge identity", pki.IssueRequest{Profile: pki.ProfileEdgeIdentity, CommonName: "gw"}, client, ""},
		{"edge identity as server", pki.IssueRequest{Profile: pki.ProfileEdgeIdentity, CommonName: "gw"}, server, ""},
		{"server", pki.IssueRequest{Profile: pki.ProfileServer, CommonName: "gw.local"}, server, client},
		{"edge ca", pki.IssueRequest{Profile: pki.ProfileEdgeCA, CommonName: "gw"}, "any", ""},
	}
	root := save(t, "root.pem", pki.EncodeCertificatesPEM(pkitest.Root(t).Certificate()))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := pkitest.Issue(t, pkitest.Intermediate(t), tt.req)
			leaf := save(t, "leaf.pem", b.CertificatePEM())
			chain := save(t, "chain.pem", b.FullChainPEM())
			verify := func(purpose string) (string, error) {
				return openssl(t, "verify", "-x509_strict", "-check_ss_sig", "-purpose", purpose, "-CAfile", root,
					"-untrusted", chain, leaf)
			}
			if out, err := verify(tt.good); err != nil {
				t.Errorf("purpose %s: %v\n%s", tt.good, err, out)
			}
			if tt.refused == "" {
				return
			}
			if out, err := verify(tt.refused); err == nil || !strings.Contains(out, "purpose") {
				t.Errorf("purpose %s is not refused: %v\n%s", tt.refused, err, out)
			}
		})
	}
}

func TestOpenSSLSelfSigned(t *testing.T) {
	b, err := pki.SelfSigned(pki.IssueRequest{CommonName: "alone"})
	if err != nil {
		t.Fatal(err)
	}
	leaf := save(t, "leaf.pem", b.CertificatePEM())
	out, err := openssl(t, "verify", "-x509_strict", "-check_ss_sig", "-purpose", "sslclient", "-CAfile", leaf, leaf)
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestOpenSSLText(t *testing.T) {
	b := pkitest.Device(t, "text-1")
	out, err := openssl(t, "x509", "-noout", "-text", "-in", save(t, "leaf.pem", b.CertificatePEM()))
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"Version: 3 (0x2)", "Subject: CN = text-1", "Issuer: CN = " + pki.DefaultIntermediateCN,
		"X509v3 Basic Constraints: critical\n                CA:FALSE",
		"X509v3 Key Usage: critical\n                Digital Signature\n",
		"X509v3 Extended Key Usage: \n                TLS Web Client Authentication\n",
		"X509v3 Subject Key Identifier:", "X509v3 Authority Key Identifier:", "ecdsa-with-SHA256",
	} {
		if !strings.Contains(strings.ReplaceAll(out, "CN=", "CN = "), want) {
			t.Errorf("openssl does not show %q in\n%s", want, out)
		}
	}
}

func TestOpenSSLKeys(t *testing.T) {
	for _, typ := range []pki.KeyType{pki.KeyECP256, pki.KeyECP384, pki.KeyRSA2048} {
		b := pkitest.Issue(t, pkitest.Root(t), pki.IssueRequest{CommonName: "k", KeyType: typ})
		want, err := openssl(t, "x509", "-noout", "-pubkey", "-in", save(t, "leaf.pem", b.CertificatePEM()))
		if err != nil {
			t.Fatalf("%v\n%s", err, want)
		}
		got, err := openssl(t, "pkey", "-pubout", "-in", save(t, "key.pem", keyPEM(t, b)))
		if err != nil || got != want {
			t.Errorf("%s: openssl reads another key: %v\n%s", typ, err, got)
		}
		if typ != pki.KeyECP256 { // the encryption is the same and takes its time
			continue
		}
		secret, err := pki.EncodeEncryptedKeyPEM(b.Key, []byte("pass 1"))
		if err != nil {
			t.Fatal(err)
		}
		file := save(t, "secret.pem", secret)
		if got, err = openssl(t, "pkey", "-pubout", "-in", file, "-passin", "pass:pass 1"); err != nil || got != want {
			t.Errorf("%s: openssl does not open the encrypted key: %v\n%s", typ, err, got)
		}
		if _, err = openssl(t, "pkey", "-pubout", "-in", file, "-passin", "pass:other"); err == nil {
			t.Errorf("%s: openssl opens the key with a wrong pass phrase", typ)
		}
	}
}

func TestOpenSSLReadsPFX(t *testing.T) {
	b := pkitest.Device(t, "pfx-1")
	for _, tt := range []struct {
		profile  pki.PFXProfile
		password string
		args     []string
		want     string
	}{
		{pki.PFXModern, "1234", nil, "PBES2, PBKDF2, AES-256-CBC"},
		{pki.PFXModern, "", nil, "PBES2, PBKDF2, AES-256-CBC"},
		{pki.PFXLegacy, "1234", []string{"-legacy"}, "pbeWithSHA1And3-KeyTripleDES-CBC"},
		{pki.PFXLegacy, "", []string{"-legacy"}, "pbeWithSHA1And3-KeyTripleDES-CBC"},
	} {
		t.Run(string(tt.profile)+" "+tt.password, func(t *testing.T) {
			data, err := b.PFX(pki.PFXOptions{Profile: tt.profile, Password: tt.password})
			if err != nil {
				t.Fatal(err)
			}
			file := save(t, "d.pfx", data)
			args := append([]string{"pkcs12", "-info", "-nodes", "-in", file, "-passin", "pass:" + tt.password}, tt.args...)
			out, err := openssl(t, args...)
			if err != nil && strings.Contains(out, "Unrecognized flag legacy") {
				out, err = openssl(t, args[:len(args)-1]...) // OpenSSL 1 needs no flag
			}
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if n := strings.Count(out, "BEGIN CERTIFICATE"); n != 3 {
				t.Errorf("openssl finds %d certificates, want 3", n)
			}
			if n := strings.Count(out, "BEGIN PRIVATE KEY"); n != 1 || !strings.Contains(out, tt.want) {
				t.Errorf("openssl finds %d keys, or not %q, in\n%s", n, tt.want, out)
			}
			if _, err := openssl(t, append(args[:len(args)-len(tt.args)-1:len(args)-len(tt.args)-1], "pass:other")...); err == nil {
				t.Error("openssl opens the file with a wrong password")
			}
		})
	}
}

// What other ways of calling openssl make can be read.
func TestReadsOpenSSLFiles(t *testing.T) {
	b := pkitest.Device(t, "intake")
	key, cert := save(t, "k.pem", keyPEM(t, b)), save(t, "c.pem", b.CertificatePEM())
	chain := save(t, "chain.pem", pki.EncodeCertificatesPEM(b.Issuers...))
	for name, args := range map[string][]string{
		"chain and name":   {"-certfile", chain, "-name", "my device"},
		"no encryption":    {"-keypbe", "NONE", "-certpbe", "NONE"},
		"plain certs":      {"-certpbe", "NONE", "-certfile", chain},
		"many rounds":      {"-iter", "20000", "-certfile", chain},
		"SHA-1 MAC, AES":   {"-macalg", "sha1", "-certfile", chain},
		"no MAC rounds":    {"-nomaciter", "-certfile", chain},
		"SHA-512 MAC":      {"-macalg", "sha512"},
		"descert, old PBE": {"-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES", "-macalg", "sha1"},
	} {
		for _, password := range []string{"1234", ""} {
			file := filepath.Join(t.TempDir(), "x.pfx")
			out, err := openssl(t, append([]string{
				"pkcs12", "-export", "-in", cert, "-inkey", key, "-out", file, "-passout", "pass:" + password,
			}, args...)...)
			if err != nil {
				t.Fatalf("%s: %v\n%s", name, err, out)
			}
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := pki.DecodePFX(data, password)
			if err != nil || !got.Certificate.Equal(b.Certificate) {
				t.Errorf("%s, password %q: %v", name, password, err)
			}
			if friendly := pki.PFXFriendlyName(data); name == "chain and name" && friendly != "my device" {
				t.Errorf("%s: the friendly name is %q", name, friendly)
			}
		}
	}
}

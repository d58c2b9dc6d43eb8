package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/pki"
)

// strangeCertificate is one that certgen would not make.
func strangeCertificate(t *testing.T) *x509.Certificate {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	uri, err := url.Parse("urn:device:1")
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(0xabc), Subject: pkix.Name{CommonName: "strange\x1b[2J", Organization: []string{"O"}},
		NotBefore: testNow.Add(time.Hour), NotAfter: testNow.Add(2 * time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment | x509.KeyUsageKeyAgreement,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageAny, x509.ExtKeyUsageIPSECUser}, UnknownExtKeyUsage: []asn1.ObjectIdentifier{{1, 3, 6, 1, 4, 1, 99999}},
		DNSNames: []string{"a.example"}, IPAddresses: []net.IP{net.ParseIP("::1")}, EmailAddresses: []string{"a@example.com"}, URIs: []*url.URL{uri},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, pub, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestDescribeStrangeCertificate(t *testing.T) {
	cert := strangeCertificate(t)
	got := describeDetails(cert)
	want := certificateDetails{
		certificateInfo: certificateInfo{
			Subject: cert.Subject.String(), Issuer: cert.Subject.String(), Serial: "ABC",
			NotBefore: testNow.Add(time.Hour).Truncate(time.Second), NotAfter: testNow.Add(2 * time.Hour).Truncate(time.Second),
			KeyType: "Ed25519", SHA1Thumbprint: pki.SHA1Thumbprint(cert), SHA256Thumbprint: pki.SHA256Thumbprint(cert),
		},
		KeyUsage:    []string{"digitalSignature", "nonRepudiation", "keyAgreement"},
		ExtKeyUsage: []string{"anyExtendedKeyUsage", "extKeyUsage7", "1.3.6.1.4.1.99999"},
		DNSNames:    []string{"a.example"}, IPAddresses: []string{"::1"},
		OtherNames:         []string{"email:a@example.com", "uri:urn:device:1"},
		SignatureAlgorithm: "Ed25519", Version: 3,
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(certificateDetails{})); d != "" {
		t.Errorf("details (-want +got):\n%s", d)
	}
}

// A text for the terminal shows a certificate from elsewhere without obeying it.
func TestRenderStrangeCertificate(t *testing.T) {
	var p page
	item := newInspection("a\nb", contents{Format: "pem", Certificates: []*x509.Certificate{strangeCertificate(t)}}, testNow)
	item.render(&p, testNow)
	text := p.String()
	for _, want := range []string{
		`a\u000ab: 1 certificate (pem)`, `CN=strange\u001b[2J`, "(not valid yet)", "names               dns:a.example, ip:::1, email:a@example.com, uri:urn:device:1",
		"not valid: verify chain",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("text lacks %q:\n%s", want, text)
		}
	}
	if strings.ContainsRune(text, '\x1b') {
		t.Errorf("text has an escape:\n%q", text)
	}
}

func TestAuthorityText(t *testing.T) {
	two, zero := 2, 0
	for _, tt := range []struct {
		in   certificateDetails
		want string
	}{
		{certificateDetails{}, "no"},
		{certificateDetails{IsCA: true}, "yes, no limit of path length"},
		{certificateDetails{IsCA: true, MaxPathLen: &two}, "yes, path length 2"},
		{certificateDetails{IsCA: true, MaxPathLen: &zero}, "yes, path length 0"},
	} {
		if got := tt.in.authority(); got != tt.want {
			t.Errorf("authority() = %q, want %q", got, tt.want)
		}
	}
}

func TestDescribeNameConstraints(t *testing.T) {
	_, loopback, err := net.ParseCIDR("127.0.0.0/8")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		opts pki.CAOptions
		want []string
		not  string
	}{
		{pki.CAOptions{}, nil, "names  "},
		{
			pki.CAOptions{PermittedDNSNames: []string{"localhost"}, PermittedIPRanges: []*net.IPNet{loopback}},
			[]string{"permits names  dns:localhost, ip:127.0.0.0/8\n"}, "excludes",
		},
		{
			pki.CAOptions{PermittedIPRanges: []*net.IPNet{loopback}},
			[]string{"permits names   ip:127.0.0.0/8\n", "excludes names  dns:*\n"}, "dns:localhost",
		},
	} {
		ca, err := pki.NewRoot(&tt.opts)
		if err != nil {
			t.Fatal(err)
		}
		var p page
		p.fields("", describeDetails(ca.Certificate()).fields(testNow)...)
		for _, want := range tt.want {
			if !strings.Contains(p.String(), want) {
				t.Errorf("%q is not in\n%s", want, p.String())
			}
		}
		if strings.Contains(p.String(), tt.not) {
			t.Errorf("%q is in\n%s", tt.not, p.String())
		}
	}
}

package pki_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/pkitest"
)

// shape is what a profile decides.
type shape struct {
	CN      string
	IsCA    bool
	PathLen int
	Usage   x509.KeyUsage
	ExtKey  []x509.ExtKeyUsage
	DNS     []string
	IPs     []string
}

func shapeOf(c *x509.Certificate) shape {
	s := shape{
		CN: c.Subject.CommonName, IsCA: c.IsCA, PathLen: c.MaxPathLen, Usage: c.KeyUsage, ExtKey: c.ExtKeyUsage,
		DNS: c.DNSNames,
	}
	for _, ip := range c.IPAddresses {
		s.IPs = append(s.IPs, ip.String())
	}
	return s
}

const (
	caUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	ecUsage = x509.KeyUsageDigitalSignature
)

func TestProfiles(t *testing.T) {
	ca := pkitest.Intermediate(t)
	client, server := x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth
	rsaDevice := issue(t, pki.IssueRequest{CommonName: "d", KeyType: pki.KeyRSA2048})
	tests := []struct {
		name string
		cert *x509.Certificate
		want shape
	}{
		{"root", pkitest.Root(t).Certificate(), shape{CN: pki.DefaultRootCN, IsCA: true, PathLen: -1, Usage: caUsage}},
		{
			"intermediate", ca.Certificate(),
			shape{CN: pki.DefaultIntermediateCN, IsCA: true, PathLen: -1, Usage: caUsage},
		},
		{
			"device", issue(t, pki.IssueRequest{CommonName: "d"}),
			shape{CN: "d", PathLen: -1, Usage: ecUsage, ExtKey: []x509.ExtKeyUsage{client}},
		},
		{
			"device with its own name as SAN", issue(t, pki.IssueRequest{CommonName: "d", DNSNames: []string{"d"}}),
			shape{CN: "d", PathLen: -1, Usage: ecUsage, ExtKey: []x509.ExtKeyUsage{client}, DNS: []string{"d"}},
		},
		{
			"verification", issue(t, pki.IssueRequest{Profile: pki.ProfileVerification, CommonName: " ABC\n"}),
			shape{CN: "ABC", PathLen: -1, Usage: ecUsage, ExtKey: []x509.ExtKeyUsage{client}},
		},
		{
			"edge identity", issue(t, pki.IssueRequest{Profile: pki.ProfileEdgeIdentity, CommonName: "gw"}),
			shape{CN: "gw", PathLen: -1, Usage: ecUsage, ExtKey: []x509.ExtKeyUsage{client, server}},
		},
		{
			"edge ca", issue(t, pki.IssueRequest{Profile: pki.ProfileEdgeCA, CommonName: "gw"}),
			shape{CN: "gw.ca", IsCA: true, PathLen: -1, Usage: caUsage},
		},
		{
			"server", issue(t, pki.IssueRequest{Profile: pki.ProfileServer, CommonName: "gw.example.com"}),
			shape{
				CN: "gw.example.com", PathLen: -1, Usage: ecUsage, ExtKey: []x509.ExtKeyUsage{server},
				DNS: []string{"gw.example.com"},
			},
		},
		{
			"server by address", issue(t, pki.IssueRequest{Profile: pki.ProfileServer, CommonName: "::1"}),
			shape{CN: "::1", PathLen: -1, Usage: ecUsage, ExtKey: []x509.ExtKeyUsage{server}, IPs: []string{"::1"}},
		},
		{
			"server with names", issue(t, pki.IssueRequest{
				Profile: pki.ProfileServer, CommonName: "my gateway", DNSNames: []string{"*.local", "gw"},
				IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
			}),
			shape{
				CN: "my gateway", PathLen: -1, Usage: ecUsage, ExtKey: []x509.ExtKeyUsage{server},
				DNS: []string{"*.local", "gw"}, IPs: []string{"127.0.0.1"},
			},
		},
		{
			"RSA device", rsaDevice,
			shape{CN: "d", PathLen: -1, Usage: ecUsage, ExtKey: []x509.ExtKeyUsage{client}},
		},
		{
			"RSA edge identity",
			issue(t, pki.IssueRequest{Profile: pki.ProfileEdgeIdentity, CommonName: "gw", PublicKey: rsaDevice.PublicKey}),
			shape{
				CN: "gw", PathLen: -1, Usage: ecUsage | x509.KeyUsageKeyEncipherment,
				ExtKey: []x509.ExtKeyUsage{client, server},
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, shapeOf(tt.cert)); diff != "" {
				t.Errorf("certificate (-want +got):\n%s", diff)
			}
			checkCommon(t, tt.cert)
		})
	}
}

func issue(t *testing.T, req pki.IssueRequest) *x509.Certificate {
	t.Helper()
	return pkitest.Issue(t, pkitest.Intermediate(t), req).Certificate
}

// checkCommon checks what every certificate has.
func checkCommon(t *testing.T, c *x509.Certificate) {
	t.Helper()
	if c.Version != 3 || !c.BasicConstraintsValid || len(c.SubjectKeyId) != 20 || len(c.AuthorityKeyId) != 20 {
		t.Errorf("version %d, basic constraints %t, SKI %x, AKI %x", c.Version, c.BasicConstraintsValid, c.SubjectKeyId,
			c.AuthorityKeyId)
	}
	if n := len(c.SerialNumber.Bytes()); n != 16 || c.SerialNumber.Sign() <= 0 {
		t.Errorf("serial number %s has %d bytes", c.SerialNumber, n)
	}
	critical := map[string]bool{}
	for _, e := range c.Extensions {
		critical[e.Id.String()] = e.Critical
	}
	for id, name := range map[string]string{"2.5.29.15": "key usage", "2.5.29.19": "basic constraints"} {
		if !critical[id] {
			t.Errorf("%s is not critical or not there", name)
		}
	}
	if len(c.UnhandledCriticalExtensions) > 0 {
		t.Errorf("unknown critical extensions %v", c.UnhandledCriticalExtensions)
	}
}

func TestChainLinks(t *testing.T) {
	b := pkitest.Device(t, "links")
	chain := append([]*x509.Certificate{b.Certificate}, b.Issuers...)
	if len(chain) != 3 {
		t.Fatalf("got %d certificates, want 3", len(chain))
	}
	for i, cert := range chain {
		issuer := chain[min(i+1, 2)]
		if !bytes.Equal(cert.RawIssuer, issuer.RawSubject) || !bytes.Equal(cert.AuthorityKeyId, issuer.SubjectKeyId) {
			t.Errorf("certificate %d does not name its issuer", i)
		}
		if err := cert.CheckSignatureFrom(issuer); err != nil {
			t.Errorf("certificate %d: %v", i, err)
		}
	}
}

func TestSerialsAreUnique(t *testing.T) {
	seen := map[string]bool{}
	key, err := pki.GenerateKey(pki.KeyECP256)
	if err != nil {
		t.Fatal(err)
	}
	for range 500 {
		serial := issue(t, pki.IssueRequest{CommonName: "same", Key: key}).SerialNumber.String()
		if seen[serial] {
			t.Fatalf("serial %s is there twice", serial)
		}
		seen[serial] = true
	}
}

func TestIssueRefuses(t *testing.T) {
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := pkitest.Intermediate(t)
	tests := []struct {
		name string
		req  pki.IssueRequest
		is   error
		want string
	}{
		{"bad id", pki.IssueRequest{CommonName: "../x"}, pki.ErrInvalidID, "character '/'"},
		{"unknown profile", pki.IssueRequest{Profile: "client", CommonName: "d"}, nil, "known profiles"},
		{"root profile", pki.IssueRequest{Profile: pki.ProfileRoot, CommonName: "d"}, nil, "NewRoot"},
		{"intermediate profile", pki.IssueRequest{Profile: pki.ProfileIntermediate, CommonName: "d"}, nil, "NewIntermediate"},
		{"foreign SAN", pki.IssueRequest{CommonName: "d", DNSNames: []string{"e"}}, pki.ErrInvalidID, "must equal the common"},
		{"SAN with CN=", pki.IssueRequest{Profile: pki.ProfileServer, CommonName: "s", DNSNames: []string{"CN=s"}}, pki.ErrInvalidID, "not allowed in a host name"},
		{"SAN with inner star", pki.IssueRequest{Profile: pki.ProfileServer, CommonName: "s", DNSNames: []string{"a.*.b"}}, pki.ErrInvalidID, "character '*'"},
		{"bare star", pki.IssueRequest{Profile: pki.ProfileServer, CommonName: "s", DNSNames: []string{"*."}}, pki.ErrInvalidID, "1 to 253"},
		{"empty label", pki.IssueRequest{Profile: pki.ProfileServer, CommonName: "s", DNSNames: []string{"a..b"}}, pki.ErrInvalidID, "bad label"},
		{"bad address", pki.IssueRequest{Profile: pki.ProfileServer, CommonName: "s", IPAddresses: []net.IP{{1, 2}}}, pki.ErrInvalidID, "2 bytes"},
		{"server without a host", pki.IssueRequest{Profile: pki.ProfileServer, CommonName: "my server"}, pki.ErrInvalidID, "alternative name is needed"},
		{"name of the issuer", pki.IssueRequest{Profile: pki.ProfileServer, CommonName: pki.DefaultIntermediateCN, DNSNames: []string{"a"}}, pki.ErrInvalidID, "also the name of the issuer"},
		{"two keys", pki.IssueRequest{CommonName: "d", Key: ca.Key(), PublicKey: ca.Key().Public()}, nil, "not both"},
		{"Ed25519 key", pki.IssueRequest{CommonName: "d", Key: edKey}, pki.ErrUnsupportedKey, "ed25519"},
		{"unknown key type", pki.IssueRequest{CommonName: "d", KeyType: "rsa-1024"}, nil, "known types"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, err := ca.Issue(tt.req)
			if err == nil || b != nil {
				t.Fatalf("got %v, %v, want an error", b, err)
			}
			if tt.is != nil && !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.want) ||
				strings.Contains(err.Error(), "\n") {
				t.Errorf("got %q, want %v with %q", err, tt.is, tt.want)
			}
		})
	}
}

func TestIssueForPublicKey(t *testing.T) {
	key, err := pki.GenerateKey(pki.KeyECP384)
	if err != nil {
		t.Fatal(err)
	}
	b := pkitest.Issue(t, pkitest.Root(t), pki.IssueRequest{CommonName: "csr", PublicKey: key.Public()})
	if b.Key != nil || !pki.KeyMatches(b.Certificate, key) {
		t.Error("the certificate is not for the key of the request")
	}
	if _, err := b.KeyPEM(); err == nil {
		t.Error("a bundle without a key encodes one")
	}
}

func TestSelfSigned(t *testing.T) {
	b, err := pki.SelfSigned(pki.IssueRequest{CommonName: "alone"})
	if err != nil {
		t.Fatal(err)
	}
	c := b.Certificate
	checkCommon(t, c)
	if len(b.Issuers) != 0 || c.IsCA || !bytes.Equal(c.RawIssuer, c.RawSubject) ||
		!bytes.Equal(c.AuthorityKeyId, c.SubjectKeyId) {
		t.Errorf("not a self-signed leaf: %+v", shapeOf(c))
	}
	if err := pki.Verify(c, nil, time.Now()); err != nil {
		t.Error(err)
	}
	key, err := pki.GenerateKey("")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pki.SelfSigned(pki.IssueRequest{CommonName: "alone", PublicKey: key.Public()}); err == nil {
		t.Error("a public key signed a certificate")
	}
	again, err := pki.SelfSigned(pki.IssueRequest{CommonName: "alone", Key: key})
	if err != nil || !pki.KeyMatches(again.Certificate, key) {
		t.Errorf("a given key is not used: %v", err)
	}
}

func TestGuessProfile(t *testing.T) {
	for _, p := range []pki.Profile{pki.ProfileDevice, pki.ProfileEdgeCA, pki.ProfileEdgeIdentity, pki.ProfileServer} {
		if got := pki.GuessProfile(issue(t, pki.IssueRequest{Profile: p, CommonName: "x"})); got != p {
			t.Errorf("GuessProfile of a %s certificate = %s", p, got)
		}
	}
	if got := pki.GuessProfile(pkitest.Root(t).Certificate()); got != pki.ProfileRoot {
		t.Errorf("GuessProfile of a root = %s", got)
	}
	if got := pki.GuessProfile(pkitest.Intermediate(t).Certificate()); got != pki.ProfileIntermediate {
		t.Errorf("GuessProfile of an intermediate = %s", got)
	}
	if got := pki.GuessProfile(nil); got != "" {
		t.Errorf("GuessProfile(nil) = %s", got)
	}
}

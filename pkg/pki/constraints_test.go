package pki_test

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/pkitest"
)

func ipRange(t *testing.T, s string) *net.IPNet {
	t.Helper()
	_, n, err := net.ParseCIDR(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// tlsCA is a CA for servers on this machine only.
func tlsCA(t *testing.T, dns, ips bool) *pki.Authority {
	opts := &pki.CAOptions{CommonName: "Localhost Only"}
	if dns {
		opts.PermittedDNSNames = []string{"localhost"}
	}
	if ips {
		opts.PermittedIPRanges = []*net.IPNet{ipRange(t, "127.0.0.0/8"), ipRange(t, "::1/128")}
	}
	return mustRoot(t, opts)
}

func TestNameConstraints(t *testing.T) {
	both, dns, ips := tlsCA(t, true, true), tlsCA(t, true, false), tlsCA(t, false, true)
	below, err := both.NewIntermediate(nil)
	if err != nil {
		t.Fatal(err)
	}
	v4 := mustRoot(t, &pki.CAOptions{PermittedIPRanges: []*net.IPNet{ipRange(t, "127.0.0.0/8")}})
	tests := []struct {
		name string
		ca   *pki.Authority
		req  pki.IssueRequest
		want string // part of the refusal; "" for none
	}{
		{"dns", both, pki.IssueRequest{Profile: pki.ProfileServer, CommonName: "localhost"}, ""},
		{"dns below", both, pki.IssueRequest{Profile: pki.ProfileServer, CommonName: "global.localhost"}, ""},
		{"ip", both, pki.IssueRequest{Profile: pki.ProfileServer, CommonName: "127.0.0.1"}, ""},
		{"ipv6", both, pki.IssueRequest{Profile: pki.ProfileServer, CommonName: "::1"}, ""},
		{"device", both, pki.IssueRequest{CommonName: "dev-1"}, ""},
		{"one CA further down", below, pki.IssueRequest{Profile: pki.ProfileServer, CommonName: "localhost"}, ""},
		{"only dns permitted", dns, pki.IssueRequest{Profile: pki.ProfileServer, CommonName: "localhost"}, ""},
		{"only ips permitted", ips, pki.IssueRequest{Profile: pki.ProfileServer, CommonName: "127.0.0.1"}, ""},

		{"other dns", both, pki.IssueRequest{Profile: pki.ProfileServer, CommonName: "bank.example"}, "does not permit"},
		{"other dns among good ones", both, pki.IssueRequest{
			Profile: pki.ProfileServer, CommonName: "localhost", DNSNames: []string{"localhost", "bank.example"},
		}, "bank.example"},
		{"dns with the name at its end", both, pki.IssueRequest{Profile: pki.ProfileServer, CommonName: "notlocalhost"}, "does not permit"},
		{"other ip", both, pki.IssueRequest{Profile: pki.ProfileServer, CommonName: "10.0.0.1"}, "does not permit"},
		{"other ipv6", both, pki.IssueRequest{Profile: pki.ProfileServer, CommonName: "::2"}, "does not permit"},
		{"other dns, one CA further down", below, pki.IssueRequest{Profile: pki.ProfileServer, CommonName: "bank.example"}, "does not permit"},
		{"ip where only dns is permitted", dns, pki.IssueRequest{Profile: pki.ProfileServer, CommonName: "127.0.0.1"}, "does not permit"},
		{"ipv6 where only dns is permitted", dns, pki.IssueRequest{Profile: pki.ProfileServer, CommonName: "::1"}, "does not permit"},
		{"dns where only ips are permitted", ips, pki.IssueRequest{Profile: pki.ProfileServer, CommonName: "localhost"}, "does not permit"},
		{"ipv6 where only ipv4 is permitted", v4, pki.IssueRequest{Profile: pki.ProfileServer, CommonName: "::1"}, "does not permit"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, err := tt.ca.Issue(tt.req)
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if err := pki.Verify(b.Certificate, b.Issuers, time.Now()); err != nil {
					t.Errorf("the chain: %v", err)
				}
				return
			}
			if err == nil || !errors.Is(err, pki.ErrInvalidID) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want ErrInvalidID with %q", err, tt.want)
			}
			if err != nil {
				oneLine(t, err)
			}
		})
	}
}

func TestNameConstraintsExtension(t *testing.T) {
	find := func(c *x509.Certificate) (critical, found bool) {
		for _, ext := range c.Extensions {
			if ext.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 30}) {
				return ext.Critical, true
			}
		}
		return false, false
	}
	if critical, found := find(tlsCA(t, true, true).Certificate()); !found || !critical {
		t.Errorf("found %t, critical %t; want a critical extension", found, critical)
	}
	if _, found := find(pkitest.Root(t).Certificate()); found {
		t.Error("a CA without limits has name constraints")
	}
}

func TestNameConstraintsRefuse(t *testing.T) {
	for name, tt := range map[string]struct {
		opts pki.CAOptions
		want string
	}{
		"wildcard":        {pki.CAOptions{PermittedDNSNames: []string{"*.localhost"}}, "leave the wildcard out"},
		"empty":           {pki.CAOptions{PermittedDNSNames: []string{""}}, "1 to 253 characters"},
		"leading dot":     {pki.CAOptions{PermittedDNSNames: []string{".localhost"}}, "bad label"},
		"not a host name": {pki.CAOptions{PermittedDNSNames: []string{"a b"}}, "not allowed in a host name"},
		"nil range":       {pki.CAOptions{PermittedIPRanges: []*net.IPNet{nil}}, "do not fit together"},
		"zero range":      {pki.CAOptions{PermittedIPRanges: []*net.IPNet{{}}}, "do not fit together"},
		"mixed families": {pki.CAOptions{PermittedIPRanges: []*net.IPNet{
			{IP: net.ParseIP("::1"), Mask: net.CIDRMask(8, 32)},
		}}, "do not fit together"},
		"no prefix": {pki.CAOptions{PermittedIPRanges: []*net.IPNet{
			{IP: net.IPv4(127, 0, 0, 1), Mask: net.IPv4Mask(255, 0, 255, 0)},
		}}, "is no prefix"},
	} {
		for call, make := range map[string]func(*pki.CAOptions) (*pki.Authority, error){
			"root": pki.NewRoot, "intermediate": pkitest.Root(t).NewIntermediate,
		} {
			a, err := make(&tt.opts)
			if err == nil || a != nil || !errors.Is(err, pki.ErrInvalidID) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s, %s: got %v, want ErrInvalidID with %q", name, call, err, tt.want)
			}
		}
	}
}

// openssl, with all its strictness, holds others to the constraints, which our own refusal only saves them from.
func TestOpenSSLNameConstraints(t *testing.T) {
	ca := tlsCA(t, true, true)
	dns := tlsCA(t, true, false)
	forge := func(ca *pki.Authority, change func(*x509.Certificate)) []byte {
		issuer := rawCert{cert: ca.Certificate(), key: keyOf(ca)}
		return pki.EncodeCertificatesPEM(rawSigned(t, &issuer, func(c *x509.Certificate) {
			c.IsCA, c.KeyUsage, c.MaxPathLen = false, x509.KeyUsageDigitalSignature, 0
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
			c.SubjectKeyId = []byte{1}
			change(c)
		}).cert)
	}
	good := pkitest.Issue(t, ca, pki.IssueRequest{
		Profile: pki.ProfileServer, CommonName: "localhost", DNSNames: []string{"localhost", "global.localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	})
	for _, tt := range []struct {
		name string
		ca   *pki.Authority
		leaf []byte
		want string
	}{
		{"permitted", ca, good.CertificatePEM(), ""},
		{"other dns", ca, forge(ca, func(c *x509.Certificate) { c.DNSNames = []string{"bank.example"} }), "permitted subtree violation"},
		{"other ip", ca, forge(ca, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(10, 0, 0, 1)} }), "permitted subtree violation"},
		{"ip where only dns is permitted", dns, forge(dns, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} }), "excluded subtree violation"},
		{"ipv6 where only dns is permitted", dns, forge(dns, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv6loopback} }), "excluded subtree violation"},
	} {
		root := save(t, "root.pem", pki.EncodeCertificatesPEM(tt.ca.Certificate()))
		out, err := openssl(t, "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", root, save(t, "leaf.pem", tt.leaf))
		if (err == nil) != (tt.want == "") || !strings.Contains(out, tt.want) {
			t.Errorf("%s: got %v, want %q in\n%s", tt.name, err, tt.want, out)
		}
	}
	out, err := openssl(t, "x509", "-noout", "-ext", "nameConstraints", "-in", save(t, "ca.pem", pki.EncodeCertificatesPEM(ca.Certificate())))
	for _, want := range []string{"critical", "DNS:localhost", "IP:127.0.0.0/255.0.0.0"} {
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("openssl does not show %q: %v\n%s", want, err, out)
		}
	}
}

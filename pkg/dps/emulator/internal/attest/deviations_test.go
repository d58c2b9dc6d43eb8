package attest_test

import (
	"crypto/x509"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/attest"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
)

// TestDeviationsFromRFC5280 lists where the emulator's verdict is not the one
// of RFC 5280 section 6, and why. Each row is a chain that the RFC accepts
// (which crypto/x509 confirms where it follows the RFC) and the emulator does
// not. There is no row the other way round, with one exception that no test can
// show: revocation. The service never asks for CRLs or OCSP; devices are
// revoked by disabling their enrollment.
func TestDeviationsFromRFC5280(t *testing.T) {
	root := forge(t, "root", nil)
	ca := forge(t, "int", root)
	old := forge(t, "old root", nil, expired)
	mail := forge(t, "mail ca", root, func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}
	})
	rekeyed := forge(t, "int", root) // the name of ca, another key
	long := append(certs(leaf(t, "dev", ca), ca), crowd(t, 63)...)
	for _, tt := range []struct {
		name, why string
		sent      []*x509.Certificate
		verified  []*x509.Certificate
		groups    groups
		rule      refuse.Rule
		x509      bool // whether crypto/x509 takes the chain, for any purpose
	}{
		{"expired trust anchor",
			"RFC 5280 takes name and key of an anchor and nothing else; a service that goes on trusting an expired CA would hide the day when it stops",
			certs(leaf(t, "dev", old)), certs(old), groups{"g": old}, attest.RuleExpired, false},
		{"no enrollment group on the path",
			"a valid chain is not enough: the service looks for the group of one of its CAs",
			certs(leaf(t, "dev", ca), ca), certs(root), nil, attest.RuleNoGroup, true},
		{"verified CA below the group",
			"the path ends at the first verified CA at or above the signing certificate of the group",
			certs(leaf(t, "dev", ca), ca, root), certs(ca), groups{"g": root}, attest.RuleNotVerified, true},
		{"intermediate known to the service, and not sent",
			"the documentation demands every intermediate of the device; only a root is completed",
			certs(leaf(t, "dev", ca)), certs(root, ca), groups{"g": ca}, attest.RuleIncomplete, true},
		{"key identifier of another key",
			"RFC 5280 does not compare key identifiers; openssl does, and takes the CA for another one",
			certs(leaf(t, "dev", posing(ca, rekeyed)), ca), certs(root), groups{"g": ca}, attest.RuleIncomplete, true},
		{"CA for another purpose",
			"RFC 5280 reads extended key usage in the leaf; Windows, openssl and crypto/x509 let a CA pass on only what it has",
			certs(leaf(t, "dev", mail), mail), certs(root), groups{"g": mail}, attest.RuleExtKeyUsage, true},
		{"leaf with CA:TRUE",
			"a device that holds a CA could make devices",
			certs(forge(t, "dev", ca), ca), certs(root), groups{"g": ca}, attest.RuleLeafIsCA, true},
		{"SHA-1",
			"long broken",
			certs(leaf(t, "dev", root, func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 })),
			certs(root), groups{"g": root}, attest.RuleSignature, false},
		{"RSA-1024",
			"keys of less than 2048 bits are not accepted anywhere any more",
			certs(rsaLeaf(t, root, 1024)), certs(root), groups{"g": root}, attest.RuleKey, true},
		{"65 certificates",
			"the RFC sets no limit; the TLS stack of the service does",
			long, certs(root), groups{"g": ca}, attest.RuleTooMany, true},
		{"common name is not the registration ID",
			"names in the certificate are none of the RFC's business",
			certs(leaf(t, "other", root)), certs(root), groups{"g": root}, attest.RuleCommonName, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, r := attest.Chain(tt.sent, "dev", trust(tt.verified, tt.groups), now)
			if r == nil || r.Rule != tt.rule {
				t.Errorf("refused with %+v, want rule %q: %s", r, tt.rule, tt.why)
			}
			opts := x509.VerifyOptions{
				Roots: pool(tt.verified), Intermediates: pool(tt.sent[1:]), CurrentTime: now,
				KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
			}
			if _, err := tt.sent[0].Verify(opts); (err == nil) != tt.x509 {
				t.Errorf("crypto/x509: %v, want success %v", err, tt.x509)
			}
		})
	}
}

// posing is ca as an issuer that claims the key identifier of another.
func posing(ca, other *forged) *forged {
	posed := *ca.cert
	posed.SubjectKeyId = other.cert.SubjectKeyId
	return &forged{cert: &posed, key: ca.key}
}

func pool(list []*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range list {
		p.AddCert(c)
	}
	return p
}

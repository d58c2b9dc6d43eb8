package attest_test

import (
	"crypto/x509"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/attest"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
)

const code = "85B436805DB8ADF3DD8868994970F6AA13BAA9B296A768CA"

func TestProofAccepted(t *testing.T) {
	root := forge(t, "root", nil)
	bare := forge(t, "bare", nil, plain)
	for name, pair := range map[string][2]*forged{
		"plain":                      {root, leaf(t, code, root)},
		"CA and proof without flags": {bare, forge(t, code, bare, plain)},
		"intermediate":               {forge(t, "int", root), nil},
		"proof for servers": {root, leaf(t, code, root, func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		})},
	} {
		t.Run(name, func(t *testing.T) {
			ca, proof := pair[0], pair[1]
			if proof == nil {
				proof = leaf(t, code, ca)
			}
			if r := attest.Proof(ca.cert, proof.cert, code, now); r != nil {
				t.Errorf("refused: %v", r)
			}
		})
	}
}

func TestProofRefused(t *testing.T) {
	root := forge(t, "root", nil)
	intermediate := forge(t, "int", root)
	twin := forge(t, "root", nil)
	old := forge(t, "old", nil, expired)
	for _, tt := range []struct {
		name    string
		ca      *forged
		proof   *forged
		code    string
		rule    refuse.Rule
		message string
	}{
		{"no code pending", root, leaf(t, code, root), "", attest.RuleProofNoCode, "No verification code"},
		{"signed by an intermediate", root, leaf(t, code, intermediate), code, attest.RuleProofIssuer, "Issuer certificate 'CN=int' cannot be found in the certificate chain."},
		{"self-signed", root, leaf(t, code, nil), code, attest.RuleProofIssuer, "cannot be found"},
		{"another CA with the same name", root, leaf(t, code, twin), code, attest.RuleProofSignature, "cannot be found"},
		{"tampered", root, tamper(t, leaf(t, code, root)), code, attest.RuleProofSignature, "cannot be found"},
		{"another code", root, leaf(t, strings.Repeat("A", 48), root), code, attest.RuleProofCode, "verification code"},
		{"code in lower case", root, leaf(t, strings.ToLower(code), root), code, attest.RuleProofCode, "verification code"},
		{"code with a newline", root, leaf(t, code+"\n", root), code, attest.RuleProofCode, "verification code"},
		{"two common names", root, leaf(t, "", root, names(code, code)), code, attest.RuleProofCode, "verification code"},
		{"expired", root, leaf(t, code, root, expired), code, attest.RuleExpired, "validity"},
		{"of tomorrow", root, leaf(t, code, root, tooYoung), code, attest.RuleNotYetValid, "validity"},
		{"expired CA", old, leaf(t, code, old), code, attest.RuleExpired, "validity"},
		{"weak key", root, weakProof(t, root), code, attest.RuleKey, "not supported"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := attest.Proof(tt.ca.cert, tt.proof.cert, tt.code, now)
			if r == nil {
				t.Fatal("accepted")
			}
			if r.Rule != tt.rule || r.Status != 400 || r.Code != 400053 || !strings.Contains(r.Message, tt.message) {
				t.Errorf("%d %d %q by rule %q; want 400 400053 …%s… by rule %q", r.Status, r.Code, r.Message, r.Rule, tt.message, tt.rule)
			}
			if strings.Contains(r.Expected+r.Fix, code) {
				t.Errorf("refusal gives the pending code away: %q, %q", r.Expected, r.Fix)
			}
		})
	}
}

func weakProof(t testing.TB, root *forged) *forged {
	t.Helper()
	return forgeKey(t, code, root, nil, rsaKey(1024), notCA)
}

func TestLeaf(t *testing.T) {
	root := forge(t, "root", nil)
	self := forge(t, "dev", nil) // openssl req -x509 sets CA:TRUE
	second := leaf(t, "dev", root)
	for _, tt := range []struct {
		name     string
		sent     []*x509.Certificate
		enrolled []*x509.Certificate
		rule     refuse.Rule
	}{
		{"self-signed CA:TRUE", certs(self), certs(self), ""},
		{"secondary", certs(second), certs(self, second), ""},
		{"with its issuers", certs(second, root), certs(second), ""},
		{"nothing sent", nil, certs(self), attest.RuleNoCertificate},
		{"another certificate of the same name", certs(leaf(t, "dev", root)), certs(self, second), attest.RuleNotEnrolled},
		{"enrolled one sent as issuer only", certs(leaf(t, "dev", root), self), certs(self), attest.RuleNotEnrolled},
		{"expired", certs(leaf(t, "dev", nil, expired)), nil, attest.RuleExpired},
		{"of tomorrow", certs(leaf(t, "dev", nil, tooYoung)), nil, attest.RuleNotYetValid},
		{"common name differs", certs(leaf(t, "other", nil)), nil, attest.RuleCommonName},
		{"for servers", certs(leaf(t, "dev", nil, func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		})), nil, attest.RuleExtKeyUsage},
		{"weak key", certs(rsaLeaf(t, root, 1024)), nil, attest.RuleKey},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.enrolled == nil {
				tt.enrolled = tt.sent[:1]
			}
			r := attest.Leaf(tt.sent, "dev", tt.enrolled, now)
			if tt.rule == "" {
				if r != nil {
					t.Errorf("refused: %v", r)
				}
				return
			}
			if r == nil {
				t.Fatal("accepted")
			}
			if r.Rule != tt.rule || r.Status != 401 {
				t.Errorf("%d by rule %q, want 401 by rule %q", r.Status, r.Rule, tt.rule)
			}
		})
	}
}

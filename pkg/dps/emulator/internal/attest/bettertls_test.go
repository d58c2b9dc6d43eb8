package attest_test

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/Netflix/bettertls/test-suites/certutil"
	"github.com/Netflix/bettertls/test-suites/nameconstraints"
	"github.com/Netflix/bettertls/test-suites/pathbuilding"
	testcase "github.com/Netflix/bettertls/test-suites/test-case"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/attest"
)

// vector is one case of BetterTLS.
type vector struct {
	index  uint
	sent   []*x509.Certificate
	parsed bool // false: crypto/x509, and so crypto/tls, does not take them
	host   string
	accept bool
	// more asks for checks beyond the verdict, which cost more than it does.
	more bool
}

// TestBetterTLS judges the certificates of https://github.com/Netflix/bettertls,
// as they are, by the search that [attest.Chain] does. Every case must come out
// as that suite wants it.
//
// The suite is about servers, so three things of a device are left out or made
// up for: the purpose is serverAuth (a device needs clientAuth; see the last
// lines of the test), the common name is not compared with a registration ID,
// and the host name is compared with the certificate afterwards, by crypto/x509.
// Its root is the verified CA and the signing certificate of the one group.
//
// Where the emulator differs from RFC 5280 on purpose, outside this suite, is
// listed in TestDeviationsFromRFC5280.
func TestBetterTLS(t *testing.T) {
	root, key, err := certutil.GenerateSelfSignedCert("bettertls_trust_root")
	if err != nil {
		t.Fatal(err)
	}
	tr := attest.Trust{
		Verified: []*x509.Certificate{root},
		Group:    func(ca *x509.Certificate) (string, bool) { return "g", ca.Equal(root) },
	}
	for _, suite := range []struct {
		provider testcase.TestCaseProvider
		cases    uint
		sample   uint // every sample-th gets more checks, and is run in short mode
	}{
		{pathbuilding.NewTestCaseProvider(), 81, 1},
		{nameconstraints.NewTestCaseProvider(), 9491, 20},
	} {
		t.Run(suite.provider.Name(), func(t *testing.T) {
			count, err := suite.provider.GetTestCaseCount()
			if err != nil || count != suite.cases {
				t.Fatalf("%d cases, %v; want %d", count, err, suite.cases)
			}
			step := uint(1)
			if testing.Short() {
				step = suite.sample
			}
			accepted := 0
			for i := uint(0); i < count; i += step {
				v := readVector(t, suite.provider, i, root, key)
				v.more = i%suite.sample == 0
				if v.judge(t, tr) {
					accepted++
				}
			}
			if accepted == 0 {
				t.Error("nothing was accepted at all")
			}
		})
	}
}

func readVector(t *testing.T, p testcase.TestCaseProvider, index uint, root *x509.Certificate, key crypto.Signer) vector {
	t.Helper()
	tc, err := p.GetTestCase(index)
	if err != nil {
		t.Fatal(err)
	}
	var chain *tls.Certificate
	if chain, err = tc.GetCertificates(root, key); err != nil {
		t.Fatal(err)
	}
	v := vector{index: index, parsed: true, host: tc.GetHostname()}
	switch tc.ExpectedResult() {
	case testcase.EXPECTED_RESULT_PASS, testcase.EXPECTED_RESULT_SOFT_PASS:
		v.accept = true
	}
	for _, der := range chain.Certificate {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			v.parsed = false
			continue
		}
		v.sent = append(v.sent, cert)
	}
	return v
}

// judge reports whether the case was accepted.
func (v vector) judge(t *testing.T, tr attest.Trust) bool {
	t.Helper()
	if !v.parsed {
		if v.accept {
			t.Errorf("case %d: certificates do not parse", v.index)
		}
		return false
	}
	now := time.Now()
	m, r, w := attest.FindServerPath(v.sent, tr, now)
	got := r == nil && v.sent[0].VerifyHostname(v.host) == nil
	if got != v.accept {
		t.Errorf("case %d: accepted %v, want %v (%v)", v.index, got, v.accept, r)
	}
	if w.Signatures > 60 || w.Steps > 200 {
		t.Errorf("case %d: cost %+v", v.index, w)
	}
	if r != nil || !v.more {
		return got
	}
	checkPath(t, v, m)
	// The order in which certificates are sent does not matter.
	shuffled := append([]*x509.Certificate(nil), v.sent...)
	rand.Shuffle(len(shuffled)-1, func(i, j int) {
		shuffled[i+1], shuffled[j+1] = shuffled[j+1], shuffled[i+1]
	})
	again, r, _ := attest.FindServerPath(shuffled, tr, now)
	if r != nil || len(again.Path) != len(m.Path) {
		t.Errorf("case %d: in another order %d certificates, %v", v.index, len(again.Path), r)
	}
	// A certificate for servers is none for a device.
	if _, r := attest.Chain(v.sent, v.sent[0].Subject.CommonName, tr, now); r == nil || r.Rule != attest.RuleExtKeyUsage {
		t.Errorf("case %d: as a device: %v", v.index, r)
	}
	return got
}

// checkPath holds a path against crypto/x509, one signature at a time.
func checkPath(t *testing.T, v vector, m attest.Match) {
	t.Helper()
	if m.Path[0] != v.sent[0] || !m.Path[len(m.Path)-1].Equal(m.Anchor) || m.GroupID != "g" {
		t.Errorf("case %d: match %+v", v.index, m)
	}
	for i, c := range m.Path[:len(m.Path)-1] {
		if err := c.CheckSignatureFrom(m.Path[i+1]); err != nil {
			t.Errorf("case %d: certificate %d: %v", v.index, i, err)
		}
	}
}

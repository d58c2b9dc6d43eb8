package attest_test

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/attest"
)

// FuzzChain gives certificates that parse, however odd, to every check.
func FuzzChain(f *testing.F) {
	root := forge(f, "root", nil)
	ca := forge(f, "int", root)
	f.Add(leaf(f, "dev", ca).cert.Raw, ca.cert.Raw)
	f.Add(root.cert.Raw, root.cert.Raw)
	f.Add(leaf(f, "dev", nil, critical).cert.Raw, forge(f, "", ca, plain).cert.Raw)
	f.Fuzz(func(t *testing.T, first, second []byte) {
		a, err := x509.ParseCertificate(first)
		if err != nil {
			return
		}
		sent := []*x509.Certificate{a}
		if b, err := x509.ParseCertificate(second); err == nil {
			sent = append(sent, b)
		}
		start := time.Now()
		m, r := attest.Chain(sent, "dev", trust(certs(root), groups{"g": ca}), now)
		if (r == nil) == (m.GroupID == "") {
			t.Errorf("match %+v with refusal %v", m, r)
		}
		attest.Leaf(sent, "dev", sent, now)
		attest.Proof(root.cert, a, "code", now)
		if d := time.Since(start); d > time.Second {
			t.Errorf("took %v", d)
		}
	})
}

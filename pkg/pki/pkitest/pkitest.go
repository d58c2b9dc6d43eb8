// Package pkitest gives tests of other packages a certificate chain that is made once per process.
package pkitest

import (
	"sync"
	"testing"

	"github.com/dpskit/dpskit/pkg/pki"
)

type authorities struct {
	root, intermediate *pki.Authority
	err                error
}

var cached = sync.OnceValue(func() (a authorities) {
	if a.root, a.err = pki.NewRoot(nil); a.err != nil {
		return a
	}
	a.intermediate, a.err = a.root.NewIntermediate(nil)
	return a
})

// Root returns the root CA of this process.
func Root(t testing.TB) *pki.Authority {
	t.Helper()
	a := cached()
	if a.err != nil {
		t.Fatal(a.err)
	}
	return a.root
}

// Intermediate returns the CA below [Root].
func Intermediate(t testing.TB) *pki.Authority {
	t.Helper()
	Root(t)
	return cached().intermediate
}

// Device returns a new device certificate below [Intermediate].
func Device(t testing.TB, id string) *pki.Bundle {
	t.Helper()
	return Issue(t, Intermediate(t), pki.IssueRequest{Profile: pki.ProfileDevice, CommonName: id})
}

// Issue is [pki.Authority.Issue] that ends the test on an error.
func Issue(t testing.TB, ca *pki.Authority, req pki.IssueRequest) *pki.Bundle {
	t.Helper()
	b, err := ca.Issue(req)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

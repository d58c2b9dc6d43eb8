package pki_test

import (
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/pki"
)

func TestIssueChain(t *testing.T) {
	root, err := pki.NewRoot(nil)
	if err != nil {
		t.Fatal(err)
	}
	mid, err := root.NewIntermediate(nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := mid.Issue(pki.IssueRequest{CommonName: "dev-1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := pki.Verify(b.Certificate, b.Issuers, time.Now()); err != nil {
		t.Error(err)
	}
	for _, p := range pki.AllPFXProfiles() {
		for _, pw := range []string{"secret", ""} {
			pfx, err := b.PFX(pki.PFXOptions{Profile: p, Password: pw})
			if err != nil {
				t.Fatal(err)
			}
			got, err := pki.DecodePFX(pfx, pw)
			if err != nil {
				t.Fatal(p, err)
			}
			if len(got.Issuers) != 2 || !got.Certificate.Equal(b.Certificate) {
				t.Errorf("got %d issuers", len(got.Issuers))
			}
		}
	}
}

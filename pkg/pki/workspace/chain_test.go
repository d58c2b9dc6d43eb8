package workspace_test

import (
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

// A full chain file that somebody put together is searched for the path.
func TestChainAmongOthers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	w, err := workspace.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	root, mid, err := w.Init(t.Context(), workspace.InitOptions{Intermediates: 1})
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := pki.NewRoot(&pki.CAOptions{CommonName: "stranger"})
	if err != nil {
		t.Fatal(err)
	}
	issue := func(o workspace.IssueOptions) *x509.Certificate {
		b, _, err := w.Issue(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		return b.Certificate
	}
	low := issue(workspace.IssueOptions{Request: pki.IssueRequest{CommonName: "dev"}})
	high := issue(workspace.IssueOptions{Request: pki.IssueRequest{CommonName: "high"}, CA: workspace.RootName})
	alone := issue(workspace.IssueOptions{Request: pki.IssueRequest{CommonName: "alone"}, SelfSigned: true})
	r, m, s := root.Certificate(), mid.Certificate(), stranger.Certificate()
	tests := []struct {
		name       string
		entry      string
		file, want []*x509.Certificate // nil: damaged
	}{
		{"as made", "dev", []*x509.Certificate{low, m, r}, []*x509.Certificate{low, m, r}},
		{"in reverse", "dev", []*x509.Certificate{r, m, low}, []*x509.Certificate{low, m, r}},
		{"with a stranger", "dev", []*x509.Certificate{s, low, m, r}, []*x509.Certificate{low, m, r}},
		{"twice", "dev", []*x509.Certificate{low, low, m, m, r}, []*x509.Certificate{low, m, r}},
		{"without the root", "dev", []*x509.Certificate{m, low}, []*x509.Certificate{low, m}},
		{"alone", "dev", []*x509.Certificate{low}, []*x509.Certificate{low}},
		{"below the root", "high", []*x509.Certificate{high, m, r}, []*x509.Certificate{high, r}},
		{"self-signed with more", "alone", []*x509.Certificate{r, alone}, []*x509.Certificate{alone}},
		{"without the issuer", "dev", []*x509.Certificate{low, r}, nil},
		{"with another root", "dev", []*x509.Certificate{low, m, s}, nil},
		{"without itself", "dev", []*x509.Certificate{high, m, r}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := os.WriteFile(w.Paths(tt.entry).FullChain, pki.EncodeCertificatesPEM(tt.file...), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := w.Chain(tt.entry)
			if tt.want == nil {
				if !errors.Is(err, workspace.ErrBroken) {
					t.Errorf("Chain() = %v, want ErrBroken", err)
				}
				return
			}
			if err != nil || !slices.EqualFunc(got, tt.want, (*x509.Certificate).Equal) {
				t.Errorf("Chain() = %d certificates, %v; want %d", len(got), err, len(tt.want))
			}
		})
	}
}

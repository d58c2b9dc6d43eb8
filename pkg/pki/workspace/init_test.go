package workspace_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

func TestInitKeyPassphrases(t *testing.T) {
	other := func() ([]byte, error) { return []byte("another"), nil }
	for name, tt := range map[string]struct{ all, root, lower, wantRoot, wantLower func() ([]byte, error) }{
		"root alone": {root: secret, wantRoot: secret},
		"each":       {all: secret, root: other, wantRoot: other, wantLower: secret},
	} {
		w := open(t, filepath.Join(t.TempDir(), "pki"))
		if _, _, err := w.Init(t.Context(), workspace.InitOptions{
			Intermediates: 1, KeyPassphrase: tt.all, RootKeyPassphrase: tt.root, IntermediateKeyPassphrase: tt.lower,
		}); err != nil {
			t.Fatal(err)
		}
		for ca, want := range map[string]func() ([]byte, error){"root": tt.wantRoot, "intermediate": tt.wantLower} {
			if _, err := w.Authority(ca, nil); (want != nil) != errors.Is(err, pki.ErrPassphraseRequired) {
				t.Errorf("%s: %s without a pass phrase: %v", name, ca, err)
			}
			if _, err := w.Authority(ca, want); err != nil {
				t.Errorf("%s: %s: %v", name, ca, err)
			}
		}
	}
}

func TestInitNamesAndPathLengths(t *testing.T) {
	names := []string{"Policy", "Plant", "Line"}
	own, err := pki.NewRoot(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, root := range []*pki.Authority{nil, own} {
		w := open(t, filepath.Join(t.TempDir(), "pki"))
		_, issuing, err := w.Init(t.Context(), workspace.InitOptions{
			Intermediates: 3, IntermediateNames: names, LimitPathLen: true, RootAuthority: root,
		})
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range issuing.Chain() {
			want, limit := pki.DefaultRootCN, i
			if i < 3 {
				want = names[2-i]
			} else if root != nil {
				limit = -1
			}
			if c.Subject.CommonName != want || c.MaxPathLen != limit {
				t.Errorf("%q has the path length %d, want %q, %d", c.Subject.CommonName, c.MaxPathLen, want, limit)
			}
		}
		consistent(t, w)
		if _, _, err := w.CreateIntermediate(t.Context(), workspace.IntermediateOptions{}); !errors.Is(err, pki.ErrPathLen) {
			t.Errorf("one more CA below the last: %v", err)
		}
		edge := workspace.IssueOptions{Request: pki.IssueRequest{Profile: pki.ProfileEdgeCA, CommonName: "gate"}}
		if _, _, err := w.Issue(t.Context(), edge); !errors.Is(err, pki.ErrPathLen) || !errors.Is(err, pki.ErrNotCA) {
			t.Errorf("an Edge CA below the last: %v", err)
		}
		edge.CA = "intermediate2"
		if _, _, err := w.Issue(t.Context(), edge); err != nil {
			t.Errorf("an Edge CA where there is room: %v", err)
		}
	}
}

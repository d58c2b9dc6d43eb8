package workspace_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

func entryNames(w *workspace.Workspace) (list []string) {
	for _, e := range w.Entries() {
		list = append(list, e.Name)
	}
	return list
}

// A certificate with aliases is one certificate with several sets of files.
func TestAliases(t *testing.T) {
	w := ready(t)
	b, paths, err := w.Issue(t.Context(), workspace.IssueOptions{
		Name: "line-7", Aliases: []string{"newest", "third"}, PFX: &pki.PFXOptions{Password: "secret"},
		Request: pki.IssueRequest{CommonName: "dev-7"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(w.Dir(), "certs", "line-7.cert.pem"); paths.Cert != want {
		t.Errorf("path %s, want %s", paths.Cert, want)
	}
	again := open(t, w.Dir())
	for _, name := range []string{"line-7", "newest", "third"} {
		got, err := again.Bundle(name)
		if err != nil {
			t.Fatal(err)
		}
		if !got.Certificate.Equal(b.Certificate) || !pki.KeyMatches(got.Certificate, got.Key) || len(got.Issuers) != 2 {
			t.Errorf("%s is another certificate: %s", name, got.Certificate.Subject)
		}
		data, err := os.ReadFile(again.Paths(name).PFX)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pki.DecodePFX(data, "secret"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := again.Lookup("dev-7"); !errors.Is(err, workspace.ErrNotFound) {
		t.Errorf("the common name is listed: %v", err)
	}
	consistent(t, again)
}

// An alias can be taken over by the next certificate; the other names stay.
func TestAliasTakenOver(t *testing.T) {
	w := ready(t)
	issue := func(cn string, force bool, names ...string) error {
		_, _, err := w.Issue(t.Context(), workspace.IssueOptions{
			Name: names[0], Aliases: names[1:], Force: force, Request: pki.IssueRequest{CommonName: cn},
		})
		return err
	}
	if err := issue("a", false, "dev-a", "newest"); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, w.Dir())
	if err := issue("b", false, "dev-b", "newest"); !errors.Is(err, workspace.ErrExists) {
		t.Errorf("without force: %v", err)
	}
	if d := cmp.Diff(before, snapshot(t, w.Dir())); d != "" {
		t.Errorf("a refused change wrote files:\n%s", d)
	}
	if err := issue("b", true, "dev-b", "newest"); err != nil {
		t.Fatal(err)
	}
	for name, cn := range map[string]string{"dev-a": "a", "dev-b": "b", "newest": "b"} {
		if e, err := w.Lookup(name); err != nil || e.Subject != "CN="+cn {
			t.Errorf("%s is %q, %v, want %s", name, e.Subject, err, cn)
		}
	}
	kept := false
	for _, text := range snapshot(t, filepath.Join(w.Dir(), "replaced")) {
		kept = kept || text == before["private/newest.key.pem"]
	}
	if !kept {
		t.Error("the old key is lost")
	}
	consistent(t, w)
}

// Every name of a certificate is renewed with it.
func TestRenewAliases(t *testing.T) {
	w := ready(t)
	first, _, err := w.Issue(t.Context(), workspace.IssueOptions{
		Name: "line-7", Aliases: []string{"newest"}, PFX: &pki.PFXOptions{}, Request: pki.IssueRequest{CommonName: "dev-7"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"newest", "line-7"} {
		b, _, err := w.Renew(t.Context(), workspace.RenewOptions{Name: name, NewKey: i == 1})
		if err != nil {
			t.Fatal(err)
		}
		if pki.KeyMatches(first.Certificate, b.Key) != (i == 0) {
			t.Errorf("renewal %d: the key is the old one: %t", i, i != 0)
		}
		again := open(t, w.Dir())
		for _, name := range []string{"line-7", "newest"} {
			got, err := again.Bundle(name)
			if err != nil || !got.Certificate.Equal(b.Certificate) || !pki.KeyMatches(b.Certificate, got.Key) {
				t.Errorf("renewal %d: %s is another certificate: %v", i, name, err)
			}
		}
		if e, err := again.Lookup("dev-1"); err != nil || e.SHA256Thumbprint == pki.SHA256Thumbprint(b.Certificate) {
			t.Errorf("renewal %d: dev-1 is changed: %v", i, err)
		}
		consistent(t, again) // and reads every PFX with its password
	}
}

func TestRefusedAliases(t *testing.T) {
	w := ready(t)
	if _, _, err := w.Issue(t.Context(), workspace.IssueOptions{
		Name: "edge", Aliases: []string{"edge-2"}, Request: pki.IssueRequest{Profile: pki.ProfileEdgeCA, CommonName: "gw"},
	}); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, w.Dir())
	for _, test := range []struct {
		name    string
		aliases []string
		ca      string
		force   bool
		want    error
	}{
		{"x", []string{"x"}, "", true, nil},
		{"x", []string{"y", "Y"}, "", true, nil},
		{"x", []string{""}, "", true, pki.ErrInvalidID},
		{"x", []string{"root"}, "", true, pki.ErrInvalidID},
		{"x", []string{"intermediate2"}, "", true, pki.ErrInvalidID},
		{"x", []string{"verification-code"}, "", true, pki.ErrInvalidID},
		{"x", []string{"dev-1"}, "", false, workspace.ErrExists},
		{"x", []string{"DEV-1"}, "", true, workspace.ErrNameConflict},
		// A CA cannot be replaced by what it signs, under whatever name.
		{"x", []string{"edge"}, "edge", true, pki.ErrInvalidID},
		{"edge-2", nil, "edge-2", true, pki.ErrInvalidID},
	} {
		_, _, err := w.Issue(t.Context(), workspace.IssueOptions{
			Name: test.name, Aliases: test.aliases, CA: test.ca, Force: test.force, Request: pki.IssueRequest{CommonName: "dev"},
		})
		if err == nil || test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%q and %q by %q: %v, want %v", test.name, test.aliases, test.ca, err, test.want)
		}
	}
	if d := cmp.Diff(before, snapshot(t, w.Dir())); d != "" {
		t.Errorf("a refused change wrote files:\n%s", d)
	}
}

// A proof takes the place of a proof under any name, and of nothing else.
func TestVerificationNames(t *testing.T) {
	w := ready(t)
	prove := func(code string, force bool, names ...string) (*pki.Bundle, error) {
		b, _, err := w.IssueVerification(t.Context(), workspace.VerificationOptions{
			Code: code, Names: names, Force: force, PFX: &pki.PFXOptions{Password: "pw"},
		})
		return b, err
	}
	b, err := prove("ONE", false, "verification-code", "iot-device-verification-code")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"verification-code", "iot-device-verification-code"} {
		if got, err := w.Bundle(name); err != nil || !got.Certificate.Equal(b.Certificate) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := prove("TWO", false, "iot-device-verification-code"); err != nil {
		t.Fatal(err)
	}
	if e, err := w.Lookup("verification-code"); err != nil || e.Subject != "CN=ONE" {
		t.Errorf("verification-code is %q, %v", e.Subject, err)
	}
	before := snapshot(t, w.Dir())
	for _, name := range []string{"dev-1", "DEV-1", "root", "intermediate", ""} {
		if _, err := prove("THREE", false, name); err == nil {
			t.Errorf("a proof took the name %q", name)
		}
	}
	if d := cmp.Diff(before, snapshot(t, w.Dir())); d != "" {
		t.Errorf("a refused change wrote files:\n%s", d)
	}
	if _, err := prove("THREE", true, "dev-1"); err != nil {
		t.Fatal(err)
	}
	if e, err := w.Lookup("dev-1"); err != nil || e.Profile != pki.ProfileVerification {
		t.Errorf("dev-1 is %q, %v", e.Profile, err)
	}
	consistent(t, w)
}

// Every intermediate has a full chain, and a PFX when it is asked for.
func TestIntermediateFiles(t *testing.T) {
	w := open(t, filepath.Join(t.TempDir(), "pki"))
	if _, _, err := w.Init(t.Context(), workspace.InitOptions{Intermediates: 2}); err != nil {
		t.Fatal(err)
	}
	ca, paths, err := w.CreateIntermediate(t.Context(), workspace.IntermediateOptions{PFX: &pki.PFXOptions{}})
	if err != nil {
		t.Fatal(err)
	}
	for name, n := range map[string]int{"intermediate": 2, "intermediate2": 3, "intermediate3": 4} {
		data, err := os.ReadFile(w.Paths(name).FullChain)
		if err != nil {
			t.Fatal(err)
		}
		if certs, err := pki.ParseCertificates(data); err != nil || len(certs) != n {
			t.Errorf("%s has a chain of %d, %v, want %d", name, len(certs), err, n)
		}
	}
	password, err := os.ReadFile(paths.PFXPassword)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(paths.PFX)
	if err != nil {
		t.Fatal(err)
	}
	b, err := pki.DecodePFX(data, string(bytes.TrimSpace(password)))
	if err != nil || !b.Certificate.Equal(ca.Certificate()) || len(b.Issuers) != 3 {
		t.Errorf("the pfx: %v", err)
	}
	consistent(t, w)
}

// A root from outside is used as it is; what cannot be a root changes nothing.
func TestInitWithRoot(t *testing.T) {
	outside, err := pki.NewRoot(&pki.CAOptions{CommonName: "Contoso Root"})
	if err != nil {
		t.Fatal(err)
	}
	w := ready(t)
	opts := workspace.InitOptions{RootAuthority: outside, Intermediates: 1, Force: true}
	root, issuing, err := w.Init(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if !root.Certificate().Equal(outside.Certificate()) || issuing.Certificate().CheckSignatureFrom(outside.Certificate()) != nil {
		t.Error("the root is another one")
	}
	if d := cmp.Diff([]string{"intermediate", "root"}, entryNames(w)); d != "" {
		t.Errorf("entries (-want +got):\n%s", d)
	}
	if a, err := w.Authority("root", nil); err != nil || !a.Certificate().Equal(outside.Certificate()) {
		t.Errorf("the root cannot be loaded: %v", err)
	}

	before := snapshot(t, w.Dir())
	for name, test := range map[string]struct {
		root *pki.Authority
		now  time.Time
		want error
	}{
		"below another": {root: issuing, now: time.Now()},
		"expired":       {root: outside, now: outside.Certificate().NotAfter.Add(time.Second), want: pki.ErrExpired},
		"not yet valid": {root: outside, now: outside.Certificate().NotBefore.Add(-time.Second), want: pki.ErrNotYetValid},
	} {
		opts := workspace.InitOptions{RootAuthority: test.root, Force: true}
		opts.Root.Now = func() time.Time { return test.now }
		if _, _, err := w.Init(t.Context(), opts); err == nil || test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	if d := cmp.Diff(before, snapshot(t, w.Dir())); d != "" {
		t.Errorf("a refused root wrote files:\n%s", d)
	}
}

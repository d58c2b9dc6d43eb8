package workspace_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

func TestOpenNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	w := open(t, dir)
	if w.Dir() != dir || w.Exists() || len(w.Entries()) != 0 || w.DefaultCA() != "root" {
		t.Errorf("dir %q, exists %t, entries %v, ca %q", w.Dir(), w.Exists(), w.Entries(), w.DefaultCA())
	}
	calls := map[string]func() error{
		"Lookup":    func() error { _, err := w.Lookup("root"); return err },
		"Bundle":    func() error { _, err := w.Bundle("dev-1"); return err },
		"Chain":     func() error { _, err := w.Chain("dev-1"); return err },
		"Authority": func() error { _, err := w.Authority("root", nil); return err },
		"IssueDevice": func() error {
			_, _, err := w.IssueDevice(t.Context(), workspace.DeviceOptions{ID: "dev-1"})
			return err
		},
		"IssueVerification": func() error {
			_, _, err := w.IssueVerification(t.Context(), workspace.VerificationOptions{Code: "ABC"})
			return err
		},
		"CreateIntermediate": func() error {
			_, _, err := w.CreateIntermediate(t.Context(), workspace.IntermediateOptions{})
			return err
		},
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, workspace.ErrNotFound) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want ErrNotFound", name, err)
		}
	}
	if _, err := os.Lstat(filepath.Dir(dir)); err == nil {
		t.Error("the folder was made")
	}
}

func TestInit(t *testing.T) {
	for n := range 4 {
		w := open(t, filepath.Join(t.TempDir(), "new", "pki"))
		root, issuing, err := w.Init(t.Context(), workspace.InitOptions{Intermediates: n})
		if err != nil {
			t.Fatal(err)
		}
		if len(issuing.Chain()) != n+1 || !issuing.Chain()[n].Equal(root.Certificate()) {
			t.Errorf("%d intermediates: the chain has %d certificates", n, len(issuing.Chain()))
		}
		again := open(t, w.Dir())
		a, err := again.Authority(again.DefaultCA(), nil)
		if err != nil || !slices.EqualFunc(a.Chain(), issuing.Chain(), (*x509.Certificate).Equal) {
			t.Errorf("%d intermediates: another chain comes back, %v", n, err)
		}
		consistent(t, again)
	}
}

func TestInitOptions(t *testing.T) {
	now := func() time.Time { return time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC) }
	w := open(t, filepath.Join(t.TempDir(), "pki"))
	_, issuing, err := w.Init(t.Context(), workspace.InitOptions{
		Root:         pki.CAOptions{CommonName: "Contoso Root", KeyType: pki.KeyECP384, Now: now, Validity: pki.Validity{Days: 100}},
		Intermediate: pki.CAOptions{CommonName: "Contoso CA", Now: now}, Intermediates: 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range issuing.Chain() {
		names = append(names, c.Subject.CommonName)
	}
	if want := []string{"Contoso CA 2", "Contoso CA", "Contoso Root"}; !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
	e, err := w.Lookup("root")
	if err != nil || e.KeyType != pki.KeyECP384 || !e.NotAfter.Equal(now().AddDate(0, 0, 100)) {
		t.Errorf("root is %+v, %v", e, err)
	}
}

func TestInitRefuses(t *testing.T) {
	w := ready(t)
	before := snapshot(t, w.Dir())
	for name, opts := range map[string]workspace.InitOptions{
		"root is there": {Intermediates: 1}, "negative": {Intermediates: -1, Force: true}, "many": {Intermediates: 11, Force: true},
		"path length":  {Intermediates: 2, Force: true, Root: pki.CAOptions{MaxPathLen: new(int)}},
		"few names":    {Intermediates: 2, Force: true, IntermediateNames: []string{"A"}},
		"same names":   {Intermediates: 3, Force: true, IntermediateNames: []string{"A", "B", "A"}},
		"bad name":     {Force: true, Root: pki.CAOptions{CommonName: "a\nb"}},
		"no secret":    {Force: true, KeyPassphrase: func() ([]byte, error) { return nil, errors.New("no terminal") }},
		"empty secret": {Force: true, KeyPassphrase: func() ([]byte, error) { return nil, nil }},
	} {
		_, _, err := w.Init(t.Context(), opts)
		if err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want an error", name, err)
		}
		if (name == "root is there") != errors.Is(err, workspace.ErrExists) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if diff := cmp.Diff(before, snapshot(t, w.Dir())); diff != "" {
		t.Errorf("files are changed (-want +got):\n%s", diff)
	}
}

// A new root puts everything that the old one issued aside, so that no device keeps a chain to a CA that is gone.
func TestInitByForce(t *testing.T) {
	w := ready(t)
	if _, _, err := w.IssueDevice(t.Context(), workspace.DeviceOptions{ID: "alone", SelfSigned: true}); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, w.Dir())
	if _, _, err := w.Init(t.Context(), workspace.InitOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	got := slices.Sorted(maps.Keys(names(open(t, w.Dir()))))
	if want := []string{"alone", "root"}; !slices.Equal(got, want) {
		t.Errorf("got the entries %q, want %q", got, want)
	}
	keptOld(t, snapshot(t, w.Dir()), before)
	consistent(t, w)
	stamps, err := os.ReadDir(filepath.Join(w.Dir(), "replaced"))
	if err != nil || len(stamps) != 1 {
		t.Fatalf("replaced has %d folders, %v", len(stamps), err)
	}
	if _, err := time.Parse("20060102T150405Z", stamps[0].Name()); err != nil {
		t.Error(err)
	}
	// Twice within a second: two folders.
	at := func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }
	for range 2 {
		if _, _, err := w.Init(t.Context(), workspace.InitOptions{Force: true, Root: pki.CAOptions{Now: at, Validity: pki.Validity{Days: 9999}}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"20260101T000000Z", "20260101T000000Z-2"} {
		if _, err := os.Stat(filepath.Join(w.Dir(), "replaced", name, "certs")); err != nil {
			t.Error(err)
		}
	}
}

func TestIssueDevice(t *testing.T) {
	w := ready(t)
	for _, tt := range []struct {
		name    string
		opts    workspace.DeviceOptions
		issuers int
	}{
		{"default ca", workspace.DeviceOptions{ID: "a"}, 2},
		{"root", workspace.DeviceOptions{ID: "b", CA: "root"}, 1},
		{"self-signed", workspace.DeviceOptions{ID: "c", SelfSigned: true}, 0},
		{"pfx", workspace.DeviceOptions{ID: "d", PFX: &pki.PFXOptions{Profile: pki.PFXLegacy, Password: "mine"}}, 2},
		{"key type and days", workspace.DeviceOptions{ID: "e", KeyType: pki.KeyECP384, Validity: pki.Validity{Days: 1}}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, paths, err := w.IssueDevice(t.Context(), tt.opts)
			if err != nil {
				t.Fatal(err)
			}
			if len(b.Issuers) != tt.issuers || b.Certificate.Subject.CommonName != tt.opts.ID {
				t.Errorf("%d issuers, subject %s", len(b.Issuers), b.Certificate.Subject)
			}
			for path, want := range map[string][]byte{paths.Cert: b.CertificatePEM(), paths.FullChain: b.FullChainPEM()} {
				if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s: %v", path, err)
				}
			}
			if tt.opts.PFX != nil {
				data, err := os.ReadFile(paths.PFX)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := pki.DecodePFX(data, "mine"); err != nil {
					t.Error(err)
				}
			}
			if _, err := os.Lstat(paths.PFXPassword); err == nil {
				t.Error("a password of the user was written down")
			}
			if _, _, err := w.IssueDevice(t.Context(), tt.opts); !errors.Is(err, workspace.ErrExists) {
				t.Errorf("again: got %v, want ErrExists", err)
			}
		})
	}
	consistent(t, open(t, w.Dir()))
}

func TestIssueDeviceRefuses(t *testing.T) {
	w := ready(t)
	before := snapshot(t, w.Dir())
	for name, tt := range map[string]struct {
		opts workspace.DeviceOptions
		is   error
	}{
		"unknown ca": {workspace.DeviceOptions{ID: "x", CA: "other"}, workspace.ErrNotFound},
		"no ca":      {workspace.DeviceOptions{ID: "x", CA: "dev-1"}, pki.ErrNotCA},
		"key type":   {workspace.DeviceOptions{ID: "x", KeyType: "dsa"}, nil},
		"days":       {workspace.DeviceOptions{ID: "x", Validity: pki.Validity{Days: -1}}, nil},
		"pfx":        {workspace.DeviceOptions{ID: "x", PFX: &pki.PFXOptions{Profile: "x"}}, nil},
		"password":   {workspace.DeviceOptions{ID: "x", PFX: &pki.PFXOptions{Password: "😀"}}, nil},
		"expired ca": {workspace.DeviceOptions{ID: "x", Now: func() time.Time { return time.Now().AddDate(1, 0, 0) }}, pki.ErrExpired},
	} {
		_, _, err := w.IssueDevice(t.Context(), tt.opts)
		if err == nil || tt.is != nil && !errors.Is(err, tt.is) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want %v", name, err, tt.is)
		}
	}
	if diff := cmp.Diff(before, snapshot(t, w.Dir())); diff != "" {
		t.Errorf("files are changed (-want +got):\n%s", diff)
	}
}

// Several certificates in one change: all or none.
func TestIssueAll(t *testing.T) {
	w := ready(t)
	before := snapshot(t, w.Dir())
	ask := func(ids ...string) (opts []workspace.IssueOptions) {
		for _, id := range ids {
			opts = append(opts, workspace.IssueOptions{Request: pki.IssueRequest{CommonName: id}})
		}
		return opts
	}
	for name, tt := range map[string]struct {
		ids []string
		is  error
	}{
		"one is there": {[]string{"x", "dev-1", "y"}, workspace.ErrExists}, "one is bad": {[]string{"x", "a/b"}, pki.ErrInvalidID},
		"twice": {[]string{"x", "y", "x"}, nil}, "twice by case": {[]string{"x", "X"}, nil},
	} {
		if _, err := w.IssueAll(t.Context(), ask(tt.ids...)); err == nil || tt.is != nil && !errors.Is(err, tt.is) {
			t.Errorf("%s: got %v, want %v", name, err, tt.is)
		}
	}
	if diff := cmp.Diff(before, snapshot(t, w.Dir())); diff != "" {
		t.Errorf("files are changed (-want +got):\n%s", diff)
	}
	issued, err := w.IssueAll(t.Context(), ask("z", "y", "x"))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"z", "y", "x"} {
		got := issued[i]
		if got.Name != want || got.Bundle.Certificate.Subject.CommonName != want || got.Paths != w.Paths(want) {
			t.Errorf("result %d is %q, want %q", i, got.Name, want)
		}
	}
	if issued, err := w.IssueAll(t.Context(), nil); err != nil || issued != nil {
		t.Errorf("nothing: %v, %v", issued, err)
	}
	consistent(t, w)
}

func TestIssueOtherProfiles(t *testing.T) {
	w := ready(t)
	key, err := pki.GenerateKey("")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		opts workspace.IssueOptions
		want string // name of the entry
	}{
		{"edge ca", workspace.IssueOptions{Request: pki.IssueRequest{Profile: pki.ProfileEdgeCA, CommonName: "gw"}}, "gw.ca"},
		{"identity beside it", workspace.IssueOptions{Request: pki.IssueRequest{Profile: pki.ProfileEdgeIdentity, CommonName: "gw"}}, "gw"},
		{"server", workspace.IssueOptions{Name: "gw-server", Request: pki.IssueRequest{Profile: pki.ProfileServer, CommonName: "gw"}}, "gw-server"},
		{"wildcard", workspace.IssueOptions{Request: pki.IssueRequest{Profile: pki.ProfileServer, CommonName: "*.local"}}, "*.local"},
		{"below the edge ca", workspace.IssueOptions{CA: "gw.ca", Request: pki.IssueRequest{CommonName: "child"}}, "child"},
		{"for a request", workspace.IssueOptions{Request: pki.IssueRequest{CommonName: "csr", PublicKey: key.Public()}}, "csr"},
		{"empty password", workspace.IssueOptions{PFX: &pki.PFXOptions{}, EmptyPFXPassword: true, Request: pki.IssueRequest{CommonName: "open"}}, "open"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, paths, err := w.Issue(t.Context(), tt.opts)
			if err != nil {
				t.Fatal(err)
			}
			e, err := w.Lookup(tt.want)
			if err != nil || e.SHA256Thumbprint != pki.SHA256Thumbprint(b.Certificate) {
				t.Fatalf("it is not called %q: %v", tt.want, err)
			}
			if _, err := os.Lstat(paths.Key); (err == nil) != (tt.opts.Request.PublicKey == nil) {
				t.Errorf("key file: %v", err)
			}
			if _, err := os.Lstat(paths.PFXPassword); err == nil {
				t.Error("an empty password was written down")
			}
		})
	}
	if b, err := w.Bundle("csr"); err != nil || b.Key != nil {
		t.Errorf("a certificate without a key: %v", err)
	}
	if e, err := w.Lookup("child"); err != nil || e.CA != "gw.ca" {
		t.Errorf("child is below %q, %v", e.CA, err)
	}
	_, _, err = w.Issue(t.Context(), workspace.IssueOptions{
		PFX: &pki.PFXOptions{}, Request: pki.IssueRequest{CommonName: "y", PublicKey: key.Public()},
	})
	if err == nil || !strings.Contains(err.Error(), "needs the private key") {
		t.Errorf("a pfx without a key: got %v", err)
	}
	consistent(t, open(t, w.Dir()))
}

func TestIssueVerification(t *testing.T) {
	w := ready(t)
	for _, tt := range []struct{ ca, want string }{{"", pki.DefaultRootCN}, {"intermediate", pki.DefaultIntermediateCN}} {
		b, paths, err := w.IssueVerification(t.Context(), workspace.VerificationOptions{Code: "\ufeff ABC\r\n", CA: tt.ca})
		if err != nil {
			t.Fatal(err)
		}
		if b.Certificate.Subject.String() != "CN=ABC" || b.Certificate.Issuer.CommonName != tt.want {
			t.Errorf("subject %s, issuer %s", b.Certificate.Subject, b.Certificate.Issuer)
		}
		if got, err := os.ReadFile(paths.Cert); err != nil || !bytes.Equal(got, b.CertificatePEM()) {
			t.Errorf("%s: %v", paths.Cert, err)
		}
		if filepath.Base(paths.Cert) != "verification-code.cert.pem" || filepath.Base(paths.Key) != "verification-code.key.pem" {
			t.Errorf("files %q and %q", paths.Cert, paths.Key)
		}
	}
	if _, err := os.Lstat(filepath.Join(w.Dir(), "replaced")); err == nil {
		t.Error("an old proof is kept")
	}
	consistent(t, w)
	for _, code := range []string{"", " \n", "a b", "a/b", strings.Repeat("A", 65)} {
		_, _, err := w.IssueVerification(t.Context(), workspace.VerificationOptions{Code: code})
		if !errors.Is(err, pki.ErrInvalidID) {
			t.Errorf("code %q: got %v, want ErrInvalidID", code, err)
		}
	}
	if b, err := w.Bundle("verification-code"); err != nil || b.Certificate.Subject.CommonName != "ABC" {
		t.Errorf("a refused code changed the proof: %v", err)
	}
}

// A CA from outside can be proved without a root in the workspace.
func TestIssueVerificationForForeignCA(t *testing.T) {
	foreign, err := pki.NewRoot(&pki.CAOptions{CommonName: "Contoso"})
	if err != nil {
		t.Fatal(err)
	}
	w := open(t, filepath.Join(t.TempDir(), "pki"))
	b, _, err := w.IssueVerification(t.Context(), workspace.VerificationOptions{Code: "ABC", Authority: foreign})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Certificate.CheckSignatureFrom(foreign.Certificate()); err != nil {
		t.Error(err)
	}
	again := open(t, w.Dir())
	if got, err := again.Bundle("verification-code"); err != nil || len(got.Issuers) != 1 || again.Exists() {
		t.Errorf("it does not come back: %v", err)
	}
	if _, err := os.ReadFile(filepath.Join(w.Dir(), "private", "azure-iot-test-only.root.ca.key.pem")); err == nil {
		t.Error("the key of the foreign ca was written")
	}
}

func TestCreateIntermediate(t *testing.T) {
	w := open(t, filepath.Join(t.TempDir(), "pki"))
	if _, _, err := w.Init(t.Context(), workspace.InitOptions{}); err != nil {
		t.Fatal(err)
	}
	make := func(opts workspace.IntermediateOptions) *pki.Authority {
		t.Helper()
		a, _, err := w.CreateIntermediate(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	first, second := make(workspace.IntermediateOptions{}), make(workspace.IntermediateOptions{})
	if len(first.Chain()) != 2 || len(second.Chain()) != 3 || w.DefaultCA() != "intermediate2" {
		t.Errorf("chains of %d and %d, default ca %q", len(first.Chain()), len(second.Chain()), w.DefaultCA())
	}
	factory := make(workspace.IntermediateOptions{Name: "factory-7"})
	if len(factory.Chain()) != 2 || factory.Certificate().Subject.CommonName != "factory-7" || w.DefaultCA() != "intermediate2" {
		t.Errorf("a named ca: chain of %d, default ca %q", len(factory.Chain()), w.DefaultCA())
	}
	line := make(workspace.IntermediateOptions{Name: "line-1", CA: "Factory-7", Options: pki.CAOptions{CommonName: "Line 1"}})
	if len(line.Chain()) != 3 || line.Certificate().Subject.CommonName != "Line 1" {
		t.Errorf("below a named ca: chain of %d", len(line.Chain()))
	}
	if _, _, err := w.IssueDevice(t.Context(), workspace.DeviceOptions{ID: "d", CA: "line-1"}); err != nil {
		t.Error(err)
	}
	consistent(t, open(t, w.Dir()))
	for name, tt := range map[string]struct {
		opts workspace.IntermediateOptions
		is   error
	}{
		"there already":      {workspace.IntermediateOptions{Name: "factory-7"}, workspace.ErrExists},
		"series, there":      {workspace.IntermediateOptions{Name: "intermediate"}, workspace.ErrExists},
		"other case":         {workspace.IntermediateOptions{Name: "FACTORY-7"}, workspace.ErrNameConflict},
		"reserved":           {workspace.IntermediateOptions{Name: "root"}, pki.ErrInvalidID},
		"gap in the series":  {workspace.IntermediateOptions{Name: "intermediate4"}, pki.ErrInvalidID},
		"unknown signer":     {workspace.IntermediateOptions{Name: "n", CA: "other"}, workspace.ErrNotFound},
		"signer is no ca":    {workspace.IntermediateOptions{Name: "n", CA: "d"}, pki.ErrNotCA},
		"itself":             {workspace.IntermediateOptions{Name: "factory-7", CA: "factory-7", Force: true}, pki.ErrInvalidID},
		"signer is below it": {workspace.IntermediateOptions{Name: "factory-7", CA: "line-1", Force: true}, pki.ErrInvalidID},
	} {
		before := names(w)
		if _, _, err := w.CreateIntermediate(t.Context(), tt.opts); !errors.Is(err, tt.is) {
			t.Errorf("%s: got %v, want %v", name, err, tt.is)
		}
		if !maps.Equal(before, names(open(t, w.Dir()))) {
			t.Errorf("%s: the workspace is changed", name)
		}
	}
	// By force it is replaced with all that is below it.
	make(workspace.IntermediateOptions{Name: "factory-7", Force: true})
	if got := slices.Sorted(maps.Keys(names(w))); !slices.Equal(got, []string{"factory-7", "intermediate", "intermediate2", "root"}) {
		t.Errorf("got the entries %q", got)
	}
	make(workspace.IntermediateOptions{Name: "intermediate", Force: true})
	if w.DefaultCA() != "intermediate" {
		t.Errorf("default ca is %q", w.DefaultCA())
	}
	consistent(t, open(t, w.Dir()))
}

func TestRenew(t *testing.T) {
	w := ready(t)
	if _, _, err := w.IssueDevice(t.Context(), workspace.DeviceOptions{ID: "alone", SelfSigned: true, KeyType: pki.KeyECP384}); err != nil {
		t.Fatal(err)
	}
	_, _, err := w.Issue(t.Context(), workspace.IssueOptions{Request: pki.IssueRequest{
		Profile: pki.ProfileServer, CommonName: "srv", DNSNames: []string{"srv", "srv.local"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err = w.Issue(t.Context(), workspace.IssueOptions{Request: pki.IssueRequest{Profile: pki.ProfileEdgeCA, CommonName: "gw"}}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		opts    workspace.RenewOptions
		sameKey bool
	}{
		{workspace.RenewOptions{Name: "dev-1"}, true},
		{workspace.RenewOptions{Name: "DEV-1", NewKey: true}, false},
		{workspace.RenewOptions{Name: "dev-1", CA: "root", Validity: pki.Validity{Days: 3}}, true},
		{workspace.RenewOptions{Name: "alone"}, true},
		{workspace.RenewOptions{Name: "alone", NewKey: true}, false},
		{workspace.RenewOptions{Name: "srv"}, true},
		{workspace.RenewOptions{Name: "gw.ca"}, true},
	} {
		before, err := w.Bundle(tt.opts.Name)
		if err != nil {
			t.Fatal(err)
		}
		files := snapshot(t, w.Dir())
		b, _, err := w.Renew(t.Context(), tt.opts)
		if err != nil {
			t.Errorf("%+v: %v", tt.opts, err)
			continue
		}
		c, old := b.Certificate, before.Certificate
		if c.Equal(old) || c.Subject.String() != old.Subject.String() || !slices.Equal(c.DNSNames, old.DNSNames) ||
			b.Profile != before.Profile || pki.KeyMatches(c, before.Key) != tt.sameKey {
			t.Errorf("%+v: got %s, same key %t", tt.opts, c.Subject, pki.KeyMatches(c, before.Key))
		}
		if t1, err := pki.KeyTypeOf(c.PublicKey); err != nil || t1 != must(pki.KeyTypeOf(old.PublicKey)) {
			t.Errorf("%+v: the key type is %s", tt.opts, t1)
		}
		keptOld(t, snapshot(t, w.Dir()), files)
		consistent(t, open(t, w.Dir()))
	}
	for name, is := range map[string]error{
		"root": nil, "intermediate": nil, "verification-code": nil, "other": workspace.ErrNotFound,
	} {
		if _, _, err := w.Renew(t.Context(), workspace.RenewOptions{Name: name}); err == nil || is != nil && !errors.Is(err, is) {
			t.Errorf("renew %s: got %v", name, err)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// The password that was made up stays; a PFX whose password is not known is put aside.
func TestRenewPFX(t *testing.T) {
	w := ready(t)
	password, err := os.ReadFile(w.Paths("dev-1").PFXPassword)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Renew(t.Context(), workspace.RenewOptions{Name: "dev-1"}); err != nil {
		t.Fatal(err)
	}
	if again, err := os.ReadFile(w.Paths("dev-1").PFXPassword); err != nil || !bytes.Equal(password, again) {
		t.Errorf("the password is another: %v", err)
	}
	if _, _, err := w.IssueDevice(t.Context(), workspace.DeviceOptions{ID: "d", PFX: &pki.PFXOptions{Password: "mine"}}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Renew(t.Context(), workspace.RenewOptions{Name: "d"}); err != nil {
		t.Fatal(err)
	}
	if e, err := w.Lookup("d"); err != nil || e.Files.PFX != "" {
		t.Errorf("the manifest lists the pfx %q", e.Files.PFX)
	}
	if _, err := os.Lstat(w.Paths("d").PFX); err == nil {
		t.Error("the pfx of the old certificate is still there")
	}
	consistent(t, open(t, w.Dir()))
}

// A renewed PFX keeps its profile, and its password unless another one is given.
func TestRenewPFXProfile(t *testing.T) {
	w := ready(t)
	_, paths, err := w.IssueDevice(t.Context(), workspace.DeviceOptions{ID: "old", PFX: &pki.PFXOptions{Profile: pki.PFXLegacy}})
	if err != nil {
		t.Fatal(err)
	}
	kept := string(must(os.ReadFile(paths.PFXPassword)))
	for _, test := range []struct {
		pfx      *pki.PFXOptions
		profile  pki.PFXProfile
		password string // "" is the kept one
	}{
		{nil, pki.PFXLegacy, ""},
		{&pki.PFXOptions{}, pki.PFXLegacy, ""},
		{&pki.PFXOptions{Profile: pki.PFXModern}, pki.PFXModern, ""},
		{nil, pki.PFXModern, ""},
		{&pki.PFXOptions{Profile: pki.PFXLegacy}, pki.PFXLegacy, ""},
		{&pki.PFXOptions{Password: "other"}, pki.PFXLegacy, "other"},
	} {
		if _, _, err := w.Renew(t.Context(), workspace.RenewOptions{Name: "old", PFX: test.pfx}); err != nil {
			t.Fatal(err)
		}
		e, err := open(t, w.Dir()).Lookup("old")
		if err != nil || e.PFXProfile != test.profile {
			t.Errorf("%+v: profile %q, %v, want %q", test.pfx, e.PFXProfile, err, test.profile)
		}
		password := test.password
		if password == "" {
			password = strings.TrimSpace(kept)
			if data, err := os.ReadFile(paths.PFXPassword); err != nil || string(data) != kept {
				t.Errorf("%+v: the kept password is %q, %v", test.pfx, data, err)
			}
		}
		data := must(os.ReadFile(paths.PFX))
		if _, err := pki.DecodePFX(data, password); err != nil {
			t.Errorf("%+v: %v", test.pfx, err)
		}
		// PBES2, which only the modern profile has.
		if modern := bytes.Contains(data, []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 13}); modern != (test.profile == pki.PFXModern) {
			t.Errorf("%+v: the file is modern: %t", test.pfx, modern)
		}
	}
}

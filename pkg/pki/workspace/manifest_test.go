package workspace_test

import (
	"bytes"
	"encoding/json"
	"errors"
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

func TestManifestContent(t *testing.T) {
	w := ready(t)
	b, err := w.Bundle("dev-1")
	if err != nil {
		t.Fatal(err)
	}
	entries := manifestEntries(t, w.Dir())
	var got []string
	for _, e := range entries {
		got = append(got, e.Name)
	}
	if want := []string{"dev-1", "intermediate", "root", "verification-code"}; !slices.Equal(got, want) {
		t.Errorf("the manifest lists %q, want %q", got, want)
	}
	c := b.Certificate
	want := workspace.Entry{
		Name: "dev-1", Profile: pki.ProfileDevice, Subject: "CN=dev-1", Issuer: "CN=" + pki.DefaultIntermediateCN,
		CA: "intermediate", Serial: strings.ToUpper(c.SerialNumber.Text(16)), NotBefore: c.NotBefore, NotAfter: c.NotAfter,
		SHA1Thumbprint: pki.SHA1Thumbprint(c), SHA256Thumbprint: pki.SHA256Thumbprint(c), KeyType: pki.KeyECP256,
		PFXProfile: pki.PFXModern,
		Files: workspace.Files{
			Certificate: "certs/dev-1.cert.pem", FullChain: "certs/dev-1-full-chain.cert.pem", Key: "private/dev-1.key.pem",
			PFX: "certs/dev-1.cert.pfx", PFXPassword: "private/dev-1.pfx.password",
		},
	}
	if diff := cmp.Diff(want, entries[0]); diff != "" {
		t.Errorf("entry (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(w.Entries(), entries); diff != "" {
		t.Errorf("Entries and the manifest differ:\n%s", diff)
	}
}

// Member names are part of the format: other programs read them.
func TestManifestMembers(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(ready(t).Dir(), "certgen.json"))
	if err != nil {
		t.Fatal(err)
	}
	var m struct {
		Entries []map[string]json.RawMessage `json:"entries"`
	}
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	for _, member := range []string{
		"name", "profile", "subject", "issuer", "ca", "serial", "notBefore", "notAfter", "sha1Thumbprint",
		"sha256Thumbprint", "keyType", "files",
	} {
		if len(m.Entries[0][member]) == 0 {
			t.Errorf("the first entry has no member %q", member)
		}
	}
	if !bytes.HasSuffix(data, []byte("}\n")) || bytes.HasSuffix(data, []byte("\n\n")) {
		t.Error("the manifest does not end with one line end")
	}
	if again, err := workspace.ReencodeManifest(data); err != nil || !bytes.Equal(again, data) {
		t.Errorf("the manifest does not come back: %v", err)
	}
}

// A manifest that cannot be read stops everything and stays as it is; Rebuild makes another from the files.
func TestBrokenManifest(t *testing.T) {
	dir := ready(t).Dir()
	path := filepath.Join(dir, "certgen.json")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	replace := func(old, new string) string { return strings.Replace(string(good), old, new, 1) }
	for name, tt := range map[string]struct{ content, want string }{
		"empty":          {"", "it is empty"},
		"cut short":      {string(good[:len(good)/2]), "unexpected end of JSON input"},
		"not JSON":       {"certs\n", "invalid character"},
		"other JSON":     {"[]", "cannot unmarshal array"},
		"no version":     {`{"entries":[]}`, "no known version"},
		"newer":          {replace(`"version": 1`, `"version": 2`), "version 2, and this program knows version 1"},
		"data behind":    {string(good) + "{}", "after top-level value"},
		"twice":          {replace(`"name": "intermediate"`, `"name": "DEV-1"`), "is there twice"},
		"no name":        {replace(`"name": "dev-1"`, `"name": ""`), "it is empty"},
		"profile":        {replace(`"profile": "device"`, `"profile": "x"`), "known profiles"},
		"path":           {replace(`private/dev-1.key.pem`, `../dev-1.key.pem`), "outside of the folders"},
		"absolute path":  {replace(`private/dev-1.key.pem`, `/etc/passwd`), "outside of the folders"},
		"inner path":     {replace(`private/dev-1.key.pem`, `private/../../x`), "outside of the folders"},
		"backslash":      {replace(`private/dev-1.key.pem`, `private/..\\..\\x`), "outside of the folders"},
		"folder":         {replace(`private/dev-1.key.pem`, `private/`), "outside of the folders"},
		"no certificate": {replace(`"certificate": "certs/dev-1.cert.pem",`, ``), "no certificate file"},
		"no thumbprint":  {replace(`"sha256Thumbprint"`, `"x"`), "no sha256Thumbprint"},
		"missing ca":     {replace(`"ca": "intermediate"`, `"ca": "other"`), `its ca "other"`},
		"date":           {replace(`"notBefore": "`, `"notBefore": "x`), "cannot parse"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(path, []byte(tt.content), 0o644); err != nil {
				t.Fatal(err)
			}
			before := snapshot(t, dir)
			w, err := workspace.Open(dir)
			if w != nil || !errors.Is(err, workspace.ErrBroken) {
				t.Fatalf("got %v, want ErrBroken", err)
			}
			if msg := err.Error(); !strings.Contains(msg, tt.want) || !strings.Contains(msg, "certgen.json") ||
				strings.Contains(msg, "\n") {
				t.Errorf("got %q, want one line with the file and %q", msg, tt.want)
			}
			if diff := cmp.Diff(before, snapshot(t, dir)); diff != "" {
				t.Errorf("Open changed files:\n%s", diff)
			}
		})
	}

	if err := os.WriteFile(path, []byte("broken"), 0o644); err != nil {
		t.Fatal(err)
	}
	w, err := workspace.Rebuild(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(w.Problems()) > 0 {
		t.Errorf("problems: %v", w.Problems())
	}
	again, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(good, again) {
		t.Errorf("the manifest is not what it was:\n%s", cmp.Diff(string(good), string(again)))
	}
	consistent(t, open(t, dir))
}

// An entry whose file is changed or gone is reported with its name; the others still work.
func TestDamagedFiles(t *testing.T) {
	write := func(content string) func(string) error {
		return func(path string) error { return os.WriteFile(path, []byte(content), 0o600) }
	}
	other := another(t)
	otherFile := func(pick func(workspace.Paths) string) func(string) error {
		return func(path string) error {
			data, err := os.ReadFile(pick(other.Paths("dev-1")))
			if err != nil {
				return err
			}
			return os.WriteFile(path, data, 0o600)
		}
	}
	cert := func(p workspace.Paths) string { return p.Cert }
	chain := func(p workspace.Paths) string { return p.FullChain }
	key := func(p workspace.Paths) string { return p.Key }
	for name, tt := range map[string]struct {
		file   func(workspace.Paths) string
		damage func(path string) error
		is     error
		want   string
	}{
		"certificate gone":     {cert, os.Remove, nil, "no such file"},
		"chain gone":           {chain, os.Remove, nil, "no such file"},
		"key gone":             {key, os.Remove, nil, "no such file"},
		"certificate empty":    {cert, write(""), nil, "input is empty"},
		"key damaged":          {key, write("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), nil, "damaged"},
		"key is a certificate": {key, otherFile(cert), nil, "no private key"},
		"another certificate":  {cert, otherFile(cert), nil, "another certificate than the manifest lists"},
		"another chain":        {chain, otherFile(chain), nil, "do not match"},
		"another key":          {key, otherFile(key), pki.ErrKeyMismatch, "does not belong"},
		"too large":            {cert, func(p string) error { return os.Truncate(p, 2<<20) }, nil, "more than the limit"},
		"a folder": {key, func(p string) error {
			_ = os.Remove(p)
			return os.Mkdir(p, 0o700)
		}, nil, "no regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			w := ready(t)
			path := tt.file(w.Paths("dev-1"))
			if err := tt.damage(path); err != nil {
				t.Fatal(err)
			}
			b, err := w.Bundle("dev-1")
			if b != nil || !errors.Is(err, workspace.ErrBroken) || tt.is != nil && !errors.Is(err, tt.is) {
				t.Fatalf("got %v, want ErrBroken and %v", err, tt.is)
			}
			if msg := err.Error(); !strings.Contains(msg, tt.want) || !strings.Contains(msg, "dev-1") || strings.Contains(msg, "\n") {
				t.Errorf("got %q, want one line with dev-1 and %q", msg, tt.want)
			}
			device(t, w, "dev-2")
		})
	}
}

func TestDamagedCA(t *testing.T) {
	w := ready(t)
	other := another(t)
	data, err := os.ReadFile(other.Paths("intermediate").Key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.Paths("intermediate").Key, data, 0o600); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, w.Dir())
	if _, err := w.Authority("intermediate", nil); !errors.Is(err, workspace.ErrBroken) || !errors.Is(err, pki.ErrKeyMismatch) {
		t.Errorf("got %v, want ErrBroken and ErrKeyMismatch", err)
	}
	_, _, err = w.IssueDevice(t.Context(), workspace.DeviceOptions{ID: "dev-2"})
	if !errors.Is(err, pki.ErrKeyMismatch) {
		t.Errorf("got %v, want ErrKeyMismatch", err)
	}
	if diff := cmp.Diff(before, snapshot(t, w.Dir())); diff != "" {
		t.Errorf("a refused change left files:\n%s", diff)
	}
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"version":1,"entries":[]}`))
	f.Add([]byte(`{"version":2}`))
	sample, err := json.Marshal(map[string]any{"version": 1, "entries": []workspace.Entry{{
		Name: "dev-1", Profile: pki.ProfileDevice, SHA256Thumbprint: strings.Repeat("A", 64),
		NotBefore: time.Unix(0, 0).UTC(), Files: workspace.Files{Certificate: "certs/dev-1.cert.pem", Key: "private/x"},
	}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sample)
	f.Fuzz(func(t *testing.T, data []byte) {
		once, err := workspace.ReencodeManifest(data)
		if err != nil {
			return
		}
		twice, err := workspace.ReencodeManifest(once)
		if err != nil || !bytes.Equal(once, twice) {
			t.Errorf("a manifest that was taken does not come back: %v", err)
		}
	})
}

// A journal can make the workspace rename files, so it must not name any other.
func FuzzJournal(f *testing.F) {
	f.Add([]byte(`{"version":1,"renames":[{"from":"certs/.certgen-ws-1-0.tmp","to":"certs/a.cert.pem"}]}`))
	f.Add([]byte(`{"version":1,"moves":[{"from":"certs/a","to":"replaced/x/certs/a"}],"renames":[]}`))
	f.Add([]byte(`{"version":1,"renames":[{"from":"certs/.certgen-ws-/../../x.tmp","to":"certs/a"}]}`))
	f.Add([]byte(`{"version":1,"moves":[{"from":"../a","to":"replaced/x/../a"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		names, err := workspace.JournalFiles(data)
		if err != nil {
			return
		}
		for _, name := range names {
			if !filepath.IsLocal(filepath.FromSlash(name)) || strings.Contains(name, "..") && strings.Contains(name, "../") {
				t.Errorf("the journal reaches %q", name)
			}
			top, _, _ := strings.Cut(name, "/")
			switch {
			case top == "certs", top == "private", top == "replaced", name == "certgen.json":
			case strings.HasPrefix(name, ".certgen-") && strings.HasSuffix(name, ".tmp"):
			default:
				t.Errorf("the journal reaches %q", name)
			}
		}
	})
}

// A journal that no version of the program wrote stops everything; Rebuild goes by the files alone.
func TestBrokenJournal(t *testing.T) {
	for name, content := range map[string]string{
		"not JSON": "x", "newer": `{"version":2}`, "foreign move": `{"version":1,"moves":[{"from":"certs/a","to":"/tmp/a"}]}`,
		"way out": `{"version":1,"renames":[{"from":"../.certgen-ws-1.tmp","to":"../a"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			w := ready(t)
			if err := os.WriteFile(filepath.Join(w.Dir(), ".certgen.journal"), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			before := snapshot(t, w.Dir())
			for name, err := range map[string]error{
				"Open": second(workspace.Open(w.Dir())), "Bundle": second(w.Bundle("dev-1")),
				"Init": third(w.Init(t.Context(), workspace.InitOptions{Force: true})),
			} {
				if !errors.Is(err, workspace.ErrBroken) || !strings.Contains(err.Error(), ".certgen.journal") {
					t.Errorf("%s: got %v, want ErrBroken with the file", name, err)
				}
			}
			if diff := cmp.Diff(before, snapshot(t, w.Dir())); diff != "" {
				t.Errorf("files are changed:\n%s", diff)
			}
			rebuilt, err := workspace.Rebuild(t.Context(), w.Dir())
			if err != nil {
				t.Fatal(err)
			}
			consistent(t, rebuilt)
			device(t, rebuilt, "afterwards")
		})
	}
}

func second[T any](_ T, err error) error { return err }

func third[T, U any](_ T, _ U, err error) error { return err }

func TestRebuildRefuses(t *testing.T) {
	if _, err := workspace.Rebuild(t.Context(), ""); err == nil {
		t.Error("no folder: no error")
	}
	if _, err := workspace.Rebuild(t.Context(), filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a folder that does not exist: no error")
	}
	w := ready(t)
	if err := os.WriteFile(w.Paths("root").Cert, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, w.Dir())
	if _, err := workspace.Rebuild(t.Context(), w.Dir()); !errors.Is(err, workspace.ErrBroken) {
		t.Errorf("a root that cannot be read: got %v, want ErrBroken", err)
	}
	if diff := cmp.Diff(before, snapshot(t, w.Dir())); diff != "" {
		t.Errorf("files are changed:\n%s", diff)
	}
}

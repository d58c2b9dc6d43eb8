package workspace_test

import (
	"errors"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

func TestFileStem(t *testing.T) {
	for name, want := range map[string]string{
		"root":                        "azure-iot-test-only.root.ca",
		"intermediate":                "azure-iot-test-only.intermediate",
		"intermediate2":               "azure-iot-test-only.intermediate2",
		"intermediate12":              "azure-iot-test-only.intermediate12",
		"verification-code":           "verification-code",
		"dev-1":                       "dev-1",
		"Dev_1.x":                     "Dev_1.x",
		"a:b":                         "a%3Ab",
		"00:11:22":                    "00%3A11%3A22",
		"CON":                         "%43ON",
		"con.x":                       "%63on.x",
		"Com1":                        "%43om1",
		"com10":                       "com10",
		"LPT9.a.b":                    "%4CPT9.a.b",
		"nul":                         "%6Eul",
		"null":                        "null",
		"aux-1":                       "aux-1",
		".hidden":                     "%2Ehidden",
		"-rf":                         "%2Drf",
		"a.":                          "a%2E",
		"a-full-chain":                "a%2Dfull-chain",
		"a-FULL-chain":                "a%2DFULL-chain",
		"a-full-chain-b":              "a-full-chain-b",
		"azure-iot-test-only.x":       "%61zure-iot-test-only.x",
		"AZURE-iot-test-only.root.ca": "%41ZURE-iot-test-only.root.ca",
		"*.example.com":               "%2A.example.com",
		"my gateway":                  "my%20gateway",
		"mün":                         "m%C3%BCn",
		`a\b`:                         "a%5Cb",
		"../x":                        "%2E.%2Fx",
		"100%":                        "100%25",
		"intermediate0":               "intermediate0",
		"intermediate1":               "intermediate1",
		"intermediate02":              "intermediate02",
		"Root":                        "%52oot",
	} {
		if got := workspace.FileStem(name); got != want {
			t.Errorf("FileStem(%q) = %q, want %q", name, got, want)
		}
		if got := workspace.NameOfStem(want); got != name {
			t.Errorf("NameOfStem(%q) = %q, want %q", want, got, name)
		}
	}
	// Stems that FileStem does not make are names themselves.
	for _, stem := range []string{"a%", "a%3", "a%zz", "%41", "a%3ab", "con", "root", "100%"} {
		if got := workspace.NameOfStem(stem); got != stem {
			t.Errorf("NameOfStem(%q) = %q", stem, got)
		}
	}
}

// portable is what every file system takes and no shell minds at the beginning.
var portable = regexp.MustCompile(`^[A-Za-z0-9_%][A-Za-z0-9._%-]*$`)

func FuzzFileName(f *testing.F) {
	for _, s := range []string{"dev-1", "a:b", "CON", "../x", "root", "intermediate7", "-full-chain", "%41", "mün", "a\x00", "a."} {
		f.Add(s, "b")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		stem := workspace.FileStem(a)
		if got := workspace.NameOfStem(stem); got != a {
			t.Errorf("%q becomes %q becomes %q", a, stem, got)
		}
		if a != "" && !portable.MatchString(stem) {
			t.Errorf("%q becomes %q, which is not portable", a, stem)
		}
		if !filepath.IsLocal(stem + ".cert.pem") {
			t.Errorf("%q becomes %q, which leaves the folder", a, stem)
		}
		if base, _, _ := strings.Cut(strings.ToLower(stem), "."); len(base) == 3 && strings.Contains("con prn aux nul", base) {
			t.Errorf("%q becomes %q, which is a device of Windows", a, stem)
		}
		// Two names share no file, also where case does not count, unless they differ only by case themselves.
		if !strings.EqualFold(a, b) && strings.EqualFold(stem, workspace.FileStem(b)) {
			t.Errorf("%q and %q have the same files", a, b)
		}
		if strings.EqualFold(stem, workspace.FileStem(b)+"-full-chain") {
			t.Errorf("the certificate of %q is the full chain of %q", a, b)
		}
		if err := workspace.CheckName(a); err != nil && !errors.Is(err, pki.ErrInvalidID) {
			t.Errorf("CheckName(%q): %v", a, err)
		}
	})
}

// No name from a user reaches a file outside of the workspace, and a refused one makes none at all.
func TestHostileNames(t *testing.T) {
	parent := t.TempDir()
	w := open(t, filepath.Join(parent, "a", "pki"))
	if _, _, err := w.Init(t.Context(), workspace.InitOptions{}); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, parent)
	hostile := []string{
		"", ".", "..", "../x", "../../x", "/abs", "a/b", `a\b`, `..\x`, `C:\x`, "%2e%2e", "%2e%2e%2fx", "a\x00b", "a\nb",
		"a\x1b[2J", "a\u202eb", "ü", "e\u0301", "a\xff", "dev😀", "a*", "a?", "a|b", "a>b", `a"b`, "a'b", "a b", " a", "a ",
		"a.", "a:", "~", "$HOME", "`id`", "$(id)", "a;b", "a&b", strings.Repeat("a", 65), strings.Repeat("a", 255),
		strings.Repeat("../", 50) + "etc/passwd", "root", "ROOT", "intermediate", "Intermediate2", "verification-code",
	}
	for _, id := range hostile {
		_, _, err := w.IssueDevice(t.Context(), workspace.DeviceOptions{ID: id})
		if !errors.Is(err, pki.ErrInvalidID) {
			t.Errorf("device %q: got %v, want ErrInvalidID", id, err)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\n\x1b\x00\u202e") {
			t.Errorf("device %q: the error has control characters: %q", id, err)
		}
	}
	if diff := cmp.Diff(before, snapshot(t, parent)); diff != "" {
		t.Errorf("refused names changed files (-want +got):\n%s", diff)
	}
	for _, id := range []string{"a:b", "CON", "nul.x", "-rf", ".hidden", "..x", "x-full-chain", "azure-iot-test-only.root.ca"} {
		b, paths, err := w.IssueDevice(t.Context(), workspace.DeviceOptions{ID: id})
		if err != nil {
			t.Errorf("device %q: %v", id, err)
			continue
		}
		if b.Certificate.Subject.CommonName != id || filepath.Dir(paths.Cert) != filepath.Join(w.Dir(), "certs") {
			t.Errorf("device %q: certificate for %q in %q", id, b.Certificate.Subject.CommonName, paths.Cert)
		}
	}
	for name := range snapshot(t, parent) {
		if !strings.HasPrefix(name, "a/pki/") {
			t.Errorf("%s is outside of the workspace", name)
		}
	}
	consistent(t, open(t, w.Dir()))
}

func TestNamesThatDifferByCase(t *testing.T) {
	w := ready(t)
	for _, force := range []bool{false, true} {
		_, _, err := w.IssueDevice(t.Context(), workspace.DeviceOptions{ID: "DEV-1", Force: force})
		if !errors.Is(err, workspace.ErrNameConflict) || !strings.Contains(err.Error(), `"dev-1"`) {
			t.Errorf("force %t: got %v, want ErrNameConflict with the other name", force, err)
		}
	}
	e, err := w.Lookup("DEV-1")
	if err != nil || e.Name != "dev-1" {
		t.Errorf("Lookup in another case: %q, %v", e.Name, err)
	}
	if b, err := w.Bundle("Dev-1"); err != nil || b.Certificate.Subject.CommonName != "dev-1" {
		t.Errorf("Bundle in another case: %v", err)
	}
}

func TestPaths(t *testing.T) {
	w := open(t, "some/dir")
	j := func(name string) string { return filepath.Join("some", "dir", filepath.FromSlash(name)) }
	want := workspace.Paths{
		Cert: j("certs/a%3Ab.cert.pem"), FullChain: j("certs/a%3Ab-full-chain.cert.pem"), Key: j("private/a%3Ab.key.pem"),
		PFX: j("certs/a%3Ab.cert.pfx"), PFXPassword: j("private/a%3Ab.pfx.password"),
	}
	if diff := cmp.Diff(want, w.Paths("a:b")); diff != "" {
		t.Error(diff)
	}
	if got, want := w.Paths("root").Cert, j("certs/azure-iot-test-only.root.ca.cert.pem"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := w.Paths("intermediate2").Key, j("private/azure-iot-test-only.intermediate2.key.pem"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := w.ChainCAPath(), j("certs/azure-iot-test-only.chain.ca.cert.pem"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The scripts put a prefix before a name that may have all 64 characters of a common name.
func TestLongNames(t *testing.T) {
	dir := scriptFolder(t)
	cn := strings.Repeat("a", 64)
	name := "iot-edge-device-identity-" + cn
	mid, err := open(t, dir).Authority("intermediate", secret)
	if err != nil {
		t.Fatal(err)
	}
	putLeaf(t, dir, name, mid, pki.IssueRequest{CommonName: cn})
	w := open(t, dir)
	if len(w.Problems()) > 0 {
		t.Errorf("adopt: %v", w.Problems())
	}
	if _, err := w.Bundle(name); err != nil {
		t.Error(err)
	}
	issue := func(name string) error {
		return third(w.Issue(t.Context(), workspace.IssueOptions{
			Name: name, SelfSigned: true, PFX: &pki.PFXOptions{}, Request: pki.IssueRequest{CommonName: "x"},
		}))
	}
	if err := issue(strings.Repeat("b", 200)); err != nil {
		t.Error(err)
	}
	if _, err := open(t, dir).Bundle(strings.Repeat("b", 200)); err != nil {
		t.Errorf("after another open: %v", err)
	}
	for name, want := range map[string]string{
		strings.Repeat("b", 201): "has 201 bytes", strings.Repeat(":", 67): "needs 201 bytes", "b\xff": "not UTF-8",
		strings.Repeat("\xff", 300): "has 300 bytes",
	} {
		if err := issue(name); !errors.Is(err, pki.ErrInvalidID) || !strings.Contains(err.Error(), want) {
			t.Errorf("%d bytes: got %v, want %q", len(name), err, want)
		}
	}
}

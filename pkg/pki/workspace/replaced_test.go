package workspace_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

// A change tells what it moved away and where that is.
func TestReplaced(t *testing.T) {
	w, err := workspace.Open(filepath.Join(t.TempDir(), "pki"))
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, want ...string) {
		t.Helper()
		gone := w.Replaced()
		var names []string
		for _, e := range gone.Entries {
			names = append(names, e.Name)
			if e.Files.Certificate == "" {
				t.Errorf("%s: %q has no certificate file", what, e.Name)
			}
			for _, file := range []string{e.Files.Certificate, e.Files.FullChain, e.Files.Key} {
				if _, err := os.Stat(filepath.Join(gone.Dir, file)); err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
		}
		if diff := cmp.Diff(want, names); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
		if (gone.Dir == "") != (len(want) == 0) {
			t.Errorf("%s: Dir = %q", what, gone.Dir)
		}
	}
	initialise := func(force bool) error {
		_, _, err := w.Init(t.Context(), workspace.InitOptions{Intermediates: 1, Force: force})
		return err
	}
	if err := initialise(false); err != nil {
		t.Fatal(err)
	}
	check("a new workspace")
	for _, id := range []string{"a", "b"} {
		if _, _, err := w.IssueDevice(t.Context(), workspace.DeviceOptions{ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := w.Renew(t.Context(), workspace.RenewOptions{Name: "a"}); err != nil { // its key stays in place
		t.Fatal(err)
	}
	check("renewal", "a")
	_, _, err = w.CreateIntermediate(t.Context(), workspace.IntermediateOptions{Name: "intermediate", Force: true})
	if err != nil {
		t.Fatal(err)
	}
	check("an intermediate by force", "a", "b", "intermediate")
	if err := initialise(false); err == nil {
		t.Fatal("Init() without force = nil")
	}
	if err := initialise(true); err != nil {
		t.Fatal(err)
	}
	check("everything by force", "intermediate", "root")
}

// A CA that is made again by force keeps its common name.
func TestForcedIntermediateKeepsName(t *testing.T) {
	w, err := workspace.Open(filepath.Join(t.TempDir(), "pki"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Init(t.Context(), workspace.InitOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, cn, want string }{
		{"plant-7", "Plant 7", "Plant 7"},
		{"plant-7", "", "Plant 7"},
		{"plant-7", "Plant 8", "Plant 8"},
		{"plant-9", "", "plant-9"},
		{"intermediate", "", pki.DefaultIntermediateCN},
		{"intermediate", "Mine", "Mine"},
		{"intermediate", "", "Mine"},
	} {
		a, _, err := w.CreateIntermediate(t.Context(), workspace.IntermediateOptions{
			Name: tt.name, Force: true, Options: pki.CAOptions{CommonName: tt.cn},
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := a.Certificate().Subject.CommonName; got != tt.want {
			t.Errorf("common name = %q, want %q", got, tt.want)
		}
	}
}

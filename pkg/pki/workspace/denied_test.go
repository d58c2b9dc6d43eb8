package workspace_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

func inPrivate(name string) bool { return strings.HasPrefix(name, "private/") }

// What may not be read is no damage.
func TestDeniedFiles(t *testing.T) {
	dir := ready(t).Dir()
	for _, file := range []string{"certgen.json", ".certgen.lock", "certs/dev-1.cert.pem"} {
		w, err := workspace.OpenDenied(dir, func(name string) bool { return name == file })
		if err == nil {
			_, err = w.Bundle("dev-1")
		}
		if !errors.Is(err, fs.ErrPermission) || errors.Is(err, workspace.ErrBroken) {
			t.Errorf("%s: got %v, want ErrPermission and not ErrBroken", file, err)
		}
	}
	dir = scriptFolder(t)
	_, err := workspace.OpenDenied(dir, func(name string) bool { return strings.Contains(name, scriptRoot+".cert") })
	if !errors.Is(err, fs.ErrPermission) || errors.Is(err, workspace.ErrBroken) {
		t.Errorf("root of an adopted folder: got %v, want ErrPermission and not ErrBroken", err)
	}
}

// Who may not read the keys still sees the certificates, and no change forgets the keys.
func TestDeniedKeys(t *testing.T) {
	for name, dir := range map[string]string{"dev-1": ready(t).Dir(), "new-device": scriptFolder(t)} {
		before := snapshot(t, dir)
		w, err := workspace.OpenDenied(dir, inPrivate)
		if err != nil {
			t.Fatal(err)
		}
		if chain, err := w.Chain(name); err != nil || len(chain) != 3 {
			t.Errorf("%s: a chain of %d, %v", name, len(chain), err)
		}
		for what, err := range map[string]error{
			"bundle": second(w.Bundle(name)), "authority": second(w.Authority("root", secret)),
			"device":   third(w.IssueDevice(t.Context(), workspace.DeviceOptions{ID: "x"})),
			"renewal":  third(w.Renew(t.Context(), workspace.RenewOptions{Name: name})),
			"renewal2": third(w.Renew(t.Context(), workspace.RenewOptions{Name: name, NewKey: true})),
		} {
			if !errors.Is(err, workspace.ErrKeyUnreadable) || !errors.Is(err, fs.ErrPermission) || errors.Is(err, workspace.ErrBroken) {
				t.Errorf("%s of %s: got %v, want ErrKeyUnreadable", what, name, err)
			}
		}
		if diff := cmp.Diff(before, snapshot(t, dir)); diff != "" {
			t.Errorf("refused changes wrote files:\n%s", diff)
		}
	}
	w, err := workspace.OpenDenied(scriptFolder(t), inPrivate)
	if err != nil {
		t.Fatal(err)
	}
	if p := w.Problems(); len(p) != 1 || p[0].File != "private" || !errors.Is(p[0].Err, workspace.ErrKeyUnreadable) {
		t.Errorf("problems %v, want one for the private folder", p)
	}
	err = third(w.IssueDevice(t.Context(), workspace.DeviceOptions{ID: "x", SelfSigned: true}))
	if !errors.Is(err, workspace.ErrKeyUnreadable) {
		t.Errorf("a change of a folder whose keys are not known: got %v, want ErrKeyUnreadable", err)
	}
}

package workspace_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

func open(t *testing.T, dir string) *workspace.Workspace {
	t.Helper()
	w, err := workspace.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// ready returns a workspace with a root, an intermediate, the device dev-1 and a proof of possession. They are the
// same ones each time.
func ready(t *testing.T) *workspace.Workspace {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "pki")
	copyTree(t, readyTemplate(), dir)
	return open(t, dir)
}

// readyTemplate is the folder that ready copies.
var readyTemplate = sync.OnceValue(func() string {
	dir, err := os.MkdirTemp(templates, "")
	if err != nil {
		panic(err)
	}
	dir = filepath.Join(dir, "pki")
	if err := fill(context.Background(), dir); err != nil {
		panic(err)
	}
	return dir
})

// another returns a workspace like that of ready with other keys.
func another(t *testing.T) *workspace.Workspace {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "pki")
	if err := fill(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	return open(t, dir)
}

func fill(ctx context.Context, dir string) error {
	w, err := workspace.Open(dir)
	if err == nil {
		_, _, err = w.Init(ctx, workspace.InitOptions{Intermediates: 1})
	}
	if err == nil {
		_, _, err = w.IssueDevice(ctx, workspace.DeviceOptions{ID: "dev-1", PFX: &pki.PFXOptions{}})
	}
	if err == nil {
		_, _, err = w.IssueVerification(ctx, workspace.VerificationOptions{Code: "FIRST"})
	}
	return err
}

// copyTree copies a folder with the modes of everything in it.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		out := filepath.Join(to, rel)
		if d.IsDir() {
			if err := os.Mkdir(out, 0o700); err != nil {
				return err
			}
			return os.Chmod(out, info.Mode().Perm()|0o700)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.WriteFile(out, data, 0o600); err != nil {
			return err
		}
		return os.Chmod(out, info.Mode().Perm())
	})
	if err != nil {
		t.Fatal(err)
	}
}

func device(t *testing.T, w *workspace.Workspace, id string) *pki.Bundle {
	t.Helper()
	b, _, err := w.IssueDevice(t.Context(), workspace.DeviceOptions{ID: id, PFX: &pki.PFXOptions{}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// snapshot returns every file below dir by its name with slashes. The lock file is left out.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == ".certgen.lock" {
			return err
		}
		data, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		files[filepath.ToSlash(rel)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// leftovers returns the hidden files that a change uses.
func leftovers(files map[string]string) (names []string) {
	for name := range files {
		if strings.HasPrefix(filepath.Base(name), ".certgen") {
			names = append(names, name)
		}
	}
	return names
}

// consistent checks everything that a workspace promises of its content.
func consistent(t *testing.T, w *workspace.Workspace) {
	t.Helper()
	for _, e := range w.Entries() {
		b, err := w.Bundle(e.Name)
		if err != nil {
			t.Errorf("%s: %v", e.Name, err)
			continue
		}
		if err := pki.Verify(b.Certificate, b.Issuers, time.Now()); err != nil {
			t.Errorf("%s: %v", e.Name, err)
		}
		if e.Files.Key != "" && !pki.KeyMatches(b.Certificate, b.Key) {
			t.Errorf("%s: the key does not belong to the certificate", e.Name)
		}
		checkPFX(t, w, e, b)
	}
	if !w.Exists() {
		return
	}
	ca, err := w.Authority(w.DefaultCA(), nil)
	if err != nil {
		t.Error(err)
		return
	}
	chain, err := os.ReadFile(w.ChainCAPath())
	if err != nil || string(chain) != string(pki.EncodeCertificatesPEM(ca.Chain()...)) {
		t.Errorf("%s is not the chain of the issuing ca: %v", w.ChainCAPath(), err)
	}
}

func checkPFX(t *testing.T, w *workspace.Workspace, e workspace.Entry, b *pki.Bundle) {
	t.Helper()
	if e.Files.PFX == "" || e.Files.PFXPassword == "" {
		return
	}
	password, err := os.ReadFile(w.Paths(e.Name).PFXPassword)
	if err != nil {
		t.Error(err)
	}
	data, err := os.ReadFile(w.Paths(e.Name).PFX)
	if err != nil {
		t.Error(err)
	}
	got, err := pki.DecodePFX(data, strings.TrimSpace(string(password)))
	if err != nil || !got.Certificate.Equal(b.Certificate) || len(got.Issuers) != len(b.Issuers) {
		t.Errorf("%s: the pfx does not hold the bundle: %v", e.Name, err)
	}
}

package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/fleet"
	"github.com/dpskit/dpskit/pkg/pki/pkitest"
)

func TestInterruptedFolderGoesOn(t *testing.T) {
	out := filepath.Join(t.TempDir(), "fleet")
	opts := options(t, 300)
	done, interrupts := 0, 0
	for {
		ctx, stop := stopAfter(t, done+60)
		opts.Progress = stop
		before := tree(t, out)
		result, err := fleet.Write(ctx, opts, fleet.Target{Path: out})
		after := tree(t, out)
		for name, text := range before {
			if after[name] != text {
				t.Fatalf("%q changed from %q to %q", name, text, after[name])
			}
		}
		if result.Kept < done {
			t.Fatalf("%d devices were kept, want at least %d", result.Kept, done)
		}
		done = result.Done()
		if err == nil {
			break
		}
		if !errors.Is(err, context.Canceled) || result.Index != "" {
			t.Fatalf("Write() = %+v, %v", result, err)
		}
		if _, err := os.Stat(filepath.Join(out, "index.csv")); err == nil {
			t.Error("there is an index of an interrupted fleet")
		}
		interrupts++
	}
	if done != 300 || interrupts < 2 {
		t.Errorf("%d devices after %d interrupts, want 300 after at least 2", done, interrupts)
	}
	checkFleet(t, out, opts.Authority, opts.IDs)

	before := tree(t, out)
	result, err := fleet.Write(t.Context(), opts, fleet.Target{Path: out})
	if err != nil || result.Kept != 300 || result.Made != 0 {
		t.Errorf("a third Write() = %+v, %v; want that all is kept", result, err)
	}
	if diff := cmp.Diff(before, tree(t, out)); diff != "" {
		t.Errorf("files changed (-before +after):\n%s", diff)
	}
}

func TestInterruptedBeforeTheFirstDevice(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, format := range fleet.AllFormats() {
		dir := t.TempDir()
		_, err := fleet.Write(ctx, options(t, 100), fleet.Target{Format: format, Path: filepath.Join(dir, "out")})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: Write() = %v", format, err)
		}
		if got := tree(t, dir); len(got) > 1 {
			t.Errorf("%s: files are left: %v", format, got)
		}
	}
}

// A fleet whose files were damaged or changed is put in order, and nothing that may be somebody's is replaced.
func TestResumeChecksWhatIsThere(t *testing.T) {
	const cert, chain, key = "certs/00000/dev-2.cert.pem", "certs/00000/dev-2-full-chain.cert.pem", "private/00000/dev-2.key.pem"
	truncate := func(t *testing.T, dir, name string) {
		t.Helper()
		if err := os.Truncate(filepath.Join(dir, name), 20); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(t *testing.T, dir, name string) {
		t.Helper()
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	write := func(t *testing.T, dir, name string, data []byte) {
		t.Helper()
		remove(t, dir, name)
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	other := pkitest.Issue(t, pkitest.Root(t), pki.IssueRequest{CommonName: "dev-2"})
	renamed := pkitest.Device(t, "dev-9")
	namesake, err := pki.NewRoot(&pki.CAOptions{CommonName: pki.DefaultIntermediateCN})
	if err != nil {
		t.Fatal(err)
	}
	forged := pkitest.Issue(t, namesake, pki.IssueRequest{CommonName: "dev-2"})
	server := pkitest.Issue(t, pkitest.Intermediate(t), pki.IssueRequest{Profile: pki.ProfileServer, CommonName: "dev-2"})
	tests := []struct {
		name       string
		damage     func(t *testing.T, dir string)
		made, kept int
		fails      string // in the error of the device
	}{
		{"nothing", func(*testing.T, string) {}, 0, 3, ""},
		{"an empty certificate", func(t *testing.T, dir string) { write(t, dir, cert, nil) }, 1, 2, ""},
		{"a torn certificate", func(t *testing.T, dir string) { truncate(t, dir, cert) }, 1, 2, ""},
		{"no certificate", func(t *testing.T, dir string) { remove(t, dir, cert) }, 1, 2, ""},
		{"a torn key", func(t *testing.T, dir string) { truncate(t, dir, key) }, 1, 2, ""},
		{"a torn chain", func(t *testing.T, dir string) { truncate(t, dir, chain) }, 0, 3, ""},
		{"no chain", func(t *testing.T, dir string) { remove(t, dir, chain) }, 0, 3, ""},
		{"a temporary file", func(t *testing.T, dir string) {
			write(t, dir, "private/00000/.dev-2.key.pem.part", []byte("half"))
			remove(t, dir, cert)
		}, 1, 2, ""},
		{"no key", func(t *testing.T, dir string) { remove(t, dir, key) }, 0, 2, "its key"},
		{"the key of another", func(t *testing.T, dir string) {
			data, err := renamed.KeyPEM()
			if err != nil {
				t.Fatal(err)
			}
			write(t, dir, key, data)
		}, 1, 2, ""},
		{"a certificate of another CA", func(t *testing.T, dir string) { write(t, dir, cert, other.CertificatePEM()) }, 0, 2, "another ca"},
		{"a certificate of a CA of the same name", func(t *testing.T, dir string) { write(t, dir, cert, forged.CertificatePEM()) }, 0, 2, "another ca"},
		{"a certificate of another profile", func(t *testing.T, dir string) { write(t, dir, cert, server.CertificatePEM()) }, 0, 2, "other extensions"},
		{"a certificate of another device", func(t *testing.T, dir string) { write(t, dir, cert, renamed.CertificatePEM()) }, 0, 2, "dev-9"},
		{"a folder", func(t *testing.T, dir string) {
			remove(t, dir, cert)
			if err := os.Mkdir(filepath.Join(dir, cert), 0o755); err != nil {
				t.Fatal(err)
			}
		}, 0, 2, "no file"},
		{"a symbolic link out of the folder", func(t *testing.T, dir string) {
			remove(t, dir, key)
			if err := os.Symlink("/etc/passwd", filepath.Join(dir, key)); err != nil {
				t.Skip(err)
			}
		}, 0, 2, "no file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "fleet")
			opts := options(t, 3)
			if _, err := fleet.Write(t.Context(), opts, fleet.Target{Path: dir}); err != nil {
				t.Fatal(err)
			}
			tt.damage(t, dir)
			before := tree(t, dir)
			result, err := fleet.Write(t.Context(), opts, fleet.Target{Path: dir})
			if result.Made != tt.made || result.Kept != tt.kept || result.Failed != 3-tt.made-tt.kept {
				t.Errorf("result %+v, want %d made and %d kept", result, tt.made, tt.kept)
			}
			rows := readIndex(t, filepath.Join(dir, "index.csv"))
			if tt.fails == "" {
				if err != nil {
					t.Fatal(err)
				}
				checkFleet(t, dir, opts.Authority, opts.IDs)
				return
			}
			if !errors.Is(err, fleet.ErrSomeFailed) || !strings.Contains(result.Failures[0].Error(), tt.fails) {
				t.Errorf("Write() = %v, %v; want ErrSomeFailed with %q", err, result.Failures, tt.fails)
			}
			if !strings.Contains(rows[1][11], tt.fails) || rows[1][0] != "dev-2" || strings.Join(rows[1][1:11], "") != "" {
				t.Errorf("row of the device that failed: %q", rows[1])
			}
			after := tree(t, dir)
			delete(before, "index.csv")
			delete(after, "index.csv")
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("files changed (-before +after):\n%s", diff)
			}
		})
	}
}

func TestResumeWithPFX(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "fleet")
	opts := options(t, 4)
	opts.PFX = &pki.PFXOptions{}
	if _, err := fleet.Write(t.Context(), opts, fleet.Target{Path: dir}); err != nil {
		t.Fatal(err)
	}
	before := tree(t, dir)
	for name, change := range map[string]func(string) error{
		"certs/00000/dev-1.cert.pfx":       os.Remove,
		"certs/00000/dev-2.cert.pfx":       func(s string) error { return os.Truncate(s, 500) },
		"private/00000/dev-3.pfx.password": os.Remove,
	} {
		if err := change(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	result, err := fleet.Write(t.Context(), opts, fleet.Target{Path: dir})
	if err != nil || result.Kept != 4 {
		t.Fatalf("Write() = %+v, %v; want 4 kept", result, err)
	}
	after := tree(t, dir)
	for _, name := range []string{
		"private/00000/dev-1.key.pem", "private/00000/dev-1.pfx.password", "private/00000/dev-2.pfx.password",
		"certs/00000/dev-3.cert.pem", "certs/00000/dev-4.cert.pfx",
	} {
		if before[name] != after[name] {
			t.Errorf("%q changed", name)
		}
	}
	for i, row := range readIndex(t, result.Index) {
		word, err := os.ReadFile(filepath.Join(dir, row[5]))
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(dir, row[4]))
		if err != nil {
			t.Fatal(err)
		}
		if b, err := pki.DecodePFX(data, strings.TrimSpace(string(word))); err != nil || b.Certificate.Subject.CommonName != row[0] {
			t.Errorf("PFX %d: %v", i, err)
		}
	}
}

// Whatever change of a file fails, what is left under a final name is whole, nothing temporary is left, and the next
// run makes a whole fleet of it.
func TestEveryFailingChange(t *testing.T) {
	for _, format := range fleet.AllFormats() {
		t.Run(string(format), func(t *testing.T) {
			opts := options(t, 3)
			opts.Workers = 1
			for n, failed := 1, true; failed; n++ {
				failed = failNth(t, opts, format, n)
			}
		})
	}
}

// failNth lets the n-th change fail and reports whether there were so many.
func failNth(t *testing.T, opts fleet.Options, format fleet.Format, n int) bool {
	t.Helper()
	dir := t.TempDir()
	target := fleet.Target{Format: format, Path: filepath.Join(dir, "out")}
	count, what := 0, ""
	step := func(op, name string) error {
		if count++; count == n {
			what = op + " " + name
			return syscall.ENOSPC
		}
		return nil
	}
	result, err := fleet.Write(t.Context(), opts, fleet.WithStep(target, step))
	if count < n {
		if err != nil {
			t.Fatal(err)
		}
		return false
	}
	if !errors.Is(err, syscall.ENOSPC) || strings.ContainsAny(err.Error(), "\n") {
		t.Errorf("%s: Write() = %v, want the error of the change", what, err)
	}
	left := tree(t, dir)
	for name := range left {
		if strings.HasPrefix(filepath.Base(name), ".") && name != "." {
			t.Errorf("%s: a temporary file %q is left", what, name)
		}
		if format != fleet.FormatFiles && name != "." {
			t.Errorf("%s: %q is left of an archive of no time", what, name)
		}
	}
	if result.Done() == 0 && len(left) > 1 {
		t.Errorf("%s: nothing was made, and there is %v", what, left)
	}
	whole := 0
	for i := range 3 {
		c, k := left[fmt.Sprintf("out/certs/00000/dev-%d.cert.pem", i+1)], left[fmt.Sprintf("out/private/00000/dev-%d.key.pem", i+1)]
		if (c == "") != (k == "") {
			t.Errorf("%s: device %d has a certificate %q and a key %q", what, i+1, c, k)
		}
		if c != "" {
			whole++
		}
	}
	again, err := fleet.Write(t.Context(), opts, target)
	if err != nil || again.Kept != whole || again.Made != 3-whole {
		t.Errorf("%s: the next Write() = %+v, %v; want %d kept", what, again, err, whole)
	}
	return true
}

// A device that cannot be written does not stop the others.
func TestOneDeviceFails(t *testing.T) {
	dir := t.TempDir()
	target := fleet.WithStep(fleet.Target{Path: filepath.Join(dir, "out")}, func(op, name string) error {
		if op == "rename" && name == "dev-3.cert.pem" {
			return syscall.EACCES
		}
		return nil
	})
	opts := options(t, 5)
	result, err := fleet.Write(t.Context(), opts, target)
	if !errors.Is(err, fleet.ErrSomeFailed) || result.Made != 4 || result.Failed != 1 {
		t.Fatalf("Write() = %+v, %v; want 4 of 5", result, err)
	}
	for name := range tree(t, dir) {
		if strings.Contains(name, "dev-3") {
			t.Errorf("%q is left of a device that failed", name)
		}
	}
	if rows := readIndex(t, result.Index); len(rows) != 5 || rows[2][11] == "" || rows[3][11] != "" {
		t.Errorf("index %q", rows)
	}
	again, err := fleet.Write(t.Context(), opts, fleet.Target{Path: filepath.Join(dir, "out")})
	if err != nil || again.Kept != 4 || again.Made != 1 {
		t.Errorf("the next Write() = %+v, %v; want 4 kept and 1 made", again, err)
	}
}

// No symbolic link leads out of the folder.
func TestLinksLeadNowhere(t *testing.T) {
	for _, name := range []string{"certs", "certs/00000", "private/00000", "certs/00000/dev-1.cert.pem", "fleet.json", "index.csv", ".fleet.lock"} {
		t.Run(strings.ReplaceAll(name, "/", "_"), func(t *testing.T) {
			dir := t.TempDir()
			outside, out := filepath.Join(dir, "outside"), filepath.Join(dir, "out")
			if err := os.Mkdir(outside, 0o755); err != nil {
				t.Fatal(err)
			}
			opts := options(t, 2)
			if _, err := fleet.Write(t.Context(), opts, fleet.Target{Path: out}); err != nil {
				t.Fatal(err)
			}
			if err := os.RemoveAll(filepath.Join(out, name)); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(filepath.Join(outside), filepath.Join(out, name)); err != nil {
				t.Skip(err)
			}
			_, err := fleet.Write(t.Context(), opts, fleet.Target{Path: out})
			if got := tree(t, outside); len(got) != 1 {
				t.Errorf("files outside: %v (Write() = %v)", got, err)
			}
		})
	}
}

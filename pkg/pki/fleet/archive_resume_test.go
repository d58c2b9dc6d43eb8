package fleet_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/fleet"
)

var archiveFormats = []fleet.Format{fleet.FormatTar, fleet.FormatZip}

// archived returns the names of the members of an archive in the order in which they stand there, and all of them.
func archived(t *testing.T, format fleet.Format, path string) (names []string, members map[string]string) {
	t.Helper()
	members = map[string]string{}
	add := func(name string, in io.Reader) {
		t.Helper()
		data, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := members[name]; ok {
			t.Errorf("member %q is there twice", name)
		}
		names, members[name] = append(names, name), string(data)
	}
	if format == fleet.FormatZip {
		r, err := zip.OpenReader(path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for _, f := range r.File {
			in, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			add(f.Name, in)
		}
		return names, members
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for r := tar.NewReader(file); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return names, members
		}
		if err != nil {
			t.Fatal(err)
		}
		add(h.Name, r)
	}
}

// checkArchive checks that an archive and its index hold a fleet, each device once and in order, and nothing else is
// in the folder.
func checkArchive(t *testing.T, format fleet.Format, result fleet.Result, opts fleet.Options) {
	t.Helper()
	names, members := archived(t, format, result.Path)
	var want []string
	for i := range opts.IDs.Len() {
		bucket := fmt.Sprintf("%05d", i/1000)
		if i == 0 {
			want = append(want, "certs/", "private/")
		}
		if i%1000 == 0 {
			want = append(want, "certs/"+bucket+"/", "private/"+bucket+"/")
		}
		stem := bucket + "/" + fleet.FileStem(opts.IDs.ID(i))
		want = append(want, "private/"+stem+".key.pem")
		if opts.PFX != nil {
			want = append(want, "certs/"+stem+".cert.pfx")
		}
		want = append(want, "certs/"+stem+"-full-chain.cert.pem", "certs/"+stem+".cert.pem")
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Fatalf("members (-want +got):\n%s", diff)
	}
	rows := readIndex(t, result.Index)
	if len(rows) != opts.IDs.Len() {
		t.Fatalf("the index has %d rows, want %d", len(rows), opts.IDs.Len())
	}
	for i, row := range rows {
		cert := parse(t, members[row[1]])
		key, err := pki.ParseKey([]byte(members[row[3]]), nil)
		if err != nil || !pki.KeyMatches(cert, key) || row[0] != opts.IDs.ID(i) || cert.Subject.CommonName != row[0] ||
			row[10] != pki.SHA256Thumbprint(cert) || !strings.HasPrefix(members[row[2]], members[row[1]]) {
			t.Fatalf("device %d: %q, %v", i, row, err)
		}
		if err := cert.CheckSignatureFrom(opts.Authority.Certificate()); err != nil {
			t.Fatal(err)
		}
	}
	for name := range tree(t, filepath.Dir(result.Path)) {
		if full := filepath.Join(filepath.Dir(result.Path), name); name != "." && full != result.Path && full != result.Index {
			t.Errorf("%q is left", name)
		}
	}
	if info, err := os.Stat(result.Path); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
}

func TestInterruptedArchiveGoesOn(t *testing.T) {
	for _, format := range archiveFormats {
		t.Run(string(format), func(t *testing.T) {
			dir := t.TempDir()
			opts := options(t, 1100) // more than one folder
			target := fleet.Target{Format: format, Path: filepath.Join(dir, "out")}
			saved, interrupts := 0, 0
			var index []byte
			for {
				ctx, stop := stopAfter(t, saved+300)
				opts.Progress = stop
				result, err := fleet.Write(ctx, opts, target)
				if result.Kept != saved {
					t.Fatalf("%d devices were kept, want %d", result.Kept, saved)
				}
				if err == nil {
					if result.Done() != 1100 || result.Saved != 0 || result.Unfinished != "" {
						t.Errorf("result %+v", result)
					}
					checkArchive(t, format, result, opts)
					if got, err := os.ReadFile(result.Index); err != nil || !bytes.HasPrefix(got, index) {
						t.Errorf("the devices of the interrupted runs are not those of before, %v", err)
					}
					break
				}
				part := filepath.Join(dir, ".out.part")
				if !errors.Is(err, context.Canceled) || result.Index != "" || result.Unfinished != part || result.Saved != result.Done() {
					t.Fatalf("Write() = %+v, %v", result, err)
				}
				for name, text := range tree(t, dir) {
					if strings.HasPrefix(text, "-rw-r") && name != ".out.index.csv.part" {
						t.Errorf("others may read %q", name)
					}
				}
				if index, err = os.ReadFile(filepath.Join(dir, ".out.index.csv.part")); err != nil {
					t.Fatal(err)
				}
				saved = result.Saved
				interrupts++
			}
			if interrupts < 2 {
				t.Errorf("%d interrupts, want at least 2", interrupts)
			}
		})
	}
}

// copyFolder copies the files of a folder, as a process leaves them that is killed now.
func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// Whenever a process is killed, the next one makes a whole archive.
func TestArchiveAfterAKillAnywhere(t *testing.T) {
	for _, format := range archiveFormats {
		t.Run(string(format), func(t *testing.T) {
			dir := t.TempDir()
			opts := options(t, 5)
			target := fleet.RecordAlways(fleet.Target{Format: format, Path: filepath.Join(dir, "live", "out")})
			var killed []string
			target = fleet.WithStep(target, func(string, string) error {
				to := filepath.Join(dir, fmt.Sprintf("killed%03d", len(killed)))
				copyFolder(t, filepath.Dir(target.Path), to)
				killed = append(killed, to)
				return nil
			})
			if _, err := fleet.Write(t.Context(), opts, target); err != nil {
				t.Fatal(err)
			}
			kept := 0
			for _, at := range killed {
				result, err := fleet.Write(t.Context(), opts, fleet.Target{Format: format, Path: filepath.Join(at, "out")})
				if err != nil || result.Done() != 5 || result.Kept < kept {
					t.Fatalf("%s: Write() = %+v, %v; want at least %d kept", filepath.Base(at), result, err, kept)
				}
				kept = result.Kept
				checkArchive(t, format, result, opts)
			}
			if kept != 5 || len(killed) < 15 {
				t.Errorf("%d devices were kept at the end, after %d changes", kept, len(killed))
			}
		})
	}
}

// Whatever change fails while an archive has a journal, the next run goes on and makes it whole.
func TestEveryFailingChangeOfAnArchive(t *testing.T) {
	for _, format := range archiveFormats {
		t.Run(string(format), func(t *testing.T) {
			opts := options(t, 3)
			opts.Workers = 1
			for n, failed := 1, true; failed; n++ {
				dir := t.TempDir()
				target := fleet.RecordAlways(fleet.Target{Format: format, Path: filepath.Join(dir, "out")})
				count, what := 0, ""
				result, err := fleet.Write(t.Context(), opts, fleet.WithStep(target, func(op, name string) error {
					if count++; count == n {
						what = op + " " + name
						return syscall.ENOSPC
					}
					return nil
				}))
				if failed = count >= n; !failed {
					if err != nil {
						t.Fatal(err)
					}
					break
				}
				if !errors.Is(err, syscall.ENOSPC) || strings.Contains(err.Error(), "\n") {
					t.Errorf("%s: Write() = %v", what, err)
				}
				if left := tree(t, dir); (result.Saved > 0) != (len(left) > 1) || (result.Unfinished != "") != (result.Saved > 0) {
					t.Errorf("%s: %d devices are saved, and there is %v", what, result.Saved, left)
				}
				again, err := fleet.Write(t.Context(), opts, target)
				if err != nil || again.Kept != result.Saved {
					t.Fatalf("%s: the next Write() = %+v, %v; want %d kept", what, again, err, result.Saved)
				}
				checkArchive(t, format, again, opts)
			}
		})
	}
}

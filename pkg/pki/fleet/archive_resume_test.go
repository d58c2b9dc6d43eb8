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
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/fleet"
	"github.com/dpskit/dpskit/pkg/pki/pkitest"
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

// halfArchive leaves the unfinished archive of a fleet, with a record of each device, and returns how many it has.
func halfArchive(t *testing.T, format fleet.Format, dir string, opts fleet.Options) int {
	t.Helper()
	ctx, stop := stopAfter(t, 1)
	opts.Progress, opts.Workers = stop, 1
	target := fleet.RecordAlways(fleet.Target{Format: format, Path: filepath.Join(dir, "out")})
	result, err := fleet.Write(ctx, opts, target)
	if !errors.Is(err, context.Canceled) || result.Saved < 1 {
		t.Fatalf("Write() = %+v, %v; want an interrupted one", result, err)
	}
	return result.Saved
}

// What is not as the journal says is cut off, back to the beginning if need be.
func TestDamagedUnfinishedArchive(t *testing.T) {
	change := func(tail string, fn func(data []byte) []byte) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			path := filepath.Join(dir, ".out"+tail)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, fn(data), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	half := func(data []byte) []byte { return data[:len(data)/2] }
	longer := func(data []byte) []byte { return append(data, strings.Repeat("x", 5000)...) }
	flip := func(data []byte) []byte { data[len(data)/2] ^= 1; return data }
	first := func(data []byte) []byte { data[0] ^= 1; return data }
	remove := func(tail string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			if err := os.Remove(filepath.Join(dir, ".out"+tail)); err != nil {
				t.Fatal(err)
			}
		}
	}
	replaceBy := func(tail string, put func(path string) error) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			remove(tail)(t, dir)
			if err := put(filepath.Join(dir, ".out"+tail)); err != nil {
				t.Skip(err)
			}
		}
	}
	const none, some, all = "none", "some", "all"
	tests := []struct {
		name   string
		damage func(*testing.T, string)
		kept   string
		only   fleet.Format
	}{
		{"nothing", func(*testing.T, string) {}, all, ""},
		{"more behind", change(".part", longer), all, ""},
		{"more in the index", change(".index.csv.part", longer), all, ""},
		{"more in the directory", change(".directory.part", longer), all, fleet.FormatZip},
		{"a torn record", change(".journal.part", func(data []byte) []byte { return data[:len(data)-3] }), some, ""},
		{"a record of nonsense", change(".journal.part", func(data []byte) []byte { return append(data, "{\"devices\":-1}\n"...) }), all, ""},
		{"a record of the future", change(".journal.part", func(data []byte) []byte { return append(data, "{\"devices\":999}\n"...) }), all, ""},
		{"a long line", change(".journal.part", func(data []byte) []byte { return append(data, bytes.Repeat([]byte("1"), 1<<20)...) }), all, ""},
		{"half a journal", change(".journal.part", func(data []byte) []byte { return data[:len(data)*3/4] }), some, ""},
		{"half an archive", change(".part", half), some, ""},
		{"half an index", change(".index.csv.part", half), some, ""},
		{"half a directory", change(".directory.part", half), some, fleet.FormatZip},
		{"a changed bit", change(".part", flip), some, ""},
		{"a changed bit of the index", change(".index.csv.part", flip), some, ""},
		{"a changed bit in front", change(".part", first), none, ""},
		{"a torn plan", change(".journal.part", func(data []byte) []byte { return data[:40] }), none, ""},
		{"an empty journal", change(".journal.part", func([]byte) []byte { return nil }), none, ""},
		{"zeros", change(".journal.part", func(data []byte) []byte { return make([]byte, len(data)) }), none, ""},
		{"no journal", remove(".journal.part"), none, ""},
		{"no archive", remove(".part"), none, ""},
		{"no index", remove(".index.csv.part"), none, ""},
		{"no directory", remove(".directory.part"), none, fleet.FormatZip},
		{"a link to nowhere", replaceBy(".part", func(path string) error { return os.Symlink("/nonexistent", path) }), none, ""},
		{"a link to a file", replaceBy(".part", func(path string) error { return os.Symlink("mine", path) }), none, ""},
		{"a journal that links to a file", replaceBy(".journal.part", func(path string) error { return os.Symlink("mine", path) }), none, ""},
		{"a journal that is a folder", replaceBy(".journal.part", func(path string) error { return os.Mkdir(path, 0o700) }), none, ""},
	}
	for _, format := range archiveFormats {
		origin := t.TempDir()
		opts := options(t, 100)
		had := halfArchive(t, format, origin, opts)
		for _, tt := range tests {
			if tt.only != "" && tt.only != format {
				continue
			}
			t.Run(string(format)+" "+tt.name, func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "copy")
				copyFolder(t, origin, dir)
				if err := os.Chmod(filepath.Join(dir, ".out.part"), 0o644); err != nil {
					t.Fatal(err)
				}
				mine := filepath.Join(filepath.Dir(dir), "mine")
				if err := os.WriteFile(mine, []byte("mine"), 0o600); err != nil {
					t.Fatal(err)
				}
				tt.damage(t, dir)
				result, err := fleet.Write(t.Context(), opts, fleet.Target{Format: format, Path: filepath.Join(dir, "out")})
				if err != nil {
					t.Fatal(err)
				}
				got := some
				switch result.Kept {
				case 0:
					got = none
				case had:
					got = all
				}
				if got != tt.kept {
					t.Errorf("%d of %d devices were kept, want %s", result.Kept, had, tt.kept)
				}
				checkArchive(t, format, result, opts)
			})
		}
	}
}

// The unfinished archive of another fleet is left alone, and with force moved away.
func TestUnfinishedArchiveOfAnotherFleet(t *testing.T) {
	given := &pki.PFXOptions{Password: "one"}
	tests := []struct {
		name   string
		mine   func(*fleet.Options, *fleet.Target) // the unfinished one
		change func(*fleet.Options, *fleet.Target) // the next one
		text   string
	}{
		{"number", nil, func(o *fleet.Options, _ *fleet.Target) { o.IDs = numbered(t, "dev-", 101) }, "it has 100 devices, not 101"},
		{"ids", nil, func(o *fleet.Options, _ *fleet.Target) { o.IDs = numbered(t, "gen-", 100) }, `other ids, from "dev-001" to "dev-100"`},
		{"ca", nil, func(o *fleet.Options, _ *fleet.Target) { o.Authority = pkitest.Root(t) }, "signed by another ca"},
		{"keys", nil, func(o *fleet.Options, _ *fleet.Target) { o.KeyType = pki.KeyECP384 }, "it has ec-p256 keys, not ec-p384"},
		{"days", nil, func(o *fleet.Options, _ *fleet.Target) { o.Validity.Days = 7 }, "expires after 30 days, not 7 days"},
		{"end", nil, func(o *fleet.Options, _ *fleet.Target) { o.Validity.NotAfter = time.Now().Add(time.Hour) }, "expires after 30 days, not a date"},
		{"pfx", nil, func(o *fleet.Options, _ *fleet.Target) { o.PFX = &pki.PFXOptions{} }, "it has no pfx files, not modern"},
		{"part", nil, func(o *fleet.Options, _ *fleet.Target) { o.Shard = fleet.Shard{Count: 2} }, "split in another way"},
		{"another part", func(o *fleet.Options, _ *fleet.Target) { o.Shard = fleet.Shard{Count: 2} },
			func(o *fleet.Options, _ *fleet.Target) { o.Shard.Index = 1 }, "is the part 0/2, not 1/2"},
		{"format", nil, func(_ *fleet.Options, target *fleet.Target) { target.Format = fleet.FormatZip }, "is a tar file, not zip"},
		{"index", nil, func(_ *fleet.Options, target *fleet.Target) { target.RawIndex = true }, "another form of index"},
		{"password", func(o *fleet.Options, _ *fleet.Target) { o.PFX = given },
			func(o *fleet.Options, _ *fleet.Target) { o.PFX = &pki.PFXOptions{Password: "two"} }, "has another password for its pfx files"},
		{"made up", func(o *fleet.Options, _ *fleet.Target) { o.PFX = given },
			func(o *fleet.Options, _ *fleet.Target) { o.PFX = &pki.PFXOptions{} }, "made up for each device, or given for all"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			opts, target := options(t, 100), fleet.Target{Format: fleet.FormatTar, Path: filepath.Join(dir, "out")}
			if tt.mine != nil {
				tt.mine(&opts, &target)
			}
			half := opts
			if half.PFX != nil {
				half.IDs = numbered(t, "dev-", 10)
				opts.IDs = half.IDs
			}
			halfArchive(t, target.Format, dir, half)
			before := tree(t, dir)
			tt.change(&opts, &target)
			_, err := fleet.Write(t.Context(), opts, target)
			if !errors.Is(err, fleet.ErrExists) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("Write() = %v, want ErrExists and %q", err, tt.text)
			}
			if diff := cmp.Diff(before, tree(t, dir)); diff != "" {
				t.Errorf("files changed (-before +after):\n%s", diff)
			}
			target.Force = true
			result, err := fleet.Write(t.Context(), opts, target)
			if err != nil || result.Kept != 0 {
				t.Fatalf("Write() by force = %+v, %v", result, err)
			}
			moved := 0
			for name, text := range tree(t, filepath.Join(dir, "replaced")) {
				if base := filepath.Base(name); before[base] == text && base != "." {
					moved++
				}
			}
			if moved != len(before)-1 {
				t.Errorf("%d of %d files are in the replaced folder", moved, len(before)-1)
			}
			if err := os.RemoveAll(filepath.Join(dir, "replaced")); err != nil {
				t.Fatal(err)
			}
			if tt.name != "part" && tt.name != "another part" && opts.PFX == nil {
				checkArchive(t, target.Format, result, opts)
			}
		})
	}
}

// The same options go on, by force, too: force is for the archive of before that stands in the way.
func TestUnfinishedArchiveGoesOn(t *testing.T) {
	tests := map[string]func(*fleet.Options, *fleet.Target){
		"by force": func(_ *fleet.Options, target *fleet.Target) { target.Force = true },
		"with a pfx": func(o *fleet.Options, _ *fleet.Target) {
			o.PFX = &pki.PFXOptions{Password: "word", Profile: pki.PFXModern}
		},
		"another start": func(o *fleet.Options, _ *fleet.Target) { o.Validity.NotBefore = time.Now().Add(-time.Hour) },
		"fewer workers": func(o *fleet.Options, _ *fleet.Target) { o.Workers = 1 },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			opts, target := options(t, 100), fleet.Target{Format: fleet.FormatZip, Path: filepath.Join(dir, "out")}
			change(&opts, &target)
			if opts.PFX != nil {
				opts.IDs = numbered(t, "dev-", 12)
			}
			saved := halfArchive(t, target.Format, dir, opts)
			if target.Force {
				if err := os.WriteFile(target.Path, []byte("of before"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			result, err := fleet.Write(t.Context(), opts, target)
			if err != nil || result.Kept != saved {
				t.Fatalf("Write() = %+v, %v; want %d kept", result, err, saved)
			}
			if err := os.RemoveAll(filepath.Join(dir, "replaced")); err != nil {
				t.Fatal(err)
			}
			checkArchive(t, target.Format, result, opts)
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

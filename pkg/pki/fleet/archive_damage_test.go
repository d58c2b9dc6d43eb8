package fleet_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/pki/fleet"
)

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

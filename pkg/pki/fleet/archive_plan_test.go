package fleet_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/fleet"
	"github.com/dpskit/dpskit/pkg/pki/pkitest"
)

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
		{"days", nil, func(o *fleet.Options, _ *fleet.Target) { o.Validity.Days = 7 }, "expires after 30 days, not after 7 days"},
		{"end", nil, func(o *fleet.Options, _ *fleet.Target) { o.Validity.NotAfter = time.Now().Add(time.Hour) }, "expires after 30 days, not at 20"},
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

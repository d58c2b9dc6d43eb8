package fleet_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/pki/fleet"
)

// Force cannot move away the folder that the process works in. It once tried without an end.
func TestForceOnWorkingFolder(t *testing.T) {
	for _, path := range []string{".", "./", "..", "here"} {
		t.Run(path, func(t *testing.T) {
			top := t.TempDir()
			dir := filepath.Join(top, "work")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "note"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			t.Chdir(dir)
			if path == "here" {
				path = dir
			}
			before := tree(t, top)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			_, err := fleet.Write(ctx, options(t, 3), fleet.Target{Path: path, Force: true})
			if !errors.Is(err, fleet.ErrImmovable) {
				t.Errorf("Write() = %v, want ErrImmovable", err)
			}
			if diff := cmp.Diff(before, tree(t, top)); diff != "" {
				t.Errorf("files changed (-before +after):\n%s", diff)
			}
		})
	}
}

// The search for a free name in the replaced folder ends when the caller wants no more.
func TestForceHonoursContext(t *testing.T) {
	dir := t.TempDir()
	target := fleet.Target{Path: filepath.Join(dir, "f")}
	if _, err := fleet.Write(t.Context(), options(t, 2), target); err != nil {
		t.Fatal(err)
	}
	before := tree(t, target.Path)
	target.Force = true
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := fleet.Write(ctx, options(t, 3), target); !errors.Is(err, context.Canceled) {
		t.Errorf("Write() = %v, want Canceled", err)
	}
	after := tree(t, target.Path)
	delete(before, ".fleet.lock")
	delete(after, ".fleet.lock")
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("files changed (-before +after):\n%s", diff)
	}
}

func TestAround(t *testing.T) {
	dir := t.TempDir()
	inner := filepath.Join(dir, "a", "b")
	if err := os.MkdirAll(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(inner, link); err != nil {
		t.Skip(err)
	}
	tests := []struct {
		outer, inner string
		want         bool
	}{
		{dir, inner, true},
		{inner, inner, true},
		{inner, dir, false},
		{link, inner, true},
		{dir, link, true},
		{filepath.Join(dir, "a"), link, true},
		{"/", inner, true},
		{filepath.Join(dir, "none"), inner, false},
		{dir, filepath.Join(dir, "none"), true},
		{filepath.Join(dir, "a"), filepath.Join(dir, "none"), false},
	}
	for _, tt := range tests {
		if got := fleet.Around(tt.outer, tt.inner); got != tt.want {
			t.Errorf("Around(%q, %q) = %t", tt.outer, tt.inner, got)
		}
	}
}

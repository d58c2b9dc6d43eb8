package cliapp_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
)

func TestMayWrite(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, path string
		force      bool
		want       string
	}{
		{"nothing there", filepath.Join(dir, "new"), false, ""},
		{"by force", file, true, ""},
		{"file", file, false, "it exists already"},
		{"folder", dir, true, "a folder is in its place"},
		{"device", os.DevNull, true, "is in its place"},
		{"below a file", filepath.Join(file, "x"), true, "write --out"},
	}
	if os.Symlink(file, link) == nil {
		tests = append(tests, struct {
			name, path string
			force      bool
			want       string
		}{"link", link, true, "a symbolic link is in its place"})
	}
	for _, tt := range tests {
		if runtime.GOOS == "windows" && (tt.name == "device" || tt.name == "below a file") {
			continue // there the one is no path, and the other is not found
		}
		err := cliapp.MayWrite("out", tt.path, tt.force)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: MayWrite = %v, want %q", tt.name, err, tt.want)
		}
		var known *cliapp.Error
		if tt.name == "file" && (!errors.As(err, &known) || len(known.Hints) != 1) {
			t.Errorf("%s: no hint in %#v", tt.name, err)
		}
	}
}

func TestWriteOut(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out")
	if err := os.WriteFile(path, []byte("one"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := cliapp.WriteOut(path, []byte("two")); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "two" {
		t.Errorf("holds %q, %v", got, err)
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	for _, bad := range []string{dir, filepath.Join(dir, "no", "out")} {
		err := cliapp.WriteOut(bad, nil)
		if err == nil || strings.Contains(err.Error(), ".dpskit") {
			t.Errorf("WriteOut(%q) = %v, want an error without the name of a temporary file", bad, err)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("left in the folder: %v, %v; want the one file", left, err)
	}
}

func TestWriteAll(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	read := func() map[string]string {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, e := range entries {
			if e.IsDir() {
				got[e.Name()] = "folder"
				continue
			}
			data, err := os.ReadFile(path(e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			got[e.Name()] = string(data)
		}
		return got
	}
	if err := os.WriteFile(path("old"), []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(path("folder/full"), 0o700); err != nil {
		t.Fatal(err)
	}
	two := []cliapp.OutFile{{Path: path("old"), Data: []byte("two")}, {Path: path("new"), Data: []byte("two")}}
	before := read()
	for _, bad := range []string{path("no/file"), path("folder"), path("folder/full") + "/no/x"} {
		err := cliapp.WriteAll(append(two[:2:2], cliapp.OutFile{Path: bad})...)
		if err == nil || strings.Contains(err.Error(), ".dpskit") {
			t.Errorf("with %q: %v, want an error without the name of a temporary file", bad, err)
		}
		if diff := cmp.Diff(before, read()); diff != "" {
			t.Errorf("with %q: changed (-before +after):\n%s", bad, diff)
		}
	}
	if err := cliapp.WriteAll(two...); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"old": "two", "new": "two", "folder": "folder"}, read()); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

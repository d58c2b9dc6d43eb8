package workspace

import (
	"context"
	"encoding/json"
	"io/fs"
	"time"
)

// OpenHooked is [Open] with a function that is called before every change of the file system.
func OpenHooked(dir string, step func(op, name string) error) (*Workspace, error) {
	w, err := newWorkspace(dir)
	if err != nil {
		return nil, err
	}
	w.hooks.step = step
	if err := w.view(context.Background(), func(*folder) error { return nil }); err != nil {
		return nil, err
	}
	return w, nil
}

// OpenDenied is [Open] for a user who may not look at some files. It also works where the tests run as root.
func OpenDenied(dir string, denied func(name string) bool) (*Workspace, error) {
	w, err := newWorkspace(dir)
	if err != nil {
		return nil, err
	}
	w.hooks.look = func(name string) error {
		if denied(name) {
			return fs.ErrPermission
		}
		return nil
	}
	return w, w.view(context.Background(), func(*folder) error { return nil })
}

// SetLockWait shortens the wait for the lock.
func SetLockWait(w *Workspace, d time.Duration) { w.hooks.wait = d }

// For tests of names and files.
var (
	FileStem   = fileStem
	NameOfStem = nameOfStem
	CheckName  = checkName
	IsReserved = isReserved
)

// ReencodeManifest parses a manifest and encodes it again.
func ReencodeManifest(data []byte) ([]byte, error) {
	entries, err := parseManifest(data)
	if err != nil {
		return nil, err
	}
	return encodeManifest(entries)
}

// JournalFiles returns the files that a journal would touch, if it is taken.
func JournalFiles(data []byte) ([]string, error) {
	var j journal
	if err := json.Unmarshal(data, &j); err != nil {
		return nil, err
	}
	if err := j.check(); err != nil {
		return nil, err
	}
	var names []string
	for _, r := range append(j.Moves, j.Renames...) {
		names = append(names, r.From, r.To)
	}
	return names, nil
}

package workspace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Workspace is a folder with a test PKI. It is safe for concurrent use; other processes may use the same folder. It
// holds no file open between calls, so there is nothing to close.
type Workspace struct {
	dir   string
	hooks hooks

	mu       sync.Mutex
	state    state
	replaced Replaced // by the last change
}

// state is what is known of the folder.
type state struct {
	entries  map[string]Entry
	problems []Problem
	manifest fs.FileInfo // nil when there is no manifest
	// noKeys says why it is not known which keys there are: the private folder of a folder without a manifest cannot
	// be read. Nothing is changed then, or the new manifest would list no keys.
	noKeys error
}

// Problem is a file of a folder without a manifest that could not be taken in.
type Problem struct {
	File string // relative to the folder
	Err  error
}

// Open reads the workspace in dir, which need not exist yet. A change that was interrupted there is finished first.
// A folder of the original script, which has no manifest, is read from its files and not changed.
//
// A manifest that cannot be read gives [ErrBroken] and is left as it is; [Rebuild] makes a new one.
func Open(dir string) (*Workspace, error) {
	w, err := newWorkspace(dir)
	if err != nil {
		return nil, err
	}
	if err := w.view(context.Background(), func(*folder) error { return nil }); err != nil {
		return nil, err
	}
	return w, nil
}

func newWorkspace(dir string) (*Workspace, error) {
	if dir == "" {
		return nil, fmt.Errorf("open workspace: no folder given")
	}
	return &Workspace{dir: dir}, nil
}

// Dir returns the folder as it was given to [Open].
func (w *Workspace) Dir() string { return w.dir }

// Exists reports whether there is a root certificate.
func (w *Workspace) Exists() bool {
	_, err := w.Lookup(RootName)
	return err == nil
}

// Entries returns what is in the workspace, sorted by name.
func (w *Workspace) Entries() []Entry {
	w.mu.Lock()
	defer w.mu.Unlock()
	return sortedEntries(w.state.entries)
}

// Problems returns the files of a folder without a manifest that could not be taken in.
func (w *Workspace) Problems() []Problem {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]Problem(nil), w.state.problems...)
}

// Lookup returns the entry of a name in any letter case, or [ErrNotFound].
func (w *Workspace) Lookup(name string) (Entry, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state.lookup(w.dir, name)
}

func (s *state) lookup(dir, name string) (Entry, error) {
	if e, ok := s.entries[name]; ok {
		return e, nil
	}
	for _, e := range s.entries {
		if strings.EqualFold(e.Name, name) {
			return e, nil
		}
	}
	return Entry{}, fmt.Errorf("look up %q in workspace %q: %w", name, dir, ErrNotFound)
}

// DefaultCA returns the name of the CA that signs when none is asked for: the last of the series of intermediates,
// else the root. It is "root" in an empty workspace.
func (w *Workspace) DefaultCA() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state.defaultCA()
}

func (s *state) defaultCA() string {
	best, name := 0, RootName
	for _, e := range s.entries {
		if n, ok := seriesNumber(e.Name); ok && n > best {
			best, name = n, e.Name
		}
	}
	return name
}

// view runs fn while no other process changes the folder, with an up-to-date state. fn gets nil when there is no
// folder.
func (w *Workspace) view(ctx context.Context, fn func(f *folder) error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	info, err := os.Stat(w.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		w.state = state{}
		return fn(nil)
	case err != nil:
		return fmt.Errorf("open workspace %q: %w", w.dir, cause(err))
	case !info.IsDir():
		return fmt.Errorf("open workspace %q: it is a file, not a folder", w.dir)
	}
	f, err := openFolder(w.dir, w.hooks)
	if err != nil {
		return err
	}
	defer f.close()
	for {
		again, err := w.viewOnce(ctx, f, fn)
		if err != nil || !again {
			return err
		}
	}
}

// viewOnce is one try of view. It asks for another when a first writer appeared meanwhile, which a missing lock file
// could not hold back, or when an interrupted change had to be finished.
func (w *Workspace) viewOnce(ctx context.Context, f *folder, fn func(f *folder) error) (again bool, err error) {
	before, err := f.lstat(lockFile)
	if err != nil {
		return false, err
	}
	unlock, err := lockShared(ctx, f)
	if err != nil {
		return false, err
	}
	left, err := f.lstat(journalFile)
	if err != nil {
		unlock()
		return false, err
	}
	if left != nil {
		unlock()
		return true, recoverAlone(ctx, f)
	}
	defer unlock()
	if err = w.refresh(f); err == nil {
		err = fn(f)
	}
	if before == nil {
		if after, statErr := f.lstat(lockFile); statErr == nil && after != nil {
			w.state = state{}
			return true, nil
		}
	}
	return false, err
}

// recoverAlone finishes an interrupted change under the exclusive lock.
func recoverAlone(ctx context.Context, f *folder) error {
	unlock, err := lockExclusive(ctx, f)
	if err != nil {
		return fmt.Errorf("finish interrupted change: %w", err)
	}
	defer unlock()
	if err := recoverJournal(f); err != nil {
		return fmt.Errorf("finish interrupted change: %w", err)
	}
	return nil
}

// refresh reads the manifest again when it is another file than before. Every change renames a new one into place.
func (w *Workspace) refresh(f *folder) error {
	info, err := f.lstat(manifestFile)
	if err != nil {
		return err
	}
	if info == nil {
		w.state, err = adopt(f, nil)
		return err
	}
	if old := w.state.manifest; old != nil && os.SameFile(old, info) && old.ModTime().Equal(info.ModTime()) {
		return nil
	}
	data, err := f.read(manifestFile, maxManifest)
	if err != nil {
		return damage(err)
	}
	entries, err := parseManifest(data)
	if err != nil {
		return fmt.Errorf("read workspace manifest %q: %w: %w", f.show(manifestFile), ErrBroken, err)
	}
	w.state = state{entries: entries, manifest: info}
	return nil
}

// draft is a change in the making: what fn of update works on.
type draft struct {
	*change
	entries map[string]Entry // a copy of the state that fn alters
	state   *state           // the state before
}

// update changes the folder: it takes the lock, finishes what an earlier process left, lets fn prepare the change,
// and commits it together with the new manifest. When fn or the commit fails nothing is changed.
func (w *Workspace) update(ctx context.Context, now time.Time, fn func(d *draft) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("change workspace %q: %w", w.dir, context.Cause(ctx))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.replaced = Replaced{}
	made, err := makeFolder(w.dir)
	if err != nil {
		return fmt.Errorf("make workspace %q: %w", w.dir, cause(err))
	}
	if err = w.updateFolder(ctx, now, len(made) > 0, fn); err != nil {
		for _, dir := range made { // fails when anything is in it, which is right
			_ = os.Remove(dir)
		}
	}
	return err
}

// makeFolder makes a folder and those above it, and returns what it made, the deepest first.
func makeFolder(dir string) (made []string, err error) {
	for at := filepath.Clean(dir); ; at = filepath.Dir(at) {
		if _, err := os.Stat(at); !errors.Is(err, fs.ErrNotExist) || at == filepath.Dir(at) {
			break
		}
		made = append(made, at)
	}
	if err := os.MkdirAll(dir, dirMode); err != nil {
		for _, dir := range made {
			_ = os.Remove(dir)
		}
		return nil, err
	}
	return made, nil
}

// updateFolder is update for a folder that is there. When it is new and the change fails, the lock file is removed
// again too.
func (w *Workspace) updateFolder(ctx context.Context, now time.Time, made bool, fn func(d *draft) error) (err error) {
	f, err := openFolder(w.dir, w.hooks)
	if err != nil {
		return err
	}
	defer f.close()
	unlock, err := lockExclusive(ctx, f)
	if err != nil {
		return err
	}
	defer unlock()
	defer func() {
		if err != nil && made {
			removeLock(f)
		}
	}()
	if err := recoverJournal(f); err != nil {
		return err
	}
	if err := sweep(f); err != nil {
		return err
	}
	if err := w.refresh(f); err != nil {
		return err
	}
	if err := w.state.noKeys; err != nil {
		return fmt.Errorf("change workspace %q: %w", w.dir, err)
	}
	return w.commit(ctx, f, now, fn)
}

func (w *Workspace) commit(ctx context.Context, f *folder, now time.Time, fn func(d *draft) error) error {
	c, err := newChange(f, now)
	if err != nil {
		return err
	}
	defer c.abandon()
	d := &draft{change: c, state: &w.state, entries: make(map[string]Entry, len(w.state.entries)+1)}
	for name, e := range w.state.entries {
		d.entries[name] = e
	}
	if err := fn(d); err != nil {
		return err
	}
	data, err := encodeManifest(d.entries)
	if err != nil {
		return err
	}
	if err := c.put(manifestFile, data, certMode); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("change workspace %q: %w", w.dir, context.Cause(ctx))
	}
	if err := c.commit(); err != nil {
		return err
	}
	info, err := f.lstat(manifestFile)
	if err != nil {
		return err
	}
	w.replaced = d.whatMoved(w.dir)
	w.state = state{entries: d.entries, manifest: info}
	return nil
}

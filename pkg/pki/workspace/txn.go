package workspace

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.step.sm/crypto/randutil"
)

// maxJournal bounds a change to about a million files.
const maxJournal = 256 << 20

// journal says how to finish a change. Once it is there, the change has happened.
type journal struct {
	Version int          `json:"version"`
	Moves   []fileRename `json:"moves,omitempty"` // old files to the replaced folder; all before the first rename
	Renames []fileRename `json:"renames"`         // temporary files to their places; the manifest last
}

type fileRename struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// change collects one all-or-nothing change of the folder.
type change struct {
	f        *folder
	id       string
	journal  journal
	moved    map[string]bool // what journal.Moves takes away
	madeDirs []string
	replaced string // folder for what is replaced, once there is anything
	now      time.Time
}

func newChange(f *folder, now time.Time) (*change, error) {
	id, err := randutil.Hex(12)
	if err != nil {
		return nil, fmt.Errorf("make temporary name: %v", err)
	}
	return &change{f: f, id: id, now: now, journal: journal{Version: 1}, moved: map[string]bool{}}, nil
}

// put stages a file. The folder of the file is made if needed.
func (c *change) put(name string, data []byte, mode fs.FileMode) error {
	dir := path.Dir(name)
	dirPerm := dirMode
	if dir == privateDir {
		dirPerm = privateMode
	}
	if _, err := c.mkdir(dir, dirPerm); err != nil {
		return err
	}
	info, err := c.f.lstat(name)
	if err != nil {
		return err
	}
	if info != nil && info.IsDir() && !c.moves(name) {
		return fmt.Errorf("write %q: a folder is in its place", c.f.show(name))
	}
	temp := path.Join(dir, tempPrefix+c.id+"-"+strconv.Itoa(len(c.journal.Renames))+tempSuffix)
	if err := c.f.create(temp, data, mode); err != nil {
		return err
	}
	c.journal.Renames = append(c.journal.Renames, fileRename{From: temp, To: name})
	return nil
}

// moves reports whether the change takes name away.
func (c *change) moves(name string) bool { return c.moved[name] }

// retire plans to move a file to the replaced folder; one that is not there is passed over.
func (c *change) retire(name string) error {
	info, err := c.f.lstat(name)
	if err != nil || info == nil || c.moves(name) {
		return err
	}
	if c.replaced == "" {
		if c.replaced, err = c.makeReplaced(); err != nil {
			return err
		}
	}
	c.moved[name] = true
	c.journal.Moves = append(c.journal.Moves, fileRename{From: name, To: path.Join(c.replaced, name)})
	return nil
}

// makeReplaced makes a folder that no other change uses.
func (c *change) makeReplaced() (string, error) {
	if _, err := c.mkdir(replacedDir, privateMode); err != nil {
		return "", err
	}
	base := path.Join(replacedDir, c.now.UTC().Format("20060102T150405Z"))
	for i := 1; ; i++ {
		name := base
		if i > 1 {
			name += "-" + strconv.Itoa(i)
		}
		if made, err := c.mkdir(name, privateMode); err != nil || made {
			return name, err
		}
	}
}

// mkdir makes a folder that is removed again when the change fails. A private one that is there is closed to others.
func (c *change) mkdir(name string, mode fs.FileMode) (made bool, err error) {
	made, err = c.f.mkdir(name, mode)
	if made {
		c.madeDirs = append(c.madeDirs, name)
	}
	if err == nil && !made && mode == privateMode {
		err = c.f.narrow(name)
	}
	return made, err
}

// commit makes the change. After the journal is written it cannot fail any more, only be left to the next Open.
func (c *change) commit() error {
	for _, dir := range c.touchedDirs() {
		if err := c.f.syncDir(dir); err != nil {
			return err
		}
	}
	data, err := json.Marshal(c.journal)
	if err != nil {
		return fmt.Errorf("encode journal: %v", err)
	}
	if len(data) > maxJournal {
		return fmt.Errorf("change workspace %q: it is too large to be done at once", c.f.dir)
	}
	temp := tempPrefix + c.id + "-journal" + tempSuffix
	if err := c.f.create(temp, data, keyMode); err != nil {
		return err
	}
	if err := c.f.rename(temp, journalFile); err != nil {
		_ = c.f.remove(temp)
		return err
	}
	// Without this a power cut could keep renames and lose the journal.
	err = c.f.syncDir(".")
	if err == nil {
		err = finish(c.f, c.journal)
	}
	if err != nil {
		return fmt.Errorf("%w; the change is recorded and the next command on the workspace finishes it", err)
	}
	c.journal = journal{}
	c.madeDirs = nil
	return nil
}

// touchedDirs returns every folder whose content the change alters before the journal, the top one last.
func (c *change) touchedDirs() []string {
	var dirs []string
	for _, r := range c.journal.Renames {
		dirs = append(dirs, path.Dir(r.From))
	}
	if c.replaced != "" {
		dirs = append(dirs, replacedDir)
	}
	slices.Sort(dirs)
	dirs = slices.DeleteFunc(slices.Compact(dirs), func(d string) bool { return d == "." })
	return append(dirs, ".")
}

// abandon removes what a failed change left. It does nothing once the journal is written.
func (c *change) abandon() {
	if info, err := c.f.lstat(journalFile); err != nil || info != nil {
		return
	}
	for _, r := range c.journal.Renames {
		_ = c.f.remove(r.From)
	}
	for _, dir := range slices.Backward(c.madeDirs) {
		_ = c.f.remove(dir) // fails when another file is in it, which is right
	}
}

// finish carries out a journal, from the beginning or from wherever it was interrupted. The old files are safe in
// their new place before a new file takes the old place, and everything is before the journal goes.
func finish(f *folder, j journal) error {
	var dirs []string
	for _, m := range j.Moves {
		if err := finishMove(f, m); err != nil {
			return err
		}
		dirs = append(dirs, path.Dir(m.From), path.Dir(m.To), path.Dir(path.Dir(m.To)))
	}
	if err := syncDirs(f, dirs); err != nil {
		return err
	}
	dirs = []string{"."}
	for _, r := range j.Renames {
		from, err := f.lstat(r.From)
		if err != nil {
			return err
		}
		if from == nil {
			continue // done before the interruption
		}
		if err := f.rename(r.From, r.To); err != nil {
			return err
		}
		dirs = append(dirs, path.Dir(r.To))
	}
	if err := syncDirs(f, dirs); err != nil {
		return err
	}
	if err := f.remove(journalFile); err != nil {
		return err
	}
	return f.syncDir(".")
}

func syncDirs(f *folder, dirs []string) error {
	slices.Sort(dirs)
	for _, dir := range slices.Compact(dirs) {
		info, err := f.lstat(dir)
		if err != nil {
			return err
		}
		if info == nil {
			continue // nothing was moved there
		}
		if err := f.syncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// finishMove moves an old file away unless that is done: then its place may hold the new file already.
func finishMove(f *folder, m fileRename) error {
	to, err := f.lstat(m.To)
	if err != nil || to != nil {
		return err
	}
	from, err := f.lstat(m.From)
	if err != nil || from == nil {
		return err
	}
	if err := f.mkdirAll(path.Dir(m.To), privateMode); err != nil {
		return err
	}
	return f.rename(m.From, m.To)
}

// recoverJournal finishes an interrupted change. The caller holds the lock.
func recoverJournal(f *folder) error {
	info, err := f.lstat(journalFile)
	if err != nil || info == nil {
		return err
	}
	data, err := f.read(journalFile, maxJournal)
	if err != nil {
		return err
	}
	var j journal
	if err := json.Unmarshal(data, &j); err != nil {
		return fmt.Errorf("read journal %q: %w: %v", f.show(journalFile), ErrBroken, err)
	}
	if err := j.check(); err != nil {
		return fmt.Errorf("read journal %q: %w: %w", f.show(journalFile), ErrBroken, err)
	}
	return finish(f, j)
}

// check makes sure that a journal names nothing but files of the workspace.
func (j journal) check() error {
	if j.Version != 1 {
		return fmt.Errorf("it has version %d, and this program knows version 1", j.Version)
	}
	for _, m := range j.Moves {
		tail, ok := strings.CutPrefix(m.To, replacedDir+"/")
		stamp, name, _ := strings.Cut(tail, "/")
		if !ok || !isFileName(stamp) || name != m.From || !isMovable(m.From) {
			return fmt.Errorf("it moves %q to %q", m.From, m.To)
		}
	}
	for _, r := range j.Renames {
		if !isTemp(path.Base(r.From)) || path.Dir(r.From) != path.Dir(r.To) || !isMovable(r.To) {
			return fmt.Errorf("it renames %q to %q", r.From, r.To)
		}
	}
	return nil
}

func isMovable(name string) bool { return name == manifestFile || isWorkspaceFile(name) }

func isTemp(base string) bool {
	return isFileName(base) && strings.HasPrefix(base, tempPrefix) && strings.HasSuffix(base, tempSuffix)
}

// sweep removes temporary files of a run that was killed before its journal. The caller holds the lock and has
// recovered the journal, so no file is still needed.
func sweep(f *folder) error {
	for _, dir := range []string{".", certsDir, privateDir} {
		entries, err := f.list(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if isTemp(e.Name()) && !e.IsDir() {
				if err := f.remove(path.Join(dir, e.Name())); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

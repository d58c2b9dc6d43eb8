package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"
)

// replacedDir is where what is replaced by force goes, as in a workspace.
const replacedDir = "replaced"

// maxReplaced bounds the folders of one second in the replaced folder.
const maxReplaced = 1000

// replace moves a file or folder to <dir>/replaced/<UTC time>/. What is not there is passed over.
func replace(ctx context.Context, root *os.Root, dir, name string, now time.Time) error {
	if !isPlain(name) {
		return fmt.Errorf("move %q away: it %w", filepath.Join(dir, name), ErrImmovable)
	}
	if _, err := root.Lstat(name); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := root.Mkdir(replacedDir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make folder %q: %w", filepath.Join(dir, replacedDir), cause(err))
	}
	base := filepath.Join(replacedDir, now.UTC().Format("20060102T150405Z"))
	for i := 1; i <= maxReplaced; i++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		to := base
		if i > 1 {
			to += "-" + strconv.Itoa(i)
		}
		err := root.Mkdir(to, 0o700)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make folder %q: %w", filepath.Join(dir, to), cause(err))
		}
		if _, err := root.Lstat(filepath.Join(to, name)); err == nil {
			continue // taken by another run of this second
		}
		if err := root.Rename(name, filepath.Join(to, name)); err != nil {
			return fmt.Errorf("move %q to %q: %w", filepath.Join(dir, name), filepath.Join(dir, to), cause(err))
		}
		return nil
	}
	return fmt.Errorf("move %q to %q: %d folders of this second are taken", filepath.Join(dir, name),
		filepath.Join(dir, base), maxReplaced)
}

// isPlain reports whether name is the name of something in a folder, not that of the folder itself or one above it.
func isPlain(name string) bool {
	return name != "." && filepath.IsLocal(name) && filepath.Base(name) == name
}

// checkMovable returns [ErrImmovable] for the folder that the process works in and for every folder around it: under
// whatever name it is given, moving it would pull the ground away from the process and from the shell that started it.
func checkMovable(dir string) error {
	if Around(dir, ".") {
		return fmt.Errorf("the working folder is there, and it %w", ErrImmovable)
	}
	if _, base := filepath.Split(filepath.Clean(dir)); !isPlain(base) {
		return fmt.Errorf("it %w", ErrImmovable)
	}
	return nil
}

// Around reports whether outer is the folder inner or one that inner is in, under whatever names they go. It is false
// when one of them does not exist.
func Around(outer, inner string) bool {
	want, err := os.Stat(outer)
	if err != nil {
		return false
	}
	at, err := filepath.Abs(inner)
	if err != nil {
		return false
	}
	if real, err := filepath.EvalSymlinks(at); err == nil {
		at = real
	}
	for {
		if info, err := os.Stat(at); err == nil && os.SameFile(info, want) {
			return true
		}
		next := filepath.Dir(at)
		if next == at {
			return false
		}
		at = next
	}
}

// syncDir makes renames in a folder durable. Windows has no such call, and a file system that refuses it has done
// what it can.
func syncDir(root *os.Root) {
	if runtime.GOOS == "windows" {
		return
	}
	if dir, err := root.Open("."); err == nil {
		_ = dir.Sync()
		_ = dir.Close()
	}
}

// indexFile is an index under a temporary name.
type indexFile struct {
	*Index
	root *os.Root
	dir  string
	name string
	file *os.File
	out  measured
	step func(op, name string) error // nil outside of tests
	done bool
}

func newIndexFile(root *os.Root, dir, name string, target Target) (*indexFile, error) {
	x := &indexFile{root: root, dir: dir, name: name}
	if err := root.Remove(x.temp()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove %q: %w", filepath.Join(dir, x.temp()), cause(err))
	}
	file, err := root.OpenFile(x.temp(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, fmt.Errorf("create %q: %w", filepath.Join(dir, x.temp()), cause(err))
	}
	x.Index = NewIndex(x.writer(file, target, extent{}), target.RawIndex)
	return x, nil
}

// resumeIndexFile goes on with an index whose beginning is in file.
func resumeIndexFile(root *os.Root, dir, name string, target Target, file *os.File, begun extent) *indexFile {
	x := &indexFile{root: root, dir: dir, name: name}
	x.Index = resumeIndex(x.writer(file, target, begun), target.RawIndex)
	return x
}

func (x *indexFile) writer(file *os.File, target Target, begun extent) io.Writer {
	x.file, x.out = file, measured{w: file, extent: begun}
	if target.step == nil {
		return &x.out
	}
	x.step = target.step
	return &stepWriter{w: &x.out, step: func() error { return target.step("write", x.name) }}
}

func (x *indexFile) temp() string { return "." + x.name + partSuffix }

func (x *indexFile) close() error {
	err := x.Flush()
	if err == nil {
		err = x.file.Sync()
	}
	if closeErr := x.file.Close(); err == nil {
		err = closeErr
	}
	x.file = nil
	if err != nil {
		return fmt.Errorf("write %q: %w", filepath.Join(x.dir, x.temp()), cause(err))
	}
	return nil
}

func (x *indexFile) rename() error {
	var err error
	if x.step != nil {
		err = x.step("rename", x.name)
	}
	if err == nil {
		err = x.root.Rename(x.temp(), x.name)
	}
	if err != nil {
		return fmt.Errorf("rename %q to %q: %w", filepath.Join(x.dir, x.temp()), x.name, cause(err))
	}
	x.done = true
	return nil
}

// stepWriter asks before every write whether it is to fail.
type stepWriter struct {
	w    io.Writer
	step func() error
}

func (w *stepWriter) Write(p []byte) (int, error) {
	if err := w.step(); err != nil {
		return 0, err
	}
	return w.w.Write(p)
}

// abandon removes the temporary file. It may be called on nil and after rename.
func (x *indexFile) abandon() {
	if x == nil || x.done {
		return
	}
	x.leave()
	_ = x.root.Remove(x.temp())
}

// leave closes the temporary file and lets it be. It may be called on nil and after rename.
func (x *indexFile) leave() {
	if x == nil || x.done {
		return
	}
	if x.file != nil {
		_ = x.file.Close()
	}
	x.done = true
}

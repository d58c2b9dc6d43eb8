package fleet

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// archiveFormat writes the members of an archive.
type archiveFormat interface {
	// begin is called first. The spill is a temporary file for what has to wait until the end.
	begin(mtime time.Time, spill func() (*os.File, error))
	// encode appends the members of a device to d.staged. It is called by several goroutines at once.
	encode(d *Device) error
	// folder and device write to the archive.
	folder(w io.Writer, name string, private bool) error
	device(w io.Writer, d *Device) error
	// end writes what stands at the end.
	end(w io.Writer) error
}

// archive is a fleet in one file. It is written under a temporary name.
type archive struct {
	parent   *os.Root
	dir      string // of parent
	base     string
	force    bool
	now      time.Time
	format   archiveFormat
	file     *os.File
	buf      *bufio.Writer
	flusher  flusher
	bucket   string
	index    *indexFile
	unlock   func()
	temps    []string
	finished bool
	before   func(op, name string) error // nil outside of tests
}

// partSuffix marks an archive that is not complete.
const partSuffix = ".part"

func isOurTemp(name string) bool {
	return len(name) > 1 && name[0] == '.' && (filepath.Ext(name) == partSuffix || filepath.Ext(name) == ".lock")
}

func openArchive(r *run, target Target, format archiveFormat) (output, error) {
	dir, base := filepath.Split(filepath.Clean(target.Path))
	if dir == "" {
		dir = "."
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, cause(err)
	}
	parent, err := os.OpenRoot(dir)
	if err != nil {
		return nil, cause(err)
	}
	a := &archive{parent: parent, dir: dir, base: base, force: target.Force, now: r.now(), format: format, before: target.step}
	if err := a.open(target); err != nil {
		a.abandon()
		return nil, err
	}
	return a, nil
}

func (a *archive) open(target Target) error {
	if err := a.refuse(); err != nil {
		return err
	}
	var err error
	if a.unlock, err = lock(a.parent, a.dir, "."+a.base+".lock"); err != nil {
		return err
	}
	if a.file, err = a.create("." + a.base + partSuffix); err != nil {
		return err
	}
	a.flusher.file = a.file
	var out io.Writer = &a.flusher
	if target.step != nil {
		out = &stepWriter{w: out, step: func() error { return target.step("write", a.base) }}
	}
	a.buf = bufio.NewWriterSize(out, 256<<10)
	directory := "." + a.base + ".directory" + partSuffix
	_ = a.parent.Remove(directory) // of a zip file whose process was killed
	a.format.begin(a.now, func() (*os.File, error) { return a.create(directory) })
	for _, name := range []string{certsDir, privateDir} {
		if err := a.format.folder(a.buf, name, name == privateDir); err != nil {
			return a.wrap(err)
		}
	}
	a.index, err = newIndexFile(a.parent, a.dir, archiveIndex(a.base), target)
	return err
}

// refuse reports what is in the place of the archive or its index, unless it may be moved away.
func (a *archive) refuse() error {
	for _, name := range []string{a.base, archiveIndex(a.base)} {
		info, err := a.parent.Lstat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return cause(err)
		case info.IsDir():
			return fmt.Errorf("a folder %w there", ErrExists)
		case !a.force:
			return fmt.Errorf("%q %w", filepath.Join(a.dir, name), ErrExists)
		}
	}
	return nil
}

func (a *archive) step(op, name string) error {
	if a.before == nil {
		return nil
	}
	return a.before(op, name)
}

// create makes a temporary file anew. What a killed process left is removed: the lock is held.
func (a *archive) create(name string) (*os.File, error) {
	if err := a.parent.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove %q: %w", filepath.Join(a.dir, name), cause(err))
	}
	if err := a.step("create", name); err != nil {
		return nil, fmt.Errorf("create %q: %w", filepath.Join(a.dir, name), err)
	}
	file, err := a.parent.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create %q: %w", filepath.Join(a.dir, name), cause(err))
	}
	a.temps = append(a.temps, name)
	return file, nil
}

func (a *archive) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("write %q: %w", filepath.Join(a.dir, "."+a.base+partSuffix), cause(err))
}

func (a *archive) stage(m *mint, d *Device, nth int) error {
	if err := m.make(d, nth); err != nil {
		return err
	}
	return a.format.encode(d)
}

// Write appends a device.
func (a *archive) Write(d *Device) error {
	if d.Err == nil {
		if d.names.bucket != a.bucket {
			a.bucket = d.names.bucket
			for _, dir := range []string{certsDir, privateDir} {
				if err := a.format.folder(a.buf, dir+"/"+a.bucket, dir == privateDir); err != nil {
					return a.wrap(err)
				}
			}
		}
		if err := a.format.device(a.buf, d); err != nil {
			return a.wrap(err)
		}
	}
	return a.index.Write(d)
}

func (a *archive) indexPath() string { return filepath.Join(a.dir, archiveIndex(a.base)) }

// commit puts the archive and its index into place.
func (a *archive) commit() error {
	if err := a.format.end(a.buf); err != nil {
		return a.wrap(err)
	}
	if err := a.buf.Flush(); err != nil {
		return a.wrap(err)
	}
	err := a.step("sync", a.base)
	if err == nil {
		err = a.file.Sync()
	}
	if closeErr := a.file.Close(); err == nil {
		err = closeErr
	}
	a.file = nil
	if err != nil {
		return a.wrap(err)
	}
	if err := a.index.close(); err != nil {
		return err
	}
	if err := a.refuse(); err != nil { // it may have appeared meanwhile
		return err
	}
	for _, name := range []string{a.base, archiveIndex(a.base)} {
		if err := replace(a.parent, a.dir, name, a.now); err != nil {
			return err
		}
	}
	if err := a.index.rename(); err != nil {
		return err
	}
	err = a.step("rename", a.base)
	if err == nil {
		err = a.parent.Rename("."+a.base+partSuffix, a.base)
	}
	if err != nil {
		_ = a.parent.Remove(archiveIndex(a.base))
		return fmt.Errorf("rename %q: %w", filepath.Join(a.dir, "."+a.base+partSuffix), cause(err))
	}
	a.finished = true
	syncDir(a.parent)
	a.release()
	return nil
}

// abandon removes what an early end leaves.
func (a *archive) abandon() {
	if !a.finished {
		a.release()
	}
}

func (a *archive) release() {
	if a.file != nil {
		_ = a.file.Close()
	}
	a.index.abandon()
	if z, ok := a.format.(io.Closer); ok {
		_ = z.Close()
	}
	for _, name := range a.temps {
		_ = a.parent.Remove(name)
	}
	if a.unlock != nil {
		a.unlock()
	}
	_ = a.parent.Close()
	a.finished = true
}

package fleet

import (
	"bufio"
	"context"
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
	// record adds to a record what the format needs to go on from there, and goOn goes on with it. The spill is nil for
	// a format that has none.
	record(rec *record) error
	goOn(rec record, spill *os.File)
	// sync brings the spill to the disk. It may be called beside the others.
	sync() error
	// end writes what stands at the end.
	end(w io.Writer) error
}

// archive is a fleet in one file. It is written under a temporary name, with a journal beside it.
type archive struct {
	run      *run
	parent   *os.Root
	dir      string // of parent
	base     string
	target   Target
	now      time.Time
	format   archiveFormat
	file     *os.File
	flusher  flusher
	out      measured
	buf      *bufio.Writer
	bucket   string
	index    *indexFile
	unlock   func()
	journal  journal
	devices  int  // that are written, of this part of the fleet
	failed   bool // one of them is not there
	sealed   bool // the end is being written
	finished bool
}

// partSuffix marks an archive that is not complete.
const partSuffix = ".part"

func isOurTemp(name string) bool {
	return len(name) > 1 && name[0] == '.' && (filepath.Ext(name) == partSuffix || filepath.Ext(name) == ".lock")
}

func openArchive(ctx context.Context, r *run, target Target, format archiveFormat) (output, error) {
	dir, base := filepath.Split(filepath.Clean(target.Path))
	if dir == "" {
		dir = "."
	}
	if !isPlain(base) {
		return nil, fmt.Errorf("a folder %w there", ErrExists)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, cause(err)
	}
	parent, err := os.OpenRoot(dir)
	if err != nil {
		return nil, cause(err)
	}
	a := &archive{run: r, parent: parent, dir: dir, base: base, target: target, now: r.now(), format: format}
	if err := a.open(ctx); err != nil {
		a.abandon()
		return nil, err
	}
	return a, nil
}

func (a *archive) open(ctx context.Context) error {
	left, err := a.parent.Lstat(a.name(journalTail))
	if left == nil || err != nil {
		if err := a.refuse(); err != nil {
			return err // and the folder is left as it is, without even a lock
		}
	}
	if a.unlock, err = lock(a.parent, a.dir, a.name(".lock")); err != nil {
		return err
	}
	a.format.begin(a.now, func() (*os.File, error) { return a.create(directoryTail) })
	resumed, err := a.resume(ctx)
	if err != nil {
		return err
	}
	if err := a.refuse(); err != nil {
		return err
	}
	if resumed {
		return nil
	}
	return a.begin()
}

// begin starts an archive anew.
func (a *archive) begin() error {
	for _, tail := range []string{journalTail, directoryTail} { // of a process that was killed
		if err := a.parent.Remove(a.name(tail)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove %q: %w", a.show(tail), cause(err))
		}
	}
	file, err := a.create(partSuffix)
	if err != nil {
		return err
	}
	a.writeTo(file, extent{})
	for _, name := range []string{certsDir, privateDir} {
		if err := a.format.folder(a.buf, name, name == privateDir); err != nil {
			return a.wrap(err)
		}
	}
	a.index, err = newIndexFile(a.parent, a.dir, archiveIndex(a.base), a.target)
	return err
}

// writeTo lets the archive grow in a file whose beginning is there.
func (a *archive) writeTo(file *os.File, begun extent) {
	a.file = file
	a.flusher = newFlusher(file, begun.Size)
	a.out = measured{w: &a.flusher, extent: begun}
	var out io.Writer = &a.out
	if a.target.step != nil {
		out = &stepWriter{w: out, step: func() error { return a.target.step("write", a.base) }}
	}
	a.buf = bufio.NewWriterSize(out, 256<<10)
}

// name is that of one of the temporary files.
func (a *archive) name(tail string) string { return "." + a.base + tail }
func (a *archive) show(tail string) string { return filepath.Join(a.dir, a.name(tail)) }

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
		case !a.target.Force:
			return fmt.Errorf("%q %w", filepath.Join(a.dir, name), ErrExists)
		}
	}
	return nil
}

func (a *archive) step(op, name string) error {
	if a.target.step == nil {
		return nil
	}
	return a.target.step(op, name)
}

// create makes a temporary file anew. What a killed process left is removed: the lock is held.
func (a *archive) create(tail string) (*os.File, error) {
	if err := a.parent.Remove(a.name(tail)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove %q: %w", a.show(tail), cause(err))
	}
	if err := a.step("create", a.name(tail)); err != nil {
		return nil, fmt.Errorf("create %q: %w", a.show(tail), err)
	}
	file, err := a.parent.OpenFile(a.name(tail), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create %q: %w", a.show(tail), cause(err))
	}
	return file, nil
}

func (a *archive) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("write %q: %w", a.show(partSuffix), cause(err))
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
	if err := a.index.Write(d); err != nil {
		return err
	}
	a.devices++
	a.failed = a.failed || d.Err != nil
	return a.recordSometimes()
}

func (a *archive) indexPath() string { return filepath.Join(a.dir, archiveIndex(a.base)) }

// commit puts the archive and its index into place.
func (a *archive) commit(ctx context.Context) error {
	if a.journal.file != nil && !a.failed { // a fleet that takes no time needs no journal
		if err := a.record(); err != nil {
			return err
		}
	}
	a.sealed = true
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
	if syncErr := a.journal.wait(); err == nil { // which may have taken the error away from us
		err = syncErr
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
	return a.place(ctx)
}

// place gives the archive and its index their names.
func (a *archive) place(ctx context.Context) error {
	if err := a.refuse(); err != nil { // it may have appeared meanwhile
		return err
	}
	for _, name := range []string{a.base, archiveIndex(a.base)} {
		if err := replace(ctx, a.parent, a.dir, name, a.now); err != nil {
			return err
		}
	}
	if err := a.index.rename(); err != nil {
		return err
	}
	err := a.step("rename", a.base)
	if err == nil {
		err = a.parent.Rename(a.name(partSuffix), a.base)
	}
	if err != nil {
		_ = a.parent.Rename(archiveIndex(a.base), a.index.temp())
		a.index.done = false
		return fmt.Errorf("rename %q: %w", a.show(partSuffix), cause(err))
	}
	syncDir(a.parent)
	a.release(false)
	return nil
}

// abandon keeps what the next run can go on with, if there is a device in it, and else removes everything.
func (a *archive) abandon() (unfinished string, saved int) {
	if a.finished {
		return "", 0
	}
	if a.buf != nil && a.index != nil && !a.sealed && !a.failed && !a.journal.torn && a.devices > a.journal.devices {
		_ = a.record() // a disk that is full has the record before it
	}
	saved = a.journal.devices
	a.release(saved > 0)
	if saved == 0 {
		return "", 0
	}
	return a.show(partSuffix), saved
}

// release lets go of everything. It removes the temporary files that there are unless they are to be kept.
func (a *archive) release(keep bool) {
	_ = a.journal.wait()
	if a.file != nil {
		_ = a.file.Close()
	}
	if z, ok := a.format.(io.Closer); ok {
		_ = z.Close()
	}
	a.journal.close()
	if keep {
		a.index.leave()
	} else {
		a.index.abandon()
		if a.buf != nil { // else nothing of it is ours
			for _, tail := range []string{journalTail, directoryTail, partSuffix} {
				_ = a.parent.Remove(a.name(tail))
			}
		}
	}
	if a.unlock != nil {
		a.unlock()
	}
	_ = a.parent.Close()
	a.finished = true
}

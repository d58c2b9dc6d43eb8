package fleet

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"io/fs"
	"os"

	"github.com/dpskit/dpskit/pkg/pki"
)

// plan is what the unfinished archive is of. It is more than the spec of a folder, where parts and passwords
// are those of each device.
type plan struct {
	spec
	Format   Format `json:"format"`
	RawIndex bool   `json:"rawIndex"`
	// Probe is a PFX of a key that nobody needs, under the password that all share. It tells whether that is the same.
	Probe []byte `json:"pfxProbe,omitempty"`
}

func (a *archive) plan() (plan, error) {
	opts := a.run.opts
	p := plan{spec: a.run.spec(), Format: a.target.Format, RawIndex: a.target.RawIndex}
	if opts.PFX == nil || opts.PFX.Password == "" {
		return p, nil
	}
	m := a.run.mint
	probe := pki.Bundle{Profile: pki.ProfileDevice, Certificate: m.model, Key: m.codec.sample, Issuers: m.issuers}
	var err error
	p.Probe, err = probe.PFX(*opts.PFX)
	return p, err
}

// other says in words how the unfinished archive of another plan differs, or nothing. password is that of our PFX
// files.
func (p plan) other(found plan, password string) string {
	if d := p.difference(found.spec); d != "" {
		return d
	}
	switch {
	case p.Shard != found.Shard:
		return fmt.Sprintf("is the part %s, not %s", found.Shard, p.Shard)
	case p.Format != found.Format:
		return fmt.Sprintf("is a %s file, not %s", clip(string(found.Format)), p.Format)
	case p.RawIndex != found.RawIndex:
		return "has another form of index"
	case (p.Probe == nil) != (found.Probe == nil):
		return "has pfx passwords of another kind: made up for each device, or given for all"
	}
	if p.Probe != nil {
		if _, err := pki.DecodePFX(found.Probe, password); err != nil {
			return "has another password for its pfx files"
		}
	}
	return ""
}

// resume goes on with what a run before left. It reports false when there is nothing to go on with.
func (a *archive) resume(ctx context.Context) (bool, error) {
	jrn, err := a.reopen(a.name(journalTail))
	if jrn == nil {
		return false, err
	}
	defer func() {
		if a.journal.file == nil {
			_ = jrn.Close()
		}
	}()
	lines := bufio.NewReaderSize(jrn, maxSpec)
	var found plan
	at, err := readLine(lines, &found)
	if err != nil {
		return false, nil // the process was killed at its very beginning
	}
	ours, err := a.plan()
	if err != nil {
		return false, err
	}
	password := ""
	if a.run.opts.PFX != nil {
		password = a.run.opts.PFX.Password
	}
	if d := ours.other(found, password); d != "" {
		if a.target.Force {
			return false, a.moveAway(ctx)
		}
		return false, fmt.Errorf("the unfinished archive %q of another fleet %w: it %s", a.show(partSuffix), ErrExists, d)
	}
	return a.adopt(jrn, lines, at)
}

// moveAway moves the unfinished archive to the replaced folder.
func (a *archive) moveAway(ctx context.Context) error {
	for _, name := range []string{a.name(partSuffix), a.name(directoryTail), a.name(journalTail), "." + archiveIndex(a.base) + partSuffix} {
		if err := replace(ctx, a.parent, a.dir, name, a.now); err != nil {
			return err
		}
	}
	return nil
}

// adopt finds the last record that the files bear out, cuts off what is behind it and goes on there. at is where the
// records begin in the journal.
func (a *archive) adopt(jrn *os.File, lines *bufio.Reader, at int64) (bool, error) {
	p, err := a.openParts()
	if err != nil {
		return false, err
	}
	if p.archive == nil { // it has its final name, or is lost
		for _, tail := range []string{journalTail, directoryTail} {
			_ = a.parent.Remove(a.name(tail))
		}
		return false, nil
	}
	rec, end := p.lastWhole(lines, at, a.run.total())
	if rec.Devices == 0 || p.placed && rec.Index.Size != p.indexSize {
		p.close()
		return false, nil
	}
	err = p.cut(rec)
	if err == nil {
		err = cutAt(jrn, end)
	}
	if err == nil && p.placed {
		err = a.parent.Rename(archiveIndex(a.base), "."+archiveIndex(a.base)+partSuffix)
	}
	if err != nil {
		p.close()
		return false, fmt.Errorf("go on with %q: %w", a.show(partSuffix), cause(err))
	}
	a.journal.file, a.journal.devices = jrn, rec.Devices
	a.devices, a.bucket = rec.Devices, rec.Bucket
	a.writeTo(p.archive, rec.Archive)
	if p.directory != nil {
		a.format.goOn(rec, p.directory)
	}
	a.index = resumeIndexFile(a.parent, a.dir, archiveIndex(a.base), a.target, p.index, rec.Index)
	a.run.goOn(rec.Devices)
	return true, nil
}

// unfinished are the files of an unfinished archive.
type unfinished struct {
	archive, index, directory *os.File
	placed                    bool // the index has its final name already
	indexSize                 int64
}

// openParts opens the files; archive is nil when one of them is missing.
func (a *archive) openParts() (p unfinished, err error) {
	defer func() {
		if err != nil || p.archive == nil || p.index == nil {
			p.close()
			p = unfinished{}
		}
	}()
	if p.archive, err = a.reopen(a.name(partSuffix)); p.archive == nil {
		return p, err
	}
	if a.target.Format == FormatZip {
		if p.directory, err = a.reopen(a.name(directoryTail)); p.directory == nil {
			p.close()
			return unfinished{}, err
		}
	}
	if p.index, err = a.reopen("." + archiveIndex(a.base) + partSuffix); p.index != nil || err != nil {
		return p, err
	}
	// A run that was killed between its last two renames.
	if p.index, err = a.reopen(archiveIndex(a.base)); p.index == nil {
		return p, err
	}
	info, err := p.index.Stat()
	if err != nil {
		return p, cause(err)
	}
	p.placed, p.indexSize = true, info.Size()
	return p, nil
}

// reopen opens a file for reading and writing, nil when it is not there or is no file.
func (a *archive) reopen(name string) (*os.File, error) {
	info, err := a.parent.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open %q: %w", name, cause(err))
	}
	file, err := a.parent.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open %q: %w", name, cause(err))
	}
	if opened, err := file.Stat(); err != nil || !os.SameFile(info, opened) {
		_ = file.Close()
		return nil, fmt.Errorf("open %q: %w", name, ErrLocked) // somebody has put another there just now
	}
	return file, nil
}

// lastWhole returns the last record that fits the files, the zero one when none does, and where it ends in the
// journal. It reads every file once.
func (p unfinished) lastWhole(lines *bufio.Reader, at int64, total int) (last record, end int64) {
	archive, index, directory := newChecker(p.archive), newChecker(p.index), newChecker(p.directory)
	for {
		var rec record
		n, err := readLine(lines, &rec)
		if err != nil || rec.Devices < last.Devices || rec.Devices > total {
			return last, end
		}
		if !archive.has(rec.Archive) || !index.has(rec.Index) || !directory.has(rec.Directory) {
			return last, end
		}
		at += n
		last, end = rec, at
	}
}

// cut leaves what a record tells of, and prepares for more.
func (p unfinished) cut(rec record) error {
	if err := p.archive.Chmod(0o600); err != nil {
		return err
	}
	err := cutAt(p.archive, rec.Archive.Size)
	if err == nil {
		err = cutAt(p.index, rec.Index.Size)
	}
	if err == nil && p.directory != nil {
		err = cutAt(p.directory, rec.Directory.Size)
	}
	return err
}

func cutAt(file *os.File, size int64) error {
	if err := file.Truncate(size); err != nil {
		return err
	}
	_, err := file.Seek(size, io.SeekStart)
	return err
}

func (p unfinished) close() {
	for _, file := range []*os.File{p.archive, p.index, p.directory} {
		if file != nil {
			_ = file.Close()
		}
	}
}

// checker compares the beginning of a file with growing extents.
type checker struct {
	in  *bufio.Reader // nil for a file that there is not
	sum hash.Hash32
	at  int64
}

func newChecker(file *os.File) *checker {
	c := &checker{sum: crc32.NewIEEE()}
	if file != nil {
		c.in = bufio.NewReaderSize(file, 256<<10)
	}
	return c
}

func (c *checker) has(e extent) bool {
	if c.in == nil {
		return e == extent{}
	}
	if e.Size < c.at {
		return false
	}
	n, err := io.CopyN(c.sum, c.in, e.Size-c.at)
	c.at += n
	return err == nil && c.sum.Sum32() == e.CRC
}

// readLine decodes a line of the journal and returns its length. A line without an end is torn.
func readLine(lines *bufio.Reader, v any) (int64, error) {
	line, err := lines.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	return int64(len(line)), json.Unmarshal(line, v)
}

package rollout

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/gofrs/flock"
)

// What a caller of OpenReport branches on.
var (
	// ErrLocked: another run writes the report.
	ErrLocked = errors.New("another run is writing it")
	// ErrOtherScope: the report is of devices that registered elsewhere.
	ErrOtherScope = errors.New("it is of another ID scope")
	// ErrNoReport: the file is something else, or damaged.
	ErrNoReport = errors.New("it is not a report that can be read")
)

// Report is a table of devices in a file. While a run goes on, its rows are
// appended in the order in which devices end; [Report.Finish] puts them into the
// order of the source. Whatever ends the process, the file can be read: the last
// row of a device counts, and a last line without its end is none.
type Report struct {
	path   string
	format Format
	scope  string
	source Source
	lock   *flock.Flock

	mu   sync.Mutex
	file *os.File
	size int64
	// rows is where the row of each device begins, counted from 1; 0 for none.
	rows  []int64
	done  []bool  // what an earlier run has assigned; nil for nothing
	other []int64 // where rows of devices begin that are not in the source
}

// ReportOptions are the choices of OpenReport. Nil and zero fields mean the
// defaults.
type ReportOptions struct {
	// Restart forgets what is there, whatever it is.
	Restart bool
	// DryRun reads what is there, and neither waits for others nor writes.
	DryRun bool
}

// OpenReport opens or begins the report of a run. What an earlier run has
// assigned in the same ID scope is taken from it. A report that another process
// writes or that is of another ID scope, and a file that is no report, are
// refused and not changed. It is readable for its owner alone.
func OpenReport(path, scope string, source Source, opts *ReportOptions) (*Report, error) {
	if opts == nil {
		opts = &ReportOptions{}
	}
	format, err := FormatOf(path)
	if err != nil {
		return nil, err
	}
	r := &Report{path: path, format: format, scope: scope, source: source, rows: make([]int64, source.Len())}
	if opts.DryRun {
		err = r.peek(opts.Restart)
	} else {
		err = r.open(opts.Restart)
	}
	if err != nil {
		r.release()
		return nil, fmt.Errorf("open report %q: %w", path, err)
	}
	return r, nil
}

func (r *Report) open(restart bool) error {
	var err error
	if r.lock, err = lockReport(r.path); err != nil {
		return err
	}
	flags := os.O_CREATE | os.O_RDWR
	if restart {
		flags |= os.O_TRUNC
	}
	if r.file, err = os.OpenFile(r.path, flags, 0o600); err != nil {
		return err
	}
	if err := r.read(); err != nil {
		return err
	}
	if r.size == 0 {
		if _, err := r.file.Write(r.format.header()); err != nil {
			return err
		}
		r.size = int64(len(r.format.header()))
		return nil
	}
	if err := r.file.Truncate(r.size); err != nil {
		return err
	}
	_, err = r.file.Seek(r.size, io.SeekStart)
	return err
}

// peek reads the rows of earlier runs and keeps nothing open.
func (r *Report) peek(restart bool) error {
	var err error
	r.file, err = os.Open(r.path)
	switch {
	case restart, errors.Is(err, fs.ErrNotExist):
		r.release()
		return nil
	case err != nil:
		return err
	}
	defer r.release()
	return r.read()
}

// read takes in the rows of earlier runs.
func (r *Report) read() error {
	var index map[string]int
	in := bufio.NewReaderSize(r.file, maxLine)
	for n := 1; ; n++ {
		line, err := in.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF): // what is left was cut off
			if n == 1 && len(line) > 0 {
				return fmt.Errorf("%w: line 1", ErrNoReport)
			}
			return nil
		case errors.Is(err, bufio.ErrBufferFull):
			return fmt.Errorf("%w: line %d is too long", ErrNoReport, n)
		case err != nil:
			return err
		}
		if n > 1 || r.format.header() == nil {
			if index == nil {
				index = r.index()
			}
			if err := r.readRow(line, index); err != nil {
				return fmt.Errorf("line %d: %w", n, err)
			}
		} else if !bytes.Equal(line, r.format.header()) {
			return fmt.Errorf("%w: line 1 is not its header", ErrNoReport)
		}
		r.size += int64(len(line))
	}
}

func (r *Report) readRow(line []byte, index map[string]int) error {
	k, err := r.format.decode(line)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrNoReport, err)
	case k.scope != r.scope && !k.pending:
		return fmt.Errorf("%w: %q", ErrOtherScope, k.scope)
	}
	i, known := index[fold(k.id)]
	if !known {
		r.other = append(r.other, r.size+1)
		return nil
	}
	r.rows[i], r.done[i] = r.size+1, k.done
	return nil
}

func (r *Report) index() map[string]int {
	n := r.source.Len()
	r.done = make([]bool, n)
	index := make(map[string]int, n)
	for i := range n {
		index[fold(r.source.ID(i))] = i
	}
	return index
}

func fold(id string) string { return strings.ToLower(id) }

// Assigned tells whether an earlier run has assigned device i.
func (r *Report) Assigned(i int) bool { return r != nil && r.done != nil && r.done[i] }

// add appends a row with one call, so that a reader sees it whole or cut.
func (r *Report) add(scope string, o Outcome) error {
	if r == nil {
		return nil
	}
	line, err := r.format.encode(rowOf(scope, o))
	if err != nil {
		return fmt.Errorf("write report %q: %w", r.path, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.file.Write(line); err != nil {
		return fmt.Errorf("write report %q: %w", r.path, withoutPath(err))
	}
	r.rows[o.Index] = r.size + 1
	r.size += int64(len(line))
	return nil
}

// Finish writes the report anew in the order of the source, with a row for every
// device; those that were not reached are pending. Rows of devices that are not
// in the source stay, before the others. It replaces the file at once or not at
// all, and closes the report.
func (r *Report) Finish() error {
	if err := r.finish(); err != nil {
		return fmt.Errorf("write report %q: %w", r.path, withoutPath(err))
	}
	return nil
}

func (r *Report) finish() (err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file == nil {
		return nil
	}
	defer r.release()
	temp, err := os.CreateTemp(filepath.Dir(r.path), ".dpskit-report-*") // with mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = temp.Close()
			_ = os.Remove(temp.Name())
		}
	}()
	out := bufio.NewWriterSize(temp, 64<<10)
	if err = r.writeSorted(out); err != nil {
		return err
	}
	if err = out.Flush(); err != nil {
		return err
	}
	if err = temp.Sync(); err != nil {
		return err
	}
	if err = temp.Close(); err != nil {
		return err
	}
	_ = r.file.Close() // only read since the last row; Windows wants it closed
	r.file = nil
	return os.Rename(temp.Name(), r.path)
}

func (r *Report) writeSorted(out *bufio.Writer) error {
	if _, err := out.Write(r.format.header()); err != nil {
		return err
	}
	in := bufio.NewReaderSize(nil, 16<<10)
	next := int64(-1) // where in goes on
	row := func(at int64) error {
		if at != next {
			in.Reset(io.NewSectionReader(r.file, at-1, r.size-at+1))
		}
		line, err := in.ReadBytes('\n')
		if err != nil {
			return err
		}
		next = at + int64(len(line))
		_, err = out.Write(line)
		return err
	}
	for _, at := range r.other {
		if err := row(at); err != nil {
			return err
		}
	}
	for i, at := range r.rows {
		if at > 0 {
			if err := row(at); err != nil {
				return err
			}
			continue
		}
		line, err := r.format.encode(Row{RegistrationID: r.source.ID(i), Status: Pending, Message: pendingText, IDScope: r.scope})
		if err != nil {
			return err
		}
		if _, err := out.Write(line); err != nil {
			return err
		}
	}
	return nil
}

// Close lets another run have the report, as it is.
func (r *Report) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.release()
	return nil
}

func (r *Report) release() {
	if r.file != nil {
		_ = r.file.Close()
		r.file = nil
	}
	if r.lock != nil {
		unlockReport(r.lock)
		r.lock = nil
	}
}

// withoutPath takes names out of an error of the system that says the file
// already, or a temporary one.
func withoutPath(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	var link *os.LinkError
	if errors.As(err, &link) {
		return link.Err
	}
	return err
}

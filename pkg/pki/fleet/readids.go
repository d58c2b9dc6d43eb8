package fleet

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"strings"

	"github.com/dpskit/dpskit/pkg/pki"
)

const (
	// maxRow bounds a row of a list in bytes, and with it the memory of reading one.
	maxRow = 64 << 10
	// maxProblems is how many rows an error names.
	maxProblems = 10
	// idColumn is the header of the column that holds the IDs.
	idColumn = "registrationId"
)

// ReadIDs reads registration IDs from CSV or from a plain list with one ID a line.
//
// A header is optional. With one, the column registrationId (in any letter case; registration_id and
// registration-id, too) holds the IDs; without one, the first column does. Fields are separated by commas, semicolons
// or tabs, whichever the first row has. Fields may be quoted as RFC 4180 says, with line breaks in them. A byte
// order mark, Windows line ends, empty lines, and spaces around an ID are passed over, and so is the apostrophe that
// [Write] puts before an ID that a spreadsheet would take for a formula.
//
// Every ID is checked, and so is that no two are equal in any letter case, before ReadIDs returns: an error wraps
// [ErrBadList] and names the rows and columns (counted from 1, as a spreadsheet does) of up to ten problems. A row
// has at most 64 KiB; the memory needed is a few bytes for each ID, or its characters where they are random.
func ReadIDs(r io.Reader) (*List, error) {
	l := &listReader{seed: maphash.MakeSeed(), rows: rowReader{in: bufio.NewReaderSize(r, 64<<10), row: 1, col: 1}}
	if err := l.readAll(); err != nil {
		return nil, fmt.Errorf("read ids: %w", err)
	}
	switch {
	case len(l.problems) > 0:
		return nil, fmt.Errorf("read ids: %w", &listError{problems: l.problems, more: l.more})
	case l.list.Len() == 0:
		return nil, fmt.Errorf("read ids: %w: it holds no id", ErrBadList)
	}
	list := l.list // and nothing else stays in memory
	return &list, nil
}

// listReader collects the IDs of a list and what is wrong with them.
type listReader struct {
	rows     rowReader
	column   int // that holds the IDs, from 1
	list     List
	seen     idSet
	seed     maphash.Seed
	lower    []byte // for hash
	other    []byte // for equal
	jumps    []jump // from which the row of each ID follows
	problems []problem
	more     int // problems that are not listed
}

func (l *listReader) readAll() error {
	started := false
	for {
		fields, err := l.rows.next(l.column)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return l.stop(err)
		}
		if len(fields) == 1 && !fields[0].filled {
			continue // an empty line
		}
		if !started {
			started = true
			header, err := l.readHeader(fields)
			if err != nil {
				return l.stop(err)
			}
			if header {
				continue
			}
		}
		if err := l.add(fields); err != nil {
			return l.stop(err)
		}
	}
}

// stop ends the reading: a problem of the list joins the others, anything else is an error of its own.
func (l *listReader) stop(err error) error {
	var p problem
	if !errors.As(err, &p) {
		return err
	}
	if len(l.problems) >= maxProblems {
		l.problems = l.problems[:maxProblems-1]
		l.more++
	}
	l.report(p.row, p.column, p.err)
	return nil
}

// readHeader finds the column of the IDs. It reports whether the first row is a header.
func (l *listReader) readHeader(fields []field) (bool, error) {
	for i, f := range fields {
		if !isIDColumn(string(f.text)) {
			continue
		}
		if l.column > 0 {
			return false, failf(f.row, i+1, "the header names the column %s twice", idColumn)
		}
		l.column = i + 1
	}
	if l.column > 0 {
		return true, nil
	}
	l.column = 1
	switch word := foldHeader(string(fields[0].text)); word {
	case "id", "ids", "name", "device", "devices", "deviceid", "devicename":
		return false, failf(fields[0].row, 1, "%q looks like a header; call the column of the ids %s, or put that "+
			"word above them if a device is called so", clip(string(fields[0].text)), idColumn)
	}
	return false, nil
}

func foldHeader(s string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "", " ", "").Replace(s))
}

func isIDColumn(s string) bool { return foldHeader(s) == strings.ToLower(idColumn) }

// add takes the ID of a row.
func (l *listReader) add(fields []field) error {
	if l.list.Len() >= MaxDevices {
		return failf(fields[0].row, l.column, "more than %d ids", MaxDevices)
	}
	if len(fields) < l.column {
		l.report(fields[0].row, l.column, fmt.Errorf("the row has no column %d", l.column))
		return nil
	}
	f := fields[l.column-1]
	id := bytes.Trim(f.text, " \t")
	if len(id) > 1 && id[0] == '\'' && isFormulaByte(id[1]) {
		id = id[1:]
	}
	if f.cut {
		l.report(f.row, l.column, fmt.Errorf("%w: %q… is longer than any id", pki.ErrInvalidID, clip(string(id))))
		return nil
	}
	if err := pki.CheckRegistrationID(string(id)); err != nil {
		l.report(f.row, l.column, err)
		return nil
	}
	l.take(id, f.row)
	return nil
}

// jump is an ID whose row is not the one after that of the ID before.
type jump struct{ index, row int32 }

// take adds an ID that is good by itself. One that is equal to another but for letter case is reported: the service
// takes them for one device.
func (l *listReader) take(id []byte, row int) {
	index := l.list.Len()
	first, found := l.seen.insert(l.hash(id), index, func(j int) bool {
		l.other = l.list.appendID(l.other[:0], j)
		return bytes.EqualFold(l.other, id)
	}, func(j int) uint64 {
		l.other = l.list.appendID(l.other[:0], j)
		return l.hash(l.other)
	})
	if found {
		l.report(row, l.column, duplicate(l.list.ID(first), string(id), l.rowOf(first)))
		return
	}
	if len(l.jumps) == 0 || l.rowOf(index) != row {
		l.jumps = append(l.jumps, jump{int32(index), int32(row)})
	}
	l.list.add(id)
}

func (l *listReader) hash(id []byte) uint64 {
	l.lower = appendLower(l.lower[:0], id)
	return maphash.Bytes(l.seed, l.lower)
}

// rowOf returns the row of an ID, or that of the next one if it is in the next row.
func (l *listReader) rowOf(index int) int {
	i, _ := slices.BinarySearchFunc(l.jumps, index+1, func(j jump, index int) int { return int(j.index) - index })
	j := l.jumps[i-1]
	return int(j.row) + index - int(j.index)
}

func duplicate(first, again string, row int) error {
	if first == again {
		return fmt.Errorf("%q is in row %d already", again, row)
	}
	return fmt.Errorf("%q is in row %d as %q, and the service does not tell upper case from lower", again, row, first)
}

// appendLower appends an ID, which is ASCII, in lower case.
func appendLower(dst, id []byte) []byte {
	for _, c := range id {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

func (l *listReader) report(row, column int, err error) {
	if len(l.problems) >= maxProblems {
		l.more++
		return
	}
	l.problems = append(l.problems, problem{row: row, column: column, err: err})
}

// problem is what is wrong with one place of a list.
type problem struct {
	row, column int
	err         error
}

// failf makes an error about a place of the list that ends its reading.
func failf(row, column int, format string, args ...any) error {
	return problem{row: row, column: column, err: fmt.Errorf(format, args...)}
}

func (p problem) Error() string { return fmt.Sprintf("row %d, column %d: %v", p.row, p.column, p.err) }

// listError is one line about all problems of a list.
type listError struct {
	problems []problem
	more     int
}

func (e *listError) Error() string {
	parts := make([]string, 0, len(e.problems)+1)
	slices.SortStableFunc(e.problems, func(a, b problem) int { return a.row - b.row })
	for _, p := range e.problems {
		parts = append(parts, p.Error())
	}
	if e.more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", e.more))
	}
	return strings.Join(parts, "; ")
}

func (e *listError) Unwrap() error { return ErrBadList }

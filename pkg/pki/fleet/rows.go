package fleet

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// maxField is how much of a field is kept. It is far more than an ID has and enough to show what was meant.
const maxField = 256

// field is one field of a row.
type field struct {
	text   []byte // at most maxField bytes, of a column that is wanted
	cut    bool   // there was more
	filled bool   // there is more than spaces, in any column
	row    int
}

// rowReader reads rows of CSV. Unlike encoding/csv it never holds more of a row than it hands out, so a row of a
// gigabyte costs nothing but its refusal.
type rowReader struct {
	in     *bufio.Reader
	comma  byte // 0 until the first row shows it
	fields []field
	row    int // of the next byte, from 1
	col    int
	bytes  int // of the row so far
	begun  bool
}

// next returns the fields of the next row, with io.EOF after the last one. want is the only column whose text is
// needed; 0 means all. The fields are valid until the next call.
func (r *rowReader) next(want int) ([]field, error) {
	if !r.begun {
		r.begun = true
		if err := r.begin(); err != nil {
			return nil, err
		}
	}
	if _, err := r.in.Peek(1); err != nil {
		return nil, r.ioError(err)
	}
	n := 0
	r.col, r.bytes = 1, 0
	for {
		if n == len(r.fields) {
			r.fields = append(r.fields, field{})
		}
		f := &r.fields[n]
		*f = field{text: f.text[:0], row: r.row}
		n++
		last, err := r.field(f, want == 0 || want == r.col)
		if err != nil {
			return nil, err
		}
		if last {
			r.row++
			return r.fields[:n], nil
		}
		r.col++
	}
}

// begin takes a byte order mark and finds the separator.
func (r *rowReader) begin() error {
	head, err := r.in.Peek(4096)
	if len(head) == 0 {
		return r.ioError(err)
	}
	if bytes.HasPrefix(head, []byte{0xff, 0xfe}) || bytes.HasPrefix(head, []byte{0xfe, 0xff}) {
		return failf(1, 1, "the text is UTF-16; save it as UTF-8")
	}
	if bom := []byte("\ufeff"); bytes.HasPrefix(head, bom) {
		_, _ = r.in.Discard(len(bom)) // it is in the buffer
		head = head[len(bom):]
	}
	r.comma = ','
	quoted := false
	for _, c := range head {
		switch {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '\n' || c == '\r':
			return nil
		case c == ',' || c == ';' || c == '\t':
			r.comma = c
			return nil
		}
	}
	return nil
}

// field reads one field with the separator or line end behind it, and reports whether it is the last of the row.
func (r *rowReader) field(f *field, keep bool) (last bool, err error) {
	c, err := r.read()
	if err == nil && c == '"' {
		return r.quoted(f, keep)
	}
	for ; ; c, err = r.read() {
		switch {
		case errors.Is(err, io.EOF):
			return true, nil
		case err != nil:
			return false, err
		case c == r.comma:
			return false, nil
		case c == '\n':
			return true, nil
		case c == '\r':
			return true, r.skipNewline()
		case c == '"':
			return false, failf(f.row, r.col, "a quote stands within a field that does not begin with one")
		}
		r.put(f, c, keep)
	}
}

// quoted reads a field whose opening quote has been read.
func (r *rowReader) quoted(f *field, keep bool) (last bool, err error) {
	for {
		c, err := r.read()
		if errors.Is(err, io.EOF) {
			return false, failf(f.row, r.col, "the closing quote is missing")
		}
		if err != nil {
			return false, err
		}
		if c != '"' {
			r.put(f, c, keep)
			continue
		}
		c, err = r.read()
		switch {
		case errors.Is(err, io.EOF):
			return true, nil
		case err != nil:
			return false, err
		case c == '"':
			r.put(f, c, keep)
		case c == r.comma:
			return false, nil
		case c == '\n':
			return true, nil
		case c == '\r':
			return true, r.skipNewline()
		default:
			return false, failf(f.row, r.col, "text follows the closing quote")
		}
	}
}

func (r *rowReader) put(f *field, c byte, keep bool) {
	if c != ' ' && c != '\t' && c != '\n' && c != '\r' {
		f.filled = true
	}
	switch {
	case !keep:
	case len(f.text) < maxField:
		f.text = append(f.text, c)
	default:
		f.cut = true
	}
}

// read returns the next byte of a row. A row that is too long, or that has more fields than a list needs, ends the
// reading.
func (r *rowReader) read() (byte, error) {
	c, err := r.in.ReadByte()
	if err != nil {
		return 0, r.ioError(err)
	}
	r.bytes++
	switch {
	case r.bytes > maxRow:
		return 0, failf(r.row, r.col, "the row is longer than %d bytes", maxRow)
	case c == 0:
		return 0, failf(r.row, r.col, "a NUL byte; a list is plain text")
	}
	return c, nil
}

// skipNewline takes the second half of a Windows line end.
func (r *rowReader) skipNewline() error {
	next, err := r.in.Peek(1)
	if err != nil {
		if errors.Is(err, io.EOF) {
			return nil
		}
		return r.ioError(err)
	}
	if next[0] == '\n' {
		_, _ = r.in.Discard(1) // it is in the buffer
	}
	return nil
}

func (r *rowReader) ioError(err error) error {
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	return fmt.Errorf("row %d: %w", r.row, cause(err))
}

package fleet

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// indexHeader are the columns of the index. The first one is what [ReadIDs] and the service call an ID.
const indexHeader = "registrationId,certificate,fullChain,key,pfx,pfxPassword,serial,notBefore,notAfter," +
	"sha1Thumbprint,sha256Thumbprint,error\n"

// Index is a [Sink] that writes a table of the fleet as CSV (RFC 4180, with LF): a header, then a row for each device
// in order. Files are relative to the output; times are RFC 3339 in UTC; a device that failed has nothing but its ID
// and the error.
//
// A value that a spreadsheet would take for a formula (it begins with =, +, -, @, a tab, a carriage return, or one of
// the full-width forms) has an apostrophe in front, as OWASP recommends; of the values here only IDs that begin with
// a dash do. Raw leaves that out, for programs that read the index by the letter.
type Index struct {
	w   *bufio.Writer
	raw bool
	row []byte
	err error
}

// NewIndex starts an index.
func NewIndex(w io.Writer, raw bool) *Index {
	x := resumeIndex(w, raw)
	_, x.err = x.w.WriteString(indexHeader)
	return x
}

// resumeIndex goes on with an index that has its header.
func resumeIndex(w io.Writer, raw bool) *Index {
	return &Index{w: bufio.NewWriterSize(w, 64<<10), raw: raw}
}

// Write adds a device.
func (x *Index) Write(d *Device) error {
	if x.err != nil {
		return x.err
	}
	x.row = x.row[:0]
	x.cell(d.ID)
	f := &d.Files
	for _, file := range [...]*File{&f.Certificate, &f.FullChain, &f.Key, &f.PFX, &f.PFXPassword} {
		x.cell(file.Name)
	}
	x.cell(d.Serial)
	x.date(d.NotBefore)
	x.date(d.NotAfter)
	x.cell(d.SHA1Thumbprint)
	x.cell(d.SHA256Thumbprint)
	text := ""
	if d.Err != nil {
		text = d.Err.Error()
	}
	x.cell(text)
	x.row[len(x.row)-1] = '\n'
	if _, x.err = x.w.Write(x.row); x.err != nil {
		x.err = fmt.Errorf("write index: %w", cause(x.err))
	}
	return x.err
}

// Flush writes what is buffered.
func (x *Index) Flush() error {
	if x.err == nil {
		if x.err = x.w.Flush(); x.err != nil {
			x.err = fmt.Errorf("write index: %w", cause(x.err))
		}
	}
	return x.err
}

// cell appends a value and a comma.
func (x *Index) cell(s string) {
	formula := !x.raw && isFormula(s)
	if strings.ContainsAny(s, ",\"\r\n") || strings.HasPrefix(s, " ") {
		x.row = append(x.row, '"')
		if formula {
			x.row = append(x.row, '\'')
		}
		x.row = append(x.row, strings.ReplaceAll(s, `"`, `""`)...)
		x.row = append(x.row, '"', ',')
		return
	}
	if formula {
		x.row = append(x.row, '\'')
	}
	x.row = append(append(x.row, s...), ',')
}

func (x *Index) date(t time.Time) {
	if !t.IsZero() {
		x.row = t.UTC().AppendFormat(x.row, time.RFC3339)
	}
	x.row = append(x.row, ',')
}

// isFormula reports whether a spreadsheet takes a value for a formula.
func isFormula(s string) bool {
	if s == "" {
		return false
	}
	if isFormulaByte(s[0]) || s[0] == '\t' || s[0] == '\r' || s[0] == '\n' {
		return true
	}
	r, _ := utf8.DecodeRuneInString(s)
	return r == '＝' || r == '＋' || r == '－' || r == '＠'
}

func isFormulaByte(c byte) bool { return c == '=' || c == '+' || c == '-' || c == '@' }

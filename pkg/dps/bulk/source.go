package bulk

import (
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/dpskit/dpskit/pkg/dps/enrollment"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

// Format is the format of a file of enrollments.
type Format string

// The formats.
const (
	// CSV has a header that names the columns; see [Columns].
	CSV Format = "csv"
	// JSONLines has one enrollment a line, with the member names of the service
	// API. certificateFile, primaryKeyFile and the like name files instead.
	JSONLines Format = "jsonl"
)

// AllFormats lists the formats.
func AllFormats() []Format { return []Format{CSV, JSONLines} }

// maxRow bounds one row, so that a file without line ends does not fill the
// memory. A row with certificates inside has some thousand bytes.
const maxRow = 1 << 20

// Source is a file of enrollments.
type Source struct {
	// Open opens the file from its beginning. It is called once for each pass.
	Open func() (io.ReadCloser, error)
	// Format of the file.
	Format Format
	// Files returns the content of a file that a row names, by the name as it
	// stands there. Nil: rows cannot name files.
	Files func(name string) ([]byte, error)
	// Defaults are the settings of rows that have none of their own, the
	// attestation included.
	Defaults service.IndividualEnrollment
}

// Row is one enrollment of a file.
type Row struct {
	// Line is where the row begins, from 1.
	Line       int
	Enrollment service.IndividualEnrollment
}

// Fault is something wrong in a file.
type Fault struct {
	// Line and Column are where, from 1; for CSV the column counts bytes.
	Line, Column int
	// Member is the member of the enrollment that is wrong, as enrollment.Problem
	// names it; empty where it is not known.
	Member string
	// Text says what, without secrets.
	Text string
	// Fix says what to do; it may be empty.
	Fix string
}

// Error returns "LINE:COLUMN: text".
func (f Fault) Error() string { return fmt.Sprintf("%d:%d: %s", f.Line, f.Column, f.Text) }

// Faults are the faults of a row or of a file, in their order.
type Faults []Fault

// Error returns all of them in one line.
func (f Faults) Error() string {
	texts := make([]string, len(f))
	for i, fault := range f {
		texts[i] = fault.Error()
	}
	return strings.Join(texts, "; ")
}

// Rows yields the rows of the file. An error of type [Faults] is about one row,
// and the sequence goes on after it; any other error ends it.
func (s Source) Rows() iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		file, err := s.Open()
		if err != nil {
			yield(Row{}, err)
			return
		}
		defer file.Close()
		switch s.Format {
		case CSV:
			s.csvRows(file, yield)
		case JSONLines:
			s.jsonRows(file, yield)
		default:
			yield(Row{}, fmt.Errorf("read enrollments: unknown format %q", s.Format))
		}
	}
}

// complete gives an enrollment the defaults for what it lacks.
func (s Source) complete(e *service.IndividualEnrollment) {
	base := s.Defaults
	base.RegistrationID = e.RegistrationID
	if e.Attestation.Type != "" {
		base.Attestation = e.Attestation
	}
	merged, err := enrollment.Overlay(base, *e)
	if err == nil { // the kinds of attestation are the same
		*e = merged
	}
}

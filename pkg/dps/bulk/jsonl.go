package bulk

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/dpskit/dpskit/pkg/dps/internal/document"
	"github.com/dpskit/dpskit/pkg/dps/internal/tree"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

func (s Source) jsonRows(file io.Reader, yield func(Row, error) bool) {
	lines := bufio.NewScanner(file)
	lines.Buffer(make([]byte, 0, 64<<10), maxRow)
	for line := 1; lines.Scan(); line++ {
		data := lines.Bytes()
		if line == 1 {
			if err := notJSONLines(data); err != nil {
				yield(Row{}, err)
				return
			}
			data = bytes.TrimPrefix(data, []byte("\ufeff"))
		}
		if len(bytes.TrimSpace(data)) == 0 {
			continue
		}
		e, faults := s.jsonRow(data, line)
		var err error
		if len(faults) > 0 {
			err = faults
		}
		if !yield(Row{Line: line, Enrollment: e}, err) {
			return
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		yield(Row{}, stop(1, 1, fmt.Sprintf("a line is longer than %d bytes", maxRow), "write one enrollment a line"))
	case err != nil:
		yield(Row{}, err)
	}
}

// notJSONLines recognises by its first line a file of another form.
func notJSONLines(first []byte) error {
	switch {
	case bytes.HasPrefix(first, []byte("\xff\xfe")), bytes.HasPrefix(first, []byte("\xfe\xff")):
		return stop(1, 1, "the file is UTF-16", "save it as UTF-8")
	case bytes.HasPrefix(bytes.TrimSpace(bytes.TrimPrefix(first, []byte("\ufeff"))), []byte("[")):
		return stop(1, 1, "the file is one list", "write one enrollment a line, without commas between: jq -c '.[]' does that")
	}
	return nil
}

func (s Source) jsonRow(data []byte, line int) (service.IndividualEnrollment, Faults) {
	n, err := tree.ParseJSON(data)
	var at *tree.Error
	if errors.As(err, &at) {
		fault := Fault{Line: line, Column: at.Column, Text: at.Text}
		if at.Text == "the text ends where a value is expected" || at.Text == "expected ',' or '}'" {
			fault.Fix = "an enrollment stands on one line"
		}
		return service.IndividualEnrollment{}, Faults{fault}
	}
	e, problems := document.Enrollment(n, s.Files, s.complete)
	var faults Faults
	for _, p := range problems {
		faults = append(faults, Fault{Line: line, Column: p.Column, Text: p.Text, Fix: p.Fix})
	}
	return e, faults
}

package bulk

import (
	"encoding/csv"
	"errors"
	"io"
	"strconv"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/internal/oneline"
)

// WriteCSV writes one row for each row of the file, in its order, with the
// columns line, registrationId, outcome, when, code, message and trackingId.
//
// A spreadsheet takes a cell that begins with '=', '+', '-', '@' or their
// full-width forms for a formula, and messages come from a server. Unless raw is
// true, such cells get a single quote in front, which spreadsheets hide.
func (r *Report) WriteCSV(w io.Writer, raw bool) error {
	out := csv.NewWriter(w)
	write := func(cells ...string) error {
		if !raw {
			for i := range cells {
				cells[i] = oneline.Cell(cells[i])
			}
		}
		return out.Write(cells)
	}
	if err := write("line", "registrationId", "outcome", "when", "code", "message", "trackingId"); err != nil {
		return err
	}
	for _, result := range r.Results {
		when := "now"
		switch {
		case result.Outcome == Pending:
			when = ""
		case result.Earlier:
			when = "earlier"
		}
		code, message, tracking := explain(result.Err)
		if err := write(strconv.Itoa(result.Line), result.ID, string(result.Outcome), when, code, message, tracking); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func explain(err error) (code, message, tracking string) {
	if err == nil {
		return "", "", ""
	}
	var e *dps.Error
	if errors.As(err, &e) {
		if e.Code != 0 {
			code = strconv.Itoa(e.Code)
		}
		tracking = e.TrackingID
		if e.Message != "" {
			return code, e.Message, tracking
		}
	}
	return code, err.Error(), tracking
}

// WriteKeysCSV writes the keys of the report, in the order of the file, with the
// columns registrationId, primaryKey and secondaryKey. It is for programs: cells
// are as they are.
func (r *Report) WriteKeysCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	if err := out.Write([]string{"registrationId", "primaryKey", "secondaryKey"}); err != nil {
		return err
	}
	for i, result := range r.Results {
		keys, ok := r.Keys[i]
		if !ok {
			continue
		}
		if err := out.Write([]string{result.ID, keys.Primary.Reveal(), keys.Secondary.Reveal()}); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

package bulk

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/dpskit/dpskit/pkg/dps/enrollment"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

// csvReader reads the records of a CSV file.
type csvReader struct {
	*csv.Reader
	limit   *rowLimit
	columns []*Column
	last    int // the line where the latest record begins
}

// csvRow becomes an enrollment.
type csvRow struct {
	files   func(string) ([]byte, error)
	e       service.IndividualEnrollment
	certs   service.X509Certificates
	keys    service.SymmetricKeyAttestation
	tpm     service.TPMAttestation
	webhook service.CustomAllocationDefinition
}

func (s Source) csvRows(file io.Reader, yield func(Row, error) bool) {
	r, err := openCSV(file)
	if err != nil {
		yield(Row{}, err)
		return
	}
	for {
		record, err := r.next()
		switch {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			yield(Row{}, err)
			return
		}
		e, faults := s.csvRow(r, record)
		row, rowErr := Row{Line: r.last, Enrollment: e}, error(nil)
		if len(faults) > 0 {
			rowErr = faults
		}
		if !yield(row, rowErr) {
			return
		}
	}
}

// openCSV reads the header. Its errors are Faults, and final.
func openCSV(file io.Reader) (*csvReader, error) {
	limit := &rowLimit{r: file}
	buffered := bufio.NewReaderSize(limit, 64<<10)
	start, err := buffered.Peek(3)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(start, []byte("\ufeff")):
		_, _ = buffered.Discard(3)
	case bytes.HasPrefix(start, []byte("\xff\xfe")), bytes.HasPrefix(start, []byte("\xfe\xff")):
		return nil, stop(1, 1, "the file is UTF-16", "save it as UTF-8")
	}
	head, _ := buffered.Peek(4 << 10) // shorter at the end of the file
	r := &csvReader{Reader: csv.NewReader(buffered), limit: limit}
	r.Comma, r.FieldsPerRecord, r.ReuseRecord = separator(head), -1, true
	header, err := r.next()
	if errors.Is(err, io.EOF) {
		return nil, stop(1, 1, "the file is empty: want a header that names the columns", "")
	}
	if err != nil {
		return nil, err
	}
	return r, r.header(header)
}

// final is a fault after which the file cannot be read on.
type final struct{ Faults }

// As lets errors.As find the Faults.
func (f final) As(target any) bool {
	p, ok := target.(*Faults)
	if ok {
		*p = f.Faults
	}
	return ok
}

func stop(line, column int, text, fix string) error {
	return final{Faults{{Line: line, Column: column, Text: text, Fix: fix}}}
}

// separator is the one of comma, semicolon and tab that the first line has most
// of, outside of quotes: spreadsheets write a semicolon in many countries.
func separator(head []byte) rune {
	count, quoted := map[rune]int{}, false
	for _, c := range string(head) {
		if c == '"' {
			quoted = !quoted
		}
		if c == '\n' && !quoted {
			break
		}
		if !quoted {
			count[c]++
		}
	}
	best := ','
	for _, c := range ";\t" {
		if count[c] > count[best] {
			best = c
		}
	}
	return best
}

const fixQuotes = "quotes inside a cell are doubled, and the cell stands in quotes"

// next returns a record; its errors but io.EOF are final.
func (r *csvReader) next() ([]string, error) {
	r.limit.begin()
	record, err := r.Read()
	var parse *csv.ParseError
	switch {
	case err == nil:
		r.last, _ = r.FieldPos(0)
		return record, nil
	case errors.Is(err, io.EOF):
		return nil, io.EOF
	case errors.Is(err, errRowTooLong):
		return nil, stop(r.last+1, 1, fmt.Sprintf("a row is longer than %d bytes", maxRow), "a quote may not be closed")
	case errors.As(err, &parse) && errors.Is(parse.Err, csv.ErrQuote):
		return nil, stop(parse.StartLine, 1, "in this row a quote is not closed, or text follows it", fixQuotes)
	case errors.As(err, &parse):
		return nil, stop(parse.Line, parse.Column, strings.ReplaceAll(parse.Err.Error(), "\"", "quote"), fixQuotes)
	}
	return nil, err
}

// header finds the columns. Everything wrong in it is reported at once.
func (r *csvReader) header(cells []string) error {
	var faults Faults
	at := map[*Column]int{}
	for i, cell := range cells {
		line, column := r.FieldPos(i)
		c := findColumn(cell)
		switch earlier, twice := at[c]; {
		case c == nil:
			faults = append(faults, Fault{Line: line, Column: column, Text: fmt.Sprintf("there is no column %.60q", cell), Fix: columnHelp(cell)})
		case twice:
			faults = append(faults, Fault{Line: line, Column: column, Text: fmt.Sprintf("column %s is there already, as number %d", c.Name, earlier+1)})
		default:
			at[c] = i
		}
		r.columns = append(r.columns, c)
	}
	if _, ok := at[&columns[0]]; !ok {
		faults = append(faults, Fault{Line: 1, Column: 1, Text: "the header has no column registrationId"})
	}
	if len(faults) > 0 {
		return final{faults}
	}
	return nil
}

func columnHelp(cell string) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	return "the columns are " + strings.Join(names, ", ")
}

// csvRow reads one record.
func (s Source) csvRow(r *csvReader, record []string) (service.IndividualEnrollment, Faults) {
	row := csvRow{files: s.Files}
	var faults Faults
	add := func(i int, name, text, fix string) {
		line, column := r.FieldPos(min(i, len(record)-1))
		if name != "" {
			text = name + ": " + text
		}
		faults = append(faults, Fault{Line: line, Column: column, Text: text, Fix: fix})
	}
	if len(record) != len(r.columns) {
		add(len(record)-1, "", fmt.Sprintf("the row has %d cells, the header %d", len(record), len(r.columns)), "")
		return row.e, faults
	}
	for i, cell := range record {
		if cell = strings.TrimSpace(cell); cell == "" {
			continue
		}
		if !utf8.ValidString(cell) {
			add(i, r.columns[i].Name, "not UTF-8", "save the file as UTF-8")
		} else if err := r.columns[i].set(&row, cell); err != nil {
			add(i, r.columns[i].Name, err.Error(), "")
		}
	}
	e, err := row.enrollment()
	if err != nil {
		add(0, "attestation", err.Error(), "leave the cells of the other kinds empty")
	}
	if len(faults) > 0 {
		return e, faults
	}
	s.complete(&e)
	for _, p := range enrollment.Check(e) {
		i, name := r.columnOf(p.Member)
		if p.Member == memberAttestation {
			p.Fix = fixAttestation
		}
		add(i, name, p.Text, p.Fix)
		faults[len(faults)-1].Member = p.Member
	}
	return e, faults
}

const (
	memberAttestation = "attestation"
	fixAttestation    = "say in a column attestation how it attests: symmetricKey has the service make keys; or add a column certificate or endorsementKey"
)

// columnOf returns the column that a problem is about, and the name to call it
// by: that of the column, or of the member if several columns belong to it.
func (r *csvReader) columnOf(member string) (int, string) {
	near := 0
	for i, c := range r.columns {
		switch {
		case c.member == member, strings.HasPrefix(member, c.member+"."):
			return i, c.Name
		case near == 0 && strings.HasPrefix(c.member, member+"."):
			near = i
		}
	}
	return near, member
}

// enrollment puts together what the cells said.
func (row *csvRow) enrollment() (service.IndividualEnrollment, error) {
	e := row.e
	a := &e.Attestation
	var kinds []service.AttestationType
	if row.certs.Primary != nil || row.certs.Secondary != nil {
		kinds = append(kinds, service.AttestationX509)
		a.X509 = &service.X509Attestation{ClientCertificates: &row.certs}
	}
	if row.keys.PrimaryKey != "" || row.keys.SecondaryKey != "" {
		kinds = append(kinds, service.AttestationSymmetricKey)
		a.SymmetricKey = &row.keys
	}
	if row.tpm.EndorsementKey != "" || row.tpm.StorageRootKey != "" {
		kinds = append(kinds, service.AttestationTPM)
		a.TPM = &row.tpm
	}
	if row.webhook.WebhookURL != "" || row.webhook.APIVersion != "" {
		e.CustomAllocationDefinition = &row.webhook
	}
	switch {
	case len(kinds) > 1:
		return e, fmt.Errorf("the cells are about %s and %s: one device attests in one way", kinds[0], kinds[1])
	case len(kinds) == 1 && a.Type != "" && a.Type != kinds[0]:
		return e, fmt.Errorf("it is %s, the cells are about %s", a.Type, kinds[0])
	case len(kinds) == 1:
		a.Type = kinds[0]
	}
	return e, nil
}

// errRowTooLong ends a row that has no end.
var errRowTooLong = errors.New("row too long")

// rowLimit is a reader that gives up when more than maxRow bytes were read since
// the last begin. A reader ahead of it may take up to its buffer more.
type rowLimit struct {
	r    io.Reader
	read int
}

func (l *rowLimit) begin() { l.read = 0 }

func (l *rowLimit) Read(p []byte) (int, error) {
	if l.read > maxRow {
		return 0, errRowTooLong
	}
	n, err := l.r.Read(p)
	l.read += n
	return n, err
}

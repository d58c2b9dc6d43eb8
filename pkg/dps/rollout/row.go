package rollout

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/dpskit/dpskit/pkg/dps/internal/oneline"
)

// Format is the form of a report.
type Format string

// The forms.
const (
	// CSV has a header with the names of the members of [Row].
	CSV Format = "csv"
	// JSONLines has one [Row] a line.
	JSONLines Format = "jsonl"
)

// FormatOf chooses the form by the name of a file: .csv, or .jsonl or .ndjson.
func FormatOf(file string) (Format, error) {
	switch strings.ToLower(filepath.Ext(file)) {
	case ".csv":
		return CSV, nil
	case ".jsonl", ".ndjson":
		return JSONLines, nil
	}
	return "", fmt.Errorf("report %q: want a name that ends in .csv or .jsonl", file)
}

// Row is a row of a report.
type Row struct {
	RegistrationID    string `json:"registrationId"`
	Status            Status `json:"status"`
	Substatus         string `json:"substatus,omitempty"`
	DeviceID          string `json:"deviceId,omitempty"`
	AssignedHub       string `json:"assignedHub,omitempty"`
	EnrollmentGroupID string `json:"enrollmentGroupId,omitempty"`
	OperationID       string `json:"operationId,omitempty"`
	Attempts          int    `json:"attempts"`
	DurationMS        int64  `json:"durationMs"`
	// ErrorCode is the six-digit code of the service, else the HTTP status, else 0.
	ErrorCode  int    `json:"errorCode,omitempty"`
	Message    string `json:"message,omitempty"`
	TrackingID string `json:"trackingId,omitempty"`
	// IDScope is where the device registered.
	IDScope string `json:"idScope"`
	// Payload is what a custom allocation webhook returned; JSON lines alone have
	// it, up to 64 KiB.
	Payload json.RawMessage `json:"payload,omitempty"`
}

// columns are those of CSV, in their order.
var columns = []string{"registrationId", "status", "substatus", "deviceId", "assignedHub", "enrollmentGroupId", "operationId",
	"attempts", "durationMs", "errorCode", "message", "trackingId", "idScope"}

const (
	// maxLine bounds a line that is read back, in bytes.
	maxLine = 1 << 20
	// maxMessage and maxPayload bound what a line can become.
	maxMessage = 2048
	maxPayload = 64 << 10
)

// pendingText is the message of every device that the run did not get to the end
// of, whether it had begun or not.
const pendingText = "the run ended before the device was done"

func rowOf(scope string, o Outcome) Row {
	r := Row{
		RegistrationID: o.ID, Status: o.Status, Substatus: o.Result.Substatus, DeviceID: o.Result.DeviceID, AssignedHub: o.Result.AssignedHub,
		EnrollmentGroupID: o.Result.EnrollmentGroupID, OperationID: o.Result.OperationID,
		Attempts: o.Attempts, DurationMS: o.Duration.Milliseconds(), IDScope: scope,
	}
	if o.Status == Pending {
		r.Message = pendingText
	} else {
		r.ErrorCode, r.Message, r.TrackingID = explain(o.Err)
	}
	if o.Reason != "" {
		r.Message = strings.TrimRight(r.Message, ". ") + "; " + o.Reason
	}
	r.Message = oneline.Clean(r.Message, maxMessage)
	if len(o.Result.Payload) <= maxPayload && string(o.Result.Payload) != "null" {
		r.Payload = o.Result.Payload
	}
	return r
}

// encode returns the line of a row.
func (f Format) encode(r Row) ([]byte, error) {
	if f == JSONLines {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		err := enc.Encode(r)
		return b.Bytes(), err
	}
	code := ""
	if r.ErrorCode != 0 {
		code = strconv.Itoa(r.ErrorCode)
	}
	cells := []string{r.RegistrationID, string(r.Status), r.Substatus, r.DeviceID, r.AssignedHub, r.EnrollmentGroupID, r.OperationID,
		strconv.Itoa(r.Attempts), strconv.FormatInt(r.DurationMS, 10), code, r.Message, r.TrackingID, r.IDScope}
	for i := range cells {
		cells[i] = oneline.Cell(oneline.Clean(cells[i], maxMessage))
	}
	return csvLine(cells)
}

// header returns the first line of a report, nil for none.
func (f Format) header() []byte {
	if f == JSONLines {
		return nil
	}
	return []byte(strings.Join(columns, ",") + "\n")
}

func csvLine(cells []string) ([]byte, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	if err := w.Write(cells); err != nil {
		return nil, err
	}
	w.Flush()
	return b.Bytes(), w.Error()
}

// key is what a run needs to know of an earlier row.
type key struct {
	id      string
	scope   string
	done    bool
	pending bool
}

// decode reads a line as far as it matters.
func (f Format) decode(line []byte) (key, error) {
	if f == JSONLines {
		var r Row
		if err := json.Unmarshal(line, &r); err != nil || r.RegistrationID == "" || r.Status == "" {
			return key{}, errors.New("it is not a row")
		}
		return key{r.RegistrationID, r.IDScope, r.Status == Assigned, r.Status == Pending}, nil
	}
	cells, err := csv.NewReader(bytes.NewReader(line)).Read()
	if err != nil || len(cells) != len(columns) || cells[0] == "" {
		return key{}, errors.New("it is not a row")
	}
	id := strings.TrimPrefix(cells[0], "'") // no id begins with one
	scope := cells[slices.Index(columns, "idScope")]
	return key{id, scope, Status(cells[1]) == Assigned, Status(cells[1]) == Pending}, nil
}

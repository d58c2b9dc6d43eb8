package device

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/internal/oneline"
)

// Values of Result.Status.
const (
	StatusUnassigned = "unassigned"
	StatusAssigning  = "assigning"
	StatusAssigned   = "assigned"
	StatusFailed     = "failed"
	StatusDisabled   = "disabled"
)

// Result is the outcome of a registration.
type Result struct {
	RegistrationID string `json:"registrationId"`
	// DeviceID is the identity in the hub.
	DeviceID string `json:"deviceId"`
	// AssignedHub is the host name of the IoT hub.
	AssignedHub string `json:"assignedHub"`
	// Status is assigned; failed or disabled inside a RegistrationError.
	Status string `json:"status"`
	// Substatus tells how the device got to the hub, such as
	// "initialAssignment".
	Substatus string `json:"substatus,omitempty"`
	// EnrollmentGroupID is empty for an individual enrollment.
	EnrollmentGroupID string    `json:"enrollmentGroupId,omitempty"`
	OperationID       string    `json:"operationId"`
	ETag              string    `json:"etag,omitempty"`
	Created           time.Time `json:"created,omitzero"`
	LastUpdated       time.Time `json:"lastUpdated,omitzero"`
	// Payload is what a custom allocation webhook returned for the device.
	Payload json.RawMessage `json:"payload,omitempty"`
}

// ErrRefused is matched by every [*RegistrationError].
var ErrRefused = errors.New("registration refused")

// RegistrationError is a refusal that the service decided on after it had
// accepted the request: the enrollment is disabled, no hub takes the device, a
// custom allocation failed.
type RegistrationError struct {
	// Op names the operation.
	Op string
	// Status is failed or disabled, or what else the service calls the end of a
	// registration.
	Status string
	// Code is the service's six-digit code, 0 for a disabled enrollment.
	Code int
	// Message is the service's explanation, cleaned to one line.
	Message string
	// Result holds the rest of what the service said, such as the group that the
	// device belongs to.
	Result Result
	// Individual is true if the service gave the state of the device and named no
	// group: the device has an enrollment of its own. For one with a symmetric key
	// there is no other sign of it.
	Individual bool
}

// Error returns one line:
//
//	register device "dev-1": failed (code 400208): …
func (e *RegistrationError) Error() string {
	text := fmt.Sprintf("%s: %s", e.Op, e.Status)
	if e.Code != 0 {
		text += fmt.Sprintf(" (code %d)", e.Code)
	}
	switch {
	case e.Message != "":
		text += ": " + e.Message
	case e.Status != StatusFailed && e.Status != StatusDisabled:
		text += " (a status that is not known here)"
	}
	return oneline.Clean(text, 0)
}

// Is makes every RegistrationError match ErrRefused.
func (e *RegistrationError) Is(target error) bool { return target == ErrRefused }

// RegistrationStatus, ErrorCode and ErrorMessage let dps.Explain read the error
// without importing this package.
func (e *RegistrationError) RegistrationStatus() string { return e.Status }

// ErrorCode returns Code.
func (e *RegistrationError) ErrorCode() int { return e.Code }

// ErrorMessage returns Message.
func (e *RegistrationError) ErrorMessage() string { return e.Message }

// operation is the answer to a register request and to a poll.
type operation struct {
	OperationID string `json:"operationId"`
	Status      string `json:"status"`
	State       *state `json:"registrationState"`
}

// state is the registrationState of an operation.
type state struct {
	RegistrationID string          `json:"registrationId"`
	DeviceID       string          `json:"deviceId"`
	AssignedHub    string          `json:"assignedHub"`
	Status         string          `json:"status"`
	Substatus      string          `json:"substatus"`
	ErrorCode      json.Number     `json:"errorCode"`
	ErrorMessage   string          `json:"errorMessage"`
	ETag           string          `json:"etag"`
	Created        string          `json:"createdDateTimeUtc"`
	LastUpdated    string          `json:"lastUpdatedDateTimeUtc"`
	Payload        json.RawMessage `json:"payload"`
	X509           *attested       `json:"x509"`
	SymmetricKey   *attested       `json:"symmetricKey"`
}

type attested struct {
	EnrollmentGroupID string `json:"enrollmentGroupId"`
}

// outcome returns the status in lower case; that of the operation counts, as
// the state is missing while it runs.
func (o operation) outcome() string {
	if o.Status == "" && o.State != nil {
		return strings.ToLower(o.State.Status)
	}
	return strings.ToLower(o.Status)
}

func (o operation) result(registrationID string) Result {
	r := Result{RegistrationID: registrationID, Status: o.outcome(), OperationID: o.OperationID}
	s := o.State
	if s == nil {
		return r
	}
	if s.RegistrationID != "" {
		r.RegistrationID = s.RegistrationID
	}
	r.DeviceID, r.AssignedHub, r.Substatus, r.ETag = s.DeviceID, s.AssignedHub, s.Substatus, s.ETag
	r.Created, r.LastUpdated, r.Payload = parseTime(s.Created), parseTime(s.LastUpdated), s.Payload
	for _, a := range []*attested{s.X509, s.SymmetricKey} {
		if a != nil && r.EnrollmentGroupID == "" {
			r.EnrollmentGroupID = a.EnrollmentGroupID
		}
	}
	return r
}

// refusal converts a terminal status other than assigned. The message of a
// refusal by the hub is itself JSON: {"Message": "ErrorCode:…;Unauthorized"}.
func (o operation) refusal(op, registrationID string) *RegistrationError {
	e := &RegistrationError{Op: op, Status: oneline.Clean(o.outcome(), 32), Result: o.result(registrationID)}
	if s := o.State; s != nil {
		e.Individual = e.Result.EnrollmentGroupID == "" && s.RegistrationID != ""
		code, _ := s.ErrorCode.Int64()
		e.Code = int(code)
		e.Message = oneline.Clean(s.ErrorMessage, 1024)
		if strings.HasPrefix(strings.TrimSpace(s.ErrorMessage), "{") {
			if inner := dps.ParseErrorBody(0, []byte(s.ErrorMessage)); inner.Message != "" {
				e.Message = inner.Message
			}
		}
	}
	return e
}

// parseTime reads ISO 8601 with 0 to 7 digits of a second; the zero time if the
// text is anything else, as no decision depends on it.
func parseTime(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}

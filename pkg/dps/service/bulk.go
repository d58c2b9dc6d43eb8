package service

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/internal/oneline"
	"github.com/dpskit/dpskit/pkg/dps/internal/rest"
)

// MaxBulk is the largest number of objects that one bulk operation takes.
const MaxBulk = 10

// BulkMode is what a bulk operation does with each object.
type BulkMode string

// Values of BulkMode. An update needs the ETag of each object, like a put.
const (
	BulkCreate            BulkMode = "create"
	BulkUpdate            BulkMode = "update"
	BulkUpdateIfMatchETag BulkMode = "updateIfMatchETag"
	BulkDelete            BulkMode = "delete"
)

// BulkError says why one object of a bulk operation was refused.
type BulkError struct {
	// ID is the registration id or the enrollment group id.
	ID string
	// Code is the service's six-digit code, such as 409201.
	Code int
	// Message is the service's explanation, cleaned to one line.
	Message string
	// TrackingID is that of the whole answer, for the service's support; it may be
	// empty.
	TrackingID string
}

// Error returns one line.
func (e *BulkError) Error() string { return e.dps().Error() }

// Is matches the sentinels of package dps as a refusal of the same code does.
func (e *BulkError) Is(target error) bool { return e.dps().Is(target) }

// As lets errors.As find a *dps.Error, so that dps.Explain knows the code.
func (e *BulkError) As(target any) bool {
	p, ok := target.(**dps.Error)
	if ok {
		*p = e.dps()
	}
	return ok
}

func (e *BulkError) dps() *dps.Error {
	return &dps.Error{Op: fmt.Sprintf("bulk item %q", e.ID), StatusCode: e.Code / 1000, Code: e.Code, Message: e.Message, TrackingID: e.TrackingID}
}

// BulkResult is the outcome of a bulk operation: everything that is not in
// Errors was done.
type BulkResult struct {
	Errors []*BulkError
}

// BulkEnrollments creates, updates or deletes up to [MaxBulk] individual
// enrollments in one request. The result tells which were refused; the others
// were done. An error means that the request as a whole failed, and if it
// matches dps.ErrUnavailable or dps.ErrUnexpectedAnswer, that some or all of it
// may have been done: a bulk request is never repeated by itself.
func (c *Client) BulkEnrollments(ctx context.Context, mode BulkMode, list []IndividualEnrollment) (BulkResult, error) {
	return bulk(ctx, c, enrollments, "enrollments", mode, list)
}

// BulkGroups is BulkEnrollments for enrollment groups.
func (c *Client) BulkGroups(ctx context.Context, mode BulkMode, list []EnrollmentGroup) (BulkResult, error) {
	return bulk(ctx, c, groups, "enrollmentGroups", mode, list)
}

func bulk[T any](ctx context.Context, c *Client, r resource[T], member string, mode BulkMode, list []T) (BulkResult, error) {
	call := &rest.Call{Op: fmt.Sprintf("bulk %s of %d %ss", mode, len(list), r.noun), Once: true}
	if err := r.checkBulk(call.Op, list); err != nil {
		return BulkResult{}, err
	}
	items := make([]json.RawMessage, len(list))
	for i, object := range list {
		call.Secrets = append(call.Secrets, r.attestation(&object).secrets()...)
		item, err := encodeModel(object, formBulk)
		if err != nil {
			return BulkResult{}, fmt.Errorf("%s: encode %q: %w", call.Op, r.id(object), err)
		}
		items[i] = item
	}
	body, err := bulkBody(mode, member, items)
	if err != nil {
		return BulkResult{}, fmt.Errorf("%s: encode: %w", call.Op, err)
	}
	return sendBulk(ctx, c, call, rest.Request{Method: http.MethodPost, Path: rest.Path(r.segment), Body: body})
}

// checkBulk finds what makes the service refuse the request as a whole.
func (r resource[T]) checkBulk(op string, list []T) error {
	if len(list) == 0 || len(list) > MaxBulk {
		return fmt.Errorf("%s: %w: a bulk operation takes 1 to %d objects", op, dps.ErrBadRequest, MaxBulk)
	}
	seen := make(map[string]bool, len(list))
	for _, object := range list {
		if err := checkID(fmt.Sprintf("%s: %q", op, r.id(object)), r.id(object)); err != nil {
			return err
		}
		id := strings.ToLower(r.id(object))
		if seen[id] {
			return fmt.Errorf("%s: %w: id %q appears twice", op, dps.ErrBadRequest, r.id(object))
		}
		seen[id] = true
	}
	return nil
}

// bulkBody puts the items together without touching their bytes.
func bulkBody(mode BulkMode, member string, items []json.RawMessage) ([]byte, error) {
	name, err := json.Marshal(string(mode))
	if err != nil {
		return nil, err
	}
	body := append([]byte(`{"mode":`), name...)
	body = append(body, `,"`+member+`":[`...)
	for i, item := range items {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, item...)
	}
	return append(body, `]}`...), nil
}

func sendBulk(ctx context.Context, c *Client, call *rest.Call, request rest.Request) (BulkResult, error) {
	resp, err := c.rest.Do(ctx, call, request)
	if err != nil {
		return BulkResult{}, err
	}
	var answer struct {
		IsSuccessful *bool `json:"isSuccessful"`
		Errors       []struct {
			RegistrationID    string `json:"registrationId"`
			EnrollmentGroupID string `json:"enrollmentGroupId"`
			ErrorCode         int    `json:"errorCode"`
			ErrorStatus       string `json:"errorStatus"`
		} `json:"errors"`
	}
	if err := decodeBody(resp.Body, &answer); err != nil || answer.IsSuccessful == nil {
		return BulkResult{}, rest.Unexpected(call, resp, "the answer is not the result of a bulk operation")
	}
	var result BulkResult
	tracking := oneline.Clean(call.Clean(resp.Header.Get("x-ms-request-id")), 64)
	for _, e := range answer.Errors {
		result.Errors = append(result.Errors, &BulkError{ID: oneline.Clean(e.RegistrationID+e.EnrollmentGroupID, 128),
			Code: e.ErrorCode, Message: call.Clean(e.ErrorStatus), TrackingID: tracking})
	}
	if !*answer.IsSuccessful && len(result.Errors) == 0 {
		return BulkResult{}, rest.Unexpected(call, resp, "the operation failed, and the answer does not say why")
	}
	return result, nil
}

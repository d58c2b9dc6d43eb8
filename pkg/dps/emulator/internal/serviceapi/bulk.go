package serviceapi

import (
	"log/slog"
	"strings"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/state"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/store"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/web"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"
)

// maxBulk is the number of items in one bulk request.
const maxBulk = 10

// Modes of a bulk request, folded.
const (
	modeCreate         = "create"
	modeUpdate         = "update"
	modeUpdateIfMatch  = "updateifmatchetag"
	modeDelete         = "delete"
	messageTooMany     = "A bulk request can have at most 10 items."
	messageDuplicateID = "A bulk request cannot have two items with the same identifier."
)

// checkBulk checks the envelope: a known mode, one to ten items, no identifier
// twice.
func checkBulk(mode string, ids []string) (string, error) {
	mode = strings.ToLower(mode)
	switch mode {
	case modeCreate, modeUpdate, modeUpdateIfMatch, modeDelete:
	default:
		return "", web.BadBody("Invalid bulk operation mode '%s'.", mode)
	}
	if len(ids) == 0 {
		return "", web.BadBody("A bulk request needs at least one item.")
	}
	if len(ids) > maxBulk {
		return "", web.BadBody("%s", messageTooMany)
	}
	seen := map[string]bool{}
	for _, id := range ids {
		if seen[state.Fold(id)] {
			return "", web.BadBody("%s", messageDuplicateID)
		}
		seen[state.Fold(id)] = true
	}
	return mode, nil
}

// checkItem decides whether mode may write an item. An update acts like a PUT
// that sends the item's etag in If-Match, except that it never creates.
func checkItem(mode string, found bool, stored, sent string, absent, exists *refuse.Refusal) error {
	switch {
	case mode == modeCreate && found:
		return exists
	case mode == modeCreate:
		return nil
	case !found:
		return absent
	case mode == modeDelete:
		return nil
	case mode == modeUpdate && sent == "":
		return exists
	}
	if r := precondition(true, stored, sent); r != nil {
		return r
	}
	return nil
}

func (a *api) bulkEnrollments(req *web.Request) (*web.Response, error) {
	var in wire.BulkEnrollments
	if err := req.JSON(maxBody, &in); err != nil {
		return nil, err
	}
	ids := make([]string, len(in.Enrollments))
	for i, e := range in.Enrollments {
		if e == nil {
			return nil, web.BadBody("A bulk item is null.")
		}
		ids[i] = e.RegistrationID
	}
	mode, err := checkBulk(in.Mode, ids)
	if err != nil {
		return nil, err
	}
	return a.bulk(req, len(ids), func(tx store.Tx, i int) (wire.BulkError, error) {
		return wire.BulkError{RegistrationID: ids[i]}, a.bulkEnrollment(tx, req.APIVersion, mode, *in.Enrollments[i])
	})
}

func (a *api) bulkEnrollment(tx store.Tx, version, mode string, in wire.IndividualEnrollment) error {
	if err := checkID(in.RegistrationID, in.RegistrationID, "registrationId"); err != nil {
		return err
	}
	old, found, err := state.GetEnrollment(tx, in.RegistrationID)
	if err != nil {
		return err
	}
	if err := checkItem(mode, found, old.ETag, in.ETag, enrollmentNotFound(), enrollmentExists()); err != nil {
		return err
	}
	if mode == modeDelete {
		state.DeleteEnrollment(tx, old)
		return nil
	}
	_, err = a.writeEnrollment(tx, version, in, old, found)
	return err
}

func (a *api) bulkGroups(req *web.Request) (*web.Response, error) {
	var in wire.BulkGroups
	if err := req.JSON(maxBody, &in); err != nil {
		return nil, err
	}
	ids := make([]string, len(in.Groups))
	for i, g := range in.Groups {
		if g == nil {
			return nil, web.BadBody("A bulk item is null.")
		}
		ids[i] = g.EnrollmentGroupID
	}
	mode, err := checkBulk(in.Mode, ids)
	if err != nil {
		return nil, err
	}
	return a.bulk(req, len(ids), func(tx store.Tx, i int) (wire.BulkError, error) {
		return wire.BulkError{EnrollmentGroupID: ids[i]}, a.bulkGroup(tx, req.APIVersion, mode, *in.Groups[i])
	})
}

func (a *api) bulkGroup(tx store.Tx, version, mode string, in wire.EnrollmentGroup) error {
	if err := checkID(in.EnrollmentGroupID, in.EnrollmentGroupID, "enrollmentGroupId"); err != nil {
		return err
	}
	old, found, err := state.GetGroup(tx, in.EnrollmentGroupID)
	if err != nil {
		return err
	}
	if err := checkItem(mode, found, old.ETag, in.ETag, groupNotFound(), groupExists()); err != nil {
		return err
	}
	if mode == modeDelete {
		state.DeleteGroup(tx, old)
		return nil
	}
	_, err = a.writeGroup(tx, version, in, old, found)
	return err
}

// bulk applies the items in one transaction. A failing item writes nothing and
// the others stand. item names what it is about, whatever becomes of it; an error
// that is no refusal fails the whole request.
func (a *api) bulk(req *web.Request, n int, item func(tx store.Tx, i int) (wire.BulkError, error)) (*web.Response, error) {
	result := wire.BulkResult{Errors: []wire.BulkError{}}
	var refused []*refuse.Refusal
	err := a.Store.Update(req.Context(), func(tx store.Tx) error {
		for i := range n {
			failed, err := item(tx, i)
			if err == nil {
				continue
			}
			r, ok := refuse.As(err)
			if !ok {
				return err
			}
			failed.ErrorCode, failed.ErrorStatus = r.Code, r.Message
			result.Errors, refused = append(result.Errors, failed), append(refused, r)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i, r := range refused {
		refuse.Log(req.Context(), a.Logger, r, bulkAttrs(req, result.Errors[i])...)
	}
	result.IsSuccessful = len(result.Errors) == 0
	return web.OK(result)
}

func bulkAttrs(req *web.Request, e wire.BulkError) []slog.Attr {
	return []slog.Attr{
		slog.String("plane", "service"),
		slog.String("request_id", req.ID),
		slog.Bool("bulk_item", true),
		slog.String("registration_id", e.RegistrationID),
		slog.String("enrollment_group_id", e.EnrollmentGroupID),
	}
}

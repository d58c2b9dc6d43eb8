package serviceapi

import (
	"fmt"
	"net/http"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/state"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/store"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/web"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"
)

func groupNotFound() *refuse.Refusal {
	return refusal(http.StatusNotFound, 404204, ruleNotFound, "EnrollmentGroup not found.")
}

func groupExists() *refuse.Refusal {
	r := refusal(http.StatusConflict, 409202, ruleExists, "EnrollmentGroup already exists.")
	r.Fix = "send If-Match with the current etag to update it"
	return r
}

func (a *api) getGroup(req *web.Request) (*web.Response, error) {
	var g state.Group
	err := a.Store.View(req.Context(), func(r store.Reader) (err error) {
		g, err = existingGroup(r, req.Param("id"))
		return err
	})
	if err != nil {
		return nil, err
	}
	return web.OK(showGroup(g))
}

// showGroup is the form of GET and query: without symmetric keys.
func showGroup(g state.Group) wire.EnrollmentGroup {
	out := g.EnrollmentGroup
	out.Attestation = withoutKeys(out.Attestation)
	return out
}

func existingGroup(r store.Reader, id string) (state.Group, error) {
	g, found, err := state.GetGroup(r, id)
	if err == nil && !found {
		err = groupNotFound()
	}
	return g, err
}

func (a *api) putGroup(req *web.Request) (*web.Response, error) {
	var in wire.EnrollmentGroup
	if err := req.JSON(maxBody, &in); err != nil {
		return nil, err
	}
	if err := checkID(req.Param("id"), in.EnrollmentGroupID, "enrollmentGroupId"); err != nil {
		return nil, err
	}
	var out state.Group
	err := a.Store.Update(req.Context(), func(tx store.Tx) error {
		old, found, err := state.GetGroup(tx, in.EnrollmentGroupID)
		if err != nil {
			return err
		}
		if err := checkPut(found, old.ETag, req.Header.Get("If-Match"), groupExists()); err != nil {
			return err
		}
		out, err = a.writeGroup(tx, req.APIVersion, in, old, found)
		return err
	})
	if err != nil {
		return nil, err
	}
	return web.OK(out.EnrollmentGroup)
}

// writeGroup completes in and stores it over old. It writes only if it returns
// no error.
func (a *api) writeGroup(tx store.Tx, version string, in wire.EnrollmentGroup, old state.Group, found bool) (state.Group, error) {
	d := draft{
		tx: tx, now: a.Now(), version: version, owner: state.Fold(in.EnrollmentGroupID), in: &in.Common,
	}
	if found {
		d.old, d.oldCerts, in.EnrollmentGroupID = &old.Common, old.Signing, old.EnrollmentGroupID
	}
	certs, err := d.finish()
	if err != nil {
		return state.Group{}, err
	}
	if err := checkGroupQuota(tx, in, old, found); err != nil {
		return state.Group{}, err
	}
	g := state.Group{EnrollmentGroup: in, Signing: certs}
	return g, state.PutGroup(tx, old, g)
}

// checkGroupQuota limits the groups of each kind.
func checkGroupQuota(tx store.Tx, in wire.EnrollmentGroup, old state.Group, found bool) error {
	if found && old.Attestation.Type == in.Attestation.Type {
		return nil
	}
	all, _, err := state.Groups(tx, "", 2*state.MaxGroups)
	if err != nil {
		return err
	}
	same := 0
	for _, g := range all {
		if g.Attestation.Type == in.Attestation.Type {
			same++
		}
	}
	if same < state.MaxGroups {
		return nil
	}
	return refusal(http.StatusBadRequest, 400000, ruleQuota,
		fmt.Sprintf("The maximum number of %s enrollment groups, %d, has been reached.", in.Attestation.Type, state.MaxGroups))
}

func (a *api) deleteGroup(req *web.Request) (*web.Response, error) {
	err := a.Store.Update(req.Context(), func(tx store.Tx) error {
		g, err := existingGroup(tx, req.Param("id"))
		if err != nil {
			return err
		}
		if err := checkDelete(g.ETag, req.Header.Get("If-Match")); err != nil {
			return err
		}
		state.DeleteGroup(tx, g)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &web.Response{Status: http.StatusNoContent}, nil
}

func (a *api) groupAttestation(req *web.Request) (*web.Response, error) {
	var g state.Group
	err := a.Store.View(req.Context(), func(r store.Reader) (err error) {
		g, err = existingGroup(r, req.Param("id"))
		return err
	})
	if err != nil {
		return nil, err
	}
	return web.OK(g.Attestation)
}

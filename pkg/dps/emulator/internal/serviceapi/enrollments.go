package serviceapi

import (
	"net/http"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/state"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/store"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/web"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"
)

func enrollmentNotFound() *refuse.Refusal {
	return refusal(http.StatusNotFound, 404201, ruleNotFound, "Enrollment not found.")
}

func enrollmentExists() *refuse.Refusal {
	r := refusal(http.StatusConflict, 409201, ruleExists, "Enrollment already exists.")
	r.Fix = "send If-Match with the current etag to update it"
	return r
}

func (a *api) getEnrollment(req *web.Request) (*web.Response, error) {
	var out wire.IndividualEnrollment
	err := a.Store.View(req.Context(), func(r store.Reader) error {
		e, err := existingEnrollment(r, req.Param("id"))
		if err != nil {
			return err
		}
		out = showEnrollment(e)
		reg, found, err := state.GetRegistration(r, e.RegistrationID)
		if err != nil {
			return err
		}
		out.RegistrationState = &wire.RegistrationState{
			RegistrationID: e.RegistrationID, Status: wire.RegistrationUnassigned,
		}
		if found {
			out.RegistrationState = reg.State(time.Now())
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return web.OK(out)
}

// showEnrollment is the form of GET and query: without symmetric keys.
func showEnrollment(e state.Enrollment) wire.IndividualEnrollment {
	out := e.IndividualEnrollment
	out.Attestation = withoutKeys(out.Attestation)
	return out
}

func existingEnrollment(r store.Reader, id string) (state.Enrollment, error) {
	e, found, err := state.GetEnrollment(r, id)
	if err == nil && !found {
		err = enrollmentNotFound()
	}
	return e, err
}

func (a *api) putEnrollment(req *web.Request) (*web.Response, error) {
	var in wire.IndividualEnrollment
	if err := req.JSON(maxBody, &in); err != nil {
		return nil, err
	}
	if err := checkID(req.Param("id"), in.RegistrationID, "registrationId"); err != nil {
		return nil, err
	}
	var out state.Enrollment
	err := a.Store.Update(req.Context(), func(tx store.Tx) error {
		old, found, err := state.GetEnrollment(tx, in.RegistrationID)
		if err != nil {
			return err
		}
		if err := checkPut(found, old.ETag, req.Header.Get("If-Match"), enrollmentExists()); err != nil {
			return err
		}
		out, err = a.writeEnrollment(tx, req.APIVersion, in, old, found)
		return err
	})
	if err != nil {
		return nil, err
	}
	return web.OK(out.IndividualEnrollment)
}

// writeEnrollment completes in and stores it over old. It writes only if it
// returns no error.
func (a *api) writeEnrollment(
	tx store.Tx, version string, in wire.IndividualEnrollment, old state.Enrollment, found bool,
) (state.Enrollment, error) {
	d := draft{
		tx: tx, now: a.Now(), version: version, owner: state.Fold(in.RegistrationID), individual: true, in: &in.Common,
	}
	if found {
		d.old, d.oldCerts, in.RegistrationID = &old.Common, old.Client, old.RegistrationID
	}
	if in.DeviceID != "" && !deviceIDForm.MatchString(in.DeviceID) {
		return state.Enrollment{}, web.BadBody("Invalid deviceId.")
	}
	if err := object(&in.OptionalDeviceInformation, "optionalDeviceInformation"); err != nil {
		return state.Enrollment{}, err
	}
	certs, err := d.finish()
	if err != nil {
		return state.Enrollment{}, err
	}
	in.RegistrationState = nil
	e := state.Enrollment{IndividualEnrollment: in, Client: certs}
	return e, state.PutEnrollment(tx, old, e)
}

func (a *api) deleteEnrollment(req *web.Request) (*web.Response, error) {
	err := a.Store.Update(req.Context(), func(tx store.Tx) error {
		e, err := existingEnrollment(tx, req.Param("id"))
		if err != nil {
			return err
		}
		if err := checkDelete(e.ETag, req.Header.Get("If-Match")); err != nil {
			return err
		}
		state.DeleteEnrollment(tx, e)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &web.Response{Status: http.StatusNoContent}, nil
}

func (a *api) enrollmentAttestation(req *web.Request) (*web.Response, error) {
	var e state.Enrollment
	err := a.Store.View(req.Context(), func(r store.Reader) (err error) {
		e, err = existingEnrollment(r, req.Param("id"))
		return err
	})
	if err != nil {
		return nil, err
	}
	return web.OK(e.Attestation)
}

package serviceapi

import (
	"net/http"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/state"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/store"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/web"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"
)

func existingRegistration(r store.Reader, id string) (state.Registration, error) {
	reg, found, err := state.GetRegistration(r, id)
	if err == nil && !found {
		err = refusal(http.StatusNotFound, 404202, ruleNotFound, "Registration not found.")
	}
	return reg, err
}

func (a *api) getRegistration(req *web.Request) (*web.Response, error) {
	var reg state.Registration
	err := a.Store.View(req.Context(), func(r store.Reader) (err error) {
		reg, err = existingRegistration(r, req.Param("id"))
		return err
	})
	if err != nil {
		return nil, err
	}
	return web.OK(reg.State(time.Now()))
}

func (a *api) deleteRegistration(req *web.Request) (*web.Response, error) {
	err := a.Store.Update(req.Context(), func(tx store.Tx) error {
		reg, err := existingRegistration(tx, req.Param("id"))
		if err != nil {
			return err
		}
		if err := checkDelete(reg.ETag, req.Header.Get("If-Match")); err != nil {
			return err
		}
		state.DeleteRegistration(tx, reg)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &web.Response{Status: http.StatusNoContent}, nil
}

// queryRegistrations takes a body with a query, or none: clients differ.
func (a *api) queryRegistrations(req *web.Request) (*web.Response, error) {
	body, err := req.Body(maxBody)
	if err != nil {
		return nil, err
	}
	if len(body) > 0 {
		var spec wire.QuerySpecification
		if err := web.Decode(body, &spec); err != nil {
			return nil, err
		}
		if err := checkQuery(spec.Query); err != nil {
			return nil, err
		}
	}
	id := req.Param("id")
	p, err := readPaging(req, "registrations/"+state.Fold(id))
	if err != nil {
		return nil, err
	}
	out := []*wire.RegistrationState{}
	var next string
	err = a.Store.View(req.Context(), func(r store.Reader) error {
		regs, n, err := state.Registrations(r, id, p.after, p.size)
		if err != nil {
			return err
		}
		if _, found, err := state.GetGroup(r, id); err != nil {
			return err
		} else if !found && len(regs) == 0 && p.after == "" {
			return groupNotFound()
		}
		for _, reg := range regs {
			out = append(out, reg.State(time.Now()))
		}
		next = n
		return nil
	})
	if err != nil {
		return nil, err
	}
	return p.answer("DeviceRegistration", out, next), nil
}

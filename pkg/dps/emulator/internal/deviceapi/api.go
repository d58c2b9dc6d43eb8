package deviceapi

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/provision"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/web"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"
)

type api struct {
	Plane

	large chan struct{} // one token per large body that is being read
}

// Bodies of more than largeBody bytes, or of unknown length, are read
// maxLargeBodies at a time: nobody has proved who they are before the body is
// read, and they would fill the memory.
const (
	largeBody      = 8 << 10
	maxLargeBodies = 256
)

// RuleBodies refuses a large body because too many are being read.
const RuleBodies refuse.Rule = "too-many-large-bodies"

// New returns the plane over HTTPS.
func New(c Config) http.Handler {
	a := &api{Plane: Plane{c}, large: make(chan struct{}, maxLargeBodies)}
	const registration = "/{scope}/registrations/{id}"
	return &web.Plane{
		Name: "device", Logger: c.Logger, Now: c.Now, Render: wire.NewServiceError, Before: before,
		Router: web.NewRouter(
			web.Route{Method: http.MethodPut, Pattern: registration + "/register", Handler: a.register},
			web.Route{Method: http.MethodGet, Pattern: registration + "/operations/{operation}", Handler: a.poll},
			web.Route{Method: http.MethodPost, Pattern: registration, Handler: a.lookUp},
		),
	}
}

func before(req *web.Request) error { return CheckVersion(req.APIVersion) }

// call collects who is calling.
func call(req *web.Request) provision.Call {
	c := provision.Call{
		IDScope:        req.Param("scope"),
		RegistrationID: req.Param("id"),
		APIVersion:     req.APIVersion,
		Token:          req.Header.Get("Authorization"),
		RequestID:      req.ID,
	}
	if req.TLS != nil {
		c.Chain = req.TLS.PeerCertificates
	}
	return c
}

// readBody reads and checks a DeviceRegistration and completes c by it.
func (a *api) readBody(req *web.Request, c *provision.Call) error {
	if req.ContentLength < 0 || req.ContentLength > largeBody {
		select {
		case a.large <- struct{}{}:
			defer func() { <-a.large }()
		default:
			return provision.TooMany(RuleBodies, "Too many large requests at the same time.",
				"at most "+strconv.Itoa(maxLargeBodies)+" bodies of more than "+strconv.Itoa(largeBody)+" bytes at the same moment")
		}
	}
	data, err := req.Body(MaxBody)
	if err != nil {
		return err
	}
	if err := web.CheckMediaType(req.Header.Get("Content-Type")); err != nil {
		return err
	}
	return ReadBody(data, c)
}

func (a *api) register(req *web.Request) (*web.Response, error) {
	c := call(req)
	if err := a.readBody(req, &c); err != nil {
		return nil, err
	}
	status, err := a.Register(req.Context(), c)
	if err != nil {
		return nil, err
	}
	location := url.URL{Scheme: "https", Host: req.Host, Path: strings.TrimSuffix(req.URL.Path, "/")}
	return &web.Response{
		Status: http.StatusAccepted,
		Header: http.Header{"Retry-After": {a.RetryAfterText()}, "Location": {location.String()}},
		Body:   status,
	}, nil
}

func (a *api) poll(req *web.Request) (*web.Response, error) {
	status, err := a.Poll(req.Context(), call(req), req.Param("operation"))
	if err != nil {
		return nil, err
	}
	resp := &web.Response{Status: http.StatusOK, Header: http.Header{}, Body: status}
	if status.Status == wire.RegistrationAssigning {
		resp.Header.Set("Retry-After", a.RetryAfterText())
	}
	return resp, nil
}

func (a *api) lookUp(req *web.Request) (*web.Response, error) {
	c := call(req)
	if err := a.readBody(req, &c); err != nil {
		return nil, err
	}
	reg, err := a.Service.LookUp(req.Context(), c)
	if err != nil {
		return nil, err
	}
	return web.OK(provision.Result(reg, req.APIVersion, time.Now()))
}

package deviceapi

import (
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/provision"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/state"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/web"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"
)

// Config is what the plane serves.
type Config struct {
	Service *provision.Service
	Logger  *slog.Logger
	Now     func() time.Time
	// RetryAfter is sent while a registration is being assigned, in whole
	// seconds, rounded up.
	RetryAfter time.Duration
}

type api struct{ Config }

// maxBody is the service's limit on a message.
const maxBody = 96 << 10

// versionForm is any api-version; the device plane's answers hardly differ.
var versionForm = regexp.MustCompile(`^20\d\d-\d\d-\d\d(-preview)?$`)

// New returns the plane.
func New(c Config) http.Handler {
	a := &api{c}
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

func before(req *web.Request) error {
	if versionForm.MatchString(req.APIVersion) {
		return nil
	}
	message := "Unknown api version."
	if req.APIVersion == "" {
		message = "The api-version query parameter is missing."
	}
	return &refuse.Refusal{
		Status: http.StatusBadRequest, Code: 400000, Rule: "api-version", Message: message,
		Expected: "a date such as 2021-06-01",
	}
}

// call collects who is calling.
func call(req *web.Request) provision.Call {
	c := provision.Call{
		IDScope:        req.Param("scope"),
		RegistrationID: req.Param("id"),
		APIVersion:     req.APIVersion,
		Token:          req.Header.Get("Authorization"),
	}
	if req.TLS != nil {
		c.Chain = req.TLS.PeerCertificates
	}
	return c
}

// readBody reads a DeviceRegistration. Its identifier may be left out; if it is
// there it must be the one in the path.
func readBody(req *web.Request) error {
	data, err := req.Body(maxBody)
	if err != nil {
		return err
	}
	if err := web.CheckMediaType(req.Header.Get("Content-Type")); err != nil {
		return err
	}
	var body wire.DeviceRegistration
	if err := web.Decode(data, &body); err != nil {
		return err
	}
	if body.RegistrationID != "" && state.Fold(body.RegistrationID) != state.Fold(req.Param("id")) {
		return web.BadBody("The registrationId in the body does not match the one in the path.")
	}
	return nil
}

func (a *api) register(req *web.Request) (*web.Response, error) {
	if err := readBody(req); err != nil {
		return nil, err
	}
	c := call(req)
	op, err := a.Service.Register(req.Context(), c)
	if err != nil {
		return nil, err
	}
	location := url.URL{Scheme: "https", Host: req.Host, Path: strings.TrimSuffix(req.URL.Path, "/")}
	return &web.Response{
		Status: http.StatusAccepted,
		Header: http.Header{"Retry-After": {a.retryAfter()}, "Location": {location.String()}},
		Body:   wire.OperationStatus{OperationID: op.ID, Status: wire.RegistrationAssigning},
	}, nil
}

func (a *api) retryAfter() string {
	return strconv.FormatInt(int64((a.RetryAfter+time.Second-1)/time.Second), 10)
}

func (a *api) poll(req *web.Request) (*web.Response, error) {
	op, err := a.Service.Poll(req.Context(), call(req), req.Param("operation"))
	if err != nil {
		return nil, err
	}
	result := provision.Result(op.Result, req.APIVersion, time.Now())
	resp := &web.Response{
		Status: http.StatusOK,
		Header: http.Header{},
		Body:   wire.OperationStatus{OperationID: op.ID, Status: result.Status, RegistrationState: result},
	}
	if result.Status == wire.RegistrationAssigning {
		resp.Header.Set("Retry-After", a.retryAfter())
	}
	return resp, nil
}

func (a *api) lookUp(req *web.Request) (*web.Response, error) {
	if err := readBody(req); err != nil {
		return nil, err
	}
	reg, err := a.Service.LookUp(req.Context(), call(req))
	if err != nil {
		return nil, err
	}
	return web.OK(provision.Result(reg, req.APIVersion, time.Now()))
}

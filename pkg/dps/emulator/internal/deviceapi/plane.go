package deviceapi

import (
	"context"
	"log/slog"
	"net/http"
	"regexp"
	"strconv"
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

// Plane is what devices may ask for, whatever the transport.
type Plane struct{ Config }

// MaxBody is the service's limit on a message, in bytes.
const MaxBody = 96 << 10

// versionForm is any api-version; the device plane's answers hardly differ.
var versionForm = regexp.MustCompile(`^20\d\d-\d\d-\d\d(-preview)?$`)

// CheckVersion refuses what does not look like an api-version.
func CheckVersion(version string) error {
	if versionForm.MatchString(version) {
		return nil
	}
	message := "Unknown api version."
	if version == "" {
		message = "The api-version query parameter is missing."
	}
	return &refuse.Refusal{
		Status: http.StatusBadRequest, Code: 400000, Rule: "api-version", Message: message,
		Expected: "a date such as 2021-06-01",
	}
}

// ReadBody checks a DeviceRegistration and puts what counts in it into call: the
// payload for custom allocation, any JSON value, and whether the device wants to
// be attested by its TPM. The identifier in it may be left out; if it is there it
// must be that of the caller.
func ReadBody(data []byte, call *provision.Call) error {
	var body wire.DeviceRegistration
	if err := web.Decode(data, &body); err != nil {
		return err
	}
	if body.RegistrationID != "" && state.Fold(body.RegistrationID) != state.Fold(call.RegistrationID) {
		return web.BadBody("The registrationId in the body does not match the one in the path.")
	}
	if call.Payload = body.Payload; string(body.Payload) == "null" {
		call.Payload = nil
	}
	call.TPM = body.TPM != nil
	return nil
}

// RetryAfterText is what a device that has to ask again is told.
func (p *Plane) RetryAfterText() string {
	return strconv.FormatInt(int64((p.RetryAfter+time.Second-1)/time.Second), 10)
}

// Register starts an operation. The answer has no registrationState: that comes
// with the first poll.
func (p *Plane) Register(ctx context.Context, call provision.Call) (wire.OperationStatus, error) {
	op, err := p.Service.Register(ctx, call)
	if err != nil {
		return wire.OperationStatus{}, err
	}
	return wire.OperationStatus{OperationID: op.ID, Status: wire.RegistrationAssigning}, nil
}

// Poll returns how far an operation is.
func (p *Plane) Poll(ctx context.Context, call provision.Call, operationID string) (wire.OperationStatus, error) {
	op, err := p.Service.Poll(ctx, call, operationID)
	if err != nil {
		return wire.OperationStatus{}, err
	}
	result := provision.Result(op.Result, call.APIVersion, time.Now())
	return wire.OperationStatus{OperationID: op.ID, Status: result.Status, RegistrationState: result}, nil
}

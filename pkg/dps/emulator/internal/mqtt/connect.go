package mqtt

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/deviceapi"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/provision"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/state"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/web"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"
)

// Rules of this package.
const (
	ruleVersion  refuse.Rule = "mqtt-version"
	ruleClientID refuse.Rule = "mqtt-client-id"
	ruleUserName refuse.Rule = "mqtt-user-name"
	ruleProtocol refuse.Rule = "mqtt-protocol"
	rulePort     refuse.Rule = "mqtt-port"
	rulePoll     refuse.Rule = "mqtt-operation-id"
)

// connect judges CONNECT as far as the service does: whether the parts fit each
// other, and a token. A certificate is judged when the device registers. What is
// left to do is CONNACK.
func (se *session) connect(ctx context.Context, p connect) error {
	code, err := se.judge(ctx, p)
	if err != nil {
		return se.refuse(ctx, code, err)
	}
	se.silence = time.Duration(p.keepAlive) * time.Second * 3 / 2
	if se.silence == 0 || se.silence > maxSilence {
		se.silence = maxSilence
	}
	se.owner = state.Fold(se.call.RegistrationID) + "\n"
	if se.call.Token == "" {
		se.owner += state.Thumbprint(se.call.Chain[0].Raw)
	}
	se.server.takeOver(se)
	return nil
}

// judge fills in the call. With an error comes the return code that it has.
func (se *session) judge(ctx context.Context, p connect) (byte, error) {
	user, ok := parseUserName(p.userName)
	switch {
	case p.clientID == "":
		return identifierRejected, refusal(ruleClientID, "Client identifier is empty.", "the registration id", "")
	case !ok || deviceapi.CheckVersion(user.apiVersion) != nil:
		return badUserName, refusal(ruleUserName, "User name is malformed.",
			"{id scope}/registrations/{registration id}/api-version={date}", "see the MQTT page of the service's documentation")
	}
	plane := &se.server.config.Plane
	se.call.IDScope, se.call.RegistrationID, se.call.APIVersion = user.scope, user.registrationID, user.apiVersion
	se.call.Token = string(p.password)
	if err := plane.Service.CheckCall(se.call); err != nil {
		if r, ok := refuse.As(err); ok && r.Rule == provision.RuleIDScope {
			return serverUnavailable, err
		}
		return identifierRejected, err
	}
	if state.Fold(p.clientID) != state.Fold(user.registrationID) {
		return notAuthorized, refusal(ruleClientID, "Client identifier is not the registration id.",
			fmt.Sprintf("client identifier %q, as in the user name", user.registrationID), "")
	}
	if se.call.Token == "" && len(se.call.Chain) > 0 {
		return accepted, nil
	}
	if err := plane.Service.Authenticate(ctx, se.call); err != nil {
		if r, known := web.AsRefusal(err); known && r.Status == http.StatusUnauthorized {
			return notAuthorized, err
		}
		return serverUnavailable, err
	}
	return accepted, nil
}

func refusal(rule refuse.Rule, message, expected, fix string) *refuse.Refusal {
	return &refuse.Refusal{Status: http.StatusUnauthorized, Rule: rule, Message: message, Expected: expected, Fix: fix}
}

func otherVersion(v versionError) *refuse.Refusal {
	r := refusal(ruleVersion, "Protocol version is not supported.", "MQTT 3.1.1: name MQTT, level 4", "set the client to MQTT 3.1.1")
	r.Message += fmt.Sprintf(" Name %q, level %d.", v.name, v.level)
	return r
}

// refuse answers CONNECT with code and logs why.
func (se *session) refuse(ctx context.Context, code byte, cause error) error {
	se.logRefusal(ctx, web.NewID(), cause, "connack", int(code))
	if err := se.write(encodeConnack(code)); err != nil {
		return err
	}
	se.linger()
	return errRefused
}

// answer is what goes into the topic and the payload of a response.
type answer struct {
	status     int
	retryAfter string // seconds; "" for none
	body       []byte
}

// answer carries out a request. Its errors are answers, too.
func (se *session) answer(ctx context.Context, r request, payload []byte) answer {
	plane := &se.server.config.Plane
	id := web.NewID()
	status, err := se.ask(ctx, r, payload, id)
	var a answer
	var body any = status
	switch {
	case err != nil:
		refused := se.logRefusal(ctx, id, err, "request", r.name())
		a.status, a.retryAfter = refused.Status, refused.Header.Get("Retry-After")
		body = wire.NewServiceError(refused, id, se.server.config.Now())
	case status.Status == wire.RegistrationAssigning:
		a.status, a.retryAfter = http.StatusAccepted, plane.RetryAfterText()
	default:
		a.status = http.StatusOK
	}
	if a.body, err = web.Encode(body); err != nil {
		a.status = http.StatusInternalServerError
	}
	return a
}

func (r request) name() string {
	if r.register {
		return "register"
	}
	return "poll"
}

func (se *session) ask(ctx context.Context, r request, payload []byte, id string) (wire.OperationStatus, error) {
	plane := &se.server.config.Plane
	switch {
	case !r.register && r.operationID == "":
		return wire.OperationStatus{}, &refuse.Refusal{Status: http.StatusBadRequest, Code: 400000, Rule: rulePoll,
			Message: "The operationId is missing.", Expected: "…/?$rid={request id}&operationId={operation id}"}
	case !r.register: // whatever the payload is, official clients send it
		return plane.Poll(ctx, se.call, r.operationID)
	case len(payload) > deviceapi.MaxBody:
		return wire.OperationStatus{}, web.TooLarge(deviceapi.MaxBody)
	}
	call := se.call
	call.RequestID = id
	if len(bytes.TrimSpace(payload)) > 0 { // some official clients send none
		if err := deviceapi.ReadBody(payload, &call); err != nil {
			return wire.OperationStatus{}, err
		}
	}
	return plane.Register(ctx, call)
}

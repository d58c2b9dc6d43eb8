package provision

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/state"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/store"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/webhook"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"
)

// consult asks the webhook where the device of op goes. An error means that
// nobody was asked and nothing is decided.
func (s *Service) consult(ctx context.Context, op state.Operation) (verdict, error) {
	var request wire.AllocationRequest
	var target string
	var found bool
	err := s.Store.View(ctx, func(r store.Reader) (err error) {
		request, target, found, err = s.request(r, op)
		return err
	})
	switch {
	case err != nil:
		return verdict{}, err
	case !found: // conclude says so
		return verdict{refused: enrollmentGone(op)}, nil
	case len(request.LinkedHubs) == 0:
		return verdict{refused: failed(codeNoHub, "No linked IoT hub is available for this enrollment.", RuleNoHub,
			"a linked hub that takes devices", fixNoHub)}, nil
	}
	body, err := json.Marshal(request)
	if err != nil {
		return verdict{}, fmt.Errorf("encode allocation request: %w", err)
	}
	answer, err := s.Webhook.Post(ctx, target, body)
	if err != nil {
		return verdict{refused: callFailed(err)}, nil
	}
	return read(answer, request.LinkedHubs), nil
}

// request describes op for the webhook, and says where that is.
func (s *Service) request(r store.Reader, op state.Operation) (req wire.AllocationRequest, target string, found bool, err error) {
	g, found, err := grantOf(r, op)
	if err != nil || !found {
		return req, "", false, err
	}
	common := shown(g.common)
	if op.Result.GroupID != "" {
		req.EnrollmentGroup = &wire.EnrollmentGroup{EnrollmentGroupID: g.groupID, Common: common}
	} else {
		e, _, err := state.GetEnrollment(r, op.Result.RegistrationID)
		if err != nil {
			return req, "", false, err
		}
		req.IndividualEnrollment = &wire.IndividualEnrollment{
			RegistrationID: e.RegistrationID, DeviceID: e.DeviceID,
			OptionalDeviceInformation: e.OptionalDeviceInformation, Common: common,
		}
	}
	req.LinkedHubs = []string{}
	for _, hub := range s.candidates(g.common) {
		req.LinkedHubs = append(req.LinkedHubs, hub.Name)
	}
	if req.DeviceRuntimeContext, err = runtimeContext(op); err != nil {
		return req, "", false, err
	}
	if d := g.common.CustomAllocationDefinition; d != nil {
		target = d.WebhookURL
	}
	return req, target, true, nil
}

func runtimeContext(op state.Operation) (wire.DeviceRuntimeContext, error) {
	c := wire.DeviceRuntimeContext{RegistrationID: op.Result.RegistrationID}
	if last := op.Result.LastDevice(); last != nil {
		c.CurrentIotHubHostName, c.CurrentDeviceID = last.Hub, last.ID
	}
	if op.Result.Attestation == wire.TypeSymmetricKey {
		c.SymmetricKey = &struct{}{}
	}
	q := op.Question
	if q == nil {
		return c, nil
	}
	c.Payload = q.Payload
	cert, err := q.Leaf()
	if err != nil {
		return c, fmt.Errorf("read operation %q: %w", op.ID, err)
	}
	if cert != nil {
		c.X509 = &wire.RuntimeX509{CertificateInfo: wire.InfoOf(cert)}
	}
	return c, nil
}

// shown is c as a webhook sees it: without keys, without the query of its own
// URL (where the key of a function is), and with the etag in its inner form.
func shown(c wire.Common) wire.Common {
	if c.Attestation != nil && c.Attestation.SymmetricKey != nil {
		c.Attestation = &wire.Attestation{Type: c.Attestation.Type}
	}
	if etag, err := base64.StdEncoding.DecodeString(c.ETag); err == nil {
		c.ETag = string(etag)
	}
	if d := c.CustomAllocationDefinition; d != nil {
		masked := *d
		if u, err := url.Parse(d.WebhookURL); err == nil && u.RawQuery != "" {
			u.RawQuery, u.Fragment = "****", ""
			masked.WebhookURL = u.String()
		}
		c.CustomAllocationDefinition = &masked
	}
	return c
}

// read turns the answer of a webhook into a verdict.
func read(answer []byte, linked []string) verdict {
	wrong := func(what string) verdict {
		return verdict{refused: customFailed("The answer of the webhook is not valid.", what,
			`answer {"iotHubHostName": one of linkedHubs, "initialTwin": object or nothing, "payload": object or nothing}`)}
	}
	var a wire.AllocationResponse
	if err := json.Unmarshal(answer, &a); err != nil {
		return wrong("an AllocationResponse in JSON")
	}
	i := slices.IndexFunc(linked, func(hub string) bool { return strings.EqualFold(hub, a.IotHubHostName) })
	if i < 0 {
		return wrong(fmt.Sprintf("iotHubHostName out of [%s], got %q", strings.Join(linked, ", "), a.IotHubHostName))
	}
	payload, ok := object(a.Payload)
	if !ok {
		return wrong("payload to be a JSON object")
	}
	if t := a.InitialTwin; t != nil {
		if t.Tags, ok = object(t.Tags); !ok {
			return wrong("initialTwin.tags to be a JSON object")
		}
		if t.Properties != nil {
			if t.Properties.Desired, ok = object(t.Properties.Desired); !ok {
				return wrong("initialTwin.properties.desired to be a JSON object")
			}
		}
	}
	return verdict{hub: linked[i], twin: a.InitialTwin, payload: payload}
}

// callFailed explains why there is no answer. The device gets the words of the
// service where there was a status code.
func callFailed(err error) *refused {
	var status *webhook.StatusError
	switch {
	case errors.As(err, &status):
		r := customFailed("", "status code 200", "see the log of the webhook; its key belongs into the query of webhookUrl")
		r.Message = fmt.Sprintf("Custom allocation failed with status code: %d", status.Status)
		return r
	case errors.Is(err, webhook.ErrAddress):
		return customFailed("The webhook is not on a loopback address.", err.Error(),
			"run the webhook on this machine, or allow the emulator to call others")
	case errors.Is(err, webhook.ErrURL):
		return customFailed("The webhook cannot be called.", "webhookUrl to be an http or https URL without a user name",
			"correct customAllocationDefinition of the enrollment")
	case errors.Is(err, webhook.ErrTimeout):
		return customFailed("The webhook did not answer in time.", err.Error(), "make the webhook answer faster")
	case errors.Is(err, webhook.ErrSize):
		return customFailed("The answer of the webhook is too large.", fmt.Sprintf("at most %d bytes", webhook.MaxAnswer),
			"answer with the allocation only")
	}
	return customFailed("The webhook could not be reached.", err.Error(), "start the webhook, or correct webhookUrl of the enrollment")
}

func customFailed(message, expected, fix string) *refused {
	return failed(codeCustomAllocation, "Custom allocation failed. "+message, RuleCustomAllocation, expected, fix)
}

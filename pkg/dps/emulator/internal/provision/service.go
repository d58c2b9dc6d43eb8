package provision

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/state"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/store"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"
)

// Service registers devices.
type Service struct {
	Store   store.Store
	IDScope string
	// Hubs are the host names of the linked hubs.
	Hubs []string
	// Now is the clock for dates and tokens.
	Now func() time.Time
	// Pace is how long a registration shows as `assigning`, in real time.
	Pace time.Duration
}

// Call is one request by a device.
type Call struct {
	IDScope        string
	RegistrationID string
	APIVersion     string
	// Chain is what the device sent in the TLS handshake, leaf first.
	Chain []*x509.Certificate
	// Token is a shared access signature; "" if none was sent.
	Token string
}

// Rules of this package.
const (
	RuleIDScope        refuse.Rule = "id-scope"
	RuleRegistrationID refuse.Rule = "registration-id"
	RuleCredential     refuse.Rule = "credential-missing"
	RuleToken          refuse.Rule = "device-token"
	RuleWrongLeaf      refuse.Rule = "leaf-of-another-enrollment"
	RuleKind           refuse.Rule = "attestation-kind"
	RuleOperation      refuse.Rule = "operation-not-found"
	RuleNoRecord       refuse.Rule = "registration-not-found"
	RuleBusy           refuse.Rule = "concurrent-change"
)

// idForm is what the service allows in a registration ID.
var idForm = regexp.MustCompile(`^[A-Za-z0-9._:-]{0,127}[A-Za-z0-9-]$`)

// maxAttempts bounds how often a judgement is made again because enrollments
// change under it.
const maxAttempts = 8

// errChanged means that the judgement has to be made again.
var errChanged = errors.New("enrollment changed during registration")

// CheckCall refuses another id scope, and what cannot be a registration id.
func (s *Service) CheckCall(call Call) error {
	if state.Fold(call.IDScope) != state.Fold(s.IDScope) {
		r := refusal(http.StatusUnauthorized, 401002, RuleIDScope, "Unauthorized")
		r.Expected = "id scope " + s.IDScope
		r.Fix = "use the id scope of this emulator"
		return r
	}
	if !idForm.MatchString(call.RegistrationID) {
		r := refusal(http.StatusBadRequest, 400000, RuleRegistrationID, "Invalid registrationId.")
		r.Expected = "1 to 128 characters: letters, digits, '-', '.', '_', ':'; the last one a letter, a digit or '-'"
		return r
	}
	return nil
}

// Register judges the device and returns the operation that answers it.
func (s *Service) Register(ctx context.Context, call Call) (state.Operation, error) {
	if err := s.CheckCall(call); err != nil {
		return state.Operation{}, err
	}
	for range maxAttempts {
		g, err := s.judge(ctx, call)
		if err != nil {
			return state.Operation{}, err
		}
		op, err := s.write(ctx, call, g)
		if !errors.Is(err, errChanged) {
			return op, err
		}
	}
	return state.Operation{}, refusal(http.StatusConflict, 409203, RuleBusy, "Precondition failed.")
}

func (s *Service) judge(ctx context.Context, call Call) (g grant, err error) {
	err = s.Store.View(ctx, func(r store.Reader) (err error) {
		g, err = s.grant(r, call)
		return err
	})
	return g, err
}

// write stores the outcome. While an earlier registration of the same device is
// still being assigned, its operation answers this one too.
func (s *Service) write(ctx context.Context, call Call, g grant) (op state.Operation, err error) {
	err = s.Store.Update(ctx, func(tx store.Tx) error {
		if err := g.confirm(tx, call); err != nil {
			return err
		}
		old, found, err := state.GetRegistration(tx, call.RegistrationID)
		if err != nil {
			return err
		}
		started := time.Now()
		if found && started.Before(old.ReadyAt) {
			running, ok, err := state.GetOperation(tx, old.RegistrationID, old.OperationID)
			if err != nil {
				return err
			}
			if ok && running.Leaf == g.leaf {
				op = running
				return nil
			}
		}
		reg := s.outcome(call, g, old)
		reg.ReadyAt = started.Add(s.Pace)
		reg.OperationID = state.NewOperationID(reg.RegistrationID, started)
		op = state.Operation{ID: reg.OperationID, Leaf: g.leaf, Started: started, Result: reg}
		if err := state.PutRegistration(tx, old, reg); err != nil {
			return err
		}
		return state.PutOperation(tx, op)
	})
	return op, err
}

// Poll returns an operation of the device. It must come with the credential
// that started it: the same certificate, or a token that is valid now.
func (s *Service) Poll(ctx context.Context, call Call, operationID string) (op state.Operation, err error) {
	if err := s.CheckCall(call); err != nil {
		return op, err
	}
	err = s.Store.View(ctx, func(r store.Reader) error {
		found := false
		op, found, err = state.GetOperation(r, call.RegistrationID, operationID)
		if err != nil {
			return err
		}
		if !found {
			if len(call.Chain) == 0 && call.Token == "" {
				return noCredential()
			}
			return refusal(http.StatusNotFound, 404000, RuleOperation, "Operation not found.")
		}
		return s.owns(r, call, op)
	})
	return op, err
}

// owns checks that the caller is the device that started op.
func (s *Service) owns(r store.Reader, call Call, op state.Operation) error {
	if op.Leaf == "" {
		_, err := s.grant(r, call)
		return err
	}
	if len(call.Chain) == 0 {
		return noCredential()
	}
	if state.Thumbprint(call.Chain[0].Raw) == op.Leaf {
		return nil
	}
	r401 := refusal(http.StatusUnauthorized, 401002, RuleWrongLeaf, "Invalid certificate.")
	r401.Expected, r401.Fix = "the certificate that started the operation", "poll with the certificate that registered"
	return r401.About(call.Chain[0], 0)
}

// Authenticate judges the credential of the device and does nothing else.
func (s *Service) Authenticate(ctx context.Context, call Call) error {
	if err := s.CheckCall(call); err != nil {
		return err
	}
	_, err := s.judge(ctx, call)
	return err
}

// LookUp returns the registration record of the device.
func (s *Service) LookUp(ctx context.Context, call Call) (reg state.Registration, err error) {
	if err := s.CheckCall(call); err != nil {
		return reg, err
	}
	err = s.Store.View(ctx, func(r store.Reader) error {
		if _, err := s.grant(r, call); err != nil {
			return err
		}
		found := false
		reg, found, err = state.GetRegistration(r, call.RegistrationID)
		if err == nil && !found {
			err = refusal(http.StatusNotFound, 404202, RuleNoRecord, "Registration not found.")
		}
		return err
	})
	return reg, err
}

// Result is the device plane's view of a registration at time now. API versions
// before 2021-10-01 do not know the substatus of a return to the same hub.
func Result(reg state.Registration, apiVersion string, now time.Time) *wire.DeviceResult {
	if now.Before(reg.ReadyAt) {
		return &wire.DeviceResult{RegistrationID: reg.RegistrationID, Status: wire.RegistrationAssigning}
	}
	created, updated := wire.At(reg.Created), wire.At(reg.Updated)
	out := &wire.DeviceResult{
		RegistrationID:         reg.RegistrationID,
		CreatedDateTimeUTC:     &created,
		LastUpdatedDateTimeUTC: &updated,
		AssignedHub:            reg.AssignedHub,
		DeviceID:               reg.DeviceID,
		Status:                 reg.Status,
		Substatus:              reg.Substatus,
		ErrorCode:              reg.ErrorCode,
		ErrorMessage:           reg.ErrorMessage,
		ETag:                   reg.ETag,
	}
	if out.Substatus == wire.SubstatusReprovisioned && apiVersion < "2021-10-01" {
		out.Substatus = wire.SubstatusInitial
	}
	switch {
	case reg.Attestation == wire.TypeX509:
		out.X509 = &wire.DeviceX509{EnrollmentGroupID: reg.GroupID}
	case reg.Attestation == wire.TypeSymmetricKey && reg.GroupID != "":
		out.SymmetricKey = &wire.DeviceKey{EnrollmentGroupID: reg.GroupID}
	}
	return out
}

func refusal(status, code int, rule refuse.Rule, message string) *refuse.Refusal {
	return &refuse.Refusal{Status: status, Code: code, Rule: rule, Message: message}
}

func noCredential() *refuse.Refusal {
	r := refusal(http.StatusUnauthorized, 401000, RuleCredential, "Unauthorized")
	r.Expected = "a client certificate or a shared access signature"
	r.Fix = "present the device certificate in the TLS handshake, or send an Authorization header"
	return r
}

// decodeKey decodes a stored symmetric key.
func decodeKey(text string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("decode stored symmetric key: not base64")
	}
	return key, nil
}

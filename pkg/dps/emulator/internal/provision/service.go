package provision

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"regexp"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/state"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/store"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/webhook"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"
)

// Service registers devices. It is made as a literal and must not be copied
// after its first use.
type Service struct {
	Store   store.Store
	IDScope string
	// Hubs are the linked hubs.
	Hubs []Hub
	// AllocationPolicy is that of enrollments without one; "" means hashed.
	AllocationPolicy string
	// Webhook calls the webhooks of custom allocation.
	Webhook *webhook.Client
	// MaxInFlight is how many registrations are judged and written at the same
	// moment; one more is told to come back. 0 means 1024.
	MaxInFlight int
	// MaxWaiting is how many registrations may wait for their webhook; one more
	// is told to come back. 0 means 1024.
	MaxWaiting int
	// Logger gets a record for each registration that was accepted and then
	// ended without a hub; nil discards.
	Logger *slog.Logger
	// Now is the clock for dates and tokens.
	Now func() time.Time
	// Pace is how long a registration shows as `assigning`, in real time.
	Pace time.Duration

	admission admission
	cas       certificates
	waiting   waiting
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
	// Payload is what a registering device sent for custom allocation.
	Payload json.RawMessage
	// TPM is set if the device wants to be attested by its TPM.
	TPM bool
	// RequestID names the request in the log.
	RequestID string
}

// leaf is the certificate that the device is judged by; nil if it is a token.
func (c Call) leaf() *x509.Certificate {
	if c.Token != "" || len(c.Chain) == 0 {
		return nil
	}
	return c.Chain[0]
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
	leave, refused := s.admit()
	if refused != nil {
		return state.Operation{}, refused
	}
	defer leave()
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

// judge collects what is needed from one picture of the store and judges
// outside of it, so that slow proofs hold up nobody.
func (s *Service) judge(ctx context.Context, call Call) (grant, error) {
	var prove proof
	err := s.Store.View(ctx, func(r store.Reader) (err error) {
		prove, err = s.evidence(r, call)
		return err
	})
	if err != nil {
		return grant{}, err
	}
	return prove()
}

// write stores the outcome. While an earlier registration of the same device by
// the same enrollment is still being assigned, its operation answers this one
// too.
func (s *Service) write(ctx context.Context, call Call, g grant) (op state.Operation, err error) {
	var why *refused
	err = s.Store.Update(ctx, func(tx store.Tx) error {
		if err := g.confirm(tx, call); err != nil {
			return err
		}
		old, found, err := state.GetRegistration(tx, call.RegistrationID)
		if err != nil {
			return err
		}
		started := time.Now()
		if found && old.Assigning(started) {
			running, ok, err := state.GetOperation(tx, old.RegistrationID, old.OperationID)
			if err != nil {
				return err
			}
			if ok && running.Leaf == g.leaf && running.Basis == g.common.ETag {
				op = running
				return nil
			}
		}
		var reg state.Registration
		reg, why = s.outcome(call, g, old)
		reg.ReadyAt = started.Add(s.Pace)
		reg.OperationID = state.NewOperationID(reg.RegistrationID, started)
		op = state.Operation{
			ID: reg.OperationID, RequestID: call.RequestID, Leaf: g.leaf, Basis: g.common.ETag, Started: started, Result: reg,
		}
		if reg.Waiting {
			op.Question = question(call)
		}
		if err := state.PutRegistration(tx, old, reg); err != nil {
			return err
		}
		return state.PutOperation(tx, op)
	})
	if err != nil {
		return state.Operation{}, err
	}
	s.log(ctx, op, why, call.leaf())
	return op, s.ask(ctx, op)
}

// Poll returns an operation of the device. It must come with the credential
// that started it: the same certificate, or a token that is valid now.
func (s *Service) Poll(ctx context.Context, call Call, operationID string) (op state.Operation, err error) {
	if err := s.CheckCall(call); err != nil {
		return op, err
	}
	found := false
	err = s.Store.View(ctx, func(r store.Reader) (err error) {
		op, found, err = state.GetOperation(r, call.RegistrationID, operationID)
		return err
	})
	switch {
	case err != nil:
		return op, err
	case found:
		err = s.owns(ctx, call, op)
	case len(call.Chain) == 0 && call.Token == "":
		err = noCredential()
	default:
		err = refusal(http.StatusNotFound, 404000, RuleOperation, "Operation not found.")
	}
	if err != nil {
		return state.Operation{}, err
	}
	return op, s.ask(ctx, op)
}

// owns checks that the caller is the device that started op.
func (s *Service) owns(ctx context.Context, call Call, op state.Operation) error {
	if op.Leaf == "" {
		_, err := s.judge(ctx, call)
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
	if _, err := s.judge(ctx, call); err != nil {
		return reg, err
	}
	err = s.Store.View(ctx, func(r store.Reader) error {
		found := false
		reg, found, err = state.GetRegistration(r, call.RegistrationID)
		if err == nil && !found {
			err = refusal(http.StatusNotFound, 404202, RuleNoRecord, "Registration not found.")
		}
		return err
	})
	return reg, err
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

// tpmUnserved refuses a device that has nothing but a TPM.
func tpmUnserved() *refuse.Refusal {
	r := refusal(http.StatusUnauthorized, 401002, RuleKind, "Unauthorized")
	r.Expected = "a certificate or a symmetric key: the emulator stores tpm enrollments and does not serve them on the device plane"
	r.Fix = "enroll the device with a certificate or a symmetric key, or test its TPM with the service"
	return r
}

// stamp is the emulator's time in the service's resolution.
func (s *Service) stamp() time.Time { return wire.At(s.Now()).Time }

package provision

import (
	"encoding/base64"
	"errors"
	"net/http"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/sas"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/state"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"
)

// symmetricMember finds the group whose derived key signed the token.
func (s *Service) symmetricMember(call Call, token sas.Token, groups []state.Group) (grant, error) {
	for _, group := range groups {
		keys, err := keysOf(group.Attestation.SymmetricKey)
		if err != nil {
			return grant{}, err
		}
		for i := range keys {
			keys[i] = sas.DeriveKey(keys[i], call.RegistrationID)
		}
		if token.SignedBy(keys...) {
			g := grant{
				attestation: wire.TypeSymmetricKey, common: group.Common,
				groupID: group.EnrollmentGroupID, deviceID: call.RegistrationID,
			}
			return g, s.checkToken(token, call, keys)
		}
	}
	refused := badToken(sas.ErrSignature)
	refused.Expected = "an enrollment for the registration id, or a key derived from the key of an enrollment group"
	refused.Fix = "enroll the device; a device of a group signs with its derived key, never with the key of the group"
	return grant{}, refused
}

// symmetricKey judges the token of an individual enrollment.
func (s *Service) symmetricKey(call Call, stored *wire.SymmetricKey) error {
	if call.Token == "" {
		r := badToken(sas.ErrForm)
		r.Rule, r.Expected = RuleKind, "a shared access signature: the enrollment has symmetric keys"
		return r
	}
	token, err := s.deviceToken(call)
	if err != nil {
		return err
	}
	keys, err := keysOf(stored)
	if err != nil {
		return err
	}
	return s.checkToken(token, call, keys)
}

func (s *Service) deviceToken(call Call) (sas.Token, error) {
	token, err := sas.Parse(call.Token)
	if err != nil {
		return token, badToken(err)
	}
	return token, nil
}

// checkToken wants a signature over exactly this registration. Devices get the
// same allowance for their clock as services do.
func (s *Service) checkToken(token sas.Token, call Call, keys [][]byte) error {
	target := call.IDScope + "/registrations/" + call.RegistrationID
	switch {
	case !token.SignedBy(keys...):
		return badToken(sas.ErrSignature)
	case token.Expired(s.Now()):
		return badToken(sas.ErrExpired)
	case state.Fold(token.Resource()) != state.Fold(target):
		return badToken(sas.ErrResource)
	}
	return nil
}

func badToken(err error) *refuse.Refusal {
	r := refusal(http.StatusUnauthorized, 401002, RuleToken, "Unauthorized")
	r.Expected = "sr={id scope}/registrations/{registration id}, signed with the key of the device, not expired"
	switch {
	case errors.Is(err, sas.ErrExpired):
		r.Rule, r.Fix = RuleToken+"-expired", "make a new token, or set the clock of the device"
	case errors.Is(err, sas.ErrResource):
		r.Rule, r.Fix = RuleToken+"-audience", "sign the id scope and registration id that are in the URL"
	case errors.Is(err, sas.ErrForm):
		r.Rule, r.Fix = RuleToken+"-form", "send SharedAccessSignature sr=…&sig=…&se=…&skn=registration"
	default:
		r.Rule, r.Fix = RuleToken+"-signature", "sign with the key of this enrollment"
	}
	return r
}

func keysOf(stored *wire.SymmetricKey) ([][]byte, error) {
	var keys [][]byte
	for _, text := range []string{stored.PrimaryKey, stored.SecondaryKey} {
		key, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, errors.New("decode stored symmetric key: not base64")
		}
		keys = append(keys, key)
	}
	return keys, nil
}

package provision

import (
	"crypto/x509"
	"fmt"
	"net/http"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/attest"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/sas"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/state"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/store"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"
)

// grant is an accepted proof: which enrollment it belongs to, and what must
// still be true when the outcome is written.
type grant struct {
	attestation string
	common      wire.Common
	groupID     string // "" for an individual enrollment
	deviceID    string
	leaf        string // thumbprint of the device's certificate; "" for a key

	enrollmentID string // folded; "" if there is no individual enrollment
	anchor       string // name of the verified CA the chain rests on
	anchorETag   string
}

// confirm makes sure that the enrollment and the CA are still those that the
// proof was judged by.
func (g grant) confirm(r store.Reader, call Call) error {
	individual, found, err := findIndividual(r, call)
	if err != nil {
		return err
	}
	etag := individual.ETag
	if found != (g.enrollmentID != "") {
		return errChanged
	}
	if !found {
		group, ok, err := state.GetGroup(r, g.groupID)
		if err != nil || !ok {
			return orChanged(err)
		}
		etag = group.ETag
	}
	if etag != g.common.ETag {
		return errChanged
	}
	if g.anchor == "" {
		return nil
	}
	ca, ok, err := state.GetCA(r, g.anchor)
	if err != nil || !ok || ca.ETag != g.anchorETag {
		return orChanged(err)
	}
	return nil
}

func orChanged(err error) error {
	if err != nil {
		return err
	}
	return errChanged
}

// grant finds the enrollment that decides and judges the proof.
func (s *Service) grant(r store.Reader, call Call) (grant, error) {
	if len(call.Chain) == 0 && call.Token == "" {
		return grant{}, noCredential()
	}
	e, found, err := findIndividual(r, call)
	switch {
	case err != nil:
		return grant{}, err
	case found:
		return s.individual(r, call, e)
	case call.Token != "":
		return s.symmetricGroup(r, call)
	default:
		return s.x509Group(r, call)
	}
}

// findIndividual looks for the enrollment of the leaf, then for one with the
// registration ID.
func findIndividual(r store.Reader, call Call) (state.Enrollment, bool, error) {
	if call.Token == "" && len(call.Chain) > 0 {
		if id, ok := state.EnrollmentOf(r, state.Thumbprint(call.Chain[0].Raw)); ok {
			return state.GetEnrollment(r, id)
		}
	}
	return state.GetEnrollment(r, call.RegistrationID)
}

// individual judges a device with an enrollment of its own.
func (s *Service) individual(r store.Reader, call Call, e state.Enrollment) (grant, error) {
	g := grant{
		attestation: e.Attestation.Type, common: e.Common, deviceID: e.DeviceID,
		enrollmentID: state.Fold(e.RegistrationID),
	}
	if g.deviceID == "" {
		g.deviceID = e.RegistrationID
	}
	switch {
	case e.Attestation.Type == wire.TypeSymmetricKey:
		return g, s.symmetricKey(call, e.Attestation.SymmetricKey)
	case e.Attestation.Type != wire.TypeX509:
		refused := refusal(http.StatusUnauthorized, 401002, RuleKind, "Unauthorized")
		refused.Expected = "attestation " + e.Attestation.Type + ", which the emulator does not serve on the device plane"
		refused.Fix = "enroll the device with a certificate or a symmetric key"
		return g, refused
	case call.Token != "" || len(call.Chain) == 0:
		refused := refusal(http.StatusUnauthorized, 401002, RuleKind, "Unauthorized")
		refused.Expected, refused.Fix = "a client certificate", "present the enrolled certificate, without an Authorization header"
		return g, refused
	}
	g.leaf = state.Thumbprint(call.Chain[0].Raw)
	if g.enrollmentID != state.Fold(call.RegistrationID) {
		refused := refusal(http.StatusUnauthorized, 401002, RuleWrongLeaf, "Invalid certificate.")
		refused.Expected = fmt.Sprintf("registration id %q: the certificate is enrolled there", e.RegistrationID)
		refused.Fix = "register with that id, or enroll another certificate"
		return g, refused.About(call.Chain[0], 0)
	}
	if e.Attestation.X509.CAReferences != nil {
		return s.individualByCA(r, call, e, g)
	}
	enrolled, err := parse(e.Client)
	if err != nil {
		return g, err
	}
	if refused := attest.Leaf(call.Chain, call.RegistrationID, enrolled, s.Now()); refused != nil {
		return g, refused
	}
	return g, nil
}

// individualByCA judges a device whose enrollment refers to CA certificates.
func (s *Service) individualByCA(r store.Reader, call Call, e state.Enrollment, g grant) (grant, error) {
	refs := e.Attestation.X509.CAReferences
	t, err := readTrust(r)
	if err != nil {
		return g, err
	}
	match, refused := attest.Chain(call.Chain, call.RegistrationID, attest.Trust{
		Verified: t.certs, Unverified: t.pending,
		Group: func(ca *x509.Certificate) (string, bool) {
			for _, name := range t.names(ca) {
				if state.Fold(name) == state.Fold(refs.Primary) || state.Fold(name) == state.Fold(refs.Secondary) {
					return e.RegistrationID, true
				}
			}
			return "", false
		},
	}, s.Now())
	if refused != nil {
		return g, refused
	}
	return t.restOn(g, match.Anchor), nil
}

// x509Group judges a device by its chain.
func (s *Service) x509Group(r store.Reader, call Call) (grant, error) {
	t, err := readTrust(r)
	if err != nil {
		return grant{}, err
	}
	match, refused := attest.Chain(call.Chain, call.RegistrationID, attest.Trust{
		Verified: t.certs, Unverified: t.pending, Group: t.groupOf(r),
	}, s.Now())
	if refused != nil {
		return grant{}, refused
	}
	group, found, err := state.GetGroup(r, match.GroupID)
	if err != nil {
		return grant{}, err
	}
	if !found {
		return grant{}, fmt.Errorf("read group %q: index without record", match.GroupID)
	}
	g := grant{
		attestation: wire.TypeX509, common: group.Common, groupID: group.EnrollmentGroupID,
		deviceID: call.RegistrationID, leaf: state.Thumbprint(call.Chain[0].Raw),
	}
	return t.restOn(g, match.Anchor), nil
}

// symmetricGroup tries the keys of every group with symmetric keys: the token
// does not say which group it is from.
func (s *Service) symmetricGroup(r store.Reader, call Call) (grant, error) {
	token, err := s.deviceToken(call)
	if err != nil {
		return grant{}, err
	}
	for _, id := range state.SymmetricGroups(r) {
		group, found, err := state.GetGroup(r, id)
		if err != nil {
			return grant{}, err
		}
		if !found {
			continue
		}
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

package provision

import (
	"crypto/x509"
	"fmt"
	"net/http"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/attest"
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

// proof is a judgement that needs nothing more from the store.
type proof func() (grant, error)

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

// evidence finds the enrollment that decides and collects what the proof is
// judged by.
func (s *Service) evidence(r store.Reader, call Call) (proof, error) {
	e, found, err := findIndividual(r, call)
	switch {
	case err != nil:
		return nil, err
	case call.TPM && !call.credible(), found && e.Attestation.Type == wire.TypeTPM:
		return nil, tpmUnserved()
	case !call.credible():
		return nil, noCredential()
	case found:
		return s.individual(r, call, e)
	case call.Token != "":
		return s.symmetricGroup(r, call)
	default:
		return s.x509Group(r, call)
	}
}

// credible says whether the device has shown anything at all.
func (c Call) credible() bool { return len(c.Chain) > 0 || c.Token != "" }

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

// granted is the grant of an individual enrollment.
func granted(e state.Enrollment) grant {
	g := grant{
		attestation: e.Attestation.Type, common: e.Common, deviceID: e.DeviceID,
		enrollmentID: state.Fold(e.RegistrationID),
	}
	if g.deviceID == "" {
		g.deviceID = e.RegistrationID
	}
	return g
}

// individual judges a device with an enrollment of its own.
func (s *Service) individual(r store.Reader, call Call, e state.Enrollment) (proof, error) {
	g := granted(e)
	switch {
	case e.Attestation.Type == wire.TypeSymmetricKey:
		return func() (grant, error) { return g, s.symmetricKey(call, e.Attestation.SymmetricKey) }, nil
	case call.Token != "" || len(call.Chain) == 0:
		refused := refusal(http.StatusUnauthorized, 401002, RuleKind, "Unauthorized")
		refused.Expected, refused.Fix = "a client certificate", "present the enrolled certificate, without an Authorization header"
		return nil, refused
	}
	g.leaf = state.Thumbprint(call.Chain[0].Raw)
	if g.enrollmentID != state.Fold(call.RegistrationID) {
		refused := refusal(http.StatusUnauthorized, 401002, RuleWrongLeaf, "Invalid certificate.")
		refused.Expected = fmt.Sprintf("registration id %q: the certificate is enrolled there", e.RegistrationID)
		refused.Fix = "register with that id, or enroll another certificate"
		return nil, refused.About(call.Chain[0], 0)
	}
	if e.Attestation.X509.CAReferences != nil {
		return s.individualByCA(r, call, e, g)
	}
	enrolled, err := parse(e.Client)
	if err != nil {
		return nil, err
	}
	return func() (grant, error) {
		if refused := attest.Leaf(call.Chain, call.RegistrationID, enrolled, s.Now()); refused != nil {
			return grant{}, refused
		}
		return g, nil
	}, nil
}

// individualByCA judges a device whose enrollment refers to CA certificates.
func (s *Service) individualByCA(r store.Reader, call Call, e state.Enrollment, g grant) (proof, error) {
	refs := e.Attestation.X509.CAReferences
	t, err := s.readTrust(r)
	if err != nil {
		return nil, err
	}
	referred := func(ca *x509.Certificate) (string, bool) {
		for _, name := range t.names(ca) {
			if state.Fold(name) == state.Fold(refs.Primary) || state.Fold(name) == state.Fold(refs.Secondary) {
				return e.RegistrationID, true
			}
		}
		return "", false
	}
	return func() (grant, error) {
		match, refused := attest.Chain(call.Chain, call.RegistrationID, t.attest(referred), s.Now())
		if refused != nil {
			return grant{}, refused
		}
		return t.restOn(g, match.Anchor), nil
	}, nil
}

// x509Group judges a device by its chain.
func (s *Service) x509Group(r store.Reader, call Call) (proof, error) {
	t, err := s.readTrust(r)
	if err != nil {
		return nil, err
	}
	groups, err := t.groups(r, call.Chain)
	if err != nil {
		return nil, err
	}
	return func() (grant, error) {
		match, refused := attest.Chain(call.Chain, call.RegistrationID, t.attest(groups.of), s.Now())
		if refused != nil {
			return grant{}, refused
		}
		group := groups.byID[match.GroupID]
		g := grant{
			attestation: wire.TypeX509, common: group.Common, groupID: group.EnrollmentGroupID,
			deviceID: call.RegistrationID, leaf: state.Thumbprint(call.Chain[0].Raw),
		}
		return t.restOn(g, match.Anchor), nil
	}, nil
}

// symmetricGroup tries the keys of every group with symmetric keys: the token
// does not say which group it is from.
func (s *Service) symmetricGroup(r store.Reader, call Call) (proof, error) {
	token, err := s.deviceToken(call)
	if err != nil {
		return nil, err
	}
	var groups []state.Group
	for _, id := range state.SymmetricGroups(r) {
		group, found, err := state.GetGroup(r, id)
		if err != nil {
			return nil, err
		}
		if found {
			groups = append(groups, group)
		}
	}
	return func() (grant, error) { return s.symmetricMember(call, token, groups) }, nil
}

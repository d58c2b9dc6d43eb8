package provision

import (
	"crypto/x509"
	"errors"
	"net/http"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/sas"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/state"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/store"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"
)

// trust is the verified CA certificates. One certificate may be uploaded under
// several names.
type trust struct {
	certs   []*x509.Certificate
	cas     []state.CA // same order
	pending []*x509.Certificate
}

func readTrust(r store.Reader) (trust, error) {
	all, err := state.CAs(r)
	if err != nil {
		return trust{}, err
	}
	var t trust
	for _, ca := range all {
		cert, err := ca.Certificate()
		if err != nil {
			return trust{}, err
		}
		if !ca.Verified {
			t.pending = append(t.pending, cert)
			continue
		}
		t.certs, t.cas = append(t.certs, cert), append(t.cas, ca)
	}
	return t, nil
}

// names returns the names under which cert was uploaded and verified.
func (t trust) names(cert *x509.Certificate) []string {
	var names []string
	for i, c := range t.certs {
		if c.Equal(cert) {
			names = append(names, t.cas[i].Name)
		}
	}
	return names
}

// groupOf finds the group that has ca as a signing certificate, or that refers
// to it by name.
func (t trust) groupOf(r store.Reader) func(ca *x509.Certificate) (string, bool) {
	return func(ca *x509.Certificate) (string, bool) {
		if id, ok := state.GroupBySigning(r, state.Thumbprint(ca.Raw)); ok {
			return id, true
		}
		for _, name := range t.names(ca) {
			if id, ok := state.GroupByReference(r, name); ok {
				return id, true
			}
		}
		return "", false
	}
}

// restOn notes which CA g depends on.
func (t trust) restOn(g grant, anchor *x509.Certificate) grant {
	for i, c := range t.certs {
		if c.Equal(anchor) {
			g.anchor, g.anchorETag = t.cas[i].Name, t.cas[i].ETag
		}
	}
	return g
}

func parse(certs state.Certificates) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for _, der := range [][]byte{certs.Primary, certs.Secondary} {
		if len(der) == 0 {
			continue
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		out = append(out, cert)
	}
	return out, nil
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
		key, err := decodeKey(text)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// stamp is the emulator's time in the service's resolution.
func (s *Service) stamp() time.Time { return wire.At(s.Now()).Time }

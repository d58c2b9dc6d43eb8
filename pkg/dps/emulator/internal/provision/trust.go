package provision

import (
	"crypto/x509"
	"fmt"
	"sync"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/attest"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/state"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/store"
)

// trust is the verified CA certificates. One certificate may be uploaded under
// several names.
type trust struct {
	certs   []*x509.Certificate
	cas     []state.CA // same order
	pending []*x509.Certificate
}

func (s *Service) readTrust(r store.Reader) (trust, error) {
	all, err := state.CAs(r)
	if err != nil {
		return trust{}, err
	}
	var t trust
	for _, ca := range all {
		cert, err := s.cas.parse(ca)
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

// certificates keeps parsed CA certificates: each registration needs all of
// them.
type certificates struct {
	mu     sync.Mutex
	parsed map[string]*x509.Certificate // by DER
}

func (c *certificates) parse(ca state.CA) (*x509.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cert := c.parsed[string(ca.DER)]; cert != nil {
		return cert, nil
	}
	cert, err := ca.Certificate()
	if err != nil {
		return nil, err
	}
	if c.parsed == nil || len(c.parsed) >= 2*state.MaxCAs { // old ones go with the rest
		c.parsed = map[string]*x509.Certificate{}
	}
	c.parsed[string(ca.DER)] = cert
	return cert, nil
}

// attest is t for a judgement.
func (t trust) attest(group func(*x509.Certificate) (string, bool)) attest.Trust {
	return attest.Trust{Verified: t.certs, Unverified: t.pending, Group: group}
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

// groups are the enrollment groups that a chain may belong to.
type groups struct {
	byPrint map[string]string // SHA-256 of a signing certificate -> folded id
	byID    map[string]state.Group
}

// groups finds the groups that have a certificate of the chain, or a verified
// one, as a signing certificate, or that refer to it by name.
func (t trust) groups(r store.Reader, chain []*x509.Certificate) (groups, error) {
	g := groups{byPrint: map[string]string{}, byID: map[string]state.Group{}}
	for _, list := range [][]*x509.Certificate{chain, t.certs} {
		for _, cert := range list[:min(len(list), attest.MaxSent)] {
			if err := t.addGroup(r, g, cert); err != nil {
				return g, err
			}
		}
	}
	return g, nil
}

func (t trust) addGroup(r store.Reader, g groups, cert *x509.Certificate) error {
	thumbprint := state.Thumbprint(cert.Raw)
	if _, seen := g.byPrint[thumbprint]; seen {
		return nil
	}
	id, ok := state.GroupBySigning(r, thumbprint)
	for _, name := range t.names(cert) {
		if ok {
			break
		}
		id, ok = state.GroupByReference(r, name)
	}
	if !ok {
		return nil
	}
	g.byPrint[thumbprint] = id
	if _, read := g.byID[id]; read {
		return nil
	}
	group, found, err := state.GetGroup(r, id)
	switch {
	case err != nil:
		return err
	case !found:
		return fmt.Errorf("read group %q: index without record", id)
	}
	g.byID[id] = group
	return nil
}

func (g groups) of(ca *x509.Certificate) (string, bool) {
	id, ok := g.byPrint[state.Thumbprint(ca.Raw)]
	return id, ok
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
			return nil, fmt.Errorf("parse enrolled certificate: %w", err)
		}
		out = append(out, cert)
	}
	return out, nil
}

package workspace

import (
	"fmt"
	"time"

	"github.com/dpskit/dpskit/pkg/pki"
)

// putCAExtras stages what belongs to an intermediate beside its certificate and key: the full chain, and a PFX when
// one is asked for. It completes the entry that [draft.putCA] made.
func (d *draft) putCAExtras(name string, a *pki.Authority, pfx *pki.PFXOptions, force bool) error {
	b, all, e := a.Bundle(), defaultFiles(name), d.entries[name]
	e.Files.FullChain = all.FullChain
	if err := d.putFile(all.FullChain, b.FullChainPEM(), false, force); err != nil {
		return err
	}
	if pfx != nil {
		if err := d.putPFX(&IssueOptions{Name: name, PFX: pfx, Force: force}, b, all, &e.Files); err != nil {
			return err
		}
	}
	d.entries[name] = e
	return nil
}

// checkRoot refuses a CA from outside that cannot be the root of a workspace.
func checkRoot(root *pki.Authority, now time.Time) error {
	cert := root.Certificate()
	switch {
	case root.Bundle().Profile != pki.ProfileRoot:
		return fmt.Errorf("use ca %q as root: it is signed by %q, not by itself", cert.Subject, cert.Issuer)
	case now.After(cert.NotAfter):
		return fmt.Errorf("use ca %q as root: %w (%s)", cert.Subject, pki.ErrExpired, cert.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(cert.NotBefore):
		return fmt.Errorf("use ca %q as root: %w (%s)", cert.Subject, pki.ErrNotYetValid,
			cert.NotBefore.UTC().Format(time.RFC3339))
	}
	return nil
}

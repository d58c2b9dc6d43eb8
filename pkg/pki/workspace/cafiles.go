package workspace

import (
	"fmt"
	"time"

	"github.com/dpskit/dpskit/pkg/pki"
)

// packCA encodes what the files of a CA will hold: its key, and a PFX when one is asked for.
func (p *parcel) packCA(a *pki.Authority, encode keyEncoding, pfx *pki.PFXOptions) error {
	p.bundle = a.Bundle()
	if err := p.encode(&IssueOptions{PFX: pfx, keepKey: "none"}); err != nil {
		return err
	}
	var err error
	p.key, err = encode(a.Key())
	return err
}

// putCA stages the files of a CA and lists it. A root needs no file with its chain.
func (d *draft) putCA(name string, p parcel, force bool) error {
	all := defaultFiles(name)
	files := Files{Certificate: all.Certificate, Key: all.Key}
	if err := d.putFile(files.Key, p.key, true, force); err != nil {
		return err
	}
	if err := d.putFile(files.Certificate, p.bundle.CertificatePEM(), false, force); err != nil {
		return err
	}
	if len(p.bundle.Issuers) > 0 {
		files.FullChain = all.FullChain
		if err := d.putFile(files.FullChain, p.bundle.FullChainPEM(), false, force); err != nil {
			return err
		}
	}
	if err := d.putPFX(p, all, &files, force); err != nil {
		return err
	}
	e := newEntry(name, p.ca, p.bundle.Profile, p.bundle.Certificate, files)
	e.PFXProfile = p.pfxProfile
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

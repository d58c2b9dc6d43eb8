package workspace

import (
	"context"
	"fmt"
	"time"

	"github.com/dpskit/dpskit/pkg/pki"
)

// VerificationOptions asks for a proof of possession.
type VerificationOptions struct {
	Code string // as the service gave it; white space around it is taken off
	CA   string // the CA to prove; default "root"
	// Authority is a CA from outside of the workspace to prove instead.
	Authority  *pki.Authority
	KeyType    pki.KeyType
	Validity   pki.Validity
	Passphrase func() ([]byte, error)
	Now        func() time.Time
	// Names are what the workspace and its files call the certificate, which is written under each of them. Default:
	// "verification-code".
	Names []string
	// PFX asks for a PKCS#12 file as well. With an empty password one is made up and written beside the key.
	PFX *pki.PFXOptions
	// Force moves a certificate of another profile that has one of the names to the replaced folder.
	Force bool
}

// IssueVerification makes a proof of possession, whose common name is the code. It is called "verification-code"
// unless there are other names, and takes the place of an earlier proof, which is of no further use. A certificate
// of another profile under one of the names gives [ErrExists].
func (w *Workspace) IssueVerification(ctx context.Context, opts VerificationOptions) (*pki.Bundle, Paths, error) {
	o := IssueOptions{
		Name: VerificationName, CA: opts.CA, Passphrase: opts.Passphrase, PFX: opts.PFX, Force: opts.Force,
		Request: pki.IssueRequest{
			Profile: pki.ProfileVerification, CommonName: opts.Code, KeyType: opts.KeyType, Validity: opts.Validity,
			Now: opts.Now,
		},
	}
	if len(opts.Names) > 0 {
		if err := checkName(opts.Names[0]); err != nil { // an empty one would mean the code
			return nil, Paths{}, fmt.Errorf("issue verification certificate: %w", err)
		}
		o.Name, o.Aliases = opts.Names[0], opts.Names[1:]
	}
	if o.CA == "" {
		o.CA = RootName
	}
	if err := o.prepare(ctx); err != nil {
		return nil, Paths{}, err
	}
	err := w.view(ctx, func(*folder) error {
		if opts.Authority == nil {
			if err := w.state.checkCA(w.dir, &o); err != nil {
				return err
			}
		}
		return checkReplaceable(w.state.entries, &o)
	})
	if err != nil {
		return nil, Paths{}, err
	}
	var p parcel
	err = again(func() (err error) {
		if opts.Authority == nil {
			p, err = w.pack(ctx, &o, map[string]signer{})
		} else {
			p, err = o.packWith(ctx, opts.Authority)
		}
		if err != nil {
			return err
		}
		return w.update(ctx, clock(opts.Now), func(d *draft) error { return d.putVerifications(&o, p) })
	})
	if err != nil {
		return nil, Paths{}, err
	}
	return p.bundle, w.Paths(o.Name), nil
}

// packWith makes a certificate of a CA from outside.
func (o *IssueOptions) packWith(ctx context.Context, a *pki.Authority) (p parcel, err error) {
	if err := o.makeKey(ctx); err != nil {
		return p, err
	}
	if p.bundle, err = o.signWith(a); err != nil {
		return p, err
	}
	return p, p.encode(o)
}

// putVerifications stages a proof under all of its names.
func (d *draft) putVerifications(o *IssueOptions, p parcel) error {
	if err := checkReplaceable(d.entries, o); err != nil {
		return err
	}
	if err := d.checkSigner(p); err != nil {
		return err
	}
	for _, name := range o.names() {
		if err := d.putVerification(name, o, p); err != nil {
			return err
		}
	}
	return nil
}

// checkReplaceable refuses names that are taken by something else than a proof of possession.
func checkReplaceable(entries map[string]Entry, o *IssueOptions) error {
	for _, name := range o.names() {
		if entries[name].Profile == pki.ProfileVerification {
			continue
		}
		one := IssueOptions{Name: name, Force: o.Force, Request: o.Request}
		if err := checkFree(entries, &one); err != nil {
			return err
		}
	}
	return nil
}

// putVerification stages a proof under one of its names: over the proof that is there, else as any certificate.
func (d *draft) putVerification(name string, o *IssueOptions, p parcel) error {
	e, known := d.entries[name]
	if e.Profile == pki.ProfileVerification || name == VerificationName && !known {
		return d.replaceVerification(name, p)
	}
	if err := d.retireTree(name); err != nil {
		return err
	}
	return d.putBundle(name, o, p)
}

// replaceVerification stages a proof over the one that is there, which is not kept. Only its PFX is moved away: the
// original script made one.
func (d *draft) replaceVerification(name string, p parcel) error {
	all := defaultFiles(name)
	for _, file := range []string{all.PFX, all.PFXPassword} {
		if err := d.retire(file); err != nil {
			return err
		}
	}
	if err := d.put(all.Key, p.key, keyMode); err != nil {
		return err
	}
	if err := d.put(all.Certificate, p.bundle.CertificatePEM(), certMode); err != nil {
		return err
	}
	if err := d.put(all.FullChain, p.bundle.FullChainPEM(), certMode); err != nil {
		return err
	}
	files := Files{Certificate: all.Certificate, FullChain: all.FullChain, Key: all.Key}
	if err := d.putPFX(p, all, &files, false); err != nil {
		return err
	}
	e := newEntry(name, p.ca, p.bundle.Profile, p.bundle.Certificate, files)
	e.PFXProfile = p.pfxProfile
	d.entries[name] = e
	return nil
}

package workspace

import (
	"context"
	"errors"
	"fmt"

	"go.step.sm/crypto/randutil"

	"github.com/dpskit/dpskit/pkg/pki"
)

// maxTries is how often a change is prepared when other processes keep changing what it builds on.
const maxTries = 3

// parcel is a finished certificate, encoded for its files. It is made before the folder is locked, because keys take
// time to make and pass phrases to type; under the lock the files are only put in their places.
type parcel struct {
	bundle      *pki.Bundle
	ca          string // name of the signing CA; empty when self-signed or from outside
	caPrint     string // SHA-256 thumbprint of that CA
	key         []byte // PEM; nil when no key file is to be written
	pfx         []byte // nil when none is asked for
	pfxPassword []byte // nil when it is not kept
	pfxProfile  pki.PFXProfile
}

// signer is a CA of the workspace with its key.
type signer struct {
	*pki.Authority
	name string
}

// again prepares and makes a change, and once more when another process came in between.
func again(fn func() error) error {
	var err error
	for range maxTries {
		if err = fn(); !errors.Is(err, ErrChanged) {
			return err
		}
	}
	return err
}

// signer loads the CA that is to sign. Each CA is loaded once, so that its pass phrase is asked for once.
func (w *Workspace) signer(ctx context.Context, o *IssueOptions, cas map[string]signer) (signer, error) {
	if s, ok := cas[o.CA]; ok {
		return s, nil
	}
	var k stored
	err := w.view(ctx, func(f *folder) (err error) {
		if err = w.state.checkCA(w.dir, o); err != nil {
			return err
		}
		name := o.CA
		if name == "" {
			name = w.state.defaultCA()
		}
		k, err = w.state.loadCA(f, w.dir, name)
		return err
	})
	if err != nil {
		return signer{}, err
	}
	a, err := k.authority(o.Passphrase)
	if err != nil {
		return signer{}, err
	}
	s := signer{Authority: a, name: k.entry.Name}
	cas[o.CA] = s
	return s, nil
}

// pack signs and encodes one certificate, with a new key when the request brings none.
func (w *Workspace) pack(ctx context.Context, o *IssueOptions, cas map[string]signer) (parcel, error) {
	var p parcel
	var s signer
	var err error
	if !o.SelfSigned {
		if s, err = w.signer(ctx, o, cas); err != nil {
			return p, err
		}
		p.ca, p.caPrint = s.name, pki.SHA256Thumbprint(s.Certificate())
	}
	if err := o.makeKey(ctx); err != nil {
		return p, err
	}
	if o.SelfSigned {
		p.bundle, err = o.selfSign()
	} else {
		p.bundle, err = o.signWith(s.Authority)
	}
	if err != nil {
		return p, err
	}
	return p, p.encode(o)
}

// encode makes the contents of the files beside the certificates.
func (p *parcel) encode(o *IssueOptions) error {
	if p.bundle.Key != nil && o.keepKey == "" {
		key, err := p.bundle.KeyPEM()
		if err != nil {
			return err
		}
		p.key = key
	}
	if o.PFX == nil {
		return nil
	}
	pfx := *o.PFX
	madeUp := pfx.Password == "" && !o.EmptyPFXPassword
	if madeUp {
		password, err := randutil.Alphanumeric(pfxPasswordLength)
		if err != nil {
			return fmt.Errorf("make pfx password: %v", err)
		}
		pfx.Password = password
	}
	if madeUp || o.keepPassword != "" {
		p.pfxPassword = []byte(pfx.Password + "\n")
	}
	if p.pfxProfile = pfx.Profile; p.pfxProfile == "" {
		p.pfxProfile = pki.PFXModern
	}
	var err error
	p.pfx, err = p.bundle.PFX(pfx)
	return err
}

// checkSigner makes sure, under the lock, that the CA which signed is still the one of that name.
func (d *draft) checkSigner(p parcel) error {
	if p.ca == "" {
		return nil
	}
	if e, ok := d.state.entries[p.ca]; !ok || e.SHA256Thumbprint != p.caPrint {
		return fmt.Errorf("issue %s certificate: %w: ca %q is not there any more", p.bundle.Profile, ErrChanged, p.ca)
	}
	return nil
}

// putBundle stages the files of a certificate under one of its names and lists it.
func (d *draft) putBundle(name string, o *IssueOptions, p parcel) error {
	all := defaultFiles(name)
	files := Files{Certificate: all.Certificate, FullChain: all.FullChain, Key: o.keepKey}
	if p.key != nil {
		files.Key = all.Key
		if err := d.putFile(files.Key, p.key, true, o.Force); err != nil {
			return err
		}
	}
	if err := d.putFile(files.Certificate, p.bundle.CertificatePEM(), false, o.Force); err != nil {
		return err
	}
	if err := d.putFile(files.FullChain, p.bundle.FullChainPEM(), false, o.Force); err != nil {
		return err
	}
	if err := d.putPFX(p, all, &files, o.Force); err != nil {
		return err
	}
	e := newEntry(name, p.ca, p.bundle.Profile, p.bundle.Certificate, files)
	e.Broken, e.PFXProfile = o.Fault, p.pfxProfile
	d.entries[name] = e
	return nil
}

// putPFX stages the PFX and its password, if there are any.
func (d *draft) putPFX(p parcel, all Files, files *Files, force bool) error {
	if p.pfxPassword != nil {
		files.PFXPassword = all.PFXPassword
		if err := d.putFile(files.PFXPassword, p.pfxPassword, true, force); err != nil {
			return err
		}
	}
	if p.pfx == nil {
		return nil
	}
	files.PFX = all.PFX
	return d.putFile(files.PFX, p.pfx, true, force)
}

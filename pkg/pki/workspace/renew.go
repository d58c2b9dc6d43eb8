package workspace

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/dpskit/dpskit/pkg/pki"
)

// RenewOptions asks for a certificate to be issued again.
type RenewOptions struct {
	Name string
	// NewKey makes a new key of KeyType, or of the same type when that is empty. Else the key stays, and with it the
	// key file.
	NewKey   bool
	KeyType  pki.KeyType
	CA       string // default: the CA that issued it before
	Validity pki.Validity
	// PFX asks for a PKCS#12 file. An empty profile means that of the one that is there, and an empty password the one
	// that was made up for it. When PFX is nil, one whose password was made up is made again like that; a PFX with
	// another password is moved away, because its password is not known.
	PFX              *pki.PFXOptions
	EmptyPFXPassword bool
	Passphrase       func() ([]byte, error)
	Now              func() time.Time
}

// Renew issues a certificate again with the same names, profile and, unless asked otherwise, key, and under every
// name that the workspace has for it ([IssueOptions.Aliases]). The old files are moved to the replaced folder. CAs
// other than Edge CAs, and proofs of possession, are not renewed. An Edge CA that keeps its key keeps what it issued;
// with a new key that is moved away too.
func (w *Workspace) Renew(ctx context.Context, opts RenewOptions) (*pki.Bundle, Paths, error) {
	var p parcel
	var name string
	err := again(func() error {
		old, o, err := w.renewal(ctx, opts)
		if err != nil {
			return err
		}
		name = old.Name
		if p, err = w.pack(ctx, &o, map[string]signer{}); err != nil {
			return err
		}
		return w.update(ctx, clock(opts.Now), func(d *draft) error {
			e, err := d.state.lookup(w.dir, name)
			if err != nil {
				return fmt.Errorf("renew certificate: %w", err)
			}
			if e.SHA256Thumbprint != old.SHA256Thumbprint || e.Files != old.Files {
				return fmt.Errorf("renew certificate %q: %w", name, ErrChanged)
			}
			if err := d.checkSigner(p); err != nil {
				return err
			}
			return d.putRenewed(e, o, p)
		})
	})
	if err != nil {
		return nil, Paths{}, err
	}
	return p.bundle, w.Paths(name), nil
}

// renewal returns the entry to renew and the request that makes its certificate again.
func (w *Workspace) renewal(ctx context.Context, opts RenewOptions) (e Entry, o IssueOptions, err error) {
	var k stored
	err = w.view(ctx, func(f *folder) error {
		if e, err = w.state.lookup(w.dir, opts.Name); err != nil {
			return fmt.Errorf("renew certificate: %w", err)
		}
		if o, err = renewedEntry(e, opts); err != nil {
			return fmt.Errorf("renew certificate %q: %w", e.Name, err)
		}
		if k, err = w.state.load(f, e); err != nil {
			return fmt.Errorf("renew certificate %q: %w", e.Name, err)
		}
		if k.keyErr != nil {
			return fmt.Errorf("renew certificate: %w", broken(e, k.keyErr))
		}
		return renewPFX(f, e, &o)
	})
	if err != nil {
		return e, o, err
	}
	old, err := k.bundle(opts.Passphrase)
	if err != nil {
		return e, o, fmt.Errorf("renew certificate %q: %w", e.Name, err)
	}
	o.Request = requestOf(old, opts)
	if o.Request.Key != nil {
		o.keepKey = e.Files.Key
	}
	if o.Request.PublicKey != nil {
		if o.SelfSigned {
			return e, o, fmt.Errorf("renew certificate %q: it is self-signed and the workspace has no key for it", e.Name)
		}
		if opts.PFX == nil {
			o.PFX, o.keepPassword = nil, ""
		}
	}
	return e, o, nil
}

// renewedEntry returns the options that issue the certificate of e again, but for the request. It refuses what cannot
// be renewed.
func renewedEntry(e Entry, opts RenewOptions) (IssueOptions, error) {
	o := IssueOptions{
		Name: e.Name, CA: opts.CA, SelfSigned: e.CA == "" && opts.CA == "", Force: true, Passphrase: opts.Passphrase,
		PFX: opts.PFX, EmptyPFXPassword: opts.EmptyPFXPassword,
	}
	if o.CA == "" {
		o.CA = e.CA
	}
	switch e.Profile {
	case pki.ProfileRoot, pki.ProfileIntermediate, pki.ProfileVerification:
		return o, fmt.Errorf("certificates of profile %q are not renewed; make a new one", e.Profile)
	}
	if e.Broken != "" {
		return o, fmt.Errorf("it is broken on purpose (%s); make a sound one in its place", e.Broken)
	}
	if o.SelfSigned && e.Issuer != e.Subject {
		return o, fmt.Errorf("its issuer %q is not in the workspace", e.Issuer)
	}
	return o, nil
}

// requestOf returns the request that a certificate was made from.
func requestOf(old *pki.Bundle, opts RenewOptions) pki.IssueRequest {
	cert := old.Certificate
	req := pki.IssueRequest{
		Profile: old.Profile, CommonName: cert.Subject.CommonName, DNSNames: cert.DNSNames,
		IPAddresses: cert.IPAddresses, Validity: opts.Validity, Now: opts.Now, KeyType: opts.KeyType,
	}
	if old.Profile == pki.ProfileEdgeCA { // the profile adds it again
		req.CommonName = strings.TrimSuffix(req.CommonName, ".ca")
	}
	switch {
	case opts.NewKey && req.KeyType == "":
		if t, err := pki.KeyTypeOf(cert.PublicKey); err == nil {
			req.KeyType = t
		}
	case opts.NewKey:
	case old.Key != nil:
		req.Key = old.Key
	default:
		req.PublicKey = cert.PublicKey
	}
	return req
}

// renewPFX completes what is asked of the PFX from the one that is there: its profile, and the password that lies
// beside it.
func renewPFX(f *folder, e Entry, o *IssueOptions) error {
	if e.Files.PFX == "" {
		return nil
	}
	pfx := pki.PFXOptions{}
	if o.PFX != nil {
		pfx = *o.PFX
	}
	if pfx.Profile == "" {
		pfx.Profile = e.PFXProfile
	}
	if pfx.Password == "" && !o.EmptyPFXPassword && e.Files.PFXPassword != "" {
		data, err := f.read(e.Files.PFXPassword, maxFile)
		if err != nil {
			return broken(e, err)
		}
		pfx.Password = strings.TrimRight(string(data), "\r\n")
		o.keepPassword = e.Files.PFXPassword
	} else if o.PFX == nil {
		return nil // its password is not known
	}
	o.PFX = &pfx
	return nil
}

// putRenewed stages the new certificate under every name of the old one, so that they stay one certificate. Another
// name gets a PFX when it had one, with the password of the renewed one.
func (d *draft) putRenewed(old Entry, o IssueOptions, p parcel) error {
	var same []Entry
	for _, e := range sortedEntries(d.entries) {
		if e.SHA256Thumbprint == old.SHA256Thumbprint {
			same = append(same, e)
		}
	}
	for _, e := range same {
		keep := ""
		if o.keepKey != "" {
			keep = e.Files.Key
			if err := d.f.narrowFile(keep); err != nil {
				return err
			}
		}
		if err := d.retireRenewed(e, keep); err != nil {
			return err
		}
	}
	for _, e := range same {
		one, its := o, p
		if o.keepKey != "" {
			one.keepKey = e.Files.Key
		}
		if e.Name != old.Name && e.Files.PFX == "" {
			its.pfx, its.pfxPassword, its.pfxProfile = nil, nil, ""
		}
		if err := d.putBundle(e.Name, &one, its); err != nil {
			return err
		}
	}
	return nil
}

// retireRenewed plans to move the old files away, and what a CA with a new key has issued.
func (d *draft) retireRenewed(e Entry, keepKey string) error {
	if keepKey == "" {
		return d.retireTree(e.Name)
	}
	for _, file := range e.Files.all() {
		if file == keepKey {
			continue
		}
		if err := d.retire(file); err != nil {
			return err
		}
	}
	return nil
}

package workspace

import (
	"context"
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
}

// IssueVerification makes a proof of possession, whose common name is the code. It is always called
// "verification-code" and takes the place of an earlier one, which is of no further use.
func (w *Workspace) IssueVerification(ctx context.Context, opts VerificationOptions) (*pki.Bundle, Paths, error) {
	o := IssueOptions{
		Name: VerificationName, CA: opts.CA, Passphrase: opts.Passphrase,
		Request: pki.IssueRequest{
			Profile: pki.ProfileVerification, CommonName: opts.Code, KeyType: opts.KeyType, Validity: opts.Validity,
			Now: opts.Now,
		},
	}
	if o.CA == "" {
		o.CA = RootName
	}
	if err := o.prepare(ctx); err != nil {
		return nil, Paths{}, err
	}
	if opts.Authority == nil {
		err := w.view(ctx, func(*folder) error { return w.state.checkCA(w.dir, &o) })
		if err != nil {
			return nil, Paths{}, err
		}
	}
	if err := o.makeKey(ctx); err != nil {
		return nil, Paths{}, err
	}
	var b *pki.Bundle
	err := w.update(ctx, clock(opts.Now), func(d *draft) error {
		var err error
		ca := ""
		if opts.Authority != nil {
			b, err = opts.Authority.Issue(o.Request)
		} else {
			b, ca, err = d.sign(w.dir, &o, map[string]*pki.Authority{})
		}
		if err != nil {
			return err
		}
		return d.replaceVerification(ca, b)
	})
	if err != nil {
		return nil, Paths{}, err
	}
	return b, w.Paths(VerificationName), nil
}

// replaceVerification stages a proof over the one that is there.
func (d *draft) replaceVerification(ca string, b *pki.Bundle) error {
	files := defaultFiles(VerificationName)
	if err := d.retire(files.PFX); err != nil { // the original script made one, of the old certificate
		return err
	}
	files.PFX, files.PFXPassword = "", ""
	key, err := b.KeyPEM()
	if err != nil {
		return err
	}
	if err := d.put(files.Key, key, keyMode); err != nil {
		return err
	}
	if err := d.put(files.Certificate, b.CertificatePEM(), certMode); err != nil {
		return err
	}
	if err := d.put(files.FullChain, b.FullChainPEM(), certMode); err != nil {
		return err
	}
	d.entries[VerificationName] = newEntry(VerificationName, ca, b.Profile, b.Certificate, files)
	return nil
}

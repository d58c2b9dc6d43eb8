package workspace

import (
	"context"
	"fmt"
	"strings"

	"github.com/dpskit/dpskit/pkg/pki"
)

// IntermediateOptions asks for one more CA.
type IntermediateOptions struct {
	// Name is what the workspace calls the CA. Default: the next of the series "intermediate", "intermediate2", ...
	Name string
	// CA is the name of the signing CA. Default: for the series the CA before it, else the root.
	CA string
	// Options describe the certificate. The default common name is that of the CA that Force replaces; of a new CA with
	// its own name it is that name.
	Options pki.CAOptions
	// Force moves a CA of that name, with everything issued by it, to the replaced folder.
	Force bool
	// Passphrase is called when the key of the signing CA is encrypted. The workspace is not locked then.
	Passphrase func() ([]byte, error)
	// KeyPassphrase gives the pass phrase to encrypt the new key with; nil leaves it plain.
	KeyPassphrase func() ([]byte, error)
	// PFX asks for a PKCS#12 file as well. With an empty password one is made up and written beside the key.
	PFX *pki.PFXOptions
}

// CreateIntermediate makes a CA below another. A CA of the series becomes the default signer, and the file of
// [Workspace.ChainCAPath] is written again.
func (w *Workspace) CreateIntermediate(ctx context.Context, opts IntermediateOptions) (*pki.Authority, Paths, error) {
	if !w.Exists() {
		return nil, Paths{}, fmt.Errorf("create intermediate ca: workspace %q has no root ca yet: %w", w.dir, ErrNotFound)
	}
	encode, err := keyEncoder(opts.KeyPassphrase)
	if err != nil {
		return nil, Paths{}, fmt.Errorf("create intermediate ca: %w", err)
	}
	if opts.PFX != nil {
		if err := opts.PFX.Check(); err != nil {
			return nil, Paths{}, fmt.Errorf("create intermediate ca: %w", err)
		}
	}
	var made *pki.Authority
	var name string
	err = again(func() error {
		var p parcel
		if made, name, p, err = w.makeIntermediate(ctx, opts, encode); err != nil {
			return err
		}
		return w.update(ctx, clock(opts.Options.Now), func(d *draft) error {
			now, signer, err := d.state.placeIntermediate(w.dir, opts)
			if err != nil {
				return fmt.Errorf("create intermediate ca: %w", err)
			}
			if now != name || signer != p.ca {
				return fmt.Errorf("create intermediate ca %q: %w", name, ErrChanged)
			}
			if err := d.checkSigner(p); err != nil {
				return err
			}
			return d.addIntermediate(name, made, p, opts.Force)
		})
	})
	if err != nil {
		return nil, Paths{}, err
	}
	return made, w.Paths(name), nil
}

// makeIntermediate makes the CA and what its files will hold.
func (w *Workspace) makeIntermediate(ctx context.Context, opts IntermediateOptions, encode keyEncoding) (
	made *pki.Authority, name string, p parcel, err error,
) {
	var k stored
	o := opts.Options
	err = w.view(ctx, func(f *folder) error {
		var signer string
		var err error
		if name, signer, err = w.state.placeIntermediate(w.dir, opts); err != nil {
			return fmt.Errorf("create intermediate ca: %w", err)
		}
		if old, ok := w.state.entries[name]; ok && o.CommonName == "" {
			if cert, err := w.state.certificate(f, old); err == nil { // a damaged one has no say
				o.CommonName = cert.Subject.CommonName
			}
		}
		k, err = w.state.loadCA(f, w.dir, signer)
		return err
	})
	if err != nil {
		return nil, "", p, err
	}
	issuer, err := k.authority(opts.Passphrase)
	if err != nil {
		return nil, "", p, err
	}
	if _, series := seriesNumber(name); !series && o.CommonName == "" {
		o.CommonName = name
	}
	if made, err = issuer.NewIntermediate(&o); err != nil {
		return nil, "", p, err
	}
	p.ca, p.caPrint = k.entry.Name, k.entry.SHA256Thumbprint
	return made, name, p, p.packCA(made, encode, opts.PFX)
}

// placeIntermediate returns the name of the new CA and of its signer.
func (s *state) placeIntermediate(dir string, opts IntermediateOptions) (name, signer string, err error) {
	last, _ := seriesNumber(s.defaultCA()) // 0 when the root signs
	name, signer = opts.Name, opts.CA
	if name == "" {
		name = intermediateName(last + 1)
	}
	n, series := seriesNumber(name)
	switch {
	case series && n > last+1:
		return "", "", fmt.Errorf("%w: after %d intermediates comes %q", pki.ErrInvalidID, last, intermediateName(last+1))
	case !series && isReserved(name):
		return "", "", fmt.Errorf("%w: the workspace keeps the name %q for itself", pki.ErrInvalidID, name)
	case signer == "" && series:
		signer = issuerOf(n)
	case signer == "":
		signer = RootName
	}
	if err := checkName(name); err != nil {
		return "", "", err
	}
	e, err := s.lookup(dir, signer)
	if err != nil {
		return "", "", err
	}
	if strings.EqualFold(e.Name, name) {
		return "", "", fmt.Errorf("%w: %q cannot sign itself", pki.ErrInvalidID, name)
	}
	return name, e.Name, s.checkFreeCA(name, opts.Force)
}

func (s *state) checkFreeCA(name string, force bool) error {
	o := IssueOptions{Name: name, Force: force, Request: pki.IssueRequest{Profile: pki.ProfileIntermediate}}
	return checkFree(s.entries, &o)
}

// addIntermediate stages the files of the CA, and the chain file when it is the new default signer.
func (d *draft) addIntermediate(name string, a *pki.Authority, p parcel, force bool) error {
	if err := d.retireTree(name); err != nil {
		return err
	}
	if _, ok := d.entries[p.ca]; !ok {
		return fmt.Errorf("create intermediate ca: %w: %q is below %q, which it would replace", pki.ErrInvalidID, p.ca,
			name)
	}
	if err := d.putCA(name, p, force); err != nil {
		return err
	}
	if _, series := seriesNumber(name); series {
		return d.put(chainCAFile, pki.EncodeCertificatesPEM(a.Chain()...), certMode)
	}
	return nil
}

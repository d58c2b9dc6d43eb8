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
	// Options describe the certificate. The default common name of a CA with its own name is that name.
	Options pki.CAOptions
	// Force moves a CA of that name, with everything issued by it, to the replaced folder.
	Force bool
	// Passphrase is called when the key of the signing CA is encrypted. It must not use the workspace.
	Passphrase func() ([]byte, error)
	// KeyPassphrase gives the pass phrase to encrypt the new key with; nil leaves it plain.
	KeyPassphrase func() ([]byte, error)
	// PFX asks for a PKCS#12 file as well. With an empty password one is made up and written beside the key.
	PFX *pki.PFXOptions
}

// CreateIntermediate makes a CA below another. A CA of the series becomes the default signer, and the file of
// [Workspace.ChainCAPath] is written again.
func (w *Workspace) CreateIntermediate(ctx context.Context, opts IntermediateOptions) (*pki.Authority, Paths, error) {
	encode, err := keyEncoder(opts.KeyPassphrase)
	if err != nil {
		return nil, Paths{}, fmt.Errorf("create intermediate ca: %w", err)
	}
	if !w.Exists() {
		return nil, Paths{}, fmt.Errorf("create intermediate ca: workspace %q has no root ca yet: %w", w.dir, ErrNotFound)
	}
	var made *pki.Authority
	var name string
	err = w.update(ctx, clock(opts.Options.Now), func(d *draft) error {
		var signer string
		var err error
		if name, signer, err = d.placeIntermediate(opts); err != nil {
			return fmt.Errorf("create intermediate ca: %w", err)
		}
		issuer, err := d.state.authority(d.read, w.dir, signer, opts.Passphrase)
		if err != nil {
			return err
		}
		o := opts.Options
		if _, series := seriesNumber(name); !series && o.CommonName == "" {
			o.CommonName = name
		}
		if made, err = issuer.NewIntermediate(&o); err != nil {
			return err
		}
		return d.addIntermediate(name, signer, made, opts, encode)
	})
	if err != nil {
		return nil, Paths{}, err
	}
	return made, w.Paths(name), nil
}

// placeIntermediate returns the name of the new CA and of its signer.
func (d *draft) placeIntermediate(opts IntermediateOptions) (name, signer string, err error) {
	last, _ := seriesNumber(d.state.defaultCA()) // 0 when the root signs
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
	e, err := d.state.lookup(d.f.dir, signer)
	if err != nil {
		return "", "", err
	}
	if strings.EqualFold(e.Name, name) {
		return "", "", fmt.Errorf("%w: %q cannot sign itself", pki.ErrInvalidID, name)
	}
	return name, e.Name, d.checkFreeCA(name, opts.Force)
}

func (d *draft) checkFreeCA(name string, force bool) error {
	o := IssueOptions{Name: name, Force: force, Request: pki.IssueRequest{Profile: pki.ProfileIntermediate}}
	return checkFree(d.entries, &o)
}

// addIntermediate stages the files of the CA, and the chain file when it is the new default signer.
func (d *draft) addIntermediate(name, signer string, a *pki.Authority, opts IntermediateOptions, encode keyEncoding) error {
	if err := d.retireTree(name); err != nil {
		return err
	}
	if _, ok := d.entries[signer]; !ok {
		return fmt.Errorf("create intermediate ca: %w: %q is below %q, which it would replace", pki.ErrInvalidID, signer,
			name)
	}
	if err := d.putCA(name, signer, a, opts.Force, encode); err != nil {
		return err
	}
	if err := d.putCAExtras(name, a, opts.PFX, opts.Force); err != nil {
		return err
	}
	if _, series := seriesNumber(name); series {
		return d.put(chainCAFile, pki.EncodeCertificatesPEM(a.Chain()...), certMode)
	}
	return nil
}

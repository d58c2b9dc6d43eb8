package workspace

import (
	"context"
	"crypto"
	"fmt"
	"time"

	"github.com/dpskit/dpskit/pkg/pki"
)

const maxIntermediates = 10

// InitOptions describes the CAs of a new workspace.
type InitOptions struct {
	Root pki.CAOptions
	// RootAuthority is a root made elsewhere to use instead of a new one. Of Root only the clock counts then. Its key
	// is copied into the workspace. Nothing here tells whether it was encrypted where it came from: who read it with a
	// pass phrase sets RootKeyPassphrase to the same one, or the copy is plain.
	RootAuthority *pki.Authority
	Intermediate  pki.CAOptions // of every intermediate; from the second on a number is added to its common name
	// Intermediates is the number of CAs below the root, each below the one before: 0 to 10.
	Intermediates int
	// IntermediateNames are the common names of the intermediates, one for each from the top down. When it is empty the
	// common name in Intermediate counts.
	IntermediateNames []string
	// LimitPathLen gives every new CA the path length that Init needs and no more: the root the number of
	// intermediates, the last CA 0. No CA can be added below the last one then. The path lengths in Root and
	// Intermediate do not count.
	LimitPathLen bool
	// Force moves a PKI that is there, with everything issued by it, to the replaced folder.
	Force bool
	// KeyPassphrase gives the pass phrase to encrypt the keys of the CAs with; nil leaves them plain.
	KeyPassphrase func() ([]byte, error)
	// RootKeyPassphrase gives another one for the key of the root.
	RootKeyPassphrase func() ([]byte, error)
	// IntermediateKeyPassphrase gives another one for the keys of the intermediates.
	IntermediateKeyPassphrase func() ([]byte, error)
	// IntermediatePFX asks for a PKCS#12 file of every intermediate. With an empty password one is made up for each and
	// written beside the key.
	IntermediatePFX *pki.PFXOptions
}

// Init makes the root and the intermediates and returns the root and the last CA, which are the same when there are
// no intermediates. When there is a root already it fails with [ErrExists], or with Force moves the old root and
// everything below it to the replaced folder. Self-signed certificates stay.
func (w *Workspace) Init(ctx context.Context, opts InitOptions) (root, issuing *pki.Authority, err error) {
	if opts.Intermediates < 0 || opts.Intermediates > maxIntermediates {
		return nil, nil, fmt.Errorf("init workspace %q: %d intermediates, want 0 to %d", w.dir, opts.Intermediates,
			maxIntermediates)
	}
	if n := len(opts.IntermediateNames); n > 0 && n != opts.Intermediates {
		return nil, nil, fmt.Errorf("init workspace %q: %d names for %d intermediates", w.dir, n, opts.Intermediates)
	}
	if w.Exists() && !opts.Force { // the answer comes before the work of making keys, and again under the lock
		return nil, nil, fmt.Errorf("init workspace %q: %q %w", w.dir, RootName, ErrExists)
	}
	encode, err := keyEncoder(opts.KeyPassphrase)
	encodeRoot, encodeLower := encode, encode
	if err == nil && opts.RootKeyPassphrase != nil {
		encodeRoot, err = keyEncoder(opts.RootKeyPassphrase)
	}
	if err == nil && opts.IntermediateKeyPassphrase != nil {
		encodeLower, err = keyEncoder(opts.IntermediateKeyPassphrase)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("init workspace %q: %w", w.dir, err)
	}
	cas, parcels, err := makeCAs(ctx, opts, encodeRoot, encodeLower)
	if err != nil {
		return nil, nil, fmt.Errorf("init workspace %q: %w", w.dir, err)
	}
	err = w.update(ctx, clock(opts.Root.Now), func(d *draft) error {
		if err := d.retireCAs(opts.Force); err != nil {
			return fmt.Errorf("init workspace %q: %w", w.dir, err)
		}
		for i, p := range parcels {
			name := RootName
			if i > 0 {
				name = intermediateName(i)
			}
			if err := d.putCA(name, p, opts.Force); err != nil {
				return err
			}
		}
		return d.putChainCA(cas[len(cas)-1], opts.Force)
	})
	if err != nil {
		return nil, nil, err
	}
	return cas[0], cas[len(cas)-1], nil
}

// issuerOf is the name of the issuer of the n-th intermediate.
func issuerOf(n int) string {
	if n == 1 {
		return RootName
	}
	return intermediateName(n - 1)
}

// retireCAs plans to move the root and the series of intermediates away, with everything issued by them.
func (d *draft) retireCAs(force bool) error {
	for _, e := range sortedEntries(d.entries) {
		if _, series := seriesNumber(e.Name); !series && e.Name != RootName {
			continue
		}
		if !force {
			return fmt.Errorf("%q %w", e.Name, ErrExists)
		}
		if err := d.retireTree(e.Name); err != nil {
			return err
		}
	}
	return nil
}

// makeCAs makes the root and the intermediates in memory, and what their files will hold.
func makeCAs(ctx context.Context, opts InitOptions, encode, encodeLower keyEncoding) ([]*pki.Authority, []parcel, error) {
	root, err := opts.RootAuthority, error(nil)
	if root != nil {
		err = checkRoot(root, clock(opts.Root.Now))
	} else {
		root, err = pki.NewRoot(opts.optionsOf(0))
	}
	if err != nil {
		return nil, nil, err
	}
	cas := []*pki.Authority{root}
	for n := 1; n <= opts.Intermediates; n++ {
		if ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
		ca, err := cas[n-1].NewIntermediate(opts.optionsOf(n))
		if err != nil {
			return nil, nil, err
		}
		for _, above := range cas {
			if above.Certificate().Subject.String() == ca.Certificate().Subject.String() {
				return nil, nil, fmt.Errorf("%w: two cas are named %q", pki.ErrInvalidID, ca.Certificate().Subject.CommonName)
			}
		}
		cas = append(cas, ca)
	}
	parcels := make([]parcel, len(cas))
	if err := parcels[0].packCA(root, encode, nil); err != nil {
		return nil, nil, err
	}
	for i := 1; i < len(cas); i++ {
		parcels[i].ca = issuerOf(i)
		if err := parcels[i].packCA(cas[i], encodeLower, opts.IntermediatePFX); err != nil {
			return nil, nil, err
		}
	}
	return cas, parcels, nil
}

// optionsOf are the options of the CA that stands n steps below the root.
func (opts *InitOptions) optionsOf(n int) *pki.CAOptions {
	o := opts.Intermediate
	switch {
	case n == 0:
		o = opts.Root
	case len(opts.IntermediateNames) > 0:
		o.CommonName = opts.IntermediateNames[n-1]
	case o.CommonName != "" && n > 1:
		o.CommonName = fmt.Sprintf("%s %d", o.CommonName, n)
	}
	if opts.LimitPathLen {
		below := opts.Intermediates - n
		o.MaxPathLen = &below
	}
	return &o
}

// retireTree removes an entry and everything issued below it, and plans to move their files away.
func (d *draft) retireTree(name string) error {
	below := map[string][]string{}
	for child, e := range d.entries {
		if e.CA != "" {
			below[e.CA] = append(below[e.CA], child)
		}
	}
	for todo := []string{name}; len(todo) > 0; {
		name, todo = todo[len(todo)-1], todo[:len(todo)-1]
		e, ok := d.entries[name]
		if !ok {
			continue
		}
		delete(d.entries, name)
		for _, file := range e.Files.all() {
			if err := d.retire(file); err != nil {
				return err
			}
		}
		todo = append(todo, below[name]...)
	}
	return nil
}

// putFile stages a file whose place must be free, or is freed by force.
func (d *draft) putFile(name string, data []byte, key, force bool) error {
	info, err := d.f.lstat(name)
	if err != nil {
		return err
	}
	if info != nil && !d.moves(name) {
		if !force {
			return fmt.Errorf("write %q: it %w", d.f.show(name), ErrExists)
		}
		if err := d.retire(name); err != nil {
			return err
		}
	}
	if key {
		return d.put(name, data, keyMode)
	}
	return d.put(name, data, certMode)
}

// putChainCA stages the file with the issuing CA first and the root last. It follows from the others, so it is
// replaced without force when the CAs are.
func (d *draft) putChainCA(issuing *pki.Authority, force bool) error {
	return d.putFile(chainCAFile, pki.EncodeCertificatesPEM(issuing.Chain()...), false, force)
}

type keyEncoding func(key crypto.Signer) ([]byte, error)

// keyEncoder returns how keys of CAs are written.
func keyEncoder(passphrase func() ([]byte, error)) (keyEncoding, error) {
	if passphrase == nil {
		return pki.EncodeKeyPEM, nil
	}
	secret, err := passphrase()
	if err != nil {
		return nil, fmt.Errorf("get pass phrase for new keys: %w", err)
	}
	return func(key crypto.Signer) ([]byte, error) { return pki.EncodeEncryptedKeyPEM(key, secret) }, nil
}

func clock(now func() time.Time) time.Time {
	if now == nil {
		return time.Now()
	}
	return now()
}

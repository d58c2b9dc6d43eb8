package workspace

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/dpskit/dpskit/pkg/pki"
)

// pfxPasswordLength gives 143 bits of randomness in letters and digits.
const pfxPasswordLength = 24

// DeviceOptions asks for a device certificate.
type DeviceOptions struct {
	ID       string // registration ID
	CA       string // default: [Workspace.DefaultCA]
	KeyType  pki.KeyType
	Validity pki.Validity
	// SelfSigned makes a certificate for an individual enrollment that needs no CA.
	SelfSigned bool
	// PFX asks for a PKCS#12 file as well; see [IssueOptions].
	PFX *pki.PFXOptions
	// Force moves a certificate of that name to the replaced folder.
	Force bool
	// Passphrase is called when the key of the CA is encrypted.
	Passphrase func() ([]byte, error)
	Now        func() time.Time
}

// IssueOptions asks for a certificate of any profile but a CA.
type IssueOptions struct {
	// Name is what the workspace and its files call the certificate. Default: its common name.
	Name string
	// Aliases are further names, with files of their own, of the same certificate and key.
	Aliases []string
	// Request says what to issue. Its Now is also the time of the change.
	Request pki.IssueRequest
	// CA is the name of the signing CA. Default: [Workspace.DefaultCA].
	CA         string
	SelfSigned bool
	// Fault asks for a certificate that is BROKEN ON PURPOSE, for tests of services of one's own. The manifest marks
	// it. See [pki.Fault].
	Fault pki.Fault
	// PFX asks for a PKCS#12 file as well. With an empty password one is made up and written beside the key, unless
	// EmptyPFXPassword is set.
	PFX              *pki.PFXOptions
	EmptyPFXPassword bool
	// Force moves a certificate of that name to the replaced folder, and everything issued by it when it is a CA.
	Force bool
	// Passphrase is called when the key of the CA is encrypted, once for each CA. The workspace is not locked then.
	Passphrase func() ([]byte, error)

	keepKey      string // file of a key that stays as it is
	keepPassword string // file that a PFX password was read from and goes to again
}

// Issued is the result of one [IssueOptions].
type Issued struct {
	Name   string
	Bundle *pki.Bundle
	Paths  Paths
}

// IssueDevice makes a device certificate and writes it. It fails with [ErrExists] when there is one of that name and
// Force is not set, and with [ErrNameConflict] when there is one that differs only by case.
func (w *Workspace) IssueDevice(ctx context.Context, opts DeviceOptions) (*pki.Bundle, Paths, error) {
	return w.Issue(ctx, opts.issue())
}

func (o DeviceOptions) issue() IssueOptions {
	return IssueOptions{
		Name: o.ID, CA: o.CA, SelfSigned: o.SelfSigned, PFX: o.PFX, Force: o.Force, Passphrase: o.Passphrase,
		Request: pki.IssueRequest{
			Profile: pki.ProfileDevice, CommonName: o.ID, KeyType: o.KeyType, Validity: o.Validity, Now: o.Now,
		},
	}
}

// Issue makes one certificate and writes it. See [Workspace.IssueAll].
func (w *Workspace) Issue(ctx context.Context, opts IssueOptions) (*pki.Bundle, Paths, error) {
	issued, err := w.IssueAll(ctx, []IssueOptions{opts})
	if err != nil {
		return nil, Paths{}, err
	}
	return issued[0].Bundle, issued[0].Paths, nil
}

// IssueAll makes several certificates in one change: all are written or none. The results are in the order of the
// options. Pass phrases are asked for and keys made before the workspace is locked.
func (w *Workspace) IssueAll(ctx context.Context, opts []IssueOptions) ([]Issued, error) {
	if len(opts) == 0 {
		return nil, nil
	}
	opts = append([]IssueOptions(nil), opts...)
	for i := range opts {
		if err := opts[i].prepare(ctx); err != nil {
			return nil, err
		}
	}
	if err := w.precheck(ctx, opts); err != nil {
		return nil, err
	}
	issued := make([]Issued, len(opts))
	err := again(func() error {
		parcels, err := w.packAll(ctx, opts)
		if err != nil {
			return err
		}
		return w.update(ctx, clock(opts[0].Request.Now), func(d *draft) error {
			for i := range opts {
				if err := d.issueOne(&opts[i], parcels[i]); err != nil {
					return err
				}
				issued[i] = Issued{Name: opts[i].Name, Bundle: parcels[i].bundle}
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	for i := range issued {
		issued[i].Paths = w.Paths(issued[i].Name)
	}
	return issued, nil
}

// packAll makes the certificates. Pass phrases are asked for before the first key is made.
func (w *Workspace) packAll(ctx context.Context, opts []IssueOptions) ([]parcel, error) {
	cas := map[string]signer{}
	for i := range opts {
		if opts[i].SelfSigned {
			continue
		}
		if _, err := w.signer(ctx, &opts[i], cas); err != nil {
			return nil, err
		}
	}
	parcels := make([]parcel, len(opts))
	for i := range opts {
		var err error
		if parcels[i], err = w.pack(ctx, &opts[i], cas); err != nil {
			return nil, err
		}
	}
	return parcels, nil
}

// prepare checks the names and fills in defaults, before any work is done.
func (o *IssueOptions) prepare(ctx context.Context) error {
	if ctx.Err() != nil {
		return fmt.Errorf("issue certificate: %w", context.Cause(ctx))
	}
	if o.Request.Profile == "" {
		o.Request.Profile = pki.ProfileDevice
	}
	cn, err := o.Request.Profile.CommonName(o.Request.CommonName)
	if err != nil {
		return fmt.Errorf("issue %s certificate: %w", o.Request.Profile, err)
	}
	if o.Fault != "" {
		if _, err := pki.ParseFault(string(o.Fault)); err != nil {
			return fmt.Errorf("issue %s certificate: %w", o.Request.Profile, err)
		}
	}
	if o.Name == "" {
		o.Name = cn
	}
	for _, name := range o.names() {
		if err := checkName(name); err != nil {
			return fmt.Errorf("issue %s certificate: %w", o.Request.Profile, err)
		}
		if isReserved(name) && (name != VerificationName || o.Request.Profile != pki.ProfileVerification) {
			return fmt.Errorf("issue %s certificate: %w: the workspace keeps the name %q for itself", o.Request.Profile,
				pki.ErrInvalidID, name)
		}
	}
	if o.PFX != nil && o.Request.PublicKey != nil {
		return fmt.Errorf("issue %s certificate %q: a pfx needs the private key", o.Request.Profile, o.Name)
	}
	if o.PFX != nil {
		if err := o.PFX.Check(); err != nil {
			return fmt.Errorf("issue %s certificate %q: %w", o.Request.Profile, o.Name, err)
		}
	}
	return nil
}

// names returns every name of the certificate, the one that counts first.
func (o *IssueOptions) names() []string {
	return append([]string{o.Name}, o.Aliases...)
}

// precheck gives the common refusals before keys are made and before a folder is made.
func (w *Workspace) precheck(ctx context.Context, opts []IssueOptions) error {
	names := make(map[string]bool, len(opts))
	for i := range opts {
		for _, name := range opts[i].names() {
			key := strings.ToLower(name)
			if names[key] {
				return fmt.Errorf("issue %s certificate: %q is asked for twice", opts[i].Request.Profile, name)
			}
			names[key] = true
		}
	}
	return w.view(ctx, func(*folder) error {
		for i := range opts {
			if err := checkFree(w.state.entries, &opts[i]); err != nil {
				return err
			}
			if err := w.state.checkCA(w.dir, &opts[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// checkCA refuses a signing CA that is not there.
func (s *state) checkCA(dir string, o *IssueOptions) error {
	if o.SelfSigned {
		return nil
	}
	name := o.CA
	if name == "" {
		name = s.defaultCA()
	}
	if _, err := s.lookup(dir, name); err != nil {
		if len(s.entries) == 0 {
			err = fmt.Errorf("workspace %q has no ca yet: %w", dir, err)
		}
		return fmt.Errorf("issue %s certificate %q: %w", o.Request.Profile, o.Name, err)
	}
	return nil
}

// checkFree refuses a name that is taken.
func checkFree(entries map[string]Entry, o *IssueOptions) error {
	for _, want := range o.names() {
		if _, ok := entries[want]; ok {
			if !o.Force {
				return fmt.Errorf("issue %s certificate: %q %w", o.Request.Profile, want, ErrExists)
			}
			continue
		}
		for name := range entries {
			if strings.EqualFold(name, want) {
				return fmt.Errorf("issue %s certificate: %q %w from %q", o.Request.Profile, want, ErrNameConflict, name)
			}
		}
	}
	return nil
}

func (o *IssueOptions) makeKey(ctx context.Context) error {
	if ctx.Err() != nil {
		return fmt.Errorf("issue certificate: %w", context.Cause(ctx))
	}
	if o.Request.Key != nil || o.Request.PublicKey != nil || o.Fault == pki.FaultWeakKey {
		return nil
	}
	key, err := pki.GenerateKey(o.Request.KeyType)
	if err != nil {
		return fmt.Errorf("issue %s certificate %q: %w", o.Request.Profile, o.Name, err)
	}
	o.Request.Key = key
	return nil
}

// issueOne stages one certificate.
func (d *draft) issueOne(o *IssueOptions, p parcel) error {
	if err := checkFree(d.entries, o); err != nil {
		return err
	}
	if err := d.checkSigner(p); err != nil {
		return err
	}
	for _, name := range o.names() {
		if err := d.retireTree(name); err != nil {
			return err
		}
	}
	if _, ok := d.entries[p.ca]; p.ca != "" && !ok {
		return fmt.Errorf("issue %s certificate %q: %w: its ca %q is what it would replace", o.Request.Profile, o.Name,
			pki.ErrInvalidID, p.ca)
	}
	for _, name := range o.names() {
		if err := d.putBundle(name, o, p); err != nil {
			return err
		}
	}
	return nil
}

func (o *IssueOptions) selfSign() (*pki.Bundle, error) {
	if o.Fault != "" {
		return pki.SelfSignedBroken(o.Request, o.Fault)
	}
	return pki.SelfSigned(o.Request)
}

func (o *IssueOptions) signWith(a *pki.Authority) (*pki.Bundle, error) {
	if o.Fault != "" {
		return a.IssueBroken(o.Request, o.Fault)
	}
	return a.Issue(o.Request)
}

package workspace

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/dpskit/dpskit/pkg/pki"
)

// Authority returns a CA of the workspace with its key: "root", "intermediate", "intermediate2", or another name of
// a CA. passphrase is called once, and only when the key is encrypted; nil means that there is none, which gives
// [pki.ErrPassphraseRequired]. The workspace is not locked while passphrase runs.
//
// Files that are missing or do not fit together give [ErrBroken].
func (w *Workspace) Authority(name string, passphrase func() ([]byte, error)) (*pki.Authority, error) {
	var k stored
	err := w.view(context.Background(), func(f *folder) (err error) {
		k, err = w.state.loadCA(f, w.dir, name)
		return err
	})
	if err != nil {
		return nil, err
	}
	return k.authority(passphrase)
}

// Bundle returns a certificate of the workspace with its key and issuers. The key is nil when the workspace has
// none, or one that is weak on purpose. An encrypted key gives [pki.ErrPassphraseRequired]; see
// [Workspace.BundleWithPassphrase]. A key that this user may not read gives [ErrKeyUnreadable]; [Workspace.Chain]
// still returns the certificates. Files that are missing or do not fit together give [ErrBroken].
func (w *Workspace) Bundle(name string) (*pki.Bundle, error) {
	return w.BundleWithPassphrase(name, nil)
}

// BundleWithPassphrase is [Workspace.Bundle] for a key that may be encrypted; passphrase is called only then, and
// while the workspace is not locked.
func (w *Workspace) BundleWithPassphrase(name string, passphrase func() ([]byte, error)) (*pki.Bundle, error) {
	var k stored
	err := w.view(context.Background(), func(f *folder) error {
		e, err := w.state.lookup(w.dir, name)
		if err != nil {
			return err
		}
		k, err = w.state.load(f, e)
		return err
	})
	if err != nil {
		return nil, err
	}
	return k.bundle(passphrase)
}

// stored is what the files of an entry hold. The key is as it was read, so that nobody types a pass phrase while the
// folder is locked.
type stored struct {
	entry   Entry
	chain   []*x509.Certificate
	key     []byte // nil when it has none
	keyFile string // for messages
	keyErr  error  // why the key could not be read
}

func (s *state) load(f *folder, e Entry) (stored, error) {
	k := stored{entry: e}
	var err error
	if k.chain, err = s.chain(f, e); err != nil {
		return stored{}, err
	}
	if k.keyErr = s.noKeys; e.Files.Key == "" {
		return k, nil
	}
	k.keyFile = f.show(e.Files.Key)
	if k.key, err = f.read(e.Files.Key, maxFile); errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w: %w", ErrKeyUnreadable, err)
	}
	k.keyErr = err
	return k, nil
}

func (s *state) loadCA(f *folder, dir, name string) (stored, error) {
	e, err := s.lookup(dir, name)
	if err != nil {
		return stored{}, fmt.Errorf("load ca: %w", err)
	}
	if !e.Profile.IsCA() {
		return stored{}, fmt.Errorf("load ca %q: %w: it is a %s certificate", name, pki.ErrNotCA, e.Profile)
	}
	return s.load(f, e)
}

// authority returns a CA with its key decrypted.
func (k stored) authority(passphrase func() ([]byte, error)) (*pki.Authority, error) {
	key, err := k.signer(passphrase)
	if err != nil {
		return nil, err
	}
	if key == nil {
		return nil, fmt.Errorf("load ca %q: the workspace has no key for it", k.entry.Name)
	}
	a, err := pki.LoadAuthority(k.chain, key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBroken, err)
	}
	return a, nil
}

// bundle returns a certificate with its key decrypted.
func (k stored) bundle(passphrase func() ([]byte, error)) (*pki.Bundle, error) {
	key, err := k.signer(passphrase)
	if k.entry.Broken == pki.FaultWeakKey && errors.Is(err, pki.ErrUnsupportedKey) {
		key, err = nil, nil
	}
	if err != nil {
		return nil, err
	}
	if key != nil && !pki.KeyMatches(k.chain[0], key) {
		return nil, fmt.Errorf("load %q: %w: %w: %q", k.entry.Name, ErrBroken, pki.ErrKeyMismatch, k.keyFile)
	}
	return &pki.Bundle{Profile: k.entry.Profile, Certificate: k.chain[0], Key: key, Issuers: k.chain[1:]}, nil
}

// Chain returns a certificate of the workspace and its issuers, the root last, without looking at any key:
// they are there also for a user who may not read the private folder.
func (w *Workspace) Chain(name string) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	err := w.view(context.Background(), func(f *folder) error {
		e, err := w.state.lookup(w.dir, name)
		if err != nil {
			return err
		}
		chain, err = w.state.chain(f, e)
		return err
	})
	return chain, err
}

// chain reads a certificate and its issuers: from its full chain file when it has one, else along the CAs. Files that
// others have put together hold them in any order, and more than belongs to the chain. What is broken on purpose is
// returned as it is.
func (s *state) chain(f *folder, e Entry) ([]*x509.Certificate, error) {
	cert, err := s.certificate(f, e)
	if err != nil {
		return nil, err
	}
	chain := []*x509.Certificate{cert}
	if e.Files.FullChain != "" {
		if chain, err = readCertificates(f, e.Files.FullChain); err != nil {
			return nil, broken(e, err)
		}
		if !slices.ContainsFunc(chain, cert.Equal) {
			return nil, broken(e, fmt.Errorf("the files %q and %q do not match", e.Files.Certificate, e.Files.FullChain))
		}
		if e.Broken == "" {
			chain = findPath(cert, chain)
		}
	} else {
		for at := e; at.CA != ""; {
			if at = s.entries[at.CA]; len(chain) > len(s.entries) {
				return nil, broken(e, errors.New("the manifest lists its cas in a circle"))
			}
			ca, err := s.certificate(f, at)
			if err != nil {
				return nil, err
			}
			chain = append(chain, ca)
		}
	}
	for i, ca := range chain[1:] {
		if e.Broken == "" && !issued(ca, chain[i]) {
			return nil, broken(e, fmt.Errorf("certificate %q was not issued by %q", chain[i].Subject, ca.Subject))
		}
	}
	return chain, nil
}

// findPath returns the certificate and its issuers in order from those in a file, and leaves out what is beside the
// path. When the path does not lead to a root, what is left stands behind it: then the file lacks something.
func findPath(cert *x509.Certificate, file []*x509.Certificate) []*x509.Certificate {
	path := []*x509.Certificate{cert}
	var rest []*x509.Certificate
	for _, c := range file {
		if !c.Equal(cert) && !slices.ContainsFunc(rest, c.Equal) {
			rest = append(rest, c)
		}
	}
	for at := cert; !issued(at, at); {
		i := slices.IndexFunc(rest, func(c *x509.Certificate) bool { return issued(c, at) })
		switch {
		case i < 0 && bytes.Equal(at.RawIssuer, at.RawSubject): // a self-signed one that is no CA
			return path
		case i < 0:
			return append(path, rest...)
		}
		at = rest[i]
		path, rest = append(path, at), slices.Delete(rest, i, i+1)
	}
	return path
}

// certificate reads the certificate of an entry and compares it with the manifest.
func (s *state) certificate(f *folder, e Entry) (*x509.Certificate, error) {
	cert, err := readCertificate(f, e.Files.Certificate)
	if err != nil {
		return nil, broken(e, err)
	}
	if pki.SHA256Thumbprint(cert) != e.SHA256Thumbprint {
		return nil, broken(e, fmt.Errorf("%q is another certificate than the manifest lists", f.show(e.Files.Certificate)))
	}
	return cert, nil
}

// signer returns the key, nil when there is none.
func (k stored) signer(passphrase func() ([]byte, error)) (crypto.Signer, error) {
	switch {
	case k.keyErr != nil:
		return nil, broken(k.entry, k.keyErr)
	case k.keyFile == "":
		return nil, nil
	}
	key, err := pki.ParseKey(k.key, nil)
	if errors.Is(err, pki.ErrPassphraseRequired) && passphrase != nil {
		var secret []byte
		if secret, err = passphrase(); err != nil {
			return nil, fmt.Errorf("get pass phrase of %q: %w", k.keyFile, err)
		}
		key, err = pki.ParseKey(k.key, secret)
	}
	switch {
	case errors.Is(err, pki.ErrPassphraseRequired), errors.Is(err, pki.ErrWrongPassphrase):
		return nil, fmt.Errorf("read %q: %w", k.keyFile, err)
	case err != nil:
		return nil, broken(k.entry, fmt.Errorf("read %q: %w", k.keyFile, err))
	}
	return key, nil
}

// broken marks files that are missing or wrong. A file that may not be read is no damage.
func broken(e Entry, err error) error {
	return fmt.Errorf("load %q: %w", e.Name, damage(err))
}

// damage adds [ErrBroken] to an error, unless it says that reading is not allowed.
func damage(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrBroken, err)
}

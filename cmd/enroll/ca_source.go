package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

const flagCA = "ca"

// caSource is where a CA certificate and its key come from: files, or a CA of a
// workspace.
type caSource struct {
	Cert, Key string
	Dir, CA   string
	Password  cliapp.SecretSource
}

func caSourceFrom(c *cli.Context) (caSource, error) {
	s := caSource{Cert: c.String(flagCert), Key: c.String(flagKey), Dir: c.String(flagDir), CA: c.String(flagCA), Password: keyPassword(c)}
	switch {
	case s.CA != "" && (s.Cert != "" || s.Key != ""):
		return caSource{}, cliapp.Usagef("--%s takes a CA of the workspace: it excludes --%s and --%s", flagCA, flagCert, flagKey)
	case s.CA == "" && c.IsSet(flagCA):
		return caSource{}, cliapp.Usagef("--%s is empty: give the name of a CA of the workspace, such as root", flagCA)
	}
	return s, nil
}

// caSourceFlags are the flags of a command that needs a CA; with key also that
// for its key.
func caSourceFlags(key bool) []cli.Flag {
	list := []cli.Flag{
		&cli.StringFlag{Name: flagCert, Usage: "the CA certificate: `FILE` in PEM, DER or PFX"},
		&cli.StringFlag{Name: flagCA, Usage: "the CA `NAME` of the workspace instead of files: root, intermediate, …"},
		dirFlag(),
	}
	if key {
		list = append(list, &cli.StringFlag{Name: flagKey, Usage: "the key of the CA: `FILE` in PEM, DER or PFX, unless --" + flagCert + " has it too"})
	}
	return append(list, &cli.StringFlag{
		Name: flagKeyPasswordFile,
		Usage: "read the pass phrase of an encrypted CA key, or the password of a PFX, from `FILE` (- is standard input; or set " +
			envKeyPassword + ", " + envPFXPassword + ")",
	})
}

// check demands that the command line names a CA at all.
func (s caSource) check() error {
	if s.Cert == "" && s.CA == "" {
		return cliapp.Usagef("no CA certificate: give --%s FILE, or --%s NAME for one of the workspace", flagCert, flagCA)
	}
	return nil
}

// certificate is the CA certificate alone; a leaf or a key is refused before
// anything is sent. If a key is given, it says which certificate is meant.
func (s caSource) certificate(ctx context.Context, env *cliapp.Env) (*x509.Certificate, error) {
	if s.Key != "" {
		ca, err := s.owned(ctx, env)
		return ca.cert, err
	}
	file := s.Cert
	if s.CA != "" {
		ws, name, err := s.find()
		if err != nil {
			return nil, err
		}
		file = ws.Paths(name).Cert
	}
	source, err := readSource(ctx, env, flagCert, file, s.Password, false)
	if err != nil {
		return nil, err
	}
	if len(source.Certificates) == 0 || source.Certificates[0] == nil {
		return nil, noCertificate(file)
	}
	cert := source.Certificates[0]
	if n := len(source.Certificates); n > 1 {
		env.Notef("%q holds %d certificates: only the first is meant, %q", file, n, cert.Subject)
	}
	return cert, markedCA(file, cert)
}

// markedCA refuses a certificate that says it is none.
func markedCA(file string, cert *x509.Certificate) error {
	if !cert.BasicConstraintsValid || cert.IsCA {
		return nil
	}
	err := fmt.Errorf("%q is not a CA certificate: basicConstraints say CA:FALSE (subject %q)", file, cert.Subject)
	return cliapp.WithHint(cliapp.WithCode(err, cliapp.ExitUsage),
		"a device certificate belongs in an individual enrollment, not in the list of CAs")
}

// find opens the workspace and finds the CA in it.
func (s caSource) find() (ws *workspace.Workspace, name string, err error) {
	if ws, err = workspace.Open(s.Dir); err != nil {
		return nil, "", hintBroken(err, s.Dir)
	}
	entry, err := ws.Lookup(s.CA)
	if errors.Is(err, workspace.ErrNotFound) {
		err = cliapp.WithHint(err, "'certgen list --dir %s' shows what is there", quoteShell(s.Dir))
	}
	return ws, entry.Name, err
}

// ownedCA is a CA with its key.
type ownedCA struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// owned is the CA with its key, checked as far as it can be from here: the key
// belongs to the certificate, which can be proved and is valid now.
func (s caSource) owned(ctx context.Context, env *cliapp.Env) (ownedCA, error) {
	load := s.fromFiles
	if s.CA != "" {
		load = s.fromWorkspace
	}
	ca, err := load(ctx, env)
	if err != nil {
		return ownedCA{}, err
	}
	if err := validNow(ca.cert, env.Now()); err != nil {
		return ownedCA{}, err
	}
	return ca, ca.trial(env.Now)
}

func (s caSource) fromWorkspace(ctx context.Context, env *cliapp.Env) (ownedCA, error) {
	ws, name, err := s.find()
	if err != nil {
		return ownedCA{}, err
	}
	ca, err := ws.Authority(name, func() ([]byte, error) { return secretOf(ctx, env, s.Password) })
	switch {
	case errors.Is(err, pki.ErrNotCA):
		return ownedCA{}, cliapp.WithCode(err, cliapp.ExitUsage)
	case err != nil:
		return ownedCA{}, hintBroken(err, s.Dir)
	}
	return ownedCA{ca.Certificate(), ca.Key()}, nil
}

func (s caSource) fromFiles(ctx context.Context, env *cliapp.Env) (ownedCA, error) {
	source, err := readSource(ctx, env, flagCert, s.Cert, s.Password, s.Key == "")
	if err != nil {
		return ownedCA{}, err
	}
	key, keyFile := source.Key, s.Cert
	if s.Key != "" {
		other, err := readSource(ctx, env, flagKey, s.Key, s.Password, true)
		if err != nil {
			return ownedCA{}, err
		}
		key, keyFile = other.Key, s.Key
	}
	if key == nil {
		return ownedCA{}, cliapp.Usagef("no private key in %q: give --%s FILE", keyFile, flagKey)
	}
	if len(source.Certificates) == 0 {
		return ownedCA{}, noCertificate(s.Cert)
	}
	// A file may hold a whole chain: the CA in question is the one of the key.
	i := slices.IndexFunc(source.Certificates, func(c *x509.Certificate) bool { return c != nil && pki.KeyMatches(c, key) })
	if i < 0 {
		err := fmt.Errorf("the key in %q belongs to no certificate in %q (%s): %w", keyFile, s.Cert, subjects(source.Certificates), pki.ErrKeyMismatch)
		return ownedCA{}, cliapp.WithHint(cliapp.WithCode(err, cliapp.ExitRefused), "the proof has to be signed by the key of the certificate that is uploaded")
	}
	cert := source.Certificates[i]
	if err := markedCA(s.Cert, cert); err != nil {
		return ownedCA{}, err
	}
	return ownedCA{cert, key}, nil
}

// trial signs a proof that nobody sees, so that what the CA cannot sign is found
// before anything is sent.
func (ca ownedCA) trial(now func() time.Time) error {
	_, err := pki.SignVerification(ca.cert, ca.key, "trial", now)
	if errors.Is(err, pki.ErrNotCA) {
		return cliapp.WithHint(cliapp.WithCode(err, cliapp.ExitUsage), "if it has to be this one: 'enroll ca upload NAME --cert FILE', sign the code of 'enroll ca code NAME' "+
			"with another tool, and send that with 'enroll ca verify NAME --cert FILE'")
	}
	return err
}

// noCertificate is the error about a file that should hold the CA.
func noCertificate(file string) error {
	return cliapp.Usagef("no certificate in %q: give --%s FILE with the CA certificate", file, flagCert)
}

// validNow refuses a CA whose proof the service would refuse, before the
// service has been changed.
func validNow(cert *x509.Certificate, now time.Time) error {
	var err error
	hint := "no device below it could register either: make a new CA"
	switch {
	case now.After(cert.NotAfter):
		err = fmt.Errorf("CA certificate %q ended on %s: %w", cert.Subject, day(cert.NotAfter), pki.ErrExpired)
	case now.Before(cert.NotBefore):
		err = fmt.Errorf("CA certificate %q begins on %s: %w", cert.Subject, cert.NotBefore.UTC().Format(time.RFC3339), pki.ErrNotYetValid)
		hint = "check the clock of this machine"
	}
	return cliapp.WithHint(cliapp.WithCode(err, cliapp.ExitRefused), "%s", hint)
}

func subjects(certs []*x509.Certificate) string {
	var names []string
	for _, c := range certs {
		if c != nil {
			names = append(names, fmt.Sprintf("%q", c.Subject.String()))
		}
	}
	if names == nil {
		return "no certificate"
	}
	return strings.Join(names, ", ")
}

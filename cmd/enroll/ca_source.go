package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/doctor"
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
	return append(list, keyPasswordFlag())
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
		ca, err := s.authority(ctx, env)
		if err != nil {
			return nil, err
		}
		return ca.Certificate(), nil
	}
	file := s.Cert
	if s.CA != "" {
		ws, name, err := s.find()
		if err != nil {
			return nil, err
		}
		file = ws.Paths(name).Cert
	}
	source, err := s.read(ctx, env, flagCert, file, false)
	if err != nil {
		return nil, err
	}
	if len(source.Certificates) == 0 || source.Certificates[0] == nil {
		return nil, cliapp.WithCode(fmt.Errorf("read --%s %q: no certificate in it", flagCert, file), cliapp.ExitUsage)
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

// authority is the CA with its key, checked as far as it can be from here: the
// key belongs to the certificate, which is a CA and valid now.
func (s caSource) authority(ctx context.Context, env *cliapp.Env) (*pki.Authority, error) {
	load := s.fromFiles
	if s.CA != "" {
		load = s.fromWorkspace
	}
	ca, err := load(ctx, env)
	if err != nil {
		return nil, err
	}
	if err := validNow(ca.Certificate(), env.Now()); err != nil {
		return nil, err
	}
	return ca, nil
}

func (s caSource) fromWorkspace(ctx context.Context, env *cliapp.Env) (*pki.Authority, error) {
	ws, name, err := s.find()
	if err != nil {
		return nil, err
	}
	ca, err := ws.Authority(name, func() ([]byte, error) { return s.secret(ctx, env) })
	if errors.Is(err, pki.ErrNotCA) {
		return nil, cliapp.WithCode(err, cliapp.ExitUsage)
	}
	return ca, hintBroken(err, s.Dir)
}

func (s caSource) fromFiles(ctx context.Context, env *cliapp.Env) (*pki.Authority, error) {
	source, err := s.read(ctx, env, flagCert, s.Cert, s.Key == "")
	if err != nil {
		return nil, err
	}
	key, keyFile := source.Key, s.Cert
	if s.Key != "" {
		other, err := s.read(ctx, env, flagKey, s.Key, true)
		if err != nil {
			return nil, err
		}
		key, keyFile = other.Key, s.Key
	}
	if key == nil {
		return nil, cliapp.Usagef("no private key in %q: give --%s FILE", keyFile, flagKey)
	}
	// A file may hold a whole chain: the CA in question is the one of the key.
	i := slices.IndexFunc(source.Certificates, func(c *x509.Certificate) bool { return c != nil && pki.KeyMatches(c, key) })
	if i < 0 {
		err := fmt.Errorf("the key in %q belongs to no certificate in %q (%s): %w", keyFile, s.Cert, subjects(source.Certificates), pki.ErrKeyMismatch)
		return nil, cliapp.WithHint(cliapp.WithCode(err, cliapp.ExitRefused), "the proof has to be signed by the key of the certificate that is uploaded")
	}
	cert := source.Certificates[i]
	if err := markedCA(s.Cert, cert); err != nil {
		return nil, err
	}
	ca, err := pki.LoadAuthority([]*x509.Certificate{cert}, key)
	if errors.Is(err, pki.ErrNotCA) {
		return nil, cliapp.WithHint(cliapp.WithCode(fmt.Errorf("use %q: %w", s.Cert, err), cliapp.ExitUsage),
			"if it has to be this one, sign the code of 'enroll ca code' with another tool and send it with 'enroll ca verify'")
	}
	return ca, err
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

// read reads a file of certificates, of a key, or of both. The pass phrase is
// asked for only when something that is wanted is encrypted.
func (s caSource) read(ctx context.Context, env *cliapp.Env, flag, file string, wantKey bool) (doctor.Source, error) {
	data, err := readFile(flag, file)
	if err != nil {
		return doctor.Source{}, err
	}
	source, err := doctor.Read(file, data, nil)
	if errors.Is(err, pki.ErrPassphraseRequired) || err == nil && source.KeyLocked && wantKey {
		secret := func() ([]byte, error) { return s.secret(ctx, env) }
		source, err = doctor.Read(file, data, &doctor.ReadOptions{PFXPassword: secret, KeyPassphrase: secret})
	}
	switch {
	case err != nil:
		return doctor.Source{}, fmt.Errorf("--%s: %w", flag, err)
	case source.Err != nil:
		return doctor.Source{}, fmt.Errorf("read --%s %q: %w", flag, file, source.Err)
	}
	return source, nil
}

// secret is the pass phrase of the key, or of the PFX.
func (s caSource) secret(ctx context.Context, env *cliapp.Env) ([]byte, error) {
	secret, err := env.SecretContext(ctx, s.Password)
	if errors.Is(err, cliapp.ErrNoSecret) {
		return nil, pki.ErrPassphraseRequired
	}
	return secret, err
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

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/doctor"
)

// envPFXPassword is the variable that certgen reads the password of a PFX from.
const envPFXPassword = "CERTGEN_PFX_PASSWORD"

func deviceKeyPasswordFlag() cli.Flag {
	return &cli.StringFlag{
		Name: flagKeyPasswordFile,
		Usage: "read the pass phrase of an encrypted key, or the password of a PFX, from `FILE` (- is standard input; or set " +
			envKeyPassword + ", " + envPFXPassword + ")",
	}
}

func deviceKeyPassword(c *cli.Context) cliapp.SecretSource {
	return cliapp.SecretSource{File: c.String(flagKeyPasswordFile), Env: envKeyPassword, Prompt: "pass phrase of the key"}
}

// certificate reads the chain and the key, which may be in one file, and checks
// that they belong together.
func (o *registerOptions) certificate(ctx context.Context, env *cliapp.Env) (tls.Certificate, error) {
	source, err := o.readCert(ctx, env)
	if err != nil {
		return tls.Certificate{}, err
	}
	chain, key, keyFile := source.Certificates, source.Key, o.Cert
	if o.Key != "" {
		if key, err = readKey(env, o.Key, o.KeyPassword); err != nil {
			return tls.Certificate{}, err
		}
		keyFile = o.Key
	}
	switch {
	case len(chain) == 0:
		return tls.Certificate{}, fmt.Errorf("read --%s %q: no certificate in it", flagCert, o.Cert)
	case key == nil:
		return tls.Certificate{}, cliapp.Usagef("no private key in %q: give --%s FILE", o.Cert, flagKey)
	}
	leaf := chain[0]
	if !pki.KeyMatches(leaf, key) {
		return tls.Certificate{}, cliapp.WithHint(fmt.Errorf("key %q does not belong to the first certificate in %q (subject %q)", keyFile, o.Cert, leaf.Subject),
			"the device certificate comes first in the chain file, the intermediates after it")
	}
	o.Presented = chain
	cert := tls.Certificate{PrivateKey: key, Leaf: leaf}
	for _, c := range chain {
		cert.Certificate = append(cert.Certificate, c.Raw)
	}
	return cert, nil
}

// readCert reads the file of --cert: certificates in PEM or DER, with or without
// the key, or a PFX, which has both.
func (o *registerOptions) readCert(ctx context.Context, env *cliapp.Env) (doctor.Source, error) {
	data, err := readFile(flagCert, o.Cert)
	if err != nil {
		return doctor.Source{}, err
	}
	source, err := doctor.Read(o.Cert, data, nil)
	if errors.Is(err, pki.ErrPassphraseRequired) || err == nil && source.KeyLocked && o.Key == "" {
		source, err = doctor.Read(o.Cert, data, &doctor.ReadOptions{
			PFXPassword: func() ([]byte, error) {
				secret, err := secretOf(ctx, env, o.pfxPassword())
				if errors.Is(err, pki.ErrPassphraseRequired) {
					err = fmt.Errorf("the pfx needs a password: %w", err)
				}
				return secret, err
			},
			KeyPassphrase: func() ([]byte, error) { return secretOf(ctx, env, o.KeyPassword) },
		})
	}
	switch {
	case errors.Is(err, pki.ErrPassphraseRequired):
		return source, cliapp.WithHint(fmt.Errorf("--%s: %w", flagCert, err), "give --%s FILE or set %s (of a PFX: %s); certgen keeps the password of NAME in private/NAME.pfx.password",
			flagKeyPasswordFile, envKeyPassword, envPFXPassword)
	case err != nil:
		return source, fmt.Errorf("--%s: %w", flagCert, err)
	case source.Err != nil:
		return source, fmt.Errorf("read --%s %q: %w", flagCert, o.Cert, source.Err)
	}
	return source, nil
}

func secretOf(ctx context.Context, env *cliapp.Env, from cliapp.SecretSource) ([]byte, error) {
	secret, err := env.SecretContext(ctx, from)
	if errors.Is(err, cliapp.ErrNoSecret) {
		return nil, pki.ErrPassphraseRequired
	}
	return secret, err
}

// pfxPassword is where the password of a PFX comes from: what the command line
// says, the file where certgen keeps one that it made up, the environment.
func (o *registerOptions) pfxPassword() cliapp.SecretSource {
	from := cliapp.SecretSource{File: o.KeyPassword.File, Env: envPFXPassword, Prompt: "password of the PFX"}
	if kept := keptPassword(o.Cert); from.File == "" && kept != "" {
		from.File = kept
	}
	return from
}

// keptPassword returns the file beside a PFX in a workspace or a fleet that holds
// its password; "" if there is none.
func keptPassword(pfx string) string {
	dir, file := filepath.Split(filepath.Clean(pfx))
	stem, ok := strings.CutSuffix(file, ".cert.pfx")
	if dir = filepath.Clean(dir); !ok {
		return ""
	}
	below := ""
	if filepath.Base(dir) != "certs" {
		dir, below = filepath.Dir(dir), filepath.Base(dir)
	}
	if filepath.Base(dir) != "certs" {
		return ""
	}
	path := filepath.Join(filepath.Dir(dir), "private", below, stem+".pfx.password")
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	return path
}

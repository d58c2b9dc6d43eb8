package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/doctor"
)

// envPFXPassword is the variable that certgen reads the password of a PFX from.
const envPFXPassword = "CERTGEN_PFX_PASSWORD"

// errPFXPassword is the [pki.ErrPassphraseRequired] of a PFX.
var errPFXPassword = pfxPasswordError{}

type pfxPasswordError struct{}

func (pfxPasswordError) Error() string { return "the pfx needs a password" }
func (pfxPasswordError) Unwrap() error { return pki.ErrPassphraseRequired }

// readSource reads the file of a flag: certificates in PEM or DER, a key, both, or
// a PFX, which has both. The secret is asked for only when something that is
// wanted is encrypted. A key that is wanted, there, and of no use is an error.
func readSource(ctx context.Context, env *cliapp.Env, flag, file string, password cliapp.SecretSource, wantKey bool) (doctor.Source, error) {
	data, err := readFile(flag, file)
	if err != nil {
		return doctor.Source{}, err
	}
	var passphrase []byte
	source, err := doctor.Read(file, data, nil)
	if errors.Is(err, pki.ErrPassphraseRequired) || err == nil && source.KeyLocked && wantKey {
		source, err = doctor.Read(file, data, &doctor.ReadOptions{
			PFXPassword: func() ([]byte, error) {
				secret, err := secretOf(ctx, env, pfxPassword(env, file, password))
				if errors.Is(err, pki.ErrPassphraseRequired) {
					err = errPFXPassword
				}
				return secret, err
			},
			KeyPassphrase: func() ([]byte, error) {
				var err error
				passphrase, err = secretOf(ctx, env, password)
				return passphrase, err
			},
		})
	}
	switch {
	case errors.Is(err, errPFXPassword):
		return doctor.Source{}, cliapp.WithHint(fmt.Errorf("--%s: %w", flag, err),
			"give --%s FILE or set %s; certgen keeps the password of NAME in private/NAME.pfx.password", flagKeyPasswordFile, envPFXPassword)
	case err != nil:
		return doctor.Source{}, fmt.Errorf("--%s: %w", flag, err)
	case source.Err != nil:
		return doctor.Source{}, fmt.Errorf("read --%s %q: %w", flag, file, source.Err)
	}
	if wantKey && source.Key == nil && source.Format != doctor.FormatPFX {
		if _, err := pki.ParseKey(data, passphrase); errors.Is(err, pki.ErrUnsupportedKey) || strings.Contains(string(data), "PRIVATE KEY-----") {
			return doctor.Source{}, fmt.Errorf("read --%s %q: %w", flag, file, err)
		}
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
// says, the file where certgen keeps one that it made up, the variable for it, or
// that for the pass phrases of keys.
func pfxPassword(env *cliapp.Env, pfx string, password cliapp.SecretSource) cliapp.SecretSource {
	from := cliapp.SecretSource{File: password.File, Env: envPFXPassword, Prompt: "password of the PFX"}
	if kept := keptPassword(pfx); from.File == "" && kept != "" {
		from.File = kept
	}
	if env.Getenv(envPFXPassword) == "" && env.Getenv(password.Env) != "" {
		from.Env = password.Env
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

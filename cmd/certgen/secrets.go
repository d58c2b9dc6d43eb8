package main

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"sync"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki"
)

// caPassphrase returns the function that is asked for the pass phrase of the
// CA's key when it turns out to be encrypted. It asks once, however many
// certificates the CA signs.
func caPassphrase(ctx context.Context, env *cliapp.Env, file, ca string) func() ([]byte, error) {
	return sync.OnceValues(func() ([]byte, error) {
		phrase, err := env.SecretContext(ctx, cliapp.SecretSource{
			File: file, Env: envCAPassword, Prompt: fmt.Sprintf("Pass phrase of the key of %q", ca),
		})
		if errors.Is(err, cliapp.ErrNoSecret) {
			return nil, pki.ErrPassphraseRequired
		}
		if err != nil {
			return nil, fmt.Errorf("read the pass phrase of the key of %q: %w", ca, err)
		}
		return phrase, nil
	})
}

// pfxPassword returns the password that the user gives for a new PFX, or ""
// when none is given and a random one is to be made.
func pfxPassword(ctx context.Context, env *cliapp.Env, file string) (string, error) {
	secret, err := env.SecretContext(ctx, cliapp.SecretSource{File: file, Env: envPFXPassword})
	if errors.Is(err, cliapp.ErrNoSecret) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the PFX password: %w", err)
	}
	if len(secret) == 0 {
		return "", cliapp.Usagef("the PFX password in %q is empty", file)
	}
	return string(secret), nil
}

// newPFXPassword returns the password for a PFX that leaves the folder. Nobody
// would know a random one.
func newPFXPassword(ctx context.Context, env *cliapp.Env, file string) (string, error) {
	secret, err := env.SecretContext(ctx, cliapp.SecretSource{File: file, Env: envPFXPassword, Prompt: "Password for the PFX", Twice: true})
	if errors.Is(err, cliapp.ErrNoSecret) {
		return "", cliapp.Usagef("the PFX needs a password: give it by --%s FILE, by $%s or at a terminal", flagPFXPasswordFile, envPFXPassword)
	}
	if err != nil {
		return "", fmt.Errorf("read the PFX password: %w", err)
	}
	if len(secret) == 0 {
		return "", cliapp.Usagef("the PFX password is empty")
	}
	return string(secret), nil
}

// keyPassphrase returns the function that is asked for the pass phrase of a key
// in the folder when it turns out to be encrypted.
func keyPassphrase(ctx context.Context, env *cliapp.Env, file, name string) func() ([]byte, error) {
	return func() ([]byte, error) {
		phrase, err := openPassword(env, file, name)(ctx, envCAPassword)
		if errors.Is(err, cliapp.ErrNoSecret) {
			return nil, pki.ErrPassphraseRequired
		}
		return phrase, err
	}
}

// openPassword returns the source of the password of a file that is only read.
// The environment has one variable for a PFX and one for keys.
func openPassword(env *cliapp.Env, file, name string) passwordSource {
	return func(ctx context.Context, variable string) ([]byte, error) {
		secret, err := env.SecretContext(ctx, cliapp.SecretSource{
			File: file, Env: variable, Prompt: fmt.Sprintf("Password of %q", name),
		})
		if err != nil && !errors.Is(err, cliapp.ErrNoSecret) {
			return nil, fmt.Errorf("read the password of %q: %w", name, err)
		}
		return secret, err
	}
}

// parseCAKey reads the key of a CA and asks for its pass phrase only when the
// key turns out to be encrypted.
func parseCAKey(data []byte, passphrase func() ([]byte, error)) (crypto.Signer, error) {
	key, err := pki.ParseKey(data, nil)
	if !errors.Is(err, pki.ErrPassphraseRequired) {
		return key, err
	}
	phrase, err := passphrase()
	if err != nil {
		return nil, err
	}
	return pki.ParseKey(data, phrase)
}

func orDefault(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

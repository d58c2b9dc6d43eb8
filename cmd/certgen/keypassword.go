package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
)

const (
	flagKeyPasswordFile = "key-password-file"
	envKeyPassword      = "CERTGEN_KEY_PASSWORD"

	flagIntermediateKeyPasswordFile = "intermediate-key-password-file"
	envIntermediateKeyPassword      = "CERTGEN_INTERMEDIATE_KEY_PASSWORD"
)

// keyPasswordFlag says where the pass phrase is that the key of a new CA is
// encrypted with.
func keyPasswordFlag() cli.Flag {
	return &cli.StringFlag{
		Name: flagKeyPasswordFile, Category: categoryKey,
		Usage: "encrypt the keys of new CAs with the pass phrase, one line, in `FILE` (- is standard input; else $" +
			envKeyPassword + ", else they are not encrypted)",
	}
}

// intermediateKeyPasswordFlag gives the keys below the root another pass phrase.
func intermediateKeyPasswordFlag() cli.Flag {
	return &cli.StringFlag{
		Name: flagIntermediateKeyPasswordFile, Category: categoryKey,
		Usage: "encrypt those below the root with the one in `FILE` (else $" + envIntermediateKeyPassword + ", else the same)",
	}
}

// newKeyPassphrase returns what gives the library the pass phrase for the keys
// of new CAs; nil when they are not to be encrypted.
func newKeyPassphrase(ctx context.Context, env *cliapp.Env, file, variable string) (func() ([]byte, error), error) {
	secret, err := env.SecretContext(ctx, cliapp.SecretSource{File: file, Env: variable})
	if errors.Is(err, cliapp.ErrNoSecret) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the pass phrase for new keys: %w", err)
	}
	if len(secret) == 0 {
		return nil, cliapp.Usagef("the pass phrase in %q is empty", file)
	}
	return func() ([]byte, error) { return secret, nil }, nil
}

// checkStdin refuses to read two passwords from standard input.
func checkStdin(files ...string) error {
	n := 0
	for _, file := range files {
		if file == "-" {
			n++
		}
	}
	if n > 1 {
		return cliapp.Usagef("standard input cannot be two passwords")
	}
	return nil
}

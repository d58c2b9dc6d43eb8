package main

import (
	"context"
	"crypto/tls"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki"
)

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
	source, err := readSource(ctx, env, flagCert, o.Cert, o.KeyPassword, o.Key == "")
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
		return tls.Certificate{}, cliapp.Usagef("no certificate in %q: give --%s FILE with the chain of the device", o.Cert, flagCert)
	case key == nil:
		return tls.Certificate{}, cliapp.Usagef("no private key in %q: give --%s FILE", o.Cert, flagKey)
	}
	leaf := chain[0]
	if !pki.KeyMatches(leaf, key) {
		err := fmt.Errorf("key %q does not belong to the first certificate in %q (subject %q)", keyFile, o.Cert, leaf.Subject)
		return tls.Certificate{}, cliapp.WithHint(cliapp.WithCode(err, cliapp.ExitRefused),
			"the device certificate comes first in the chain file, the intermediates after it")
	}
	o.Presented = chain
	cert := tls.Certificate{PrivateKey: key, Leaf: leaf}
	for _, c := range chain {
		cert.Certificate = append(cert.Certificate, c.Raw)
	}
	return cert, nil
}

package main

import (
	"context"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/device"
)

// credential makes the credential out of what was given: a key, or a chain with
// its private key.
func (o *registerOptions) credential(ctx context.Context, env *cliapp.Env) (device.Credential, error) {
	switch {
	case o.SymmetricKey != "":
		return device.SymmetricKey(o.SymmetricKey), nil
	case o.GroupKey != "":
		return device.GroupKey(o.GroupKey), nil
	case o.Cert == "" && o.Key == "":
		return nil, cliapp.Usagef("no credential: give --%s and --%s, or --%s, or --%s", flagCert, flagKey, flagSymmetricKeyFile, flagGroupKeyFile)
	}
	cert, err := o.certificate(ctx, env)
	if err != nil {
		return nil, err
	}
	return device.X509(cert), nil
}

// readKeys reads the symmetric key, of the device or of its group. What the
// command line gives counts before the environment.
func (o *registerOptions) readKeys(c *cli.Context, env *cliapp.Env) error {
	var given []string
	for _, name := range []string{flagCert, flagSymmetricKeyFile, flagGroupKeyFile} {
		if c.IsSet(name) {
			given = append(given, "--"+name)
		}
	}
	switch {
	case len(given) > 1:
		return cliapp.Usagef("%s exclude each other", strings.Join(given, " and "))
	case c.IsSet(flagKey) && len(given) == 1 && given[0] != "--"+flagCert:
		return cliapp.Usagef("--%s goes with --%s, not with %s", flagKey, flagCert, given[0])
	}
	var err error
	if o.SymmetricKey, err = keyFromFlag(env, c, flagSymmetricKeyFile); err != nil {
		return err
	}
	if o.GroupKey, err = keyFromFlag(env, c, flagGroupKeyFile); err != nil {
		return err
	}
	if len(given) > 0 || c.IsSet(flagKey) {
		return nil
	}
	own, group := strings.TrimSpace(env.Getenv(envSymmetricKey)), strings.TrimSpace(env.Getenv(envGroupKey))
	if own != "" && group != "" {
		return cliapp.Usagef("both %s and %s are set: which one is meant?", envSymmetricKey, envGroupKey)
	}
	o.SymmetricKey, o.GroupKey = dps.Secret(own), dps.Secret(group)
	return nil
}

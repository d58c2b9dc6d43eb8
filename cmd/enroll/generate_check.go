package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/arm"
	"github.com/dpskit/dpskit/pkg/pki"
)

// checkGenerate refuses what is wrong with the command line before anything is
// made.
func checkGenerate(opts generateOptions) error {
	for _, err := range []error{
		pki.CheckRegistrationID(opts.RegistrationID), dps.CheckID(opts.GroupID), arm.CheckName(opts.CAName),
	} {
		if err != nil {
			return cliapp.WithCode(err, cliapp.ExitUsage)
		}
	}
	if opts.Serve && opts.Connect.DryRun {
		return cliapp.Usagef("--%s keeps the embedded emulator up: a dry run starts none", flagServe)
	}
	if opts.Serve && opts.Connect.given() {
		return cliapp.Usagef("--%s keeps the embedded emulator up: it does not go with a connection to another DPS", flagServe)
	}
	return nil
}

// foresee looks, before a new chain is made, whether the DPS has the names of
// this run already: what is stored there cannot be of the new chain. It is also
// where a wrong key or an unreachable host ends a run that has made nothing yet.
func (g *generation) foresee(ctx context.Context) error {
	if g.ws.Exists() || g.opts.Force {
		return nil
	}
	if g.ep.hasARM() {
		client, err := g.ep.arm()
		if err != nil {
			return err
		}
		if _, err := client.GetCertificate(ctx, g.opts.CAName); err == nil {
			return hintForce(taken("CA certificate", g.opts.CAName))
		} else if !errors.Is(err, dps.ErrNotFound) {
			return err
		}
	}
	client, err := g.ep.service()
	if err != nil {
		return err
	}
	if _, err := client.GetGroup(ctx, g.opts.GroupID, nil); err == nil {
		return hintForce(taken("enrollment group", g.opts.GroupID))
	} else if !errors.Is(err, dps.ErrNotFound) {
		return err
	}
	return nil
}

func taken(kind, name string) error {
	return cliapp.WithCode(fmt.Errorf("%s %q exists already, and the folder has no chain that it could be of", kind, name), cliapp.ExitConflict)
}

// checkReuse reports what was asked of new certificates and does not fit those
// that are there.
func (g *generation) checkReuse() error {
	if !g.opts.KeyTypeGiven {
		return nil
	}
	have, err := pki.KeyTypeOf(g.issuer.Certificate().PublicKey)
	if err != nil || have != g.opts.KeyType {
		return cliapp.WithHint(cliapp.WithCode(
			fmt.Errorf("the chain in %q has keys of type %s, not %s", g.ws.Dir(), have, g.opts.KeyType), cliapp.ExitConflict),
			"leave out --%s, choose another --%s, or make everything anew with --%s", flagKeyType, flagDir, flagForce)
	}
	return nil
}

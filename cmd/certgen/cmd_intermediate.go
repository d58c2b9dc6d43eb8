package main

import (
	"context"
	"errors"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

// intermediateOptions are what intermediate was asked for.
type intermediateOptions struct {
	commonOptions
	Name           string // "": intermediate, intermediate2, ... whichever is free
	CA             string // "": the CA before it, or root for a name of its own
	CAPasswordFile string
	Options        pki.CAOptions
	ExpiryAsked    bool
	// KeyPasswordFile holds the pass phrase for the new key.
	KeyPasswordFile string
	PFX             pfxOptions
}

func newIntermediateCmd(env *cliapp.Env, run func(context.Context, *cliapp.Env, intermediateOptions) error) *cli.Command {
	return &cli.Command{
		Name: "intermediate", Usage: "make a CA below another", ArgsUsage: "[NAME]",
		Description: "Without a NAME the CAs are called intermediate, intermediate2, and so on.\n\n" +
			"   certgen intermediate\n" +
			"   certgen intermediate plant-7 --ca root --cn \"Contoso Plant 7\" --path-len 0\n" +
			"   certgen intermediate --key-password-file my-ca.password --pfx",
		Flags: append(append(append(keyFlags(), pathLenFlag(), keyPasswordFlag(), caFlag("the CA before it, or root for a NAME of your own"), caKeyPasswordFlag(),
			&cli.StringFlag{Name: flagCN, Usage: "call it `CN` in the certificate (default: NAME)"},
		), optionalPFXFlags()...), writeFlags()...),
		Before: optionalArg,
		Action: func(c *cli.Context) error {
			ca, asked, err := readCAOptions(env, c)
			if err != nil {
				return err
			}
			if ca.MaxPathLen, err = readPathLen(c); err != nil {
				return err
			}
			ca.CommonName = c.String(flagCN)
			opts := intermediateOptions{
				commonOptions: readWrite(env, c), Name: c.Args().First(), CA: c.String(flagCA),
				CAPasswordFile: c.String(flagCAKeyPasswordFile), Options: ca, ExpiryAsked: asked,
				KeyPasswordFile: c.String(flagKeyPasswordFile),
			}
			if opts.PFX, err = readPFX(c); err != nil {
				return err
			}
			if err := checkStdin(opts.PFX.PasswordFile, opts.CAPasswordFile, opts.KeyPasswordFile); err != nil {
				return err
			}
			return run(c.Context, env, opts)
		},
	}
}

func runIntermediate(ctx context.Context, env *cliapp.Env, opts intermediateOptions) error {
	ws, err := workspace.Open(opts.Dir)
	if err != nil {
		return err
	}
	signer := orDefault(opts.CA, workspace.RootName)
	if _, err := findCA(ws, signer); err != nil {
		return err
	}
	keyPassphrase, err := newKeyPassphrase(ctx, env, opts.KeyPasswordFile, envKeyPassword)
	if err != nil {
		return err
	}
	pfx, err := opts.PFX.options(ctx, env)
	if err != nil {
		return err
	}
	noteSlowKeys(env, opts.commonOptions, opts.Options.KeyType, 1)
	ca, _, err := ws.CreateIntermediate(ctx, workspace.IntermediateOptions{
		Name: opts.Name, CA: opts.CA, Options: opts.Options, Force: opts.Force,
		Passphrase: caPassphrase(ctx, env, opts.CAPasswordFile, signer), KeyPassphrase: keyPassphrase, PFX: pfx,
	})
	if errors.Is(err, pki.ErrPathLenTooLarge) {
		return cliapp.WithCode(cliapp.WithHint(err, "give a smaller --%s, or leave it out: the CAs above limit it all the same",
			flagPathLen), cliapp.ExitUsage)
	}
	if err != nil {
		return err
	}
	name := orDefault(opts.Name, ws.DefaultCA())
	made := &result{Dir: opts.Dir}
	cert, err := made.add(ws, name)
	if err != nil {
		return err
	}
	asked := issueOptions{Validity: opts.Options.Validity, ExpiryAsked: opts.ExpiryAsked}
	noteShortened(env, opts.commonOptions, asked, ca.Bundle())
	noteExpired(env, opts.commonOptions, ca.Certificate())
	next := []string{"device", "my-device"}
	if cert.Name != ws.DefaultCA() {
		next = append(next, "--"+flagCA, cert.Name)
	}
	made.next = nextCommand(opts.Dir, next...)
	return made.printReplacing(env, opts.commonOptions, ws)
}

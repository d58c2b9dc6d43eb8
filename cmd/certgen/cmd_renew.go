package main

import (
	"context"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

// renewOptions are what renew was asked for.
type renewOptions struct {
	commonOptions
	issueOptions
	Name string
	// NewKey asks for a new key, of issueOptions.KeyType or of the old type when
	// that is empty.
	NewKey bool
	// ExpiresIn leaves alone what is valid for longer; nil renews in any case.
	ExpiresIn *time.Duration
	// PFX says how to make a PFX; an empty profile is that of before. Without
	// Write, one whose password is kept in the folder is made again with that.
	PFX pfxOptions
}

func newRenewCmd(env *cliapp.Env, run func(context.Context, *cliapp.Env, renewOptions) error) *cli.Command {
	return &cli.Command{
		Name: "renew", Usage: "issue a certificate again", ArgsUsage: "NAME",
		Description: "The new certificate has the names, the role and the key of the old one, so that an\n" +
			"enrollment by its CA goes on working; an individual enrollment must be told of it. The old\n" +
			"files are kept in the folder 'replaced'. Roots, intermediates and proofs of possession are\n" +
			"not renewed: make new ones.\n\n" +
			"   certgen renew my-device\n" +
			"   certgen renew my-device --expires-in 7d --days 90\n" +
			"   certgen renew my-device --new-key",
		Flags: append(append(append([]cli.Flag{
			&cli.StringFlag{Name: flagExpiresIn, Usage: "do nothing unless it expires within `DURATION` (7d, 36h)"},
			&cli.BoolFlag{Name: flagNewKey, Category: categoryKey, Usage: "make a new key, too"},
			caFlag("the CA that issued it before"), caKeyPasswordFlag(),
		}, keyFlags()...), &cli.StringFlag{
			Name: flagPFXProfile, Category: categoryPFX,
			Usage: "encrypt the PFX for `READERS`: modern, or legacy for Windows before 2019 and old devices (default: as before)",
		}, &cli.StringFlag{
			Name: flagPFXPasswordFile, Category: categoryPFX,
			Usage: "make the PFX with the password in `FILE` (- is standard input; else $" + envPFXPassword +
				", else the one that is kept in the folder)",
		}), readFlags()...),
		Before: cliapp.ExactArgs("NAME"),
		Action: func(c *cli.Context) error {
			opts := renewOptions{
				commonOptions: readCommon(env, c), Name: c.Args().First(), NewKey: c.Bool(flagNewKey),
				PFX: pfxOptions{
					Write:        c.IsSet(flagPFXPasswordFile) || c.IsSet(flagPFXProfile),
					PasswordFile: c.String(flagPFXPasswordFile),
				},
			}
			var err error
			if opts.issueOptions, err = readIssue(env, c); err != nil {
				return err
			}
			if !c.IsSet(flagKeyType) {
				opts.KeyType = ""
			} else if !opts.NewKey {
				return cliapp.Usagef("--%s goes with --%s", flagKeyType, flagNewKey)
			}
			if opts.ExpiresIn, err = readExpiresIn(c); err != nil {
				return err
			}
			if c.IsSet(flagPFXProfile) {
				if opts.PFX.Profile, err = readPFXProfile(c); err != nil {
					return err
				}
			}
			if opts.PFX.PasswordFile == "-" && opts.CAPasswordFile == "-" {
				return cliapp.Usagef("standard input cannot be two passwords")
			}
			return run(c.Context, env, opts)
		},
	}
}

func runRenew(ctx context.Context, env *cliapp.Env, opts renewOptions) error {
	ws, err := workspace.Open(opts.Dir)
	if err != nil {
		return err
	}
	entry, err := ws.Lookup(opts.Name)
	if err != nil {
		return err
	}
	switch entry.Profile {
	case pki.ProfileRoot, pki.ProfileIntermediate, pki.ProfileVerification:
		return cliapp.Usagef("%q cannot be renewed, its profile is %s: make a new one", entry.Name, entry.Profile)
	}
	if opts.ExpiresIn != nil && entry.NotAfter.After(env.Now().Add(*opts.ExpiresIn)) {
		notef(env, opts.commonOptions, "%q is valid until %s: nothing to do", entry.Name, formatTime(entry.NotAfter))
		return renewed(env, opts, ws, entry.Name, false)
	}
	request := workspace.RenewOptions{
		Name: entry.Name, NewKey: opts.NewKey, KeyType: opts.KeyType, CA: opts.CA, Validity: opts.Validity, Now: env.Now,
		Passphrase: caPassphrase(ctx, env, opts.CAPasswordFile, orDefault(opts.CA, entry.CA)),
	}
	unknown := entry.Files.PFX != "" && entry.Files.PFXPassword == ""
	if opts.PFX.Write || entry.Files.PFX != "" && env.Getenv(envPFXPassword) != "" {
		opts.PFX.Write = true
		if request.PFX, err = opts.PFX.options(ctx, env); err != nil {
			return err
		}
	}
	bundle, _, err := ws.Renew(ctx, request)
	if err != nil {
		return err
	}
	noteShortened(env, opts.commonOptions, opts.issueOptions, bundle)
	noteExpired(env, opts.commonOptions, bundle.Certificate)
	if unknown && request.PFX == nil {
		notef(env, opts.commonOptions, "the PFX was not made again, because its password is not kept here: give it by --%s", flagPFXPasswordFile)
	}
	return renewed(env, opts, ws, entry.Name, true)
}

// renewed prints what there is after renew.
func renewed(env *cliapp.Env, opts renewOptions, ws *workspace.Workspace, name string, done bool) error {
	made := &result{Dir: opts.Dir, Renewed: &done}
	if _, err := made.add(ws, name); err != nil {
		return err
	}
	if done {
		made.next = nextCommand(opts.Dir, "inspect", name)
	}
	if done {
		return made.printReplacing(env, opts.commonOptions, ws)
	}
	return made.print(env, opts.commonOptions)
}

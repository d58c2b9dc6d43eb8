package main

import (
	"context"
	"errors"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

// verificationOptions are what verification was asked for.
type verificationOptions struct {
	commonOptions
	issueOptions
	Code string
	// CACert and CAKey are the files of a CA outside of the folder; a PFX needs no CAKey.
	CACert, CAKey string
	Names         []string // in the folder; none: verification-code
	PFX           pfxOptions
}

func newVerificationCmd(env *cliapp.Env, run func(context.Context, *cliapp.Env, verificationOptions) error) *cli.Command {
	return &cli.Command{
		Name: "verification", Usage: "make the certificate that proves possession of a CA's key", ArgsUsage: "CODE",
		Description: "CODE is the verification code that the portal or 'enroll ca code' shows. The CA to be proven\n" +
			"signs: the root of the folder, or another one. A new code replaces the certificate of the\n" +
			"old one.\n\n" +
			"   certgen verification 106A5B3E5B5C4F4C8D1E1D5A0B7C9F3E2D1C0B9A8F7E6D5C\n" +
			"   certgen verification 106A5B3E5B5C --ca intermediate\n" +
			"   certgen verification 106A5B3E5B5C --ca-cert my-ca.pem --ca-key my-ca.key --ca-key-password-file my-ca.password\n" +
			"   certgen verification 106A5B3E5B5C --ca-cert my-ca.pfx --ca-key-password-file my-ca.password",
		Flags: append(append(append(keyFlags(), nameFlag(workspace.VerificationName), caFlag("root"),
			&cli.StringFlag{Name: flagCACert, Category: categoryIssuer, Usage: "sign with the CA certificate in `FILE`, from outside the folder; a PFX brings its key along"},
			caKeyFlag(),
			caKeyPasswordFlag(),
		), optionalPFXFlags()...), writeFlags()...),
		Before: cliapp.ExactArgs("CODE"),
		Action: func(c *cli.Context) error {
			opts := verificationOptions{
				commonOptions: readWrite(env, c), CACert: c.String(flagCACert), CAKey: c.String(flagCAKey),
			}
			var err error
			if opts.issueOptions, err = readIssue(env, c); err != nil {
				return err
			}
			if opts.Code, err = pki.NormalizeVerificationCode(c.Args().First()); err != nil {
				return err
			}
			if opts.Names, err = readNames(c); err != nil {
				return err
			}
			if opts.PFX, err = readPFX(c); err != nil {
				return err
			}
			if err := opts.check(); err != nil {
				return err
			}
			return run(c.Context, env, opts)
		},
	}
}

func (opts verificationOptions) check() error {
	switch {
	case opts.CACert == "" && opts.CAKey != "":
		return cliapp.Usagef("--%s is the key of --%s: give both", flagCAKey, flagCACert)
	case opts.CACert != "" && opts.CA != "":
		return cliapp.Usagef("--%s names a CA of the folder: leave out --%s and --%s", flagCA, flagCACert, flagCAKey)
	}
	return checkStdin(opts.PFX.PasswordFile, opts.CAPasswordFile)
}

func runVerification(ctx context.Context, env *cliapp.Env, opts verificationOptions) error {
	external, err := opts.loadCA(ctx, env)
	if err != nil {
		return err
	}
	ws, err := workspace.Open(opts.Dir)
	if err != nil {
		return err
	}
	ca := orDefault(opts.CA, workspace.RootName)
	if external == nil {
		if ca, err = findCA(ws, ca); err != nil {
			return err
		}
	}
	pfx, err := opts.PFX.options(ctx, env)
	if err != nil {
		return err
	}
	noteSlowKeys(env, opts.commonOptions, opts.KeyType, 1)
	bundle, _, err := ws.IssueVerification(ctx, workspace.VerificationOptions{
		Code: opts.Code, CA: ca, Authority: external, KeyType: opts.KeyType, Validity: opts.Validity,
		Passphrase: caPassphrase(ctx, env, opts.CAPasswordFile, ca), Now: env.Now, Names: opts.Names, PFX: pfx,
		Force: opts.Force,
	})
	if errors.Is(err, pki.ErrExpired) && external != nil {
		return cliapp.WithHint(err, "the CA is that of --%s: an expired one cannot be proven, so have its owner renew it, and upload and prove the new one",
			flagCACert)
	}
	if err != nil {
		return err
	}
	name := workspace.VerificationName
	if len(opts.Names) > 0 {
		name = opts.Names[0]
	}
	issued := []workspace.Issued{{Name: name, Bundle: bundle}}
	issued = withAliases(issued, opts.Names)
	return reportIssued(env, opts.commonOptions, opts.issueOptions, ws, issued, func(first certificate) []string {
		return []string{"enroll", "ca", "verify", "CA-NAME", "--cert", first.Files.Certificate}
	})
}

// loadCA reads the CA from outside of the folder; nil when there is none.
func (opts verificationOptions) loadCA(ctx context.Context, env *cliapp.Env) (*pki.Authority, error) {
	if opts.CACert == "" {
		return nil, nil
	}
	return loadCA(ctx, env, opts.CACert, opts.CAKey, opts.CAPasswordFile)
}

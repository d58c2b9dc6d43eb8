package main

import (
	"context"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

// deviceOptions are what device was asked for.
type deviceOptions struct {
	commonOptions
	issueOptions
	IDs        []string
	Names      []string // in the folder, of the only ID; none: the ID
	SelfSigned bool
	Fault      pki.Fault // what is wrong on purpose; empty: nothing
	PFX        pfxOptions
	Fleet      *fleetOptions // instead of IDs
}

func newDeviceCmd(env *cliapp.Env, run func(context.Context, *cliapp.Env, deviceOptions) error) *cli.Command {
	return &cli.Command{
		Name: "device", Usage: "make device certificates", ArgsUsage: "ID...",
		Description: "The ID becomes the common name and, in DPS, the registration ID. Each device gets its own\n" +
			"files: the certificate, the full chain (what a device presents), the key, and a PFX with\n" +
			"everything. The PFX password is taken from --" + flagPFXPasswordFile + ", $" + envPFXPassword + ", or made at\n" +
			"random and kept in private/ID.pfx.password.\n\n" +
			"   certgen device my-device\n" +
			"   certgen device dev-1 dev-2 dev-3 --days 7 --pfx=false\n" +
			"   certgen device old-box --key-type rsa-2048 --ca root --pfx-profile legacy\n" +
			"   certgen device --self-signed standalone\n" +
			"   certgen device dev-1 --name line-7-dev-1\n" +
			"   certgen device bad-device --broken expired\n\n" + fleetDescription,
		Flags: append(append(append(keyFlags(),
			&cli.BoolFlag{
				Name: flagSelfSigned, Category: categoryIssuer,
				Usage: "let the device sign its own certificate, for an individual enrollment",
			},
			nameFlag("ID"), caFlag("the lowest CA"), caKeyPasswordFlag(), brokenFlag(),
		), pfxFlags()...), append(fleetFlags(), writeFlags()...)...),
		Before: deviceArgs,
		Action: func(c *cli.Context) error {
			opts := deviceOptions{
				commonOptions: readWrite(env, c), IDs: c.Args().Slice(), SelfSigned: c.Bool(flagSelfSigned),
			}
			var err error
			if opts.issueOptions, err = readIssue(env, c); err != nil {
				return err
			}
			if opts.PFX, err = readPFX(c); err != nil {
				return err
			}
			if opts.Names, err = readNames(c); err != nil {
				return err
			}
			if err := opts.readFleet(c); err != nil {
				return err
			}
			if err := opts.readBroken(c); err != nil {
				return err
			}
			if err := opts.check(); err != nil {
				return err
			}
			return run(c.Context, env, opts)
		},
	}
}

// check finds what is wrong with the command line before anything is written.
func (opts deviceOptions) check() error {
	seen := map[string]string{}
	for _, id := range opts.IDs {
		if err := pki.CheckRegistrationID(id); err != nil {
			return err
		}
		key := strings.ToLower(id)
		if other, ok := seen[key]; ok {
			return cliapp.Usagef("device %q is given twice: %q", id, other)
		}
		seen[key] = id
	}
	if opts.SelfSigned && (opts.CA != "" || opts.CAPasswordFile != "") {
		return cliapp.Usagef("--%s needs no CA: leave out --%s", flagSelfSigned, flagCA)
	}
	if len(opts.Names) > 0 && len(opts.IDs) > 1 {
		return cliapp.Usagef("--%s is for one device, not %d", flagName, len(opts.IDs))
	}
	return checkStdin(opts.PFX.PasswordFile, opts.CAPasswordFile)
}

func runDevice(ctx context.Context, env *cliapp.Env, opts deviceOptions) error {
	if opts.Fleet != nil {
		return runFleet(ctx, env, opts)
	}
	ws, err := workspace.Open(opts.Dir)
	if err != nil {
		return err
	}
	ca := ""
	if !opts.SelfSigned {
		if ca, err = findCA(ws, opts.CA); err != nil {
			return err
		}
	}
	if err := opts.checkFault(ws, ca); err != nil {
		return err
	}
	pfx, err := opts.PFX.options(ctx, env)
	if err != nil {
		return err
	}
	passphrase := caPassphrase(ctx, env, opts.CAPasswordFile, ca)
	requests := make([]workspace.IssueOptions, len(opts.IDs))
	for i, id := range opts.IDs {
		requests[i] = workspace.IssueOptions{
			Request:    opts.request(env, pki.ProfileDevice, id),
			CA:         ca,
			SelfSigned: opts.SelfSigned,
			Fault:      opts.Fault,
			PFX:        pfx,
			Force:      opts.Force,
			Passphrase: passphrase,
		}
	}
	setNames(&requests[0], opts.Names)
	noteSlowKeys(env, opts.commonOptions, opts.KeyType, len(requests))
	issued, err := ws.IssueAll(ctx, requests)
	if err != nil {
		return err
	}
	issued = withAliases(issued, opts.Names)
	if opts.Fault != "" {
		noteBroken(env, opts.commonOptions, opts.Fault)
		opts.noteWeakKey(env)
	}
	return reportIssued(env, opts.commonOptions, opts.issueOptions, ws, issued, func(first certificate) []string {
		if opts.Fault != "" {
			return nextCommand(opts.Dir, "doctor", first.Name)
		}
		first.Name = opts.IDs[0] // whatever the folder calls it
		return registerCommand(first)
	})
}

// registerCommand registers a device as the device would do it.
func registerCommand(c certificate) []string {
	flags := []string{"--cert", c.Files.FullChain, "--key", c.Files.Key, "--id-scope", "ID-SCOPE"}
	if strings.HasPrefix(c.Name, "-") {
		return append(append([]string{"enroll", "device", "register"}, flags...), "--", c.Name)
	}
	return append([]string{"enroll", "device", "register", c.Name}, flags...)
}

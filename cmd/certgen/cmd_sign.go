package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

// signOptions are what sign was asked for.
type signOptions struct {
	commonOptions
	issueOptions
	File    string // the request, or "-"
	Profile pki.Profile
	Names   []string // in the folder; none: the common name of the request
}

// signProfiles are the profiles of certificates that a request can get: none of
// a CA.
var signProfiles = []pki.Profile{pki.ProfileDevice, pki.ProfileEdgeIdentity, pki.ProfileServer}

func newSignCmd(env *cliapp.Env, run func(context.Context, *cliapp.Env, signOptions) error) *cli.Command {
	return &cli.Command{
		Name: "sign", Usage: "sign a certificate request", ArgsUsage: "CSR",
		Description: "For a device that makes its own key. CSR is a file in PEM, DER or base64, or - for standard\n" +
			"input. Only the common name, the host names and addresses, and the public key of the\n" +
			"request are used; everything else comes from the profile, and a note says what was left out.\n" +
			"The certificate is never a CA. Other alternative names, an address in a request of a device and\n" +
			"critical extensions that certgen does not know are refused.\n\n" +
			"   certgen sign device.csr\n" +
			"   certgen sign server.csr --profile server --name web --days 7",
		Flags: append(append(validityFlags(),
			&cli.StringFlag{
				Name: flagProfile, Value: string(pki.ProfileDevice), Category: categoryKey,
				Usage: "make a certificate for the `ROLE` " + signProfileNames(),
			},
			nameFlag("the common name of the request"), caFlag("the lowest CA"), caKeyPasswordFlag(),
		), writeFlags()...),
		Before: cliapp.ExactArgs("CSR"),
		Action: func(c *cli.Context) error {
			opts := signOptions{
				commonOptions: readWrite(env, c), File: c.Args().First(),
				Profile: pki.Profile(c.String(flagProfile)),
			}
			if !slices.Contains(signProfiles, opts.Profile) {
				return cliapp.Usagef("invalid --%s %q: want %s", flagProfile, string(opts.Profile), signProfileNames())
			}
			opts.CA, opts.CAPasswordFile = c.String(flagCA), c.String(flagCAKeyPasswordFile)
			if opts.File == "-" && opts.CAPasswordFile == "-" {
				return cliapp.Usagef("standard input cannot be both the request and the pass phrase")
			}
			var err error
			if opts.Names, err = readNames(c); err != nil {
				return err
			}
			if opts.Validity, opts.ExpiryAsked, err = readValidity(c, env.Now()); err != nil {
				return err
			}
			return run(c.Context, env, opts)
		},
	}
}

func signProfileNames() string {
	names := make([]string, len(signProfiles))
	for i, p := range signProfiles {
		names[i] = string(p)
	}
	return strings.Join(names, ", ")
}

func runSign(ctx context.Context, env *cliapp.Env, opts signOptions) error {
	data, err := readFile(ctx, env, opts.File)
	if err != nil {
		return err
	}
	if err := checkOneRequest(data); err != nil {
		return fmt.Errorf("read %q: %w", opts.File, err)
	}
	csr, err := pki.ParseCertificateRequest(data)
	if err != nil {
		return fmt.Errorf("read %q: %w", opts.File, unreadable(err, "req"))
	}
	if err := checkRequest(csr, opts.Profile); err != nil {
		return fmt.Errorf("sign %q: %w", opts.File, err)
	}
	ws, err := workspace.Open(opts.Dir)
	if err != nil {
		return err
	}
	ca, err := findCA(ws, opts.CA)
	if err != nil {
		return err
	}
	noteIgnored(env, opts, csr)
	request := workspace.IssueOptions{
		Request: opts.request(env, opts.Profile, csr.Subject.CommonName), CA: ca, Force: opts.Force,
		Passphrase: caPassphrase(ctx, env, opts.CAPasswordFile, ca),
	}
	request.Request.PublicKey = csr.PublicKey
	request.Request.DNSNames, request.Request.IPAddresses = csr.DNSNames, csr.IPAddresses
	setNames(&request, opts.Names)
	issued, err := ws.IssueAll(ctx, []workspace.IssueOptions{request})
	if err != nil {
		return err
	}
	return reportIssued(env, opts.commonOptions, opts.issueOptions, ws, withAliases(issued, opts.Names), func(first certificate) []string {
		return nextCommand(opts.Dir, "inspect", first.Name)
	})
}

package main

import (
	"context"
	"net"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

const flagSAN = "san"

// leafOptions are what edge-ca, edge-identity and server were asked for.
type leafOptions struct {
	commonOptions
	issueOptions
	Profile     pki.Profile
	Subject     string   // common name, without the ".ca" of an Edge CA
	Names       []string // in the folder; none: the common name
	DNSNames    []string
	IPAddresses []net.IP
	PFX         pfxOptions
}

type leafFunc = func(context.Context, *cliapp.Env, leafOptions) error

func newEdgeCACmd(env *cliapp.Env, run leafFunc) *cli.Command {
	return newLeafCmd(env, run, pki.ProfileEdgeCA, &cli.Command{
		Name: "edge-ca", Usage: "make the CA certificate of an IoT Edge device",
		Description: "The IoT Edge runtime signs the certificates of its modules with it. The common name gets\n" +
			"\".ca\" behind it, because a CA that is called like the host of the device breaks TLS.\n\n" +
			"   certgen edge-ca my-gateway\n" +
			"   certgen edge-ca my-gateway --key-type rsa-2048 --days 365 --name iot-edge-device-ca-my-gateway",
	})
}

func newEdgeIdentityCmd(env *cliapp.Env, run leafFunc) *cli.Command {
	return newLeafCmd(env, run, pki.ProfileEdgeIdentity, &cli.Command{
		Name: "edge-identity", Usage: "make the certificate that an IoT Edge device signs in with",
		Description: "NAME is the device ID and, in DPS, the registration ID.\n\n" +
			"   certgen edge-identity my-gateway\n" +
			"   certgen edge-identity my-gateway --ca intermediate --name iot-edge-device-identity-my-gateway",
	})
}

func newServerCmd(env *cliapp.Env, run leafFunc) *cli.Command {
	cmd := &cli.Command{
		Name: "server", Usage: "make a TLS server certificate",
		Description: "NAME is the host name or address. Clients look for it among the alternative names, where it\n" +
			"stands unless --san gives others.\n\n" +
			"   certgen server gateway.example.com\n" +
			"   certgen server gateway --san gateway.local --san 192.168.1.10",
		Flags: []cli.Flag{&cli.StringSliceFlag{
			Name: flagSAN, Category: categoryKey,
			Usage: "accept connections to `HOST`, a name, a wildcard *.name or an address; repeat it for more (default: NAME)",
		}},
	}
	return newLeafCmd(env, run, pki.ProfileServer, cmd)
}

// newLeafCmd completes a command that makes one certificate of a profile.
func newLeafCmd(env *cliapp.Env, run leafFunc, profile pki.Profile, cmd *cli.Command) *cli.Command {
	def := "NAME"
	if profile == pki.ProfileEdgeCA {
		def = "NAME.ca"
	}
	cmd.ArgsUsage = "NAME"
	cmd.Before = cliapp.ExactArgs("NAME")
	cmd.Flags = append(append(append(append(cmd.Flags, keyFlags()...),
		nameFlag(def), caFlag("the lowest CA"), caKeyPasswordFlag()), pfxFlags()...), writeFlags()...)
	cmd.Action = func(c *cli.Context) error {
		opts := leafOptions{commonOptions: readWrite(env, c), Profile: profile, Subject: c.Args().First()}
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
		if profile == pki.ProfileServer {
			opts.DNSNames, opts.IPAddresses = splitSAN(c.StringSlice(flagSAN))
		}
		if err := opts.check(); err != nil {
			return err
		}
		return run(c.Context, env, opts)
	}
	return cmd
}

// splitSAN sorts alternative names into host names and addresses. The library
// checks the host names.
func splitSAN(names []string) (dns []string, ips []net.IP) {
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			ips = append(ips, ip)
			continue
		}
		dns = append(dns, name)
	}
	return dns, ips
}

func (opts leafOptions) check() error {
	if _, err := opts.Profile.CommonName(opts.Subject); err != nil {
		return err
	}
	return checkStdin(opts.PFX.PasswordFile, opts.CAPasswordFile)
}

func runLeaf(ctx context.Context, env *cliapp.Env, opts leafOptions) error {
	ws, err := workspace.Open(opts.Dir)
	if err != nil {
		return err
	}
	ca, err := findCA(ws, opts.CA)
	if err != nil {
		return err
	}
	pfx, err := opts.PFX.options(ctx, env)
	if err != nil {
		return err
	}
	request := workspace.IssueOptions{
		Request: opts.request(env, opts.Profile, opts.Subject), CA: ca, PFX: pfx, Force: opts.Force,
		Passphrase: caPassphrase(ctx, env, opts.CAPasswordFile, ca),
	}
	request.Request.DNSNames, request.Request.IPAddresses = opts.DNSNames, opts.IPAddresses
	setNames(&request, opts.Names)
	noteSlowKeys(env, opts.commonOptions, opts.KeyType, 1)
	issued, err := ws.IssueAll(ctx, []workspace.IssueOptions{request})
	if err != nil {
		return err
	}
	issued = withAliases(issued, opts.Names)
	return reportIssued(env, opts.commonOptions, opts.issueOptions, ws, issued, func(first certificate) []string {
		return nextCommand(opts.Dir, "inspect", first.Name)
	})
}

package main

import (
	"context"
	"crypto/x509"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

// groupOptions is what a command about enrollment groups was asked for.
type groupOptions struct {
	Connect       connectOptions
	IDs           []string
	SigningCert   string
	SecondaryCert string
	CAReference   string
	SecondaryRef  string
	SymmetricKey  bool
	Status        string
	Yes           bool
	Output        cliapp.Format
}

func newGroupCmd(env *cliapp.Env) *cli.Command {
	command := func(name, usage, args string, before cli.BeforeFunc, extra []cli.Flag, run func(context.Context, *cliapp.Env, groupOptions) error, description string) *cli.Command {
		return &cli.Command{
			Name: name, Usage: usage, ArgsUsage: args, Before: before, Description: description,
			Flags: flags(extra, []cli.Flag{outputFlag()}, connectionFlags(), cliapp.LogFlags()),
			Action: func(c *cli.Context) error {
				opts := groupOptions{
					Connect: connectOptionsFrom(c, env), IDs: c.Args().Slice(),
					SigningCert: c.String(flagSigningCert), SecondaryCert: c.String(flagSecondaryCert),
					CAReference: c.String(flagCAReference), SecondaryRef: c.String(flagSecondaryRef),
					SymmetricKey: c.Bool(flagSymmetricKey), Status: c.String(flagProvisioning),
					Yes: c.Bool(flagYes), Output: env.OutputFormat(c),
				}
				ctx, cancel := opts.Connect.withTimeout(c.Context)
				defer cancel()
				return run(ctx, env, opts)
			},
		}
	}
	one := cliapp.ExactArgs("ID")
	return &cli.Command{
		Name: "group", Usage: "enrollment groups: devices by the CA that signed them",
		Subcommands: []*cli.Command{
			command("create", "create an enrollment group", "ID", one, groupCreateFlags(), runGroupCreate,
				"Devices whose chain leads to the signing certificate are let in. The certificate itself,\n"+
					"or one above it, must be verified (see 'enroll ca prove').\n\n"+
					"   enroll group create my-group --signing-cert pki/certs/azure-iot-test-only.intermediate.cert.pem\n"+
					"   enroll group create my-group --ca-reference my-root"),
			command("show", "show an enrollment group", "ID", one, nil, runGroupShow, "   enroll group show my-group"),
			command("list", "list the enrollment groups", "", cliapp.NoArgs, nil, runGroupList, "   enroll group list --output json"),
			command("delete", "delete enrollment groups", "ID...", cliapp.MinArgs(1, "ID"), []cli.Flag{yesFlag(), dryRunFlag()}, runGroupDelete,
				"The registrations of its devices stay; see 'enroll registration delete'.\n\n   enroll group delete my-group --yes"),
		},
	}
}

func groupCreateFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: flagSigningCert, Usage: "root or intermediate that signs the devices: `FILE` in PEM or DER"},
		&cli.StringFlag{Name: flagSecondaryCert, Usage: "a second one, for a rollover: `FILE`"},
		&cli.StringFlag{Name: flagCAReference, Usage: "`NAME` of a verified CA of this DPS instead of a signing certificate"},
		&cli.StringFlag{Name: flagSecondaryRef, Usage: "a second one: `NAME`"},
		&cli.BoolFlag{Name: flagSymmetricKey, Usage: "symmetric key attestation; the service makes the keys"},
		&cli.StringFlag{Name: flagProvisioning, Value: "enabled", Usage: "`STATUS` enabled or disabled"},
		dryRunFlag(),
	}
}

// attestation builds what the flags say; exactly one kind must be given.
func (o groupOptions) attestation() (service.Attestation, error) {
	kinds := 0
	for _, given := range []bool{o.SigningCert != "", o.CAReference != "", o.SymmetricKey} {
		if given {
			kinds++
		}
	}
	switch {
	case kinds != 1:
		return service.Attestation{}, cliapp.Usagef("give one of --%s, --%s and --%s", flagSigningCert, flagCAReference, flagSymmetricKey)
	case o.SecondaryCert != "" && o.SigningCert == "":
		return service.Attestation{}, cliapp.Usagef("--%s goes with --%s", flagSecondaryCert, flagSigningCert)
	case o.SecondaryRef != "" && o.CAReference == "":
		return service.Attestation{}, cliapp.Usagef("--%s goes with --%s", flagSecondaryRef, flagCAReference)
	case o.SymmetricKey:
		return service.Attestation{Type: service.AttestationSymmetricKey}, nil
	case o.CAReference != "":
		return service.CAReference(o.CAReference, o.SecondaryRef), nil
	}
	primary, err := readCA(flagSigningCert, o.SigningCert)
	if err != nil {
		return service.Attestation{}, err
	}
	var secondary *x509.Certificate
	if o.SecondaryCert != "" {
		if secondary, err = readCA(flagSecondaryCert, o.SecondaryCert); err != nil {
			return service.Attestation{}, err
		}
	}
	return service.SigningCertificate(primary, secondary), nil
}

func runGroupCreate(ctx context.Context, env *cliapp.Env, opts groupOptions) error {
	if opts.Status != "enabled" && opts.Status != "disabled" {
		return cliapp.Usagef("invalid --%s %q: want enabled or disabled", flagProvisioning, opts.Status)
	}
	attestation, err := opts.attestation()
	if err != nil {
		return err
	}
	ep, client, err := connectService(env, opts.Connect)
	if err != nil {
		return err
	}
	group, err := client.PutGroup(ctx, service.EnrollmentGroup{
		EnrollmentGroupID: opts.IDs[0], Attestation: attestation, ProvisioningStatus: service.ProvisioningStatus(opts.Status),
	}, nil)
	if err != nil {
		return ep.finish(err)
	}
	return printGroup(env, opts.Output, group)
}

func runGroupShow(ctx context.Context, env *cliapp.Env, opts groupOptions) error {
	_, client, err := connectService(env, opts.Connect)
	if err != nil {
		return err
	}
	group, err := client.GetGroup(ctx, opts.IDs[0], nil)
	if err != nil {
		return err
	}
	return printGroup(env, opts.Output, group)
}

func runGroupList(ctx context.Context, env *cliapp.Env, opts groupOptions) error {
	_, client, err := connectService(env, opts.Connect)
	if err != nil {
		return err
	}
	groups, rows := []service.EnrollmentGroup{}, [][]string{}
	for group, err := range client.Groups(ctx, nil) {
		if err != nil {
			return err
		}
		group = withoutGroupKeys(group)
		groups, rows = append(groups, group), append(rows, groupRow(group))
	}
	return env.Print(opts.Output, cliapp.View{Value: groups, Columns: groupColumns, Rows: rows, Empty: "no enrollment groups"})
}

func runGroupDelete(ctx context.Context, env *cliapp.Env, opts groupOptions) error {
	ep, client, err := connectService(env, opts.Connect)
	if err != nil {
		return err
	}
	return deleteEach(env, ep, "enrollment group", opts.IDs, opts.Yes, func(id string) error {
		return client.DeleteGroup(ctx, id, nil)
	})
}

var groupColumns = []string{"id", "attestation", "signing certificate", "expiry", "status", "etag"}

func groupRow(g service.EnrollmentGroup) []string {
	signer, expiry := signerOf(g.Attestation)
	status := string(g.ProvisioningStatus)
	return []string{g.EnrollmentGroupID, string(g.Attestation.Type), signer, expiry, status, g.ETag}
}

// signerOf names what lets devices in: the subject of the signing certificate
// and its expiry, or the CA reference.
func signerOf(a service.Attestation) (signer, expiry string) {
	switch {
	case a.X509 == nil:
	case a.X509.CAReferences != nil && a.X509.CAReferences.Primary != "":
		return "CA reference " + a.X509.CAReferences.Primary, ""
	case a.X509.SigningCertificates != nil && a.X509.SigningCertificates.Primary != nil && a.X509.SigningCertificates.Primary.Info != nil:
		info := a.X509.SigningCertificates.Primary.Info
		return info.SubjectName, day(info.NotAfterUTC)
	}
	return "", ""
}

func printGroup(env *cliapp.Env, format cliapp.Format, g service.EnrollmentGroup) error {
	g = withoutGroupKeys(g)
	return env.Print(format, cliapp.View{Value: g, Columns: groupColumns, Rows: [][]string{groupRow(g)}, Single: true})
}

// withoutGroupKeys drops symmetric keys, which the service sends back once
// after a create: they belong in no terminal and no log.
func withoutGroupKeys(g service.EnrollmentGroup) service.EnrollmentGroup {
	if g.Attestation.SymmetricKey != nil {
		g.Attestation.SymmetricKey = nil
	}
	return g
}

func connectService(env *cliapp.Env, opts connectOptions) (*endpoint, *service.Client, error) {
	ep, err := connect(env, opts)
	if err != nil {
		return nil, nil, err
	}
	client, err := ep.service()
	return ep, client, err
}

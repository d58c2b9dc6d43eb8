package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/arm"
	"github.com/dpskit/dpskit/pkg/pki"
)

// caOptions is what a command about CA certificates was asked for.
type caOptions struct {
	Connect connectOptions
	// Hub is the IoT hub whose certificates are meant, instead of those of a DPS.
	Hub      string
	Names    []string
	Source   caSource
	Verified bool
	Force    bool
	Yes      bool
	Output   cliapp.Format
}

type caRun = func(context.Context, *cliapp.Env, caOptions) error

func newCACmd(env *cliapp.Env) *cli.Command {
	one := cliapp.ExactArgs("NAME")
	vouch := &cli.BoolFlag{Name: flagVerified, Usage: "mark it verified at once, without proof of possession"}
	force := &cli.BoolFlag{Name: flagForce, Usage: "replace another certificate of this name"}
	proof := &cli.StringFlag{Name: flagCert, Usage: "the verification certificate: `FILE` in PEM or DER"}
	return &cli.Command{
		Name: "ca", Usage: "CA certificates of a DPS, or of an IoT hub, and proof that you hold their keys",
		Subcommands: []*cli.Command{
			caCommand(env, runCAUpload, &cli.Command{
				Name: "upload", Usage: "upload a CA certificate", ArgsUsage: "NAME", Before: one,
				Description: "   enroll ca upload my-root --cert pki/certs/azure-iot-test-only.root.ca.cert.pem\n" +
					"   enroll ca upload my-root --ca root --verified\n" +
					"   enroll ca upload my-root --ca root --iot-hub my-hub",
				Flags: append(caSourceFlags(false), vouch, force, dryRunFlag()),
			}),
			caCommand(env, runCACode, &cli.Command{
				Name: "code", Usage: "ask for a verification code", ArgsUsage: "NAME", Before: one, Flags: []cli.Flag{dryRunFlag()},
				Description: "The code invalidates the one before it. Sign it with 'certgen verification CODE'.\n\n   enroll ca code my-root",
			}),
			caCommand(env, runCAVerify, &cli.Command{
				Name: "verify", Usage: "send the verification certificate that carries the code", ArgsUsage: "NAME", Before: one,
				Flags:       []cli.Flag{proof, dryRunFlag()},
				Description: "   enroll ca verify my-root --cert pki/certs/verification-code.cert.pem",
			}),
			caCommand(env, runCAProve, &cli.Command{
				Name: "prove", Usage: "upload, code, sign and verify in one step", ArgsUsage: "NAME", Before: one,
				Description: "The CA may be at any level. Its certificate and key are in files, in one or in two, or in\n" +
					"the workspace; they are checked before anything is sent. What is done already is not done\n" +
					"again, so a run that was interrupted is finished by the next one. With --" + flagVerified + " no key is\n" +
					"needed: the upload itself marks the certificate verified.\n\n" +
					"   enroll ca prove my-root --ca root\n" +
					"   enroll ca prove my-root --cert root.cert.pem --key root.key.pem\n" +
					"   enroll ca prove my-root --cert root.pfx --key-password-file root.password\n" +
					"   enroll ca prove my-root --ca intermediate --iot-hub my-hub",
				Flags: append(caSourceFlags(true), vouch, force, dryRunFlag()),
			}),
			caCommand(env, runCAList, &cli.Command{
				Name: "list", Usage: "list the CA certificates", Before: cliapp.NoArgs,
				Description: "   enroll ca list --output json\n   enroll ca list --iot-hub my-hub",
			}),
			caCommand(env, runCAShow, &cli.Command{
				Name: "show", Usage: "show a CA certificate", ArgsUsage: "NAME", Before: one, Description: "   enroll ca show my-root",
			}),
			caCommand(env, runCADelete, &cli.Command{
				Name: "delete", Usage: "delete CA certificates", ArgsUsage: "NAME...", Before: cliapp.MinArgs(1, "NAME"),
				Description: "   enroll ca delete my-root --yes", Flags: []cli.Flag{yesFlag(), dryRunFlag()},
			}),
		},
	}
}

// caCommand gives a command the flags that all of them have, and its action.
func caCommand(env *cliapp.Env, run caRun, cmd *cli.Command) *cli.Command {
	cmd.Flags = flags(cmd.Flags, []cli.Flag{
		&cli.StringFlag{Name: flagIoTHub, Category: categoryARM, Usage: "the certificates of the IoT hub `NAME` instead of a DPS; --" + flagResourceGroup + " is then that of the hub"},
		outputFlag(),
	}, connectionFlags(), armFlags(), cliapp.LogFlags())
	cmd.Action = func(c *cli.Context) error {
		opts, err := caOptionsFrom(c, env)
		if err != nil {
			return err
		}
		return bounded(c, opts.Connect, func(ctx context.Context) error { return run(ctx, env, opts) })
	}
	return cmd
}

func caOptionsFrom(c *cli.Context, env *cliapp.Env) (caOptions, error) {
	source, err := caSourceFrom(c)
	if err != nil {
		return caOptions{}, err
	}
	opts := caOptions{
		Connect: connectOptionsFrom(c, env), Hub: c.String(flagIoTHub), Names: c.Args().Slice(), Source: source,
		Verified: c.Bool(flagVerified), Force: c.Bool(flagForce), Yes: c.Bool(flagYes), Output: env.OutputFormat(c),
	}
	opts.Connect.ARMVersion = opts.Connect.APIVersion
	switch {
	case opts.Hub == "" && c.IsSet(flagIoTHub):
		return caOptions{}, cliapp.Usagef("--%s is empty: give the name of a hub", flagIoTHub)
	case opts.Hub != "" && opts.Connect.Name != "":
		return caOptions{}, cliapp.Usagef("--%s and --%s exclude each other: one names an IoT hub, the other a DPS", flagIoTHub, flagName)
	}
	opts.Connect.SubscriptionOnly = opts.Hub != ""
	return opts, nil
}

// caView is a CA certificate as JSON prints it.
type caView struct {
	Name       string    `json:"name"`
	Verified   bool      `json:"isVerified"`
	Subject    string    `json:"subject"`
	Thumbprint string    `json:"thumbprint"`
	Expiry     time.Time `json:"expiry"`
	Updated    time.Time `json:"updated"`
	ETag       string    `json:"etag"`
	Code       string    `json:"verificationCode,omitempty"`
}

func viewCA(c arm.Certificate) caView {
	return caView{Name: c.Name, Verified: c.Verified, Subject: c.Subject, Thumbprint: c.Thumbprint, Expiry: c.Expiry, Updated: c.Updated, ETag: c.ETag}
}

var caColumns = []string{"name", "verified", "subject", "thumbprint", "expiry"}

func (v caView) row() []string {
	return []string{v.Name, strconv.FormatBool(v.Verified), v.Subject, v.Thumbprint, day(v.Expiry)}
}

func printCA(env *cliapp.Env, format cliapp.Format, v caView) error {
	return env.Print(format, cliapp.View{Value: v, Columns: caColumns, Rows: [][]string{v.row()}, Single: true})
}

func runCAUpload(ctx context.Context, env *cliapp.Env, opts caOptions) error {
	if err := opts.Source.check(); err != nil {
		return err
	}
	cert, err := opts.Source.certificate(ctx, env)
	if err != nil {
		return err
	}
	if err := validNow(cert, env.Now()); err != nil { // the service takes it all the same
		env.Notef("note: %v: no device below it can register", err)
	}
	return uploadCA(ctx, env, opts, cert)
}

// uploadCA uploads a certificate, unless it is there already.
func uploadCA(ctx context.Context, env *cliapp.Env, opts caOptions, cert *x509.Certificate) error {
	ep, client, err := connectCA(ctx, env, opts)
	if err != nil {
		return err
	}
	name, upload := opts.Names[0], &arm.UploadOptions{Verified: opts.Verified}
	existing, err := client.GetCertificate(ctx, name)
	switch {
	case errors.Is(err, dps.ErrNotFound):
	case err != nil:
		return err
	case existing.Thumbprint == pki.SHA1Thumbprint(cert) && (existing.Verified || !opts.Verified):
		env.Notef("CA certificate %q is there already", name)
		return ep.end(nil, func() error { return printCA(env, opts.Output, viewCA(existing)) })
	case existing.Thumbprint != pki.SHA1Thumbprint(cert) && !opts.Force:
		return hintReplace(fmt.Errorf("CA certificate %q exists with another thumbprint, %s: %w", name, existing.Thumbprint, dps.ErrConflict))
	default:
		upload.IfMatch = existing.ETag
	}
	uploaded, err := client.UploadCertificate(ctx, name, cert, upload)
	return ep.end(err, func() error {
		if !uploaded.Verified {
			env.Notef("uploaded; prove that you hold its key: enroll ca code %s%s", name, opts.hubFlag())
		}
		return printCA(env, opts.Output, viewCA(uploaded))
	})
}

func runCACode(ctx context.Context, env *cliapp.Env, opts caOptions) error {
	ep, client, err := connectCA(ctx, env, opts)
	if err != nil {
		return err
	}
	name := opts.Names[0]
	code, cert, err := client.GenerateCode(ctx, name, "")
	v := viewCA(cert)
	v.Code = code
	return ep.end(err, func() error {
		return env.Print(opts.Output, cliapp.View{Value: v, Columns: []string{"verification code"}, Rows: [][]string{{code}}, Single: true})
	})
}

func runCAList(ctx context.Context, env *cliapp.Env, opts caOptions) error {
	_, client, err := connectCA(ctx, env, opts)
	if err != nil {
		return err
	}
	certs, err := client.ListCertificates(ctx)
	if err != nil {
		return err
	}
	views, rows := make([]caView, len(certs)), make([][]string, len(certs))
	for i, c := range certs {
		views[i] = viewCA(c)
		rows[i] = views[i].row()
	}
	return env.Print(opts.Output, cliapp.View{Value: views, Columns: caColumns, Rows: rows, Empty: "no CA certificates"})
}

func runCAShow(ctx context.Context, env *cliapp.Env, opts caOptions) error {
	_, client, err := connectCA(ctx, env, opts)
	if err != nil {
		return err
	}
	cert, err := client.GetCertificate(ctx, opts.Names[0])
	if err != nil {
		return err
	}
	return printCA(env, opts.Output, viewCA(cert))
}

func runCADelete(ctx context.Context, env *cliapp.Env, opts caOptions) error {
	ep, client, err := connectCA(ctx, env, opts)
	if err != nil {
		return err
	}
	return deletion{env, ep, "CA certificate", opts.Yes, opts.Output}.each(ctx, opts.Names, func(name string) error {
		return client.DeleteCertificate(ctx, name, "")
	})
}

// hubFlag is the flag to add to the commands that are suggested.
func (o caOptions) hubFlag() string {
	if o.Hub == "" {
		return ""
	}
	return " --" + flagIoTHub + " " + o.Hub
}

// hintReplace adds to a name that is taken what can be done.
func hintReplace(err error) error {
	if !errors.Is(err, dps.ErrConflict) {
		return err
	}
	return cliapp.WithHint(err, "choose another name, or replace it with --%s", flagForce)
}

// connectCA returns the client of the CA certificates, of the DPS or of the hub.
func connectCA(ctx context.Context, env *cliapp.Env, opts caOptions) (*endpoint, *arm.CertificateClient, error) {
	if opts.Hub != "" {
		return connectHub(ctx, env, opts)
	}
	ep, client, err := connectARM(ctx, env, opts.Connect)
	if err != nil {
		return nil, nil, err
	}
	return ep, &client.CertificateClient, nil
}

func connectHub(ctx context.Context, env *cliapp.Env, opts caOptions) (*endpoint, *arm.CertificateClient, error) {
	ep, err := connect(env, opts.Connect)
	if err != nil {
		return nil, nil, err
	}
	client, err := ep.hub(ctx, opts.Hub)
	if err != nil {
		return nil, nil, err
	}
	return ep, &client.CertificateClient, nil
}

func connectARM(ctx context.Context, env *cliapp.Env, opts connectOptions) (*endpoint, *arm.Client, error) {
	ep, err := connect(env, opts)
	if err != nil {
		return nil, nil, err
	}
	if err := ep.locate(ctx); err != nil {
		return nil, nil, err
	}
	client, err := ep.arm()
	return ep, client, err
}

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
	Connect     connectOptions
	Names       []string
	Cert, Key   string
	KeyPassword cliapp.SecretSource
	Verified    bool
	Force       bool
	Yes         bool
	Output      cliapp.Format
}

func newCACmd(env *cliapp.Env) *cli.Command {
	command := func(name, usage, args string, before cli.BeforeFunc, extra []cli.Flag, run func(context.Context, *cliapp.Env, caOptions) error, description string) *cli.Command {
		return &cli.Command{
			Name: name, Usage: usage, ArgsUsage: args, Before: before, Description: description,
			Flags: flags(extra, []cli.Flag{outputFlag()}, connectionFlags(), armFlags(), cliapp.LogFlags()),
			Action: func(c *cli.Context) error {
				connect := connectOptionsFrom(c, env)
				connect.ARMVersion = connect.APIVersion
				opts := caOptions{
					Connect: connect, Names: c.Args().Slice(), Cert: c.String(flagCert), Key: c.String(flagKey),
					KeyPassword: keyPassword(c), Verified: c.Bool(flagVerified), Force: c.Bool(flagForce), Yes: c.Bool(flagYes),
					Output: env.OutputFormat(c),
				}
				ctx, cancel := opts.Connect.withTimeout(c.Context)
				defer cancel()
				return run(ctx, env, opts)
			},
		}
	}
	cert := func(usage string) cli.Flag { return &cli.StringFlag{Name: flagCert, Usage: usage} }
	one := cliapp.ExactArgs("NAME")
	return &cli.Command{
		Name: "ca", Usage: "CA certificates of a DPS and proof that you hold their keys",
		Subcommands: []*cli.Command{
			command("upload", "upload a CA certificate", "NAME", one, []cli.Flag{
				cert("the CA certificate: `FILE` in PEM or DER"),
				&cli.BoolFlag{Name: flagVerified, Usage: "mark it verified at once, without proof of possession"},
				&cli.BoolFlag{Name: flagForce, Usage: "replace another certificate of this name"}, dryRunFlag(),
			}, runCAUpload, "   enroll ca upload my-root --cert pki/certs/azure-iot-test-only.root.ca.cert.pem"),
			command("code", "ask for a verification code", "NAME", one, []cli.Flag{dryRunFlag()}, runCACode,
				"The code invalidates the one before it. Sign it with 'certgen verification CODE'.\n\n   enroll ca code my-root"),
			command("verify", "send the verification certificate that carries the code", "NAME", one, []cli.Flag{
				cert("the verification certificate: `FILE` in PEM or DER"), dryRunFlag(),
			}, runCAVerify, "   enroll ca verify my-root --cert pki/certs/verification-code.cert.pem"),
			command("prove", "upload, code, sign and verify in one step", "NAME", one, []cli.Flag{
				cert("the CA certificate: `FILE` in PEM or DER"),
				&cli.StringFlag{Name: flagKey, Usage: "the key of the CA: `FILE` in PEM or DER"}, keyPasswordFlag(),
				&cli.BoolFlag{Name: flagForce, Usage: "replace another certificate of this name"},
			}, runCAProve, "What is done already is not done again.\n\n"+
				"   enroll ca prove my-root --cert pki/certs/azure-iot-test-only.root.ca.cert.pem --key pki/private/azure-iot-test-only.root.ca.key.pem"),
			command("list", "list the CA certificates", "", cliapp.NoArgs, nil, runCAList, "   enroll ca list --output json"),
			command("show", "show a CA certificate", "NAME", one, nil, runCAShow, "   enroll ca show my-root"),
			command("delete", "delete CA certificates", "NAME...", cliapp.MinArgs(1, "NAME"), []cli.Flag{yesFlag(), dryRunFlag()}, runCADelete,
				"   enroll ca delete my-root --yes"),
		},
	}
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

// readCA reads a file that must hold a CA certificate, so that a leaf or a key
// is refused before anything is sent.
func readCA(flag, file string) (*x509.Certificate, error) {
	certs, err := readCertificates(flag, file)
	if err != nil {
		return nil, err
	}
	if cert := certs[0]; cert.BasicConstraintsValid && !cert.IsCA {
		return nil, cliapp.WithHint(cliapp.WithCode(fmt.Errorf("%q is not a CA certificate: basicConstraints say CA:FALSE (subject %q)", file, cert.Subject), cliapp.ExitUsage),
			"a device certificate belongs in an individual enrollment, not in the list of CAs")
	}
	return certs[0], nil
}

func runCAUpload(ctx context.Context, env *cliapp.Env, opts caOptions) error {
	cert, err := readCA(flagCert, opts.Cert)
	if err != nil {
		return err
	}
	ep, client, err := connectARM(ctx, env, opts.Connect)
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
		return printCA(env, opts.Output, viewCA(existing))
	case existing.Thumbprint != pki.SHA1Thumbprint(cert) && !opts.Force:
		return cliapp.WithHint(cliapp.WithCode(fmt.Errorf("CA certificate %q exists with another thumbprint, %s", name, existing.Thumbprint), cliapp.ExitConflict),
			"choose another name, or replace it with --%s", flagForce)
	default:
		upload.IfMatch = existing.ETag
	}
	uploaded, err := client.UploadCertificate(ctx, name, cert, upload)
	if err != nil {
		return ep.finish(err)
	}
	if !uploaded.Verified {
		env.Notef("uploaded; prove that you hold its key: enroll ca code %s", name)
	}
	return printCA(env, opts.Output, viewCA(uploaded))
}

func runCACode(ctx context.Context, env *cliapp.Env, opts caOptions) error {
	ep, client, err := connectARM(ctx, env, opts.Connect)
	if err != nil {
		return err
	}
	name := opts.Names[0]
	existing, err := client.GetCertificate(ctx, name)
	if err != nil {
		return err
	}
	code, cert, err := client.GenerateCode(ctx, name, existing.ETag)
	if err != nil {
		return ep.finish(err)
	}
	v := viewCA(cert)
	v.Code = code
	return env.Print(opts.Output, cliapp.View{Value: v, Columns: []string{"verification code"}, Rows: [][]string{{code}}, Single: true})
}

func runCAVerify(ctx context.Context, env *cliapp.Env, opts caOptions) error {
	certs, err := readCertificates(flagCert, opts.Cert)
	if err != nil {
		return err
	}
	ep, client, err := connectARM(ctx, env, opts.Connect)
	if err != nil {
		return err
	}
	name := opts.Names[0]
	existing, err := client.GetCertificate(ctx, name)
	if err != nil {
		return err
	}
	verified, err := client.VerifyCertificate(ctx, name, certs[0], existing.ETag)
	if err != nil {
		return ep.finish(err)
	}
	return printCA(env, opts.Output, viewCA(verified))
}

func runCAProve(ctx context.Context, env *cliapp.Env, opts caOptions) error {
	cert, err := readCA(flagCert, opts.Cert)
	if err != nil {
		return err
	}
	key, err := readKey(env, opts.Key, opts.KeyPassword)
	if err != nil {
		return err
	}
	authority, err := pki.LoadAuthority([]*x509.Certificate{cert}, key)
	if err != nil {
		return fmt.Errorf("use %q with %q: %w", opts.Cert, opts.Key, err)
	}
	_, client, err := connectARM(ctx, env, opts.Connect)
	if err != nil {
		return err
	}
	sign := func(_ context.Context, code string) (*x509.Certificate, error) {
		b, err := authority.Issue(pki.IssueRequest{Profile: pki.ProfileVerification, CommonName: code, Now: env.Now})
		if err != nil {
			return nil, err
		}
		return b.Certificate, nil
	}
	proof, err := client.Prove(ctx, opts.Names[0], cert, sign, &arm.ProveOptions{Replace: opts.Force})
	if err != nil {
		return err
	}
	if proof.AlreadyVerified {
		env.Notef("CA certificate %q is verified already", opts.Names[0])
	}
	v := viewCA(proof.Certificate)
	v.Code = proof.Code
	return printCA(env, opts.Output, v)
}

func runCAList(ctx context.Context, env *cliapp.Env, opts caOptions) error {
	_, client, err := connectARM(ctx, env, opts.Connect)
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
	_, client, err := connectARM(ctx, env, opts.Connect)
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
	ep, client, err := connectARM(ctx, env, opts.Connect)
	if err != nil {
		return err
	}
	return deleteEach(env, ep, "CA certificate", opts.Names, opts.Yes, func(name string) error {
		return client.DeleteCertificate(ctx, name, "")
	})
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

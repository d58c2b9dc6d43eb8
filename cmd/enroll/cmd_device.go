package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/device"
)

// registerOptions is what enroll device register was asked for.
type registerOptions struct {
	Connect        connectOptions
	RegistrationID string
	Cert, Key      string
	KeyPassword    cliapp.SecretSource
	SymmetricKey   dps.Secret
	GroupKey       dps.Secret
	IDScope        string
	Host           string
	Transport      device.Transport
	Payload        string
	Output         cliapp.Format
	Many           *manyOptions // instead of RegistrationID

	// Presented is the chain that the device shows, once it has been read.
	Presented []*x509.Certificate
}

func newDeviceCmd(env *cliapp.Env) *cli.Command {
	return &cli.Command{
		Name: "device", Usage: "act as a device",
		Subcommands: []*cli.Command{newRegisterCmd(env, runRegister)},
	}
}

func newRegisterCmd(env *cliapp.Env, run func(context.Context, *cliapp.Env, registerOptions) error) *cli.Command {
	return &cli.Command{
		Name: "register", Usage: "register a device as it would register itself, or many devices", ArgsUsage: "ID", Before: registerArgs,
		Description: registerHelp(),
		Flags: flags([]cli.Flag{
			&cli.StringFlag{Name: flagCert, Usage: "device certificate and intermediates: `FILE` in PEM, DER or PFX"},
			&cli.StringFlag{Name: flagKey, Usage: "device key: `FILE` in PEM or DER, unless --" + flagCert + " has it too"},
			deviceKeyPasswordFlag(),
			&cli.StringFlag{Name: flagSymmetricKeyFile, Usage: "the device's symmetric key: `FILE` with base64 (- is standard input; or set " + envSymmetricKey + ")"},
			&cli.StringFlag{Name: flagGroupKeyFile, Usage: "derive the device's key from its group's key in `FILE` (- is standard input; or set " + envGroupKey + ")"},
			&cli.StringFlag{Name: flagIDScope, EnvVars: []string{envIDScope}, Usage: "ID `SCOPE` of the DPS"},
			&cli.StringFlag{Name: flagHost, EnvVars: []string{envDeviceHost}, Usage: "`HOST` that the device registers at"},
			&cli.StringFlag{Name: flagCloud, EnvVars: []string{envCloud}, Usage: "register in this `CLOUD`: AzurePublicCloud, AzureUSGovernment or AzureChinaCloud"},
			transportFlag(),
			&cli.StringFlag{Name: flagPayload, Usage: "JSON `VALUE` that the device sends along, or @FILE"},
			&cli.StringFlag{Name: flagCAFile, EnvVars: []string{envCAFile}, Usage: "trust the TLS root certificates in `FILE`, too"},
			&cli.StringFlag{Name: flagAPIVersion, Usage: "speak this `VERSION` of the API"},
			&cli.StringFlag{Name: flagConnectionString, EnvVars: []string{envConnectionString}, Hidden: true},
			timeoutFlag(), dryRunFlag(), outputFlag(),
		}, manyFlags(), cliapp.LogFlags()),
		Action: func(c *cli.Context) error {
			opts, err := registerOptionsFrom(c, env)
			if err != nil {
				return err
			}
			ctx, cancel := c.Context, context.CancelFunc(func() {})
			if opts.Many == nil { // else it bounds each device
				ctx, cancel = opts.Connect.withTimeout(ctx)
			}
			defer cancel()
			return run(ctx, env, opts)
		},
	}
}

func registerHelp() string {
	return "The chain file holds the device certificate first and every intermediate after it; a PFX needs\n" +
		"no --" + flagKey + ", and its password is found where certgen keeps it.\n" +
		"Instead of a certificate a device may have a symmetric key (base64, from a file or from\n" +
		envSymmetricKey + "): that of its individual enrollment, or one derived from the key of its\n" +
		"group; with the group's key in --" + flagGroupKeyFile + " or " + envGroupKey + " it is derived here.\n" +
		"A refusal is explained: by what is wrong with the certificates, as 'certgen doctor' finds\n" +
		"it, and by the rule that an emulator applied.\n" +
		"Without --host the device registers at the emulator whose connection string is set, or\n" +
		"else at " + dps.GlobalDeviceHost + " (that of --" + flagCloud + ").\n\n" +
		"   enroll device register my-device --cert pki/certs/my-device-full-chain.cert.pem \\\n" +
		"       --key pki/private/my-device.key.pem --id-scope 0ne00C0FFEE\n" +
		"   enroll device register my-device --cert pki/certs/my-device.cert.pfx --id-scope 0ne00C0FFEE\n" +
		"   enroll device register my-sensor --symmetric-key-file my-sensor.key --id-scope 0ne00C0FFEE\n" +
		"   enroll device register my-sensor --group-key-file group.key --id-scope 0ne00C0FFEE \\\n" +
		"       --transport mqtt\n\n" + manyHelp
}

func registerOptionsFrom(c *cli.Context, env *cliapp.Env) (registerOptions, error) {
	transport, err := transportFrom(c)
	if err != nil {
		return registerOptions{}, err
	}
	connection := connectOptionsFrom(c, env)
	connection.Host = ""
	opts := registerOptions{
		Connect: connection, Cert: c.String(flagCert), Key: c.String(flagKey),
		KeyPassword: deviceKeyPassword(c), IDScope: c.String(flagIDScope), Host: c.String(flagHost), Transport: transport,
		Payload: c.String(flagPayload), Output: env.OutputFormat(c),
	}
	if opts.Payload, err = payloadFrom(opts.Payload); err != nil {
		return registerOptions{}, err
	}
	if isMany(c) {
		return opts, opts.readMany(c, env)
	}
	opts.RegistrationID = c.Args().First()
	return opts, opts.readKeys(c, env)
}

// payloadFrom reads the JSON value of --payload, which may be in a file.
func payloadFrom(value string) (string, error) {
	text, err := textOrFile(flagPayload, value)
	switch {
	case err != nil:
		return "", err
	case text == "" || json.Valid([]byte(text)):
		return text, nil
	case text != value:
		return "", cliapp.Usagef("--%s %q is not JSON", flagPayload, strings.TrimPrefix(value, "@"))
	}
	err = cliapp.Usagef("--%s is not JSON: %s", flagPayload, text)
	if _, statErr := os.Stat(text); statErr == nil {
		return "", cliapp.WithHint(err, "to read a file write --%s @%s", flagPayload, text)
	}
	return "", err
}

// registration is the outcome as JSON prints it.
type registration struct {
	RegistrationID    string          `json:"registrationId"`
	Status            string          `json:"status"`
	Substatus         string          `json:"substatus,omitempty"`
	DeviceID          string          `json:"deviceId"`
	AssignedHub       string          `json:"assignedHub"`
	EnrollmentGroupID string          `json:"enrollmentGroupId,omitempty"`
	OperationID       string          `json:"operationId"`
	Payload           json.RawMessage `json:"payload,omitempty"`
}

func runRegister(ctx context.Context, env *cliapp.Env, opts registerOptions) error {
	if opts.Many != nil {
		return runRegisterMany(ctx, env, opts)
	}
	cred, err := opts.credential(ctx, env)
	if err != nil {
		return err
	}
	settings, err := opts.client(ctx, env)
	if err != nil {
		return err
	}
	client, err := device.NewClient(opts.IDScope, opts.RegistrationID, cred, &settings)
	if err != nil {
		return cliapp.WithCode(err, cliapp.ExitUsage)
	}
	request := &device.RegisterOptions{Payload: json.RawMessage(opts.Payload)}
	if opts.Connect.DryRun {
		var dry registerDryRun
		if err := dry.add(env, opts.Output, client, request); err != nil {
			return err
		}
		return dry.print(env, opts.Output)
	}
	waits := newManyProgress(env, opts.host())
	request.Attempt = func(a device.Attempt) {
		var refusal *dps.Error
		if a.Again && errors.As(a.Err, &refusal) && (refusal.StatusCode != 0 || errors.Is(refusal, context.DeadlineExceeded)) {
			waits.waiting(a.Err, a.Delay)
		}
	}
	result, err := client.Register(ctx, request)
	if err != nil {
		return explainRegistration(refusedRegistration(err), sentChain{opts.RegistrationID, opts.Cert, opts.Presented, env.Now})
	}
	v := registration{
		RegistrationID: result.RegistrationID, Status: result.Status, Substatus: result.Substatus, DeviceID: result.DeviceID,
		AssignedHub: result.AssignedHub, EnrollmentGroupID: result.EnrollmentGroupID, OperationID: result.OperationID, Payload: result.Payload,
	}
	return env.Print(opts.Output, cliapp.View{
		Value:   v,
		Columns: []string{"id", "status", "device ID", "assigned hub", "substatus", "enrollment group"},
		Rows:    [][]string{{v.RegistrationID, v.Status, v.DeviceID, v.AssignedHub, v.Substatus, v.EnrollmentGroupID}},
		Single:  true,
	})
}

// client finds out how devices reach the service.
func (o *registerOptions) client(ctx context.Context, env *cliapp.Env) (device.ClientOptions, error) {
	ep := &endpoint{opts: o.Connect, getenv: env.Getenv}
	if err := ep.trust(o.Connect.CAFile); err != nil {
		return device.ClientOptions{}, err
	}
	if err := o.find(ctx, env); err != nil {
		return device.ClientOptions{}, err
	}
	return device.ClientOptions{
		Host: o.Host, Transport: o.Transport, RootCAs: ep.roots, APIVersion: o.Connect.APIVersion, Logger: o.Connect.Logger,
	}, nil
}

func (o *registerOptions) host() string {
	if o.Host == "" {
		return dps.GlobalDeviceHost
	}
	return o.Host
}

// find fills in the host and the ID scope from an emulator whose connection
// string is in the environment, or else the host of the cloud.
func (o *registerOptions) find(ctx context.Context, env *cliapp.Env) error {
	var service string
	if (o.Host == "" || o.IDScope == "") && o.Connect.ConnectionString != "" {
		ep, err := connect(env, o.Connect)
		if err != nil {
			return err
		}
		service = ep.host
		own := ep.emulator && (o.Host == "" || o.Host == ep.host)
		if own && o.Host == "" {
			if o.Host, err = ep.deviceHost(ctx, o.Transport); err != nil {
				return err
			}
		}
		if own && o.IDScope == "" {
			if err := ep.locate(ctx); err != nil {
				return err
			}
			client, err := ep.arm()
			if err != nil {
				return err
			}
			svc, err := client.GetService(ctx)
			if err != nil {
				return err
			}
			o.IDScope = svc.IDScope
		}
	}
	if o.Host == "" {
		chosen, err := chooseCloud(o.Connect.Cloud, service)
		if err != nil {
			return err
		}
		o.Host = chosen.deviceHost()
	}
	if o.IDScope == "" {
		return cliapp.WithHint(cliapp.Usagef("no ID scope: give --%s or set %s", flagIDScope, envIDScope),
			"the overview page of the DPS in the portal shows it; it begins with 0ne")
	}
	return nil
}

// refusedRegistration gives a registration that the service refused at once
// the same exit code as one that it refused later.
func refusedRegistration(err error) error {
	if errors.Is(err, dps.ErrUnauthorized) {
		return cliapp.WithCode(err, cliapp.ExitRefused)
	}
	return err
}

// refusalHint adds what the machine can see to a refused registration.
func refusalHint(err error) []string {
	var refused *device.RegistrationError
	if errors.As(err, &refused) && strings.EqualFold(refused.Status, "disabled") {
		return []string{"the enrollment that the device matches is disabled: enable it, or check that the device is meant to match it"}
	}
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &unknown) {
		return []string{"the TLS certificate of the host is not trusted: for an emulator give --" + flagCAFile + " (or " + envCAFile + ") the file that it names when it starts"}
	}
	return nil
}

package main

import (
	"log/slog"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki"
)

func newApp(env *cliapp.Env) *cli.App {
	return &cli.App{
		Usage:     "verify CAs, manage enrollments and register devices with Azure DPS, or with its emulator",
		UsageText: "enroll --generate [options]\nenroll COMMAND ...",
		Description: "Without a connection string, enroll --generate runs the whole story on an emulator in\n" +
			"this process: certificates, proof of possession, enrollment group, registered device.\n\n" +
			"   enroll --generate\n" +
			"   enroll --generate --output json\n" +
			"   enroll emulator\n\n" +
			"Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 not authorised, 5 conflict or stale\n" +
			"etag, 6 verification failed, 7 throttled or unavailable, 8 partly failed, 130 interrupted.",
		Flags:  generateFlags(),
		Action: generateAction(env),
		Commands: []*cli.Command{
			newCACmd(env),
			newGroupCmd(env),
			newIndividualCmd(env),
			newApplyCmd(env, runApply),
			newRegistrationCmd(env),
			newDeviceCmd(env),
			newServiceCmd(env, runServiceShow, runServiceList),
			newEmulatorCmd(env, runEmulator),
		},
	}
}

func generateFlags() []cli.Flag {
	keyTypes := ""
	for i, t := range pki.AllKeyTypes() {
		if i > 0 {
			keyTypes += ", "
		}
		keyTypes += string(t)
	}
	return flags([]cli.Flag{
		&cli.BoolFlag{Name: flagGenerate, Usage: "make a chain, verify its root, create the group, register a device"},
		dirFlag(),
		&cli.StringFlag{Name: flagRegistrationID, Value: "dpskit-demo-device", Usage: "registration `ID` of the device"},
		&cli.StringFlag{Name: flagGroupID, Value: "dpskit-demo-group", Usage: "`ID` of the enrollment group"},
		&cli.StringFlag{Name: flagCAName, Value: "dpskit-demo-root", Usage: "`NAME` of the root certificate in DPS"},
		&cli.StringFlag{Name: flagKeyType, Value: string(pki.KeyECP256), Usage: "`TYPE` of the keys: " + keyTypes},
		&cli.IntFlag{Name: flagDays, Value: 30, Usage: "make certificates valid for `DAYS`"},
		&cli.BoolFlag{Name: flagForce, Usage: "make a new chain; replace the CA and the signing certificate in DPS"},
		&cli.BoolFlag{Name: flagServe, Usage: "keep the embedded emulator up afterwards"},
		&cli.BoolFlag{Name: flagDryRun, Usage: "say what would be made and sent, and do nothing"},
		transportFlag(),
		&cli.StringFlag{Name: flagIDScope, EnvVars: []string{envIDScope}, Usage: "ID `SCOPE` of the DPS, where it cannot be read"},
		&cli.StringFlag{Name: flagDeviceHost, EnvVars: []string{envDeviceHost}, Usage: "`HOST` that devices register at"},
		keyPasswordFlag(),
		cliapp.OutputFlag(cliapp.FormatText, cliapp.FormatText, cliapp.FormatJSON, cliapp.FormatTSV),
	}, connectionFlags(), armFlags(), cliapp.LogFlags())
}

func generateAction(env *cliapp.Env) cli.ActionFunc {
	return func(c *cli.Context) error {
		if !c.Bool(flagGenerate) {
			if c.NumFlags() > 0 {
				return cliapp.Usagef("nothing to do: these flags go with --%s", flagGenerate)
			}
			return cli.ShowAppHelp(c)
		}
		opts, err := generateOptionsFrom(c, env)
		if err != nil {
			return err
		}
		return runGenerate(c.Context, env, opts)
	}
}

func generateOptionsFrom(c *cli.Context, env *cliapp.Env) (generateOptions, error) {
	keyType, err := pki.ParseKeyType(c.String(flagKeyType))
	if err != nil {
		return generateOptions{}, cliapp.WithCode(err, cliapp.ExitUsage)
	}
	if c.Int(flagDays) <= 0 {
		return generateOptions{}, cliapp.Usagef("invalid --%s %d: want 1 or more", flagDays, c.Int(flagDays))
	}
	transport, err := transportFrom(c)
	if err != nil {
		return generateOptions{}, err
	}
	warn := slog.LevelWarn
	return generateOptions{
		Connect: connectOptionsFrom(c, env), Dir: c.String(flagDir),
		GroupID: c.String(flagGroupID), RegistrationID: c.String(flagRegistrationID), CAName: c.String(flagCAName),
		IDScope: c.String(flagIDScope), DeviceHost: c.String(flagDeviceHost), Transport: transport,
		KeyType: keyType, KeyTypeGiven: c.IsSet(flagKeyType), Days: c.Int(flagDays), DaysGiven: c.IsSet(flagDays), KeyPassword: keyPassword(c),
		Force: c.Bool(flagForce), Serve: c.Bool(flagServe),
		Output: env.OutputFormat(c), EmulatorLog: env.Logger(c, &warn),
	}, nil
}

func keyPasswordFlag() cli.Flag {
	return &cli.StringFlag{
		Name:  flagKeyPasswordFile,
		Usage: "read the pass phrase of an encrypted CA key from `FILE` (- is standard input; or set " + envKeyPassword + ")",
	}
}

func keyPassword(c *cli.Context) cliapp.SecretSource {
	return cliapp.SecretSource{File: c.String(flagKeyPasswordFile), Env: envKeyPassword, Prompt: "pass phrase of the CA key"}
}

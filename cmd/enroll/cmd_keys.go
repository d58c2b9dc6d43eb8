package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/enrollment"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

const (
	flagGroupKeys = "group-keys"
	flagOut       = "out"
)

// keysOptions is what a keys command was asked for.
type keysOptions struct {
	Connect   connectOptions
	IDs       []string // the group and then devices, or individual enrollments
	GroupKeys bool
	// Primary and Secondary are group keys given on the command line.
	Primary, Secondary dps.Secret
	Out                string
	Force              bool
	Output             cliapp.Format
}

// deviceKeys are the keys of one device as JSON prints them: in clear, because
// that is what was asked for.
type deviceKeys struct {
	RegistrationID string `json:"registrationId"`
	PrimaryKey     string `json:"primaryKey"`
	SecondaryKey   string `json:"secondaryKey,omitempty"`
}

// groupKeys are the keys of a group and of devices in it.
type groupKeys struct {
	EnrollmentGroupID string       `json:"enrollmentGroupId"`
	PrimaryKey        string       `json:"primaryKey,omitempty"`
	SecondaryKey      string       `json:"secondaryKey,omitempty"`
	Devices           []deviceKeys `json:"devices"`
}

func keysFlags(own ...cli.Flag) []cli.Flag {
	return flags(own, []cli.Flag{
		&cli.StringFlag{Name: flagOut, Usage: "write the keys to `FILE`, readable for you alone, instead of standard output"},
		&cli.BoolFlag{Name: flagForce, Usage: "replace that file"},
		outputFlag(),
	}, connectionFlags(), cliapp.LogFlags())
}

func newGroupKeysCmd(env *cliapp.Env, run func(context.Context, *cliapp.Env, keysOptions) error) *cli.Command {
	return &cli.Command{
		Name: "keys", Usage: "derive the keys of devices from those of a symmetric-key group", ArgsUsage: "ID [DEVICE-ID...]", Before: cliapp.MinArgs(1, "ID"),
		Description: "A device of a symmetric-key group signs in with a key derived from the group's key and its\n" +
			"registration ID. The keys of the group itself let anybody be any device: they are printed\n" +
			"only with --" + flagGroupKeys + " and never belong on a device. With --" + flagPrimaryKeyFile + " nothing is\n" +
			"asked of the service.\n\n" +
			"   enroll group keys my-group my-device\n" +
			"   enroll group keys my-group my-device other-device --out keys.json --output json\n" +
			"   enroll group keys my-group my-device --primary-key-file group.key\n" +
			"   enroll group keys my-group --group-keys",
		Flags: keysFlags(
			&cli.BoolFlag{Name: flagGroupKeys, Usage: "print the keys of the group, too"},
			&cli.StringFlag{Name: flagPrimaryKeyFile, Usage: "derive from the group's primary key in `FILE` (- is standard input)"},
			&cli.StringFlag{Name: flagSecondaryKeyFile, Usage: "derive from the group's secondary key in `FILE`, too"}),
		Action: func(c *cli.Context) error {
			opts := keysOptionsFrom(c, env)
			var err error
			if opts.Primary, err = keyFromFlag(env, c, flagPrimaryKeyFile); err != nil {
				return err
			}
			if opts.Secondary, err = keyFromFlag(env, c, flagSecondaryKeyFile); err != nil {
				return err
			}
			return bounded(c, opts.Connect, func(ctx context.Context) error { return run(ctx, env, opts) })
		},
	}
}

func newIndividualKeysCmd(env *cliapp.Env, run func(context.Context, *cliapp.Env, keysOptions) error) *cli.Command {
	return &cli.Command{
		Name: "keys", Usage: "print the keys of symmetric-key enrollments", ArgsUsage: "ID...", Before: cliapp.MinArgs(1, "ID"),
		Description: "   enroll individual keys my-device --output json\n   enroll individual keys my-device --out my-device.keys",
		Flags:       keysFlags(),
		Action: func(c *cli.Context) error {
			opts := keysOptionsFrom(c, env)
			return bounded(c, opts.Connect, func(ctx context.Context) error { return run(ctx, env, opts) })
		},
	}
}

func keysOptionsFrom(c *cli.Context, env *cliapp.Env) keysOptions {
	return keysOptions{
		Connect: connectOptionsFrom(c, env), IDs: c.Args().Slice(), GroupKeys: c.Bool(flagGroupKeys),
		Out: c.String(flagOut), Force: c.Bool(flagForce), Output: env.OutputFormat(c),
	}
}

func runGroupKeys(ctx context.Context, env *cliapp.Env, opts keysOptions) error {
	id, devices := opts.IDs[0], opts.IDs[1:]
	switch {
	case len(devices) == 0 && !opts.GroupKeys:
		return cliapp.Usagef("give the IDs of devices, or --%s", flagGroupKeys)
	case opts.Secondary != "" && opts.Primary == "":
		return cliapp.Usagef("--%s goes with --%s", flagSecondaryKeyFile, flagPrimaryKeyFile)
	}
	for _, device := range devices {
		if err := dps.CheckID(device); err != nil {
			return fmt.Errorf("device %.140q: %w", device, err)
		}
	}
	if err := opts.mayWrite(); err != nil {
		return err
	}
	primary, secondary := opts.Primary, opts.Secondary
	if primary == "" {
		_, client, err := connectService(env, opts.Connect)
		if err != nil {
			return err
		}
		keys, err := storedKeys(ctx, client, groupKind, id)
		if err != nil {
			return err
		}
		primary, secondary = keys.PrimaryKey, keys.SecondaryKey
	}
	result := groupKeys{EnrollmentGroupID: id, Devices: []deviceKeys{}}
	var rows [][]string
	if opts.GroupKeys {
		result.PrimaryKey, result.SecondaryKey = primary.Reveal(), secondary.Reveal()
		rows = append(rows, []string{id, result.PrimaryKey, result.SecondaryKey})
	}
	for _, device := range devices {
		keys, err := derive(primary, secondary, device)
		if err != nil {
			return cliapp.WithCode(err, cliapp.ExitUsage)
		}
		result.Devices, rows = append(result.Devices, keys), append(rows, []string{device, keys.PrimaryKey, keys.SecondaryKey})
	}
	return opts.print(env, result, rows)
}

func derive(primary, secondary dps.Secret, device string) (deviceKeys, error) {
	one, err := dps.DeriveDeviceKey(primary, device)
	if err != nil {
		return deviceKeys{}, err
	}
	keys := deviceKeys{RegistrationID: device, PrimaryKey: one.Reveal()}
	if secondary != "" {
		two, err := dps.DeriveDeviceKey(secondary, device)
		if err != nil {
			return deviceKeys{}, err
		}
		keys.SecondaryKey = two.Reveal()
	}
	return keys, nil
}

func runIndividualKeys(ctx context.Context, env *cliapp.Env, opts keysOptions) error {
	if err := opts.mayWrite(); err != nil {
		return err
	}
	_, client, err := connectService(env, opts.Connect)
	if err != nil {
		return err
	}
	result, rows := []deviceKeys{}, [][]string{}
	for _, id := range opts.IDs {
		keys, err := storedKeys(ctx, client, individualKind, id)
		if err != nil {
			return err
		}
		device := deviceKeys{RegistrationID: id, PrimaryKey: keys.PrimaryKey.Reveal(), SecondaryKey: keys.SecondaryKey.Reveal()}
		result, rows = append(result, device), append(rows, []string{id, device.PrimaryKey, device.SecondaryKey})
	}
	return opts.print(env, result, rows)
}

var errNoKeys = errors.New("it has no symmetric keys")

// storedKeys reads the keys of one enrollment.
func storedKeys[T enrollment.Object](ctx context.Context, client *service.Client, k kind[T], id string) (service.SymmetricKeyAttestation, error) {
	attestation, err := k.keys(client, ctx, id, nil)
	if err != nil {
		return service.SymmetricKeyAttestation{}, err
	}
	if attestation.Type != service.AttestationSymmetricKey || attestation.SymmetricKey == nil {
		return service.SymmetricKeyAttestation{}, fmt.Errorf("keys of %s %q: it attests by %s: %w", k.noun, id, attestation.Type, errNoKeys)
	}
	return *attestation.SymmetricKey, nil
}

func (o keysOptions) mayWrite() error {
	if o.Out == "" {
		return nil
	}
	return cliapp.MayWrite(flagOut, o.Out, o.Force)
}

// print writes the keys where they were asked for, and nowhere else.
func (o keysOptions) print(env *cliapp.Env, value any, rows [][]string) error {
	view := cliapp.View{Value: value, Columns: []string{"id", "primary key", "secondary key"}, Rows: rows}
	if o.Out == "" {
		return env.Print(o.Output, view)
	}
	var b bytes.Buffer
	file := *env
	file.Out = &b
	if err := file.Print(o.Output, view); err != nil {
		return err
	}
	if err := cliapp.WriteOut(o.Out, b.Bytes()); err != nil {
		return err
	}
	env.Notef("wrote the keys to %s", o.Out)
	return nil
}

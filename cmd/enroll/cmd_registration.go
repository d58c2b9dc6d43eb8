package main

import (
	"context"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

// registrationOptions is what a command about registration records was asked
// for.
type registrationOptions struct {
	Connect connectOptions
	IDs     []string
	Yes     bool
	Output  cliapp.Format
}

func newRegistrationCmd(env *cliapp.Env) *cli.Command {
	command := func(name, usage, args string, before cli.BeforeFunc, extra []cli.Flag, run func(context.Context, *cliapp.Env, registrationOptions) error, description string) *cli.Command {
		return &cli.Command{
			Name: name, Usage: usage, ArgsUsage: args, Before: before, Description: description,
			Flags: flags(extra, []cli.Flag{outputFlag()}, connectionFlags(), cliapp.LogFlags()),
			Action: func(c *cli.Context) error {
				opts := registrationOptions{
					Connect: connectOptionsFrom(c, env), IDs: c.Args().Slice(), Yes: c.Bool(flagYes), Output: env.OutputFormat(c),
				}
				ctx, cancel := opts.Connect.withTimeout(c.Context)
				defer cancel()
				return run(ctx, env, opts)
			},
		}
	}
	return &cli.Command{
		Name: "registration", Usage: "registration records: which device was assigned where",
		Subcommands: []*cli.Command{
			command("list", "list the registrations of an enrollment group", "GROUP", cliapp.ExactArgs("GROUP"), nil, runRegistrationList,
				"   enroll registration list my-group"),
			command("show", "show the registration of a device", "ID", cliapp.ExactArgs("ID"), nil, runRegistrationShow,
				"   enroll registration show my-device"),
			command("delete", "delete registrations", "ID...", cliapp.MinArgs(1, "ID"), []cli.Flag{yesFlag(), dryRunFlag()}, runRegistrationDelete,
				"The device may register again.\n\n   enroll registration delete my-device --yes"),
		},
	}
}

func runRegistrationList(ctx context.Context, env *cliapp.Env, opts registrationOptions) error {
	_, client, err := connectService(env, opts.Connect)
	if err != nil {
		return err
	}
	states, rows := []service.RegistrationState{}, [][]string{}
	for state, err := range client.Registrations(ctx, opts.IDs[0], nil) {
		if err != nil {
			return err
		}
		states, rows = append(states, state), append(rows, registrationRow(state))
	}
	return env.Print(opts.Output, cliapp.View{Value: states, Columns: registrationColumns, Rows: rows, Empty: "no registrations"})
}

func runRegistrationShow(ctx context.Context, env *cliapp.Env, opts registrationOptions) error {
	_, client, err := connectService(env, opts.Connect)
	if err != nil {
		return err
	}
	state, err := client.GetRegistration(ctx, opts.IDs[0], nil)
	if err != nil {
		return err
	}
	return env.Print(opts.Output, cliapp.View{
		Value: state, Columns: registrationColumns, Rows: [][]string{registrationRow(state)}, Single: true,
	})
}

func runRegistrationDelete(ctx context.Context, env *cliapp.Env, opts registrationOptions) error {
	ep, client, err := connectService(env, opts.Connect)
	if err != nil {
		return err
	}
	return deletion{env, ep, "registration", opts.Yes, opts.Output}.each(ctx, opts.IDs, func(id string) error {
		return client.DeleteRegistration(ctx, id, nil)
	})
}

var registrationColumns = []string{"id", "status", "device ID", "assigned hub", "substatus", "last updated", "error"}

func registrationRow(s service.RegistrationState) []string {
	return []string{s.RegistrationID, string(s.Status), s.DeviceID, s.AssignedHub, string(s.Substatus), instant(s.LastUpdatedDateTimeUTC), s.ErrorMessage}
}

func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

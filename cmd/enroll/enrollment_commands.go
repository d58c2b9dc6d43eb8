package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps/enrollment"
)

// enrollmentTexts is the help of the commands of one kind.
type enrollmentTexts struct {
	create, update, show, list, remove string
}

// enrollmentCommands are the commands that both kinds have.
func enrollmentCommands[T enrollment.Object](env *cliapp.Env, k kind[T], texts enrollmentTexts) []*cli.Command {
	var object T
	individual := enrollment.Of(&object).Individual
	one, common := cliapp.ExactArgs("ID"), func(lists ...[]cli.Flag) []cli.Flag {
		return flags(append(lists, []cli.Flag{outputFlag()}, connectionFlags(), cliapp.LogFlags())...)
	}
	return []*cli.Command{
		{
			Name: "create", Usage: "create an " + k.noun, ArgsUsage: "ID", Before: one, Description: texts.create,
			Flags: common(attestationFlags(individual, true), settingFlags(individual), []cli.Flag{ifExistsFlag(), dryRunFlag()}),
			Action: func(c *cli.Context) error {
				opts := createOptions{Connect: connectOptionsFrom(c, env), ID: c.Args().First(), Output: env.OutputFormat(c)}
				var err error
				if opts.IfExists, err = existingFrom(c); err != nil {
					return err
				}
				if opts.Changes, err = changesFrom(c, env, individual); err != nil {
					return err
				}
				return bounded(c, opts.Connect, func(ctx context.Context) error { return runCreate(ctx, env, k, opts) })
			},
		},
		{
			Name: "update", Usage: "change settings of an " + k.noun, ArgsUsage: "ID", Before: one, Description: texts.update,
			Flags: common(attestationFlags(individual, false), settingFlags(individual), []cli.Flag{clearFlag(individual), ifMatchFlag(), dryRunFlag()}),
			Action: func(c *cli.Context) error {
				opts := updateOptions{Connect: connectOptionsFrom(c, env), ID: c.Args().First(), IfMatch: c.String(flagIfMatch), Output: env.OutputFormat(c)}
				var err error
				if opts.Changes, err = changesFrom(c, env, individual); err != nil {
					return err
				}
				return bounded(c, opts.Connect, func(ctx context.Context) error { return runUpdate(ctx, env, k, opts) })
			},
		},
		readCommand(env, &cli.Command{Name: "show", Usage: "show an " + k.noun, ArgsUsage: "ID", Before: one, Description: texts.show,
			Flags: common([]cli.Flag{&cli.BoolFlag{Name: flagShowWebhookURL, Usage: "print the URL of the webhook with its key, a secret"}})},
			func(ctx context.Context, opts readOptions) error { return runShow(ctx, env, k, opts) }),
		readCommand(env, &cli.Command{Name: "list", Usage: "list the " + k.plural, Before: cliapp.NoArgs, Description: texts.list,
			Flags: common([]cli.Flag{&cli.IntFlag{Name: flagTop, Usage: "stop after `N`", DefaultText: "all"}})},
			func(ctx context.Context, opts readOptions) error { return runList(ctx, env, k, opts) }),
		readCommand(env, &cli.Command{Name: "delete", Usage: "delete " + k.plural, ArgsUsage: "ID...", Before: cliapp.MinArgs(1, "ID"), Description: texts.remove,
			Flags: common([]cli.Flag{ifMatchFlag(), yesFlag(), dryRunFlag()})},
			func(ctx context.Context, opts readOptions) error { return runDelete(ctx, env, k, opts) }),
	}
}

// readCommand gives a command the action that fills readOptions.
func readCommand(env *cliapp.Env, cmd *cli.Command, run func(context.Context, readOptions) error) *cli.Command {
	cmd.Action = func(c *cli.Context) error {
		opts := readOptions{
			Connect: connectOptionsFrom(c, env), IDs: c.Args().Slice(), Top: c.Int(flagTop), IfMatch: c.String(flagIfMatch),
			Yes: c.Bool(flagYes), Webhook: c.Bool(flagShowWebhookURL), Output: env.OutputFormat(c),
		}
		return bounded(c, opts.Connect, func(ctx context.Context) error { return run(ctx, opts) })
	}
	return cmd
}

// bounded runs a command within --timeout.
func bounded(c *cli.Context, opts connectOptions, run func(context.Context) error) error {
	ctx, cancel := opts.withTimeout(c.Context)
	defer cancel()
	return run(ctx)
}

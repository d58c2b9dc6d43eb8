package cliapp

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"
)

// Program is one of the two programs.
type Program struct {
	// Name is how the program calls itself in messages.
	Name string
	// New builds the command tree; it is called once for each run, because
	// urfave/cli keeps state in the tree.
	New func(*Env) *cli.App
	// Classify knows the errors of the program's own packages.
	Classify Classifier
}

// Main runs the program on the process's arguments and streams and returns its
// exit code. The first interrupt cancels the context so that the command can
// clean up; the second one kills.
func (p Program) Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		<-ctx.Done()
		stop()
	}()
	return p.Run(ctx, SystemEnv(), os.Args[1:])
}

// Run runs the program on args (without the program's own name), prints the
// error if there is one and returns the exit code.
func (p Program) Run(ctx context.Context, env *Env, args []string) int {
	app := p.New(env)
	p.harden(app, env)
	if completing(args) {
		complete(app, env, args[:len(args)-1])
		return ExitOK
	}
	err := p.run(ctx, app, args)
	if err == nil {
		return ExitOK
	}
	return p.report(env, err)
}

func (p Program) run(ctx context.Context, app *cli.App, args []string) error {
	path, ordered, err := reorder(app, args)
	if err == nil {
		err = app.RunContext(ctx, append([]string{p.Name}, ordered...))
	}
	var usage *usageError
	if errors.As(err, &usage) {
		usage.command = strings.Join(append([]string{p.Name}, path...), " ")
	}
	return err
}

func (p Program) report(env *Env, err error) int {
	code, hints := verdict(err, p.Classify)
	if code == ExitInterrupted {
		fmt.Fprintf(env.Err, "%s: interrupted\n", p.Name)
	} else {
		fmt.Fprintf(env.Err, "%s: error: %s\n", p.Name, Printable(oneLine(err.Error())))
	}
	for _, h := range hints {
		fmt.Fprintf(env.Err, "%s: hint: %s\n", p.Name, Printable(oneLine(h)))
	}
	var usage *usageError
	if errors.As(err, &usage) {
		fmt.Fprintf(env.Err, "%s: hint: see '%s --help'\n", p.Name, usage.command)
	}
	return code
}

func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}

// harden sets what urfave/cli leaves dangerous by default: it calls os.Exit,
// prints usage errors to standard output, splits values at commas, swallows
// arguments named help, and ignores what it does not understand.
func (p Program) harden(app *cli.App, env *Env) {
	app.Name, app.HelpName = p.Name, p.Name
	app.Reader, app.Writer, app.ErrWriter = env.In, env.Out, env.Err
	app.ExitErrHandler = func(*cli.Context, error) {}
	app.HideVersion = true
	app.DisableSliceFlagSeparator = true
	app.OnUsageError = onUsageError
	if app.Action == nil {
		app.Action = groupAction
	} else {
		app.Action = orUnknownCommand(app.Action)
	}
	app.Commands = append(app.Commands, versionCommand(env, p.Name), completionCommand(env, p.Name))
	app.Flags, app.Action = append(app.Flags, versionFlag()), orVersion(env, p.Name, app.Action)
	hardenFlags(app.Flags)
	for _, c := range app.Commands {
		hardenCommand(c)
	}
}

// hardenFlags makes a variable that is set to nothing count as not set, as for
// every other kind of flag: urfave/cli would take "" over the default. It looks
// where urfave/cli looks, in the environment of the process.
func hardenFlags(flags []cli.Flag) {
	for _, f := range flags {
		switch f := f.(type) {
		case *cli.StringFlag:
			f.EnvVars = slices.DeleteFunc(f.EnvVars, func(name string) bool {
				value, set := os.LookupEnv(name)
				return set && value == ""
			})
		case *cli.BoolFlag:
			f.DisableDefaultText = !f.Value // "(default: false)" says nothing
		}
	}
}

func hardenCommand(c *cli.Command) {
	c.HideHelpCommand = true
	hardenFlags(c.Flags)
	c.OnUsageError = onUsageError
	if len(c.Subcommands) == 0 {
		if c.Before == nil {
			c.Before = NoArgs
		}
		return
	}
	c.Action = groupAction
	for _, sub := range c.Subcommands {
		hardenCommand(sub)
	}
}

func onUsageError(c *cli.Context, err error, _ bool) error {
	return &usageError{err: explainFlagError(c, err)}
}

func groupAction(c *cli.Context) error {
	if c.Args().Present() {
		return unknownCommand(c)
	}
	if len(c.Lineage()) <= 2 || c.Command.Name == c.App.Name {
		return cli.ShowAppHelp(c)
	}
	return cli.ShowSubcommandHelp(c)
}

func orUnknownCommand(action cli.ActionFunc) cli.ActionFunc {
	return func(c *cli.Context) error {
		if c.Args().Present() {
			return unknownCommand(c)
		}
		return action(c)
	}
}

func unknownCommand(c *cli.Context) error {
	name := c.Args().First()
	if near := nearest(name, commandNames(c.Command.Subcommands)); near != "" {
		return Usagef("unknown command %q: did you mean %q?", name, near)
	}
	return Usagef("unknown command %q", name)
}

func commandNames(commands []*cli.Command) []string {
	var names []string
	for _, c := range commands {
		if !c.Hidden {
			names = append(names, c.Names()...)
		}
	}
	return names
}

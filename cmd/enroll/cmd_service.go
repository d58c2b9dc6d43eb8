package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps/arm"
)

const flagShowConnectionString = "show-connection-string"

// serviceOptions is what a command about DPS instances was asked for.
type serviceOptions struct {
	Connect connectOptions
	// ConnectionString asks for the secret; Out is the file that it goes to.
	ConnectionString bool
	Out              string
	Force            bool
	Output           cliapp.Format
}

func newServiceCmd(env *cliapp.Env, run func(context.Context, *cliapp.Env, serviceOptions) error, list func(context.Context, *cliapp.Env, serviceOptions) error) *cli.Command {
	return &cli.Command{
		Name: "service", Usage: "the DPS itself: ID scope, host names, connection string",
		Subcommands: []*cli.Command{
			{
				Name: "show", Usage: "show a DPS, and its connection string if asked", ArgsUsage: "[NAME]", Before: atMostOne("NAME"),
				Description: "A name alone is looked for in the whole subscription, without regard to case; with\n" +
					"--" + flagResourceGroup + " it is asked for directly. Without NAME it is the DPS of the connection\n" +
					"string, or the emulator's.\n\n" +
					"The connection string is a secret: it is printed only with --" + flagShowConnectionString + ", alone unless\n" +
					"the output is JSON, and is that of the first policy that may manage enrollments\n" +
					"(ServiceConfig and EnrollmentWrite). With --" + flagOut + " it goes to a file that only you can read,\n" +
					"which --" + flagConnectionStringFile + " reads.\n\n" +
					"   enroll service show my-dps --subscription SUBSCRIPTION-ID\n" +
					"   enroll service show my-dps --resource-group my-group --output json\n" +
					"   enroll service show my-dps --out my-dps.connection\n" +
					"   enroll group list --connection-string-file my-dps.connection",
				Flags: serviceFlags(
					&cli.BoolFlag{Name: flagShowConnectionString, Usage: "print the connection string, a secret"},
					&cli.StringFlag{Name: flagOut, Usage: "write the connection string to `FILE`, readable for you alone"},
					&cli.BoolFlag{Name: flagForce, Usage: "replace that file"}),
				Action: func(c *cli.Context) error {
					opts := serviceOptionsFrom(c, env)
					if err := opts.nameFrom(c); err != nil {
						return err
					}
					return bounded(c, opts.Connect, func(ctx context.Context) error { return run(ctx, env, opts) })
				},
			},
			{
				Name: "list", Usage: "list the DPS instances of a subscription", Before: cliapp.NoArgs,
				Description: "   enroll service list --subscription SUBSCRIPTION-ID\n" +
					"   enroll service list --resource-group my-group --output json",
				Flags: serviceFlags(),
				Action: func(c *cli.Context) error {
					opts := serviceOptionsFrom(c, env)
					return bounded(c, opts.Connect, func(ctx context.Context) error { return list(ctx, env, opts) })
				},
			},
		},
	}
}

func serviceFlags(own ...cli.Flag) []cli.Flag {
	return flags(own, []cli.Flag{outputFlag()}, connectionFlags(), armFlags(), cliapp.LogFlags())
}

func serviceOptionsFrom(c *cli.Context, env *cliapp.Env) serviceOptions {
	connect := connectOptionsFrom(c, env)
	connect.ARMVersion, connect.SubscriptionOnly = connect.APIVersion, true
	return serviceOptions{
		Connect: connect, ConnectionString: c.Bool(flagShowConnectionString), Out: c.String(flagOut), Force: c.Bool(flagForce),
		Output: env.OutputFormat(c),
	}
}

// nameFrom takes the name from the argument, as other commands take it from
// --name; both may be given if they agree.
func (o *serviceOptions) nameFrom(c *cli.Context) error {
	name := c.Args().First()
	if name != "" && o.Connect.Name != "" && !strings.EqualFold(name, o.Connect.Name) {
		return cliapp.Usagef("two names given: NAME %q and --%s %q", name, flagName, o.Connect.Name)
	}
	if name != "" {
		o.Connect.Name = name
	}
	return nil
}

// atMostOne allows one argument or none.
func atMostOne(name string) cli.BeforeFunc {
	return func(c *cli.Context) error {
		if c.NArg() == 0 {
			return nil
		}
		return cliapp.ExactArgs(name)(c)
	}
}

// serviceView is a DPS as JSON prints it.
type serviceView struct {
	arm.Service
	ConnectionString string `json:"connectionString,omitempty"`
}

var serviceColumns = []string{"name", "ID scope", "service host", "device host", "state", "location", "resource group", "allocation policy", "linked hubs"}

func serviceRow(s arm.Service) []string {
	return []string{s.Name, s.IDScope, s.ServiceHost, s.DeviceHost, s.State, s.Location, s.ResourceGroup, s.AllocationPolicy, strings.Join(s.Hubs, ",")}
}

func runServiceShow(ctx context.Context, env *cliapp.Env, opts serviceOptions) error {
	if opts.Out != "" {
		if err := cliapp.MayWrite(flagOut, opts.Out, opts.Force); err != nil {
			return err
		}
	}
	_, client, err := connectARM(ctx, env, opts.Connect)
	if err != nil {
		return err
	}
	svc, err := client.GetService(ctx)
	if err != nil {
		return err
	}
	view := serviceView{Service: svc}
	secret := ""
	if opts.ConnectionString || opts.Out != "" {
		if secret, err = connectionStringOf(ctx, client, svc); err != nil {
			return err
		}
	}
	if opts.Out != "" {
		if err := cliapp.WriteOut(opts.Out, []byte(secret+"\n")); err != nil {
			return err
		}
		env.Notef("wrote the connection string to %s", opts.Out)
	} else if opts.ConnectionString {
		view.ConnectionString = secret
		if opts.Output != cliapp.FormatJSON {
			_, err := fmt.Fprintln(env.Out, secret)
			return err
		}
	}
	return env.Print(opts.Output, cliapp.View{Value: view, Columns: serviceColumns, Rows: [][]string{serviceRow(svc)}, Single: true})
}

func connectionStringOf(ctx context.Context, client *arm.Client, svc arm.Service) (string, error) {
	if svc.ServiceHost == "" {
		return "", cliapp.WithCode(fmt.Errorf("connection string of %q: it has no host name yet: its state is %q", svc.Name, svc.State), cliapp.ExitUnavailable)
	}
	keys, err := client.Keys(ctx)
	if err != nil {
		return "", err
	}
	key, err := arm.OwnerKey(keys)
	if err != nil {
		return "", cliapp.WithHint(cliapp.WithCode(fmt.Errorf("connection string of %q: %w", svc.Name, err), cliapp.ExitNotFound),
			"add these rights to a policy on the page 'Shared access policies' of the DPS")
	}
	return svc.ConnectionString(key).Reveal(), nil
}

func runServiceList(ctx context.Context, env *cliapp.Env, opts serviceOptions) error {
	ep, err := connect(env, opts.Connect)
	if err != nil {
		return err
	}
	client, err := ep.subscription()
	if err != nil {
		return err
	}
	services, rows := []serviceView{}, [][]string{}
	for svc, err := range client.Services(ctx, &arm.ListOptions{ResourceGroup: opts.Connect.ResourceGroup}) {
		if err != nil {
			return err
		}
		if name := opts.Connect.Name; name != "" && !strings.EqualFold(name, svc.Name) {
			continue
		}
		services, rows = append(services, serviceView{Service: svc}), append(rows, serviceRow(svc))
	}
	return env.Print(opts.Output, cliapp.View{Value: services, Columns: serviceColumns, Rows: rows, Empty: "no DPS instances"})
}

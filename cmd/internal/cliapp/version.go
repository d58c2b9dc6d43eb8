package cliapp

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v2"
)

// buildVersion is set at link time for a release:
// -ldflags "-X github.com/dpskit/dpskit/cmd/internal/cliapp.buildVersion=v1.2.3".
var buildVersion string

// Version returns the version of the program: what was set at link time, else
// the module version or the revision that the Go toolchain recorded, else "dev".
func Version() string {
	if buildVersion != "" {
		return buildVersion
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "dev"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "dev-" + s.Value[:12]
		}
	}
	return "dev"
}

func versionCommand(env *Env, program string) *cli.Command {
	return &cli.Command{
		Name: "version", Usage: "print the version",
		Action: func(*cli.Context) error { return printVersion(env, program) },
	}
}

func printVersion(env *Env, program string) error {
	_, err := fmt.Fprintf(env.Out, "%s %s %s/%s %s\n", program, Version(), runtime.GOOS, runtime.GOARCH, runtime.Version())
	return err
}

const flagVersion = "version"

// versionFlag is for those who try a flag first. It is one of the program
// alone, not of its commands.
func versionFlag() cli.Flag {
	return &cli.BoolFlag{Name: flagVersion, Usage: "print the version"}
}

// orVersion is action, unless the version is asked for.
func orVersion(env *Env, program string, action cli.ActionFunc) cli.ActionFunc {
	return func(c *cli.Context) error {
		if c.Bool(flagVersion) && !c.Args().Present() {
			return printVersion(env, program)
		}
		return action(c)
	}
}

package main

import (
	"errors"
	"path"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/device"
	"github.com/dpskit/dpskit/pkg/dps/rollout"
	"github.com/dpskit/dpskit/pkg/pki/fleet"
)

const (
	flagFromWorkspace = "from-workspace"
	flagCount         = "count"
	flagPrefix        = "prefix"
	flagStart         = "start"
	flagID            = "id"

	categoryMany = "Many devices"
)

// manyOptions say which devices to register when they are many.
type manyOptions struct {
	FromWorkspace bool // else the devices are numbered
	Dir           string
	IDs           []string // globs
	Count, Start  int      // Count 0: all of the workspace
	Prefix        string
	Concurrency   int
	Report        string
	Force         bool
	MaxWait       time.Duration // of each device
}

const manyHelp = "Many devices: --" + flagFromWorkspace + " registers every device that certgen made in a folder (--" + flagDir + ",\n" +
	"or named behind the flag; a workspace with the fleet in it, or a fleet), --" + flagID + " some of them;\n" +
	"--" + flagCount + " numbers devices as certgen does, with the certificates in that folder or, with\n" +
	"--" + flagGroupKeyFile + ", with derived keys and no files at all. So many at a time as --" + flagConcurrency + "\n" +
	"says; when the service asks to slow down, all wait. --" + flagReport + " says what became of each; the\n" +
	"same command again passes over those that are assigned, unless by --" + flagForce + ". The exit code is 8\n" +
	"if some were refused, or could not be sent because of their files, and that of the refusal\n" +
	"if all were.\n\n" +
	"   enroll device register --from-workspace pki --id 'press-*' --report presses.csv\n" +
	"   enroll device register --count 100 --prefix dev- --concurrency 50\n" +
	"   enroll device register --count 1000 --prefix dev- --group-key-file group.key --transport mqtt"

// manyFlags choose many devices.
func manyFlags() []cli.Flag {
	list := []cli.Flag{
		&cli.BoolFlag{Name: flagFromWorkspace, Usage: "register the devices of a workspace or a fleet that certgen made"},
		&cli.StringFlag{Name: flagDir, Value: defaultDir, EnvVars: []string{envDir}, Usage: "the `FOLDER` of --" + flagFromWorkspace + " and --" + flagCount},
		&cli.StringSliceFlag{Name: flagID, Usage: "of the workspace, those whose ID is like `GLOB` (* and ?); may be repeated"},
		&cli.IntFlag{Name: flagCount, Usage: "register `N` devices: with --prefix dev- and 100, dev-001 to dev-100"},
		&cli.StringFlag{Name: flagPrefix, Usage: "their IDs begin with `TEXT`"},
		&cli.IntFlag{Name: flagStart, Value: 1, Usage: "the first one has the number `N`"},
		&cli.IntFlag{Name: flagConcurrency, Value: rollout.DefaultConcurrency, Usage: "register `N` devices at the same time, at most 1000"},
		&cli.StringFlag{Name: flagReport, Usage: "write what became of each device to `FILE`, .csv or .jsonl"},
		&cli.BoolFlag{Name: flagForce, Usage: "register those again that the report says are assigned; replace a report of something else"},
	}
	for _, f := range list {
		switch f := f.(type) {
		case *cli.BoolFlag:
			f.Category = categoryMany
		case *cli.StringFlag:
			f.Category = categoryMany
		case *cli.StringSliceFlag:
			f.Category = categoryMany
		case *cli.IntFlag:
			f.Category = categoryMany
		}
	}
	return list
}

func isMany(c *cli.Context) bool { return c.Bool(flagFromWorkspace) || c.IsSet(flagCount) }

// registerArgs is the Before function of device register: an ID, or flags that
// choose many devices and perhaps their folder.
func registerArgs(c *cli.Context) error {
	switch {
	case c.Bool(flagFromWorkspace):
		if c.NArg() > 1 {
			return cliapp.Usagef("unexpected argument %q: --%s takes one folder", c.Args().Get(1), flagFromWorkspace)
		}
		if c.NArg() == 1 && c.Args().First() == "" {
			return cliapp.Usagef("an argument is empty")
		}
		return nil
	case c.IsSet(flagCount):
		if c.NArg() > 0 {
			return cliapp.Usagef("unexpected argument %q beside --%s", c.Args().First(), flagCount)
		}
		return nil
	}
	for _, f := range manyFlags() {
		if name := f.Names()[0]; name != flagDir && c.IsSet(name) {
			return cliapp.Usagef("--%s goes with --%s or --%s", name, flagFromWorkspace, flagCount)
		}
	}
	return cliapp.ExactArgs("ID")(c)
}

// readMany reads the flags about many devices and finds out what does not go
// together.
func (o *registerOptions) readMany(c *cli.Context, env *cliapp.Env) error {
	for _, name := range []string{flagCert, flagKey, flagSymmetricKeyFile} {
		if c.IsSet(name) {
			return cliapp.Usagef("--%s is for one device: leave it out, or name the device", name)
		}
	}
	m := &manyOptions{
		FromWorkspace: c.Bool(flagFromWorkspace), Dir: c.String(flagDir), IDs: c.StringSlice(flagID), Count: c.Int(flagCount), Start: c.Int(flagStart),
		Prefix: c.String(flagPrefix), Concurrency: c.Int(flagConcurrency), Report: c.String(flagReport), Force: c.Bool(flagForce), MaxWait: device.DefaultMaxWait,
	}
	if c.NArg() > 0 {
		m.Dir = c.Args().First()
	}
	if c.IsSet(flagTimeout) {
		m.MaxWait = o.Connect.Timeout
	}
	o.Many = m
	o.KeyPassword.Prompt = "" // nobody waits at the terminal for the turn of each
	if err := m.check(c); err != nil {
		return err
	}
	if m.FromWorkspace {
		if c.IsSet(flagGroupKeyFile) {
			return cliapp.Usagef("--%s goes with --%s, not with --%s", flagGroupKeyFile, flagCount, flagFromWorkspace)
		}
		return nil
	}
	var err error
	if o.GroupKey, err = keyFromFlag(env, c, flagGroupKeyFile); err == nil && o.GroupKey == "" && !c.IsSet(flagDir) {
		o.GroupKey = dps.Secret(strings.TrimSpace(env.Getenv(envGroupKey)))
	}
	return err
}

func (m *manyOptions) check(c *cli.Context) error {
	switch {
	case m.Concurrency < 1 || m.Concurrency > rollout.MaxConcurrency:
		return cliapp.Usagef("invalid --%s %d: want 1 to %d", flagConcurrency, m.Concurrency, rollout.MaxConcurrency)
	case m.Force && m.Report == "":
		return cliapp.Usagef("--%s goes with --%s", flagForce, flagReport)
	case c.IsSet(flagReport) && m.Report == "":
		return cliapp.Usagef("--%s is empty", flagReport)
	}
	if m.Report != "" {
		if _, err := rollout.FormatOf(m.Report); err != nil {
			return cliapp.WithCode(err, cliapp.ExitUsage)
		}
	}
	for _, glob := range m.IDs {
		if _, err := path.Match(glob, ""); errors.Is(err, path.ErrBadPattern) {
			return cliapp.Usagef("invalid --%s %q: the pattern does not end", flagID, glob)
		}
	}
	if !c.IsSet(flagCount) {
		for _, name := range []string{flagPrefix, flagStart} {
			if c.IsSet(name) {
				return cliapp.Usagef("--%s goes with --%s", name, flagCount)
			}
		}
		return nil
	}
	switch {
	case len(m.IDs) > 0:
		return cliapp.Usagef("--%s and --%s exclude each other", flagID, flagCount)
	case !c.IsSet(flagPrefix):
		return cliapp.Usagef("--%s needs --%s, what the IDs begin with", flagCount, flagPrefix)
	}
	if _, err := fleet.Numbered(m.Prefix, m.Start, m.Count); err != nil {
		return cliapp.WithCode(err, cliapp.ExitUsage)
	}
	return nil
}

// keyedDevices are numbered devices with keys derived from that of their group.
type keyedDevices struct {
	fleet.IDs

	key dps.Secret
}

// Credential makes it a rollout.Source.
func (k keyedDevices) Credential(int) (device.Credential, error) { return device.GroupKey(k.key), nil }

// source finds the devices. The folder is nil if none is needed.
func (o *registerOptions) source(env *cliapp.Env) (rollout.Source, *deviceFolder, error) {
	m := o.Many
	if o.GroupKey != "" {
		ids, err := fleet.Numbered(m.Prefix, m.Start, m.Count)
		if err == nil {
			_, err = dps.DeriveDeviceKey(o.GroupKey, ids.ID(0))
		}
		return keyedDevices{ids, o.GroupKey}, nil, cliapp.WithCode(err, cliapp.ExitUsage)
	}
	folder, err := openDevices(m.Dir, onePassphrase(env, o.KeyPassword), env.Now)
	if err != nil {
		return nil, nil, err
	}
	folder.choose(m.IDs)
	if m.Count > 0 {
		missing, err := folder.number(m.Prefix, m.Start, m.Count)
		if err == nil && len(missing) > 0 {
			err = m.missing(folder, missing)
		}
		if err != nil {
			folder.close()
			return nil, nil, err
		}
	}
	if m.Count > 0 || len(m.IDs) > 0 {
		folder.settleNotes()
	}
	for _, text := range folder.texts() {
		env.Notef("%s", text)
	}
	if folder.Len() == 0 {
		folder.close()
		return nil, nil, m.nothing()
	}
	return folder, folder, nil
}

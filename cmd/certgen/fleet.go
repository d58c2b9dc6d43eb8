package main

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki/fleet"
)

// Names of the flags that make many devices at once.
const (
	flagCount        = "count"
	flagPrefix       = "prefix"
	flagStart        = "start"
	flagFromFile     = "from-file"
	flagOutputFormat = "output-format"
	flagShard        = "shard"
	flagRawIndex     = "raw-index"

	categoryFleet = "Many devices"
)

// fleetOptions say which devices to make when they are too many to name them,
// and where they go.
type fleetOptions struct {
	Count    int // 0: they come from FromFile
	Prefix   string
	Start    int
	FromFile string
	Format   fleet.Format
	Out      string // "": in the folder
	Shard    fleet.Shard
	RawIndex bool
}

const fleetDescription = "Many devices: --" + flagCount + " numbers them behind a prefix, --" + flagFromFile + " reads their IDs from CSV (the\n" +
	"column registrationId, or the first one) or a plain list. They use every processor, and they go\n" +
	"to a place of their own, DIR/fleet, that the other commands do not list: a folder for each\n" +
	"thousand devices, or one tar or zip file, and a table of all of them, index.csv. Without --" + flagPFX + "\n" +
	"they get no PFX, which would take twenty times as long.\n\n" +
	"   certgen device --count 100 --prefix press-\n" +
	"   certgen device --count 10000 --prefix press- --out press.tar\n" +
	"   certgen device --from-file ids.csv --output-format zip --key-type ec-p384\n" +
	"   certgen device --from-file ids.csv --shard 0/8\n\n" +
	"What was interrupted goes on when the same command is given again: what is there is checked and\n" +
	"kept. An archive that is not complete is called .NAME.part. --shard I/N makes one of N equal\n" +
	"parts, counted from 0, so that N machines with the same CA make the whole fleet."

// fleetFlags choose the devices of a fleet and where they go.
func fleetFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: flagCount, Category: categoryFleet, Usage: "make `N` devices: with --prefix dev- and 100, dev-001 to dev-100"},
		&cli.StringFlag{Name: flagPrefix, Category: categoryFleet, Usage: "begin their IDs with `TEXT`"},
		&cli.IntFlag{Name: flagStart, Value: 1, Category: categoryFleet, Usage: "give the first one the number `N`"},
		&cli.StringFlag{Name: flagFromFile, Category: categoryFleet, Usage: "read their IDs from `FILE`, CSV or one a line (- is standard input)"},
		&cli.StringFlag{
			Name: flagOutputFormat, Category: categoryFleet,
			Usage: "put their files into a folder, a tar or a zip file: `FORMAT` files, tar or zip (default: by the ending of --" + flagOut + ", else files)",
		},
		&cli.StringFlag{Name: flagOut, Category: categoryFleet, Usage: "write them to `PATH` (default: DIR/fleet, DIR/fleet.tar or DIR/fleet.zip)"},
		&cli.StringFlag{Name: flagShard, Category: categoryFleet, Usage: "make the part `I/N` of them only, such as 0/8 for the first of eight"},
		&cli.BoolFlag{
			Name: flagRawIndex, Category: categoryFleet,
			Usage: "leave out the apostrophe that keeps a spreadsheet from taking a value of the index for a formula",
		},
	}
}

func isFleet(c *cli.Context) bool { return c.IsSet(flagCount) || c.IsSet(flagFromFile) }

// deviceArgs is the Before function of device: IDs, or flags that make up many.
func deviceArgs(c *cli.Context) error {
	if isFleet(c) {
		if c.NArg() > 0 {
			return cliapp.Usagef("unexpected argument %q beside --%s or --%s", c.Args().First(), flagCount, flagFromFile)
		}
		return nil
	}
	for _, f := range fleetFlags() {
		if name := f.Names()[0]; c.IsSet(name) {
			return cliapp.Usagef("--%s goes with --%s or --%s", name, flagCount, flagFromFile)
		}
	}
	return cliapp.MinArgs(1, "ID")(c)
}

// readFleet reads the flags of fleetFlags into opts and finds out what does not
// go with them.
func (opts *deviceOptions) readFleet(c *cli.Context) error {
	if !isFleet(c) {
		return nil
	}
	for _, name := range []string{flagSelfSigned, flagName, flagBroken} {
		if c.IsSet(name) {
			return cliapp.Usagef("--%s is for devices that are named one by one", name)
		}
	}
	opts.PFX.Write = opts.PFX.Write && slices.ContainsFunc([]string{flagPFX, flagPFXProfile, flagPFXPasswordFile}, c.IsSet)
	f := &fleetOptions{
		Count: c.Int(flagCount), Prefix: c.String(flagPrefix), Start: c.Int(flagStart), FromFile: c.String(flagFromFile),
		Out: c.String(flagOut), RawIndex: c.Bool(flagRawIndex),
	}
	if err := f.checkSource(c); err != nil {
		return err
	}
	if err := f.readFormat(c); err != nil {
		return err
	}
	var err error
	if c.IsSet(flagShard) {
		if f.Shard, err = fleet.ParseShard(c.String(flagShard)); err != nil {
			return cliapp.Usagef("invalid --%s: %v", flagShard, err)
		}
	}
	if f.Out == "" {
		f.Out = f.defaultOut(opts.Dir)
	}
	opts.Fleet = f
	return checkStdin(f.FromFile, opts.PFX.PasswordFile, opts.CAPasswordFile)
}

// readFormat reads the format: the one that is asked for, else that of the ending of the path.
func (f *fleetOptions) readFormat(c *cli.Context) error {
	if !c.IsSet(flagOutputFormat) {
		if f.Format = formatOfPath(f.Out); f.Format == "" {
			return cliapp.Usagef("--%s %q looks like an archive of another kind: certgen writes .tar and .zip, and with --%s %s a folder of any name",
				flagOut, f.Out, flagOutputFormat, fleet.FormatFiles)
		}
		return nil
	}
	var err error
	if f.Format, err = fleet.ParseFormat(c.String(flagOutputFormat)); err != nil {
		return cliapp.Usagef("invalid --%s %q: want files, tar or zip", flagOutputFormat, c.String(flagOutputFormat))
	}
	return nil
}

// formatOfPath is the format that the ending of a path stands for, empty for an archive that certgen does not write. A
// path that ends with a slash is that of a folder.
func formatOfPath(path string) fleet.Format {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".tar":
		return fleet.FormatTar
	case ".zip":
		return fleet.FormatZip
	case ".tgz", ".gz", ".bz2", ".xz", ".zst", ".7z":
		return ""
	}
	return fleet.FormatFiles
}

// checkSource checks that the IDs come from one place.
func (f *fleetOptions) checkSource(c *cli.Context) error {
	if c.IsSet(flagCount) && c.IsSet(flagFromFile) {
		return cliapp.Usagef("--%s and --%s exclude each other", flagCount, flagFromFile)
	}
	if c.IsSet(flagFromFile) {
		for _, name := range []string{flagPrefix, flagStart} {
			if c.IsSet(name) {
				return cliapp.Usagef("--%s goes with --%s", name, flagCount)
			}
		}
		if f.FromFile == "" {
			return cliapp.Usagef("--%s is empty", flagFromFile)
		}
		return nil
	}
	switch {
	case !c.IsSet(flagPrefix):
		return cliapp.Usagef("--%s needs --%s, what the IDs begin with", flagCount, flagPrefix)
	case f.Count < 1 || f.Count > fleet.MaxDevices:
		return cliapp.Usagef("invalid --%s %d: want 1 to %d", flagCount, f.Count, fleet.MaxDevices)
	case f.Start < 0:
		return cliapp.Usagef("invalid --%s %d: want 0 or more", flagStart, f.Start)
	}
	return nil
}

// defaultOut is where a fleet goes by default. The parts of one share a folder;
// archives need names of their own.
func (f *fleetOptions) defaultOut(dir string) string {
	name := "fleet"
	if f.Format != fleet.FormatFiles {
		if f.Shard.Count > 1 {
			name += "-" + strings.Replace(f.Shard.String(), "/", "-of-", 1)
		}
		name += "." + string(f.Format)
	}
	return filepath.Join(dir, name)
}

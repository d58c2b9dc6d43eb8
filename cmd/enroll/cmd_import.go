package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps/bulk"
	"github.com/dpskit/dpskit/pkg/dps/enrollment"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

const (
	flagFormat      = "format"
	flagConcurrency = "concurrency"
	flagReport      = "report"
	flagReportRaw   = "report-raw"
	flagKeysFile    = "keys-file"
	flagRestart     = "restart"
)

// importOptions is what the import command was asked for.
type importOptions struct {
	Connect     connectOptions
	File        string
	Format      bulk.Format
	Defaults    service.IndividualEnrollment
	IfExists    bulk.Existing
	Concurrency int
	Report      string
	ReportRaw   bool
	KeysFile    string
	Restart     bool
	Force       bool
	Output      cliapp.Format
}

func newImportCmd(env *cliapp.Env, run func(context.Context, *cliapp.Env, importOptions) error) *cli.Command {
	return &cli.Command{
		Name: "import", Usage: "create individual enrollments from a file", ArgsUsage: "FILE", Before: cliapp.ExactArgs("FILE"),
		Description: importHelp(),
		Flags: flags([]cli.Flag{
			&cli.StringFlag{Name: flagFormat, Usage: "`FORMAT` of the file: csv, jsonl (default: by its name)"},
			&cli.BoolFlag{Name: flagSymmetricKey, Usage: "rows that name no attestation get symmetric keys, made by the service"},
			ifExistsFlag(),
			&cli.IntFlag{Name: flagConcurrency, Value: bulk.DefaultConcurrency, Usage: fmt.Sprintf("send `N` requests of ten rows at once, at most %d", bulk.MaxConcurrency)},
			&cli.StringFlag{Name: flagReport, Usage: "write what became of each row to `FILE` (default: beside the file, NAME.report.csv)"},
			&cli.BoolFlag{Name: flagReportRaw, Usage: "do not protect the report against cells that a spreadsheet would run"},
			&cli.StringFlag{Name: flagKeysFile, Usage: "read the symmetric keys of the devices and write them to `FILE`, readable for you alone"},
			&cli.BoolFlag{Name: flagRestart, Usage: "do everything again, also what an earlier import of this file has done"},
			&cli.BoolFlag{Name: flagForce, Usage: "replace the report or the keys file of something else"},
			dryRunFlag(), outputFlag(),
		}, importSettingFlags(), importConnectionFlags(), cliapp.LogFlags()),
		Action: func(c *cli.Context) error {
			opts, err := importOptionsFrom(c, env)
			if err != nil {
				return err
			}
			return run(c.Context, env, opts)
		},
	}
}

func importHelp() string {
	var b strings.Builder
	b.WriteString("The whole file is checked before anything is sent. Then the rows go out in bulk requests of ten;\n" +
		"when the service asks to slow down, all wait. The report says what became of each row. Interrupted\n" +
		"or not, the same command again (without --restart, which forgets what was done) does what is left and\n" +
		"nothing twice, and completes its file of keys: beside the report is a file .state that knows what is\n" +
		"done. An import that is killed leaves only that, and no new report. The exit code is 8 if some rows failed.\n\n" +
		"   enroll individual import devices.csv\n" +
		"   enroll individual import devices.csv --if-exists update --keys-file keys.csv\n" +
		"   enroll individual import devices.jsonl --allocation-policy static --iot-hub my-hub.azure-devices.net\n" +
		"   enroll individual import - --format csv --report devices.report.csv < devices.csv\n\n" +
		"A JSON file has one enrollment a line, with the names of the service API; certificateFile and\n" +
		"primaryKeyFile name files. A CSV file has a header with some of these columns, in any order,\n" +
		"separated by commas, semicolons or tabs; only registrationId is required:\n\n")
	for _, column := range bulk.Columns() {
		fmt.Fprintf(&b, "   %-22s %s\n", column.Name, column.Help)
	}
	b.WriteString("\nFILE is - for standard input; then --format and --report must be given. The settings below are for rows that have none of their own.")
	return b.String()
}

// importSettingFlags are the settings that make sense for many devices.
func importSettingFlags() []cli.Flag {
	return slices.DeleteFunc(settingFlags(true), func(f cli.Flag) bool { return f.Names()[0] == flagDeviceID })
}

// importConnectionFlags are the connection flags with a --timeout of another
// meaning: an import may take hours.
func importConnectionFlags() []cli.Flag {
	return timedConnectionFlags(bulk.DefaultPatience, "give up after `DURATION` without any success")
}

func importOptionsFrom(c *cli.Context, env *cliapp.Env) (importOptions, error) {
	opts := importOptions{
		Connect: connectOptionsFrom(c, env), File: c.Args().First(), Concurrency: c.Int(flagConcurrency),
		Report: c.String(flagReport), ReportRaw: c.Bool(flagReportRaw), KeysFile: c.String(flagKeysFile),
		Restart: c.Bool(flagRestart), Force: c.Bool(flagForce), Output: env.OutputFormat(c),
	}
	var err error
	if opts.Format, err = formatOf(opts.File, c.String(flagFormat)); err != nil {
		return opts, err
	}
	if opts.Concurrency < 1 || opts.Concurrency > bulk.MaxConcurrency {
		return opts, cliapp.Usagef("invalid --%s %d: want 1 to %d", flagConcurrency, opts.Concurrency, bulk.MaxConcurrency)
	}
	exists, err := existingFrom(c)
	if err != nil {
		return opts, err
	}
	opts.IfExists = bulk.Existing(exists)
	settings, err := settingsFrom(c, true)
	if err != nil {
		return opts, err
	}
	settings.apply(enrollment.Of(&opts.Defaults))
	if c.Bool(flagSymmetricKey) {
		opts.Defaults.Attestation = service.SymmetricKeys("", "")
	}
	for flag, file := range map[string]string{flagReport: opts.Report, flagKeysFile: opts.KeysFile} {
		if file == stdinFile {
			return opts, cliapp.Usagef("invalid --%s %q: want the name of a file", flag, file)
		}
	}
	if opts.Report == "" && opts.File == stdinFile && !opts.Connect.DryRun {
		return opts, cliapp.Usagef("give --%s FILE: a report of standard input has no name of its own", flagReport)
	}
	if opts.Report == "" {
		opts.Report = strings.TrimSuffix(opts.File, filepath.Ext(opts.File)) + ".report.csv"
	}
	return opts, nil
}

func formatOf(file, given string) (bulk.Format, error) {
	for _, f := range bulk.AllFormats() {
		if given == string(f) {
			return f, nil
		}
	}
	if given != "" {
		return "", cliapp.Usagef("invalid --%s %q: want csv or jsonl", flagFormat, given)
	}
	if file == stdinFile {
		return "", cliapp.Usagef("standard input: give --%s csv or jsonl", flagFormat)
	}
	switch strings.ToLower(filepath.Ext(file)) {
	case ".csv", ".tsv", ".txt":
		return bulk.CSV, nil
	case ".jsonl", ".ndjson":
		return bulk.JSONLines, nil
	case ".json":
		return "", cliapp.WithHint(cliapp.Usagef("%q: which format is it?", file), "write one enrollment a line (jq -c '.[]' does that) and say --%s jsonl", flagFormat)
	}
	return "", cliapp.Usagef("%q: give --%s csv or jsonl", file, flagFormat)
}

func (o importOptions) engine(state *bulk.State, p *manyProgress) *bulk.Options {
	concurrency := o.Concurrency
	if o.Connect.DryRun {
		concurrency = 1 // requests are printed in the order of the file
	}
	return &bulk.Options{
		Exists: o.IfExists, Concurrency: concurrency, State: state, Keys: o.KeysFile != "" && !o.Connect.DryRun,
		Patience: o.Connect.Timeout, Progress: p.set, Waiting: func(w bulk.Wait) { p.waiting(w.Reason, w.Delay) },
	}
}

// retries are none: the import paces all its requests together.
var importClient = service.ClientOptions{MaxRetries: -1, TryTimeout: time.Minute}

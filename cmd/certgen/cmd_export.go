package main

import (
	"context"
	"crypto/x509"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki"
)

// exportOptions are what export was asked for.
type exportOptions struct {
	commonOptions
	Name            string
	Format          exportFormat
	Part            exportPart
	Out             string // "": standard output
	PFXProfile      pki.PFXProfile
	PFXPasswordFile string
	KeyPasswordFile string // of the key in the folder, where that is encrypted
	Env             envOptions
	Files           []exportFile // instead of Format, Part and Out
}

// exportFormat is a form that a device or a sample program takes.
type exportFormat string

const (
	exportPFX     exportFormat = "pfx"
	exportDER     exportFormat = "der"
	exportBase64  exportFormat = "base64"
	exportOneline exportFormat = "oneline"
	exportPEM     exportFormat = "pem"
	exportCHeader exportFormat = "c-header"
	exportEnv     exportFormat = "env"
)

// exportPart is what of a certificate is exported.
type exportPart string

const (
	partCertificate exportPart = "certificate"
	partChain       exportPart = "chain" // what a device presents: the certificate and the intermediates
	partKey         exportPart = "key"
	partAll         exportPart = "all"        // chain and key
	partFullChain   exportPart = "full-chain" // chain and root
	partEverything  exportPart = "everything" // full chain and key
)

type formatParts struct {
	format exportFormat
	parts  []exportPart
}

// exportParts says which parts each format can hold, the default first.
var exportParts = []formatParts{
	{exportPFX, []exportPart{partAll}},
	{exportDER, []exportPart{partCertificate, partKey}},
	{exportBase64, []exportPart{partCertificate, partKey}},
	{exportOneline, []exportPart{partChain, partCertificate, partKey, partFullChain}},
	{exportPEM, []exportPart{partAll, partChain, partCertificate, partKey, partFullChain, partEverything}},
	{exportCHeader, []exportPart{partAll, partChain, partCertificate, partKey}},
	{exportEnv, nil},
}

func newExportCmd(env *cliapp.Env, run func(context.Context, *cliapp.Env, exportOptions) error) *cli.Command {
	return &cli.Command{
		Name: "export", Usage: "write a certificate in the form that a device or a sample takes", ArgsUsage: "NAME",
		Description: "pfx       key, certificate and every issuer, with a password of your choice\n" +
			"der       binary, one certificate or the key\n" +
			"base64    the same in one line, as Azure Resource Manager takes it\n" +
			"oneline   PEM in one line with \\n, for JSON, C strings and settings of an app\n" +
			"pem       key and chain in one file, as the SDK for embedded C takes it\n" +
			"c-header  C strings to compile into a firmware\n" +
			"env       the variables that the samples of the Node.js, Python and embedded C SDK read\n\n" +
			"Whatever holds the private key, or is binary, goes to a file (--out) that its owner alone can\n" +
			"read, or by --out - into a pipe, never to the terminal. chain means what a device presents: the certificate and the\n" +
			"intermediates, without the root. --file writes more than one file, all of them or none.\n\n" +
			"   certgen export my-device --format env --id-scope 0ne00000000 --pem-file my-device.pem\n" +
			"   certgen export my-device --format base64\n" +
			"   certgen export my-device --format c-header --out my_device.h\n" +
			"   certgen export my-device --format pfx --out my-device.pfx --pfx-password-file pfx.password\n" +
			"   certgen export my-device --format der --part key --out my-device.key.der\n" +
			"   certgen export my-device --file pem:key=my-device.key --file pem:chain=my-device.pem --file der=my-device.cer",
		Flags: append(append(exportFlags(), readFlags()...), &cli.BoolFlag{
			Name: flagForce, Aliases: []string{"f"}, Category: categoryCommon,
			Usage: "replace the files of --" + flagOut + ", --" + flagFile + " and --" + flagPEMFile + ", which are lost",
		}),
		Before: cliapp.ExactArgs("NAME"),
		Action: func(c *cli.Context) error {
			opts := exportOptions{
				commonOptions: readWrite(env, c), Name: c.Args().First(), Out: c.String(flagOut),
				PFXPasswordFile: c.String(flagPFXPasswordFile), KeyPasswordFile: c.String(flagPasswordFile),
			}
			if err := opts.read(env, c); err != nil {
				return err
			}
			return run(c.Context, env, opts)
		},
	}
}

func exportFlags() []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: flagFormat, Usage: "write it as `FORMAT`: " + exportFormatNames()},
		&cli.StringFlag{Name: flagPart, Usage: "write only `PART`: certificate, chain, key, all (chain and key), full-chain (with the root), everything (full chain and key) (default: depends on the format)"},
		&cli.StringFlag{Name: flagOut, Usage: "write to `FILE` instead of standard output (-)"},
		fileFlag(),
		pfxProfileFlag(),
		&cli.StringFlag{
			Name: flagPFXPasswordFile, Category: categoryPFX,
			Usage: "read the password of the new PFX, one line, from `FILE` (- is standard input; else $" + envPFXPassword + ", else a prompt)",
		},
		&cli.StringFlag{
			Name: flagPasswordFile, Category: categoryPassword,
			Usage: "read the pass phrase, one line, of the key in the folder from `FILE`, where it is encrypted (- is standard input; else $" +
				envCAPassword + ", else a prompt)",
		},
	}, envFlags()...)
}

func exportFormatNames() string {
	var names []string
	for _, f := range exportParts {
		names = append(names, string(f.format))
	}
	return strings.Join(names, ", ")
}

// read reads and checks the flags that depend on each other.
func (opts *exportOptions) read(env *cliapp.Env, c *cli.Context) error {
	var err error
	if opts.PFXProfile, err = readPFXProfile(c); err != nil {
		return err
	}
	if opts.PFXPasswordFile == "-" && opts.KeyPasswordFile == "-" {
		return cliapp.Usagef("standard input cannot be two passwords")
	}
	if c.IsSet(flagFile) {
		opts.Files, err = readFiles(c)
		return err
	}
	if !c.IsSet(flagFormat) {
		return cliapp.Usagef("missing --%s: want one of %s", flagFormat, exportFormatNames())
	}
	opts.Format = exportFormat(c.String(flagFormat))
	if opts.Part, err = checkPart(opts.Format, c.String(flagPart)); err != nil {
		return err
	}
	if opts.Env, err = readEnv(c, opts.Format); err != nil {
		return err
	}
	switch {
	case opts.Out == "" && opts.needsFile():
		return cliapp.Usagef("--%s %s holds the private key or is binary: say with --%s which file it goes to", flagFormat, opts.Format, flagOut)
	case opts.Out == stdoutFile && opts.needsFile() && env.OutTTY:
		return cliapp.Usagef("--%s %s holds the private key or is binary: it is not for a terminal", flagFormat, opts.Format)
	case opts.Out == stdoutFile && opts.needsFile() && opts.commonOptions.Format == cliapp.FormatJSON:
		return cliapp.Usagef("--%s %s does not go into a JSON document: say with --%s which file it goes to", flagFormat, opts.Format, flagOut)
	}
	if opts.Out == stdoutFile {
		opts.Out = ""
	}
	return nil
}

// checkPart returns the part of a format; "" stands for the usual one.
func checkPart(format exportFormat, part string) (exportPart, error) {
	i := slices.IndexFunc(exportParts, func(f formatParts) bool { return f.format == format })
	switch {
	case i < 0:
		return "", cliapp.Usagef("invalid --%s %q: want one of %s", flagFormat, string(format), exportFormatNames())
	case part == "" && len(exportParts[i].parts) == 0:
		return "", nil
	case part == "":
		return exportParts[i].parts[0], nil
	case !slices.Contains(exportParts[i].parts, exportPart(part)):
		return "", cliapp.Usagef("--%s %q does not go with --%s %s", flagPart, part, flagFormat, format)
	}
	return exportPart(part), nil
}

// needsKey reports whether the private key is part of the export.
func (opts exportOptions) needsKey() bool {
	return opts.Part == partKey || opts.Part == partAll || opts.Part == partEverything
}

// needsFile reports whether the export must not go to a terminal.
func (opts exportOptions) needsFile() bool { return opts.needsKey() || opts.Format == exportDER }

// presented is what a device presents: the certificate and the intermediates.
func presented(b *pki.Bundle) []*x509.Certificate {
	chain := []*x509.Certificate{b.Certificate}
	for _, cert := range b.Issuers {
		if string(cert.RawIssuer) != string(cert.RawSubject) {
			chain = append(chain, cert)
		}
	}
	return chain
}

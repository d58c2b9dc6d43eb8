package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

const (
	categoryEnv = "Environment (--format env)"
	defaultHost = "global.azure-devices-provisioning.net"

	flagPEMFile = "pem-file"
)

// shells are the shells that --shell can name.
var shells = []string{"sh", "pwsh", "cmd"}

// envOptions are what export was asked for with the format env.
type envOptions struct {
	IDScope, Host string
	Shell         string
	PEMFile       string // "": no file with key and chain in one
}

func envFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: flagIDScope, Category: categoryEnv, Usage: "the `ID-SCOPE` of the DPS", EnvVars: []string{"DPS_ID_SCOPE"}},
		&cli.StringFlag{Name: flagHost, Category: categoryEnv, Value: defaultHost, Usage: "the `HOST` that devices register with"},
		&cli.StringFlag{Name: flagShell, Category: categoryEnv, Value: shells[0], Usage: "write commands for `SHELL`: " + strings.Join(shells, ", ")},
		&cli.StringFlag{
			Name: flagPEMFile, Category: categoryEnv,
			Usage: "write `FILE`, too, with key and chain in one, and the variable that the samples of the embedded C SDK find it by",
		},
	}
}

func readEnv(c *cli.Context, format exportFormat) (envOptions, error) {
	opts := envOptions{
		IDScope: c.String(flagIDScope), Host: c.String(flagHost), Shell: c.String(flagShell), PEMFile: c.String(flagPEMFile),
	}
	switch {
	case !slices.Contains(shells, opts.Shell):
		return opts, cliapp.Usagef("invalid --%s %q: want %s", flagShell, opts.Shell, strings.Join(shells, ", "))
	case opts.PEMFile != "" && format != exportEnv:
		return opts, cliapp.Usagef("--%s goes with --%s %s; for the file alone there is --%s %s --%s FILE",
			flagPEMFile, flagFormat, exportEnv, flagFormat, exportPEM, flagOut)
	case opts.PEMFile != "" && opts.PEMFile == c.String(flagOut):
		return opts, cliapp.Usagef("--%s and --%s are the same file", flagPEMFile, flagOut)
	case opts.PEMFile == stdoutFile:
		return opts, cliapp.Usagef("--%s is a file that stays, not standard output", flagPEMFile)
	}
	return opts, nil
}

// checkEnvProfile refuses certificates that no device registers with.
func checkEnvProfile(e workspace.Entry) error {
	if e.Profile == pki.ProfileDevice || e.Profile == pki.ProfileEdgeIdentity {
		return nil
	}
	return cliapp.WithCode(fmt.Errorf("--%s %s is for what devices register with, and the profile of this is %q", flagFormat, exportEnv, string(e.Profile)),
		cliapp.ExitUsage)
}

// exportEnvironment makes the text of the format env and writes the file of
// --pem-file.
func exportEnvironment(ws *workspace.Workspace, e workspace.Entry, opts exportOptions, secrets exportSecrets) ([]byte, error) {
	if err := checkEnvProfile(e); err != nil {
		return nil, err
	}
	text, err := environmentText(newFiles(ws.Dir(), e.Files), e, opts)
	if err != nil || opts.Env.PEMFile == "" {
		return text, err
	}
	opts.Format, opts.Part = exportPEM, partAll
	data, err := exportData(ws, e, opts, secrets)
	if err != nil {
		return nil, err
	}
	if old, err := os.ReadFile(opts.Env.PEMFile); err == nil && bytes.Equal(old, data) {
		return text, nil
	}
	return text, notWritten(writeOut(opts, flagPEMFile, opts.Env.PEMFile, data))
}

// environmentText sets the variables that the official samples read:
//   - Node.js: provisioning/device/samples/register_x509.js
//   - Python: samples/async-hub-scenarios/provision_x509.py
//   - embedded C: sdk/samples/iot, "a PEM file containing the device certificate
//     and key as well as any intermediate certificates"
func environmentText(paths files, e workspace.Entry, opts exportOptions) ([]byte, error) {
	if paths.FullChain == "" || paths.Key == "" {
		return nil, cliapp.WithCode(fmt.Errorf("the folder has no full chain or no key for it"), cliapp.ExitNotFound)
	}
	id, ok := strings.CutPrefix(e.Subject, "CN=")
	if !ok || pki.CheckRegistrationID(id) != nil {
		return nil, fmt.Errorf("%w: its subject %q is no registration ID", pki.ErrInvalidID, e.Subject)
	}
	var absolute [3]string
	for i, path := range []string{paths.FullChain, paths.Key, opts.Env.PEMFile} {
		var err error
		if absolute[i], err = filepath.Abs(path); err != nil {
			return nil, err
		}
	}
	cert, key, both := absolute[0], absolute[1], absolute[2]
	scope := orDefault(opts.Env.IDScope, "ID-SCOPE")
	w := envWriter{shell: opts.Env.Shell}
	w.set("PROVISIONING_HOST", opts.Env.Host)
	w.set("PROVISIONING_IDSCOPE", scope)
	w.comment("Node.js")
	w.set("PROVISIONING_REGISTRATION_ID", id)
	w.set("CERTIFICATE_FILE", cert)
	w.set("KEY_FILE", key)
	w.comment("Python")
	w.set("DPS_X509_REGISTRATION_ID", id)
	w.set("X509_CERT_FILE", cert)
	w.set("X509_KEY_FILE", key)
	w.comment("embedded C")
	w.set("AZ_IOT_PROVISIONING_ID_SCOPE", scope)
	w.set("AZ_IOT_PROVISIONING_REGISTRATION_ID", id)
	if opts.Env.PEMFile != "" {
		w.set("AZ_IOT_DEVICE_X509_CERT_PEM_FILE_PATH", both)
	} else {
		w.comment("AZ_IOT_DEVICE_X509_CERT_PEM_FILE_PATH is missing: --" + flagPEMFile + " FILE makes the file and sets it")
	}
	return []byte(w.text.String()), w.err
}

// envWriter writes commands of a shell.
type envWriter struct {
	shell string
	text  strings.Builder
	err   error // the first one
}

func (w *envWriter) comment(text string) {
	mark := "#"
	if w.shell == "cmd" {
		mark = "rem"
	}
	fmt.Fprintf(&w.text, "%s %s\n", mark, text)
}

// set writes the command that sets a variable of the environment.
func (w *envWriter) set(name, value string) {
	switch w.shell {
	case "pwsh":
		fmt.Fprintf(&w.text, "$env:%s = '%s'\n", name, strings.ReplaceAll(value, "'", "''"))
	case "cmd":
		// There is no way to write these that holds for a file and for the prompt.
		if strings.ContainsAny(value, "\"%!\r\n") && w.err == nil {
			w.err = cliapp.WithHint(cliapp.Usagef("%s cannot be written for --%s cmd: a quotation mark, %% or ! is in %q", name, flagShell, value),
				"use --%s pwsh; where it is the name of the certificate, which certgen writes with %% for Windows, make it under another: device ID --%s OTHER",
				flagShell, flagName)
		}
		fmt.Fprintf(&w.text, "set \"%s=%s\"\n", name, value)
	default:
		fmt.Fprintf(&w.text, "export %s=%s\n", name, shellQuote(value))
	}
}

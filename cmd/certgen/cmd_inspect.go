package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

// inspectOptions are what inspect was asked for.
type inspectOptions struct {
	commonOptions
	What         []string // files, names in the folder, or "-"
	PasswordFile string
}

func newInspectCmd(env *cliapp.Env, run func(context.Context, *cliapp.Env, inspectOptions) error) *cli.Command {
	return &cli.Command{
		Name: "inspect", Usage: "show what is in a certificate, key, request or PFX", ArgsUsage: "FILE|NAME...",
		Description: "Reads PEM, DER, base64 and PFX, whatever the file is called, and standard input as -.\n" +
			"A NAME that the folder knows is looked up there; write ./NAME for a file of that name.\n" +
			"The thumbprints are those that the portal shows: SHA-1 for DPS, SHA-256 for IoT Hub.\n\n" +
			"   certgen inspect my-device\n" +
			"   certgen inspect pki/certs/my-device-full-chain.cert.pem --output json\n" +
			"   certgen inspect pki/certs/my-device.cert.pfx --password-file pki/private/my-device.pfx.password",
		Flags: append(readFlags(), &cli.StringFlag{
			Name: flagPasswordFile, Category: categoryPassword,
			Usage: "read the password of a PFX or an encrypted key, one line, from `FILE` (- is standard input; else $" + envPFXPassword +
				" or $" + envCAPassword + ", else a prompt)",
		}),
		Before: cliapp.MinArgs(1, "FILE or NAME"),
		Action: func(c *cli.Context) error {
			opts := inspectOptions{
				commonOptions: readCommon(env, c), What: c.Args().Slice(), PasswordFile: c.String(flagPasswordFile),
			}
			return run(c.Context, env, opts)
		},
	}
}

// inspectResult is the JSON document of inspect: one item for each argument, in
// their order.
type inspectResult struct {
	Items []inspection `json:"items"`
}

func runInspect(ctx context.Context, env *cliapp.Env, opts inspectOptions) error {
	ws, err := openForNames(opts)
	if err != nil {
		return err
	}
	var result inspectResult
	for _, what := range opts.What {
		item, err := inspect(ctx, env, ws, opts, what)
		if err != nil {
			return err
		}
		result.Items = append(result.Items, item)
	}
	var text page
	for i, item := range result.Items {
		if i > 0 {
			text.blank()
		}
		item.render(&text, env.Now())
	}
	return printResult(env, opts.commonOptions, result, text.String())
}

// openForNames opens the folder if an argument may be a name in it. Files can
// be inspected where there is no folder, or a broken one.
func openForNames(opts inspectOptions) (*workspace.Workspace, error) {
	for _, what := range opts.What {
		if isName(what) {
			ws, err := workspace.Open(opts.Dir)
			if err != nil && exists(what) {
				return nil, nil
			}
			return ws, err
		}
	}
	return nil, nil
}

func isName(what string) bool {
	return what != "-" && !strings.ContainsAny(what, `/\`)
}

// exists reports whether there is something, if only a link that leads nowhere.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func inspect(ctx context.Context, env *cliapp.Env, ws *workspace.Workspace, opts inspectOptions, what string) (inspection, error) {
	if ws != nil && isName(what) {
		item, err := inspectName(ctx, env, ws, opts, what)
		if !errors.Is(err, workspace.ErrNotFound) {
			return item, err
		}
		if !exists(what) {
			return item, cliapp.WithHint(err, "there is no file %q either; 'certgen list' shows the names in the folder", what)
		}
	}
	if what == "-" && opts.PasswordFile == "-" {
		return inspection{}, cliapp.Usagef("standard input cannot be both the file and its password")
	}
	data, err := readFile(ctx, env, what)
	if err != nil {
		return inspection{}, err
	}
	c, err := parseContents(ctx, data, openPassword(env, opts.PasswordFile, what))
	if err != nil {
		return inspection{}, fmt.Errorf("inspect %q: %w", what, unreadable(err, "x509"))
	}
	return newInspection(what, c, env.Now()), nil
}

// inspectName shows the certificate of a name with its key and its chain.
// A key that cannot be read is no reason not to show the certificates.
func inspectName(ctx context.Context, env *cliapp.Env, ws *workspace.Workspace, opts inspectOptions, name string) (inspection, error) {
	entry, err := ws.Lookup(name)
	if err != nil {
		return inspection{}, err
	}
	var key foundKey
	bundle, err := ws.BundleWithPassphrase(name, func() ([]byte, error) {
		key.Encrypted = true
		return keyPassphrase(ctx, env, opts.PasswordFile, name)()
	})
	c := contents{Format: "workspace"}
	switch {
	case errors.Is(err, pki.ErrPassphraseRequired):
		c.Key = &key
		c.Certificates, err = ws.Chain(name)
	case errors.Is(err, workspace.ErrKeyUnreadable):
		notef(env, opts.commonOptions, "the private key is not shown: %v", err)
		c.Certificates, err = ws.Chain(name)
	case err == nil:
		c.Certificates = append([]*x509.Certificate{bundle.Certificate}, bundle.Issuers...)
		if key.Signer = bundle.Key; key.Signer != nil {
			c.Key = &key
		}
	}
	if err != nil {
		return inspection{}, err
	}
	item := newInspection(name, c, env.Now())
	paths := newFiles(ws.Dir(), entry.Files)
	item.Files, item.Broken = &paths, entry.Broken
	return item, nil
}

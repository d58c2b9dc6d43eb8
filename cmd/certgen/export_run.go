package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

// exportResult is the JSON document of export.
type exportResult struct {
	Name   string       `json:"name"`
	Format exportFormat `json:"format,omitempty"`
	Part   exportPart   `json:"part,omitempty"`
	File   string       `json:"file,omitempty"`    // as --out gives it
	Text   string       `json:"content,omitempty"` // what was exported, where it went to no file
	Files  []exportFile `json:"files,omitempty"`   // of --file
}

func runExport(ctx context.Context, env *cliapp.Env, opts exportOptions) error {
	ws, err := workspace.Open(opts.Dir)
	if err != nil {
		return err
	}
	if err := mayExport(opts, flagOut, opts.Out); err != nil {
		return err
	}
	if err := mayWriteFiles(opts); err != nil {
		return err
	}
	entry, err := ws.Lookup(opts.Name)
	if err != nil {
		return err
	}
	if len(opts.Files) > 0 {
		return exportToFiles(ctx, env, ws, entry, opts)
	}
	data, err := exportData(ws, entry, opts, newExportSecrets(ctx, env, opts))
	if err != nil {
		return exportFailed(entry, err)
	}
	if opts.Format == exportEnv && opts.Env.IDScope == "" {
		notef(env, opts.commonOptions, "ID-SCOPE stands for the ID scope of your DPS: give it by --%s", flagIDScope)
	}
	if entry.Broken != "" {
		noteBroken(env, opts.commonOptions, entry.Broken)
	}
	out := exportResult{Name: entry.Name, Format: opts.Format, Part: opts.Part, File: opts.Out}
	text := string(data)
	if opts.Out != "" {
		if err := writeOut(opts, flagOut, opts.Out, data); err != nil {
			return exportFailed(entry, notWritten(err))
		}
		var p page
		p.fields("", "wrote", opts.Out)
		text = p.String()
	} else {
		out.Text = text
		opts.Quiet = false // the text is what was asked for
	}
	return printResult(env, opts.commonOptions, out, text)
}

// exportFailed says what could not be exported, and how to give a pass phrase.
func exportFailed(e workspace.Entry, err error) error {
	if errors.Is(err, pki.ErrPassphraseRequired) {
		err = cliapp.WithHint(err, "give it by --%s FILE, by $%s or at a terminal; keys that the original certGen.sh made have the pass phrase 1234",
			flagPasswordFile, envCAPassword)
	}
	return fmt.Errorf("export %q: %w", e.Name, err)
}

// notWritten says what to do where the folder of a new file is missing.
func notWritten(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return cliapp.WithHint(err, "the folder of the new file is not there: make it first")
	}
	return err
}

// exportSecrets are the sources of the passwords. Each asks once, however many
// files need it.
type exportSecrets struct {
	key func() ([]byte, error) // opens the key in the folder, where it is encrypted
	pfx func() (string, error) // of the new PFX
}

func newExportSecrets(ctx context.Context, env *cliapp.Env, opts exportOptions) exportSecrets {
	return exportSecrets{
		key: sync.OnceValues(keyPassphrase(ctx, env, opts.KeyPasswordFile, opts.Name)),
		pfx: sync.OnceValues(func() (string, error) { return newPFXPassword(ctx, env, opts.PFXPasswordFile) }),
	}
}

// exportData makes the content. The key is read only where it is needed.
func exportData(ws *workspace.Workspace, e workspace.Entry, opts exportOptions, secrets exportSecrets) ([]byte, error) {
	if opts.Format == exportEnv {
		return exportEnvironment(ws, e, opts, secrets)
	}
	if !opts.needsKey() {
		chain, err := ws.Chain(e.Name)
		if err != nil {
			return nil, err
		}
		return encodePart(&pki.Bundle{Profile: e.Profile, Certificate: chain[0], Issuers: chain[1:]}, e, opts)
	}
	bundle, err := ws.BundleWithPassphrase(e.Name, secrets.key)
	if err != nil {
		return nil, err
	}
	if bundle.Key == nil {
		return nil, cliapp.WithCode(errors.New("the folder has no private key for it"), cliapp.ExitNotFound)
	}
	if opts.Format != exportPFX {
		return encodePart(bundle, e, opts)
	}
	password, err := secrets.pfx()
	if err != nil {
		return nil, err
	}
	return bundle.PFX(pki.PFXOptions{Profile: opts.PFXProfile, Password: password})
}

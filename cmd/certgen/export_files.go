package main

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

const flagFile = "file"

// exportFile is one of the files that --file asks for.
type exportFile struct {
	Format exportFormat `json:"format"`
	Part   exportPart   `json:"part"`
	Path   string       `json:"file"` // as --file gives it
}

func fileFlag() cli.Flag {
	return &cli.StringSliceFlag{
		Name: flagFile,
		Usage: "write a file, `FORMAT[:PART]=FILE`, instead of --" + flagFormat + ", --" + flagPart + " and --" + flagOut +
			"; repeat it to have all of them written or none",
	}
}

// readFiles reads the values of --file.
func readFiles(c *cli.Context) ([]exportFile, error) {
	for _, other := range []string{flagFormat, flagPart, flagOut, flagPEMFile} {
		if c.IsSet(other) {
			return nil, cliapp.Usagef("--%s says format and file: leave out --%s", flagFile, other)
		}
	}
	var files []exportFile
	seen := map[string]bool{}
	for _, value := range c.StringSlice(flagFile) {
		what, path, _ := strings.Cut(value, "=")
		format, part, _ := strings.Cut(what, ":")
		if path == "" || path == stdoutFile {
			return nil, cliapp.Usagef("invalid --%s %q: want FORMAT=FILE or FORMAT:PART=FILE", flagFile, value)
		}
		file := exportFile{Format: exportFormat(format), Path: path}
		var err error
		if file.Part, err = checkPart(file.Format, part); err != nil {
			return nil, err
		}
		if file.Format == exportEnv {
			return nil, cliapp.Usagef("--%s %s=...: the variables go out by --%s %s", flagFile, exportEnv, flagFormat, exportEnv)
		}
		// What a file system without cases takes for one file would be written twice.
		key := strings.ToLower(filepath.Clean(path))
		if seen[key] {
			return nil, cliapp.Usagef("--%s names the file %q twice", flagFile, path)
		}
		seen[key] = true
		files = append(files, file)
	}
	return files, nil
}

// mayWriteFiles refuses, before anything is made, files of --file that may not
// be written.
func mayWriteFiles(opts exportOptions) error {
	for _, file := range opts.Files {
		if err := mayExport(opts, flagFile, file.Path); err != nil {
			return err
		}
	}
	return nil
}

// exportToFiles writes the files of --file.
func exportToFiles(ctx context.Context, env *cliapp.Env, ws *workspace.Workspace, e workspace.Entry, opts exportOptions) error {
	secrets := newExportSecrets(ctx, env, opts)
	var outputs []cliapp.OutFile
	var p page
	for _, file := range opts.Files {
		one := opts
		one.Format, one.Part = file.Format, file.Part
		data, err := exportData(ws, e, one, secrets)
		if err != nil {
			return exportFailed(e, err)
		}
		outputs = append(outputs, cliapp.OutFile{Path: file.Path, Data: data})
		p.fields("", "wrote", file.Path)
	}
	if err := mayWriteFiles(opts); err != nil {
		return exportFailed(e, err)
	}
	if err := cliapp.WriteAll(outputs...); err != nil {
		return exportFailed(e, notWritten(err))
	}
	if e.Broken != "" {
		noteBroken(env, opts.commonOptions, e.Broken)
	}
	return printResult(env, opts.commonOptions, exportResult{Name: e.Name, Files: opts.Files}, p.String())
}

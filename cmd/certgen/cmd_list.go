package main

import (
	"bytes"
	"context"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

// listOptions are what list was asked for.
type listOptions struct {
	commonOptions
	// ExpiresIn leaves out what is valid for longer; nil lists everything.
	ExpiresIn *time.Duration
	// Rebuild makes the list anew from the files.
	Rebuild bool
}

func newListCmd(env *cliapp.Env, run func(context.Context, *cliapp.Env, listOptions) error) *cli.Command {
	return &cli.Command{
		Name: "list", Usage: "list the certificates in the folder with their expiry",
		Description: "   certgen list\n" +
			"   certgen list --expires-in 7d --output json\n\n" +
			"The list is in the file certgen.json of the folder. When that is lost or damaged, --rebuild\n" +
			"makes it anew from the certificates and keys; the old one is kept in the folder 'replaced'.\n" +
			"What was broken on purpose stays marked if the old list or the certificate itself still tells it.\n\n" +
			"   certgen list --rebuild",
		Flags: append(readFlags(), &cli.StringFlag{
			Name: flagExpiresIn, Usage: "list only what expires within `DURATION` (7d, 36h) or has expired",
		}, &cli.BoolFlag{
			Name: flagRebuild, Usage: "make the list anew from the files in the folder",
		}),
		Before: cliapp.NoArgs,
		Action: func(c *cli.Context) error {
			opts := listOptions{commonOptions: readCommon(env, c), Rebuild: c.Bool(flagRebuild)}
			var err error
			if opts.ExpiresIn, err = readExpiresIn(c); err != nil {
				return err
			}
			return run(c.Context, env, opts)
		},
	}
}

// readExpiresIn reads --expires-in; nil when it is not given.
func readExpiresIn(c *cli.Context) (*time.Duration, error) {
	if !c.IsSet(flagExpiresIn) {
		return nil, nil
	}
	d, err := parseDuration(c.String(flagExpiresIn))
	if err != nil || d < 0 {
		return nil, cliapp.Usagef("invalid --%s %q: want a duration such as 7d or 36h", flagExpiresIn, c.String(flagExpiresIn))
	}
	return &d, nil
}

func runList(ctx context.Context, env *cliapp.Env, opts listOptions) error {
	open := workspace.Open
	if opts.Rebuild {
		open = func(dir string) (*workspace.Workspace, error) { return workspace.Rebuild(ctx, dir) }
	}
	ws, err := open(opts.Dir)
	if err != nil {
		return err
	}
	noteProblems(env, opts.commonOptions, ws)
	now := env.Now()
	list := &result{Dir: opts.Dir, Certificates: []certificate{}}
	for _, e := range ws.Entries() {
		if opts.ExpiresIn == nil || !e.NotAfter.After(now.Add(*opts.ExpiresIn)) {
			list.Certificates = append(list.Certificates, newCertificate(ws.Dir(), e))
		}
	}
	if len(list.Certificates) == 0 && opts.Format == cliapp.FormatText {
		if opts.ExpiresIn != nil && len(ws.Entries()) > 0 {
			notef(env, opts.commonOptions, "nothing in %q expires so soon", opts.Dir)
		} else {
			notef(env, opts.commonOptions, "no certificates in %q", opts.Dir)
		}
		return nil
	}
	return printResult(env, opts.commonOptions, list, listTable(list.Certificates, now))
}

// noteProblems names the files of the folder that are not in its list, because
// they could not be taken in.
func noteProblems(env *cliapp.Env, opts commonOptions, ws *workspace.Workspace) {
	const limit = 10
	problems := ws.Problems()
	for i, p := range problems {
		if i == limit {
			notef(env, opts, "%d more files are not in the list", len(problems)-limit)
			return
		}
		notef(env, opts, "%q is not in the list: %v", filepath.Join(ws.Dir(), filepath.FromSlash(p.File)), p.Err)
	}
}

// listTable is the inventory for a person.
func listTable(certs []certificate, now time.Time) string {
	var out bytes.Buffer
	rows := make([][]string, len(certs))
	for i, c := range certs {
		rows[i] = []string{c.Name, c.role(), c.KeyType, formatTime(c.NotAfter), remaining(c.NotAfter, now), c.issuer()}
	}
	view := cliapp.View{Columns: []string{"name", "profile", "key", "expires", "left", "issuer"}, Rows: rows}
	table := &cliapp.Env{Out: &out}
	_ = table.Print(cliapp.FormatTable, view) // a bytes.Buffer does not fail
	return out.String()
}

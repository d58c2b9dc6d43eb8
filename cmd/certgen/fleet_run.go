package main

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/fleet"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

// fleetResult is the JSON document of device with --count or --from-file.
type fleetResult struct {
	Path      string   `json:"path"`   // the folder or archive
	Format    string   `json:"format"` // files, tar or zip
	Index     string   `json:"index"`
	Shard     string   `json:"shard,omitempty"`
	CA        string   `json:"ca"`
	KeyType   string   `json:"keyType"`
	Devices   int      `json:"devices"` // that were asked for, of this part
	Made      int      `json:"made"`
	Kept      int      `json:"kept"` // were there already
	Failed    int      `json:"failed"`
	Failures  []string `json:"failures,omitempty"` // the first ten
	Seconds   float64  `json:"seconds"`
	PerSecond float64  `json:"perSecond"`

	caFile string
}

// runFleet makes many devices.
func runFleet(ctx context.Context, env *cliapp.Env, opts deviceOptions) error {
	if err := checkFleetOut(opts); err != nil {
		return err
	}
	if named := formatOfPath(opts.Fleet.Out); named != opts.Fleet.Format && named != fleet.FormatFiles {
		notef(env, opts.commonOptions, "%q is written as %s, as --%s says, whatever its name", opts.Fleet.Out, opts.Fleet.Format, flagOutputFormat)
	}
	ids, err := readFleetIDs(env, opts.Fleet)
	if err != nil {
		return err
	}
	ws, err := workspace.Open(opts.Dir)
	if err != nil {
		return err
	}
	ca, err := findCA(ws, opts.CA)
	if err != nil {
		return err
	}
	authority, err := ws.Authority(ca, caPassphrase(ctx, env, opts.CAPasswordFile, ca))
	if err != nil {
		return err
	}
	pfx, err := opts.PFX.options(ctx, env)
	if err != nil {
		return err
	}
	from, to := opts.Fleet.Shard.Range(ids.Len())
	noteSlowKeys(env, opts.commonOptions, opts.KeyType, to-from)
	start := env.Now()
	result, err := writeFleet(ctx, env, opts, fleet.Options{
		Authority: authority, IDs: ids, Shard: opts.Fleet.Shard, KeyType: opts.KeyType, Validity: opts.Validity,
		PFX: pfx, Now: env.Now,
	})
	if err != nil && !errors.Is(err, fleet.ErrSomeFailed) {
		return fleetError(err, opts.Fleet, opts.Force, result)
	}
	noteFleetShortened(env, opts, authority, ids.ID(from), result)
	made := newFleetResult(opts, ca, result, env.Now().Sub(start))
	made.caFile = ws.Paths(ca).Cert
	if printErr := printResult(env, opts.commonOptions, made, made.render()); printErr != nil {
		return printErr
	}
	return fleetError(err, opts.Fleet, opts.Force, result)
}

// noteFleetShortened says when the devices got less time than was asked for.
func noteFleetShortened(env *cliapp.Env, opts deviceOptions, ca *pki.Authority, first string, result fleet.Result) {
	if result.Made == 0 {
		return
	}
	like := &x509.Certificate{
		Subject: pkix.Name{CommonName: first}, NotBefore: opts.Validity.NotBefore, NotAfter: result.NotAfter,
	}
	noteShortened(env, opts.commonOptions, opts.issueOptions, &pki.Bundle{Certificate: like, Issuers: ca.Chain()})
	noteExpired(env, opts.commonOptions, like)
}

// writeFleet makes the devices with a progress line.
func writeFleet(ctx context.Context, env *cliapp.Env, opts deviceOptions, of fleet.Options) (fleet.Result, error) {
	defer collectGarbage(env)()
	if !opts.Quiet {
		progress := env.NewProgress("devices")
		defer progress.Clear()
		of.Progress = progress.Set
	}
	return fleet.Write(ctx, of, fleet.Target{
		Format: opts.Fleet.Format, Path: opts.Fleet.Out, RawIndex: opts.Fleet.RawIndex, Force: opts.Force,
	})
}

// collectGarbage lets the heap grow by some MiB between two collections, however much is live, and returns what sets
// that back. A fleet by itself has few MiB that are live: collecting half as often as usual saves a thirtieth of the
// time there. A long list of IDs is live, too, and is no reason to leave more garbage.
func collectGarbage(env *cliapp.Env) (restore func()) {
	if env.Getenv("GOGC") != "" {
		return func() {}
	}
	const growth, most, least = 8 << 20, 200, 10
	live := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(live)
	old := debug.SetGCPercent(int(min(most, max(least, growth*100/max(live[0].Value.Uint64(), 1)))))
	return func() { debug.SetGCPercent(old) }
}

// readFleetIDs returns the IDs of the devices, all of them checked.
func readFleetIDs(env *cliapp.Env, f *fleetOptions) (fleet.IDs, error) {
	if f.FromFile == "" {
		ids, err := fleet.Numbered(f.Prefix, f.Start, f.Count)
		return ids, cliapp.WithCode(err, cliapp.ExitUsage)
	}
	var in io.Reader = env.In
	if f.FromFile != "-" {
		file, err := os.Open(f.FromFile)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		in = file
	}
	if env.Getenv("GOGC") == "" { // there is nothing but the list, and looking for garbage costs nothing
		defer debug.SetGCPercent(debug.SetGCPercent(25))
	}
	list, err := fleet.ReadIDs(in)
	switch {
	case errors.Is(err, fleet.ErrBadList):
		return nil, cliapp.WithCode(fmt.Errorf("read %q: %w", f.FromFile, err), cliapp.ExitUsage)
	case err != nil:
		return nil, fmt.Errorf("read %q: %w", f.FromFile, err)
	}
	return list, nil
}

// fleetError adds the exit code and what to do.
func fleetError(err error, f *fleetOptions, force bool, result fleet.Result) error {
	hint := func(code int, format string, args ...any) error {
		return cliapp.WithCode(cliapp.WithHint(err, format, args...), code)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fleet.ErrSomeFailed):
		return hint(cliapp.ExitPartial, "%s says which and why; the same command tries them again", result.Index)
	case errors.Is(err, fleet.ErrLocked):
		return hint(cliapp.ExitUnavailable, "another certgen is writing there: wait, or choose another place with --%s", flagOut)
	case errors.Is(err, fleet.ErrImmovable):
		return cliapp.WithCode(err, cliapp.ExitUsage)
	case errors.Is(err, fleet.ErrExists) && (force || !f.forceHelps()):
		return hint(cliapp.ExitConflict, "choose another place with --%s", flagOut)
	case errors.Is(err, fleet.ErrExists):
		return hint(cliapp.ExitConflict, "choose another place with --%s, or use --%s: what it replaces is kept in %s",
			flagOut, flagForce, filepath.Join(filepath.Dir(f.Out), "replaced"))
	case result.Devices == 0: // nothing was begun
		return err
	}
	code := 0 // of the error itself
	if errors.Is(err, context.Canceled) {
		code = cliapp.ExitInterrupted
	}
	switch {
	case f.Format != fleet.FormatFiles && result.Saved > 0:
		return hint(code, "%d of %d devices are whole and stay in %s; the same command makes the others", result.Saved, result.Devices, result.Unfinished)
	case f.Format != fleet.FormatFiles:
		return hint(code, "no archive was written: the same command starts over")
	case result.Done() == 0:
		return cliapp.WithCode(err, code)
	}
	same := "the same command"
	if force {
		same += " without --" + flagForce
	}
	return hint(code, "%d of %d devices are whole and stay in %s; %s makes the others", result.Done(), result.Devices, f.Out, same)
}

func newFleetResult(opts deviceOptions, ca string, r fleet.Result, took time.Duration) *fleetResult {
	made := &fleetResult{
		Path: r.Path, Format: string(opts.Fleet.Format), Index: r.Index, CA: ca, KeyType: string(opts.KeyType),
		Devices: r.Devices, Made: r.Made, Kept: r.Kept, Failed: r.Failed,
		Seconds: took.Round(time.Millisecond).Seconds(),
	}
	if opts.Fleet.Shard.Count > 0 {
		made.Shard = opts.Fleet.Shard.String()
	}
	if made.KeyType == "" {
		made.KeyType = string(pki.DefaultKeyType)
	}
	for _, err := range r.Failures {
		made.Failures = append(made.Failures, err.Error())
	}
	done := r.Devices
	if opts.Fleet.Format != fleet.FormatFiles {
		done -= r.Kept // which took no time; the devices of a folder are checked one by one
	}
	if took > 0 {
		made.PerSecond = float64(int(float64(done) / took.Seconds()))
	}
	return made
}

// render writes the result for a person.
func (r *fleetResult) render() string {
	var p page
	what := fmt.Sprintf("%d devices made", r.Made)
	if r.Kept > 0 {
		what += fmt.Sprintf(", %d kept", r.Kept)
	}
	if r.Failed > 0 {
		what += fmt.Sprintf(", %d failed", r.Failed)
	}
	p.linef("%s in %.1f s (%.0f/s)", what, r.Seconds, r.PerSecond)
	p.fields("  ", r.Format, r.Path, "index", r.Index, "part", r.Shard, "CA", r.CA, "key type", r.KeyType)
	for _, failure := range r.Failures {
		p.linef("  failed: %s", failure)
	}
	p.linef("next: %s", commandLine("enroll", "group", "create", "my-group", "--signing-cert", r.caFile))
	return p.String()
}

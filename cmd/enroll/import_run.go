package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/bulk"
)

func runImport(ctx context.Context, env *cliapp.Env, opts importOptions) error {
	if err := opts.distinctFiles(); err != nil {
		return err
	}
	source, done, err := opts.input(ctx, env)
	if err != nil {
		return err
	}
	defer done()
	if err := checkFile(ctx, env, opts, source); err != nil {
		return err
	}
	ep, err := connect(env, opts.Connect)
	if err != nil {
		return err
	}
	ep.waits.silent = true // the import says itself what it waits for
	client, err := ep.serviceWith(importClient)
	if err != nil {
		return err
	}
	ownKeys, err := opts.mayWrite(ep.host)
	if err != nil {
		return err
	}
	state, err := bulk.OpenState(opts.state(), ep.host, &bulk.StateOptions{Restart: opts.Restart, DryRun: opts.Connect.DryRun, Now: env.Now})
	if err != nil {
		return stateError(err)
	}
	if opts.Restart && ownKeys != nil { // they stay known
		if err := state.WritesKeys(ownKeys); err != nil {
			return errors.Join(err, state.Close())
		}
	}
	progress := newManyProgress(env, ep.host)
	report, err := bulk.Import(ctx, importTarget{client, ep, opts}, source, opts.engine(state, progress))
	progress.clear()
	var keysErr error
	if err == nil && opts.KeysFile != "" && !opts.Connect.DryRun {
		keysErr = opts.writeKeys(state, report, ownKeys)
	}
	err = errors.Join(err, state.Close())
	if report == nil {
		return err
	}
	if opts.Connect.DryRun {
		return dryImport(env, ep, opts, report, err)
	}
	return finishImport(env, opts, summaryOf(opts, ep.host, report), report, err, keysErr)
}

// maxShown is how many faults or failures are shown; the rest is in the report.
const maxShown = 20

// checkFile finds every fault of the file before anything is sent.
func checkFile(ctx context.Context, env *cliapp.Env, opts importOptions, source bulk.Source) error {
	check, err := bulk.Validate(ctx, source)
	if err != nil {
		return err
	}
	if check.Rows == 0 && len(check.Faults) == 0 {
		return cliapp.Usagef("import %q: there are no rows in it", opts.label())
	}
	if len(check.Faults) == 0 {
		return nil
	}
	fixes := map[string]bool{}
	for i, fault := range check.Faults {
		if i == maxShown {
			env.Notef("… and more")
			break
		}
		line := opts.label() + ":" + fault.Error()
		if fault.Fix != "" && !fixes[fault.Fix] {
			fixes[fault.Fix] = true
			line += " (" + fault.Fix + ")"
		}
		env.Notef("%s", line)
	}
	err = cliapp.WithCode(fmt.Errorf("import %q: %s in %s; nothing was sent", opts.label(), plural(len(check.Faults), "fault"), plural(check.Faulty, "row")), cliapp.ExitUsage)
	if slices.ContainsFunc(check.Faults, func(f bulk.Fault) bool { return f.Member == "attestation" }) {
		err = cliapp.WithHint(err, "give --%s if the devices attest by keys that the service makes", flagSymmetricKey)
	}
	return err
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

func stateError(err error) error {
	switch {
	case errors.Is(err, bulk.ErrLocked):
		return cliapp.WithHint(cliapp.WithCode(err, cliapp.ExitUnavailable), "wait for it to end, or write another --%s", flagReport)
	case errors.Is(err, bulk.ErrOtherService):
		return cliapp.WithHint(cliapp.WithCode(err, cliapp.ExitConflict), "write another --%s, or forget what was done there with --%s", flagReport, flagRestart)
	case errors.Is(err, bulk.ErrBroken):
		return cliapp.WithHint(err, "begin anew with --%s --%s skip", flagRestart, flagIfExists)
	}
	return err
}

// importSummary is the outcome as JSON prints it.
type importSummary struct {
	File      string `json:"file"`
	Host      string `json:"host"`
	Rows      int    `json:"rows"`
	Created   int    `json:"created"`
	Updated   int    `json:"updated"`
	Unchanged int    `json:"unchanged"`
	Skipped   int    `json:"skipped"`
	Failed    int    `json:"failed"`
	Pending   int    `json:"pending"`
	Earlier   int    `json:"earlier"`
	Report    string `json:"report"`
	State     string `json:"state"`
	KeysFile  string `json:"keysFile,omitempty"`
}

func summaryOf(opts importOptions, host string, report *bulk.Report) importSummary {
	count, earlier := report.Count()
	return importSummary{
		File: opts.File, Host: host, Rows: len(report.Results), Created: count[bulk.Created], Updated: count[bulk.Updated],
		Unchanged: count[bulk.Unchanged], Skipped: count[bulk.Skipped], Failed: count[bulk.Failed], Pending: count[bulk.Pending],
		Earlier: earlier, Report: opts.Report, State: opts.state(),
	}
}

func (s importSummary) view() cliapp.View {
	columns := []string{"rows", "created", "updated", "unchanged", "skipped", "failed", "pending", "done earlier", "report", "keys"}
	row := []string{}
	for _, n := range []int{s.Rows, s.Created, s.Updated, s.Unchanged, s.Skipped, s.Failed, s.Pending, s.Earlier} {
		row = append(row, strconv.Itoa(n))
	}
	return cliapp.View{Value: s, Columns: columns, Rows: [][]string{append(row, s.Report, s.KeysFile)}, Single: true}
}

// finishImport writes the files, prints the summary and chooses the exit code.
// ended is why the import did not come to its end, keysErr why the keys are not
// written.
func finishImport(env *cliapp.Env, opts importOptions, summary importSummary, report *bulk.Report, ended, keysErr error) error {
	err := errors.Join(keysErr, writeReport(opts, report))
	if keysErr == nil && ended == nil {
		summary.KeysFile = opts.KeysFile
	}
	if err == nil {
		err = env.Print(opts.Output, summary.view())
	}
	if ended == nil && summary.Earlier > 0 {
		noteEarlier(env, opts, summary)
	}
	switch {
	case ended != nil:
		ended = gaveUp(opts, ended)
		env.Notef("%d of %d rows are done; %s does the others", summary.Rows-summary.Pending-summary.Failed, summary.Rows, opts.sameCommand())
		return errors.Join(ended, err)
	case err != nil:
		return err
	case summary.Failed > 0:
		return failedRows(env, opts, report, summary)
	}
	return nil
}

// gaveUp names the flag that ended the import, if one did. A service that never
// answered is given up earlier, and a longer wait is no help.
func gaveUp(opts importOptions, err error) error {
	var end *bulk.GaveUpError
	if errors.As(err, &end) && end.Patience == opts.Connect.Timeout {
		return cliapp.WithHint(err, "--%s %v bounds how long the import goes on without any success: give more", flagTimeout, opts.Connect.Timeout)
	}
	return err
}

// noteEarlier says how many rows were not looked at again.
func noteEarlier(env *cliapp.Env, opts importOptions, summary importSummary) {
	if summary.Earlier == summary.Rows {
		env.Notef("an earlier import has done all rows already (see %s); --%s does them again", opts.state(), flagRestart)
		return
	}
	env.Notef("%d of %s were done by an earlier import; --%s does them again", summary.Earlier, plural(summary.Rows, "row"), flagRestart)
}

// failedRows shows the first failures and says what to do about each kind.
func failedRows(env *cliapp.Env, opts importOptions, report *bulk.Report, summary importSummary) error {
	err := cliapp.WithCode(fmt.Errorf("import %q: %d of %s failed; see %s", opts.label(), summary.Failed, plural(summary.Rows, "row"), opts.Report), cliapp.ExitPartial)
	showFailures(env, opts, report)
	exist, fixes := 0, map[string]bool{}
	for _, result := range report.Results {
		switch {
		case result.Outcome != bulk.Failed:
		case opts.IfExists == bulk.Fail && isExisting(result.Err):
			exist++
		default:
			if e, ok := dps.Explain(result.Err); ok && !fixes[e.Fix] && len(fixes) < 3 {
				fixes[e.Fix] = true
				err = cliapp.WithHint(err, "%s: %s", e.What, e.Fix)
			}
		}
	}
	if exist > 0 {
		err = cliapp.WithHint(err, "%s already there: --%s skip leaves such enrollments as they are, --%s update sets what the file gives", plural(exist, "row"), flagIfExists, flagIfExists)
	}
	if exist == summary.Failed {
		return err
	}
	return cliapp.WithHint(err, "%s tries the failed rows once more", opts.sameCommand())
}

// showFailures shows the first rows that failed.
func showFailures(env *cliapp.Env, opts importOptions, report *bulk.Report) {
	shown := 0
	for _, result := range report.Results {
		if result.Outcome != bulk.Failed {
			continue
		}
		if shown++; shown > maxShown {
			env.Notef("… and more")
			return
		}
		env.Notef("%s:%d: %s", opts.label(), result.Line, strings.ReplaceAll(result.Err.Error(), "\n", " "))
	}
}

// codeEnrollmentExists is the service's code for a row that exists.
const codeEnrollmentExists = 409201

// isExisting tells the refusal of a row because its enrollment exists. Other
// conflicts are about its certificate.
func isExisting(err error) bool {
	var refusal *dps.Error
	return errors.As(err, &refusal) && refusal.Code == codeEnrollmentExists
}

// sameCommand is how the import is gone on with: --restart would forget it.
func (o importOptions) sameCommand() string {
	if o.Restart {
		return "the same command without --" + flagRestart
	}
	return "the same command again"
}

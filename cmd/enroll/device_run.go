package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps/device"
	"github.com/dpskit/dpskit/pkg/dps/rollout"
	"github.com/dpskit/dpskit/pkg/pki"
)

// onePassphrase reads the pass phrase of all keys once, when the first encrypted
// one is met.
func onePassphrase(env *cliapp.Env, from cliapp.SecretSource) func() ([]byte, error) {
	return sync.OnceValues(func() ([]byte, error) {
		secret, err := env.Secret(from)
		if errors.Is(err, cliapp.ErrNoSecret) {
			return nil, pki.ErrPassphraseRequired
		}
		return secret, err
	})
}

func (m *manyOptions) missing(folder *deviceFolder, ids []string) error {
	shown := strings.Join(ids[:min(len(ids), 3)], ", ")
	if len(ids) > 3 {
		shown += ", …"
	}
	err := fmt.Errorf("%d of %s have no certificate in %q: %s", len(ids), plural(m.Count, "device"), m.Dir, shown)
	return cliapp.WithHint(cliapp.WithCode(err, cliapp.ExitNotFound), "%s; with --%s none is needed", m.making(folder), flagGroupKeyFile)
}

// making says how to make the devices that are missing. A fleet that is there
// stays as it is: certgen makes another beside it.
func (m *manyOptions) making(folder *deviceFolder) string {
	if !folder.ws.Exists() {
		return "make them with certgen in the workspace of their CA, and name the new folder with --" + flagDir
	}
	command := fmt.Sprintf("certgen device --dir %s --count %d --prefix %s", quoteShell(m.Dir), m.Count, quoteShell(m.Prefix))
	if m.Start != 1 {
		command += fmt.Sprintf(" --start %d", m.Start)
	}
	if len(folder.fleets) == 0 {
		return fmt.Sprintf("'%s' makes them", command)
	}
	out := filepath.Join(m.Dir, fmt.Sprintf("fleet-%s%d", m.Prefix, m.Start+m.Count-1))
	return fmt.Sprintf("'%s --out %s' makes them in a folder of their own; register them with --%s %[2]s", command, quoteShell(out), flagDir)
}

func (m *manyOptions) nothing() error {
	what := "no device"
	if len(m.IDs) > 0 {
		what = fmt.Sprintf("no device like %q", strings.Join(m.IDs, " or "))
	}
	return cliapp.WithHint(cliapp.WithCode(fmt.Errorf("register devices: %s in %q", what, m.Dir), cliapp.ExitNotFound),
		"'certgen list --dir %s' shows what is there; 'certgen device my-device --dir %[1]s' makes one", quoteShell(m.Dir))
}

func runRegisterMany(ctx context.Context, env *cliapp.Env, opts registerOptions) error {
	source, folder, err := opts.source(env)
	if err != nil {
		return err
	}
	if folder != nil {
		defer folder.close()
	}
	found, cancel := opts.Connect.withTimeout(ctx)
	client, err := opts.client(found, env)
	cancel()
	if err != nil {
		return err
	}
	client.MaxWait = opts.Many.MaxWait
	report, err := opts.Many.openReport(opts.IDScope, source, opts.Connect.DryRun)
	if err != nil {
		return err
	}
	if opts.Connect.DryRun {
		return opts.dryRunMany(env, source, client, report)
	}
	progress := newManyProgress(env, opts.host())
	explainer := refusedDevices{folder: folder, now: env.Now}
	summary, ended := rollout.Run(ctx, opts.IDScope, source, &rollout.Options{
		Client: client, Concurrency: opts.Many.Concurrency, Payload: json.RawMessage(opts.Payload), Report: report,
		Reason: explainer.reason, Progress: progress.set, Waiting: func(w rollout.Wait) { progress.waiting(w.Reason, w.Delay) },
	})
	progress.clear()
	if report != nil {
		err = report.Finish()
	}
	if summary == nil {
		return errors.Join(ended, err)
	}
	return opts.finish(env, explainer, summary, ended, err)
}

// openReport opens the report, if there is to be one.
func (m *manyOptions) openReport(scope string, source rollout.Source, dryRun bool) (*rollout.Report, error) {
	if m.Report == "" {
		return nil, nil
	}
	if err := cliapp.MayWrite(flagReport, m.Report, true); err != nil {
		return nil, err
	}
	report, err := rollout.OpenReport(m.Report, scope, source, &rollout.ReportOptions{Restart: m.Force, DryRun: dryRun})
	switch {
	case errors.Is(err, rollout.ErrLocked):
		return nil, cliapp.WithHint(cliapp.WithCode(err, cliapp.ExitUnavailable), "wait for it to end, or write another --%s", flagReport)
	case errors.Is(err, rollout.ErrOtherScope), errors.Is(err, rollout.ErrNoReport):
		return nil, cliapp.WithHint(cliapp.WithCode(err, cliapp.ExitConflict), "write another --%s, or replace this one with --%s", flagReport, flagForce)
	}
	return report, err
}

// registerSummary is the outcome as JSON prints it.
type registerSummary struct {
	IDScope    string           `json:"idScope"`
	Host       string           `json:"host"`
	Transport  device.Transport `json:"transport"`
	Devices    int              `json:"devices"`
	Assigned   int              `json:"assigned"`
	Earlier    int              `json:"earlier"`
	Failed     int              `json:"failed"`
	Skipped    int              `json:"skipped"`
	Pending    int              `json:"pending"`
	DurationMS int64            `json:"durationMs"`
	Hubs       map[string]int   `json:"hubs"`
	Reasons    []registerReason `json:"reasons"`
	Report     string           `json:"report,omitempty"`
}

type registerReason struct {
	Status          rollout.Status `json:"status"`
	ErrorCode       int            `json:"errorCode,omitempty"`
	Message         string         `json:"message"`
	Count           int            `json:"count"`
	RegistrationIDs []string       `json:"registrationIds"`
}

func (o registerOptions) summary(s *rollout.Summary) registerSummary {
	v := registerSummary{
		IDScope: o.IDScope, Host: o.host(), Transport: o.Transport, Devices: s.Devices, Assigned: s.Assigned, Earlier: s.Earlier, Failed: s.Failed,
		Skipped: s.Skipped, Pending: s.Pending, DurationMS: s.Took.Milliseconds(), Hubs: s.Hubs, Reasons: []registerReason{}, Report: o.Many.Report,
	}
	for _, r := range s.Reasons {
		v.Reasons = append(v.Reasons, registerReason{r.Status, r.Code, r.Text, r.Count, r.IDs})
	}
	return v
}

func (s registerSummary) view() cliapp.View {
	var hubs []string
	for _, hub := range slices.Sorted(maps.Keys(s.Hubs)) {
		hubs = append(hubs, fmt.Sprintf("%s (%d)", hub, s.Hubs[hub]))
	}
	row := []string{}
	for _, n := range []int{s.Devices, s.Assigned, s.Earlier, s.Failed, s.Skipped, s.Pending} {
		row = append(row, strconv.Itoa(n))
	}
	took := time.Duration(s.DurationMS) * time.Millisecond
	return cliapp.View{
		Value: s, Single: true,
		Columns: []string{"devices", "assigned", "assigned earlier", "failed", "skipped", "pending", "took", "hubs", "report"},
		Rows:    [][]string{append(row, took.String(), strings.Join(hubs, ", "), s.Report)},
	}
}

// finish prints the summary and chooses the exit code. ended is why the run did
// not come to its end, written what went wrong with its report.
func (o registerOptions) finish(env *cliapp.Env, explainer refusedDevices, s *rollout.Summary, ended, written error) error {
	err := env.Print(o.Output, o.summary(s).view())
	err = errors.Join(written, err)
	again := "the same command again registers the others"
	if o.Many.Report == "" {
		again = "with --" + flagReport + ", the same command again would register the others alone"
	}
	switch {
	case ended != nil:
		explainer.show(env, s)
		env.Notef("%d of %s are assigned; %s", s.Assigned+s.Earlier, plural(s.Devices, "device"), again)
		return errors.Join(ended, err)
	case err != nil:
		return err
	case s.Failed > 0:
		return explainer.failed(env, o.Many.Report, s)
	case s.Skipped > 0:
		explainer.show(env, s)
		return o.skipped(s, again)
	case s.Earlier == s.Devices:
		env.Notef("an earlier run has registered all of them already (see %s); --%s registers them again", o.Many.Report, flagForce)
	}
	return nil
}

// skipped is the error of a run that left out devices, and had no other.
func (o registerOptions) skipped(s *rollout.Summary, again string) error {
	text := fmt.Sprintf("register devices: %d of %s skipped", s.Skipped, plural(s.Devices, "device"))
	if o.Many.Report != "" {
		text += "; see " + o.Many.Report
	}
	code := cliapp.ExitPartial
	if s.Skipped == s.Devices {
		code = cliapp.ExitFailed
	}
	return cliapp.WithHint(cliapp.WithCode(errors.New(text), code), "nothing was sent for them: mend their files; %s", again)
}

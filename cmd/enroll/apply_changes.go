package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/desired"
)

// makeChanges applies the plan and says what became of it.
func makeChanges(ctx context.Context, env *cliapp.Env, opts applyOptions, doc *desired.Document, plan *desired.Plan, view planView) error {
	results, ended := plan.Apply(ctx, &desired.ApplyOptions{Progress: func(r desired.Result) {
		switch r.Status {
		case desired.Done:
			env.Notef("%s %s %q", past[r.Action], r.Kind, r.ID)
		case desired.Unknown:
			env.Notef("it is not known whether this was done: %s %s %q: %s", r.Action, r.Kind, r.ID, causeOf(r.Err))
		default:
			env.Notef("%s %s %q: %s", r.Action, r.Kind, r.ID, causeOf(r.Err))
		}
	}})
	var first error
	counts := map[desired.Status]int{}
	for i, r := range results {
		counts[r.Status]++
		view.Changes[i].Status = r.Status
		if r.Err != nil {
			view.Changes[i].Error = r.Err.Error()
			if first == nil {
				first = hintChange(r, doc)
			}
		}
	}
	view.Applied = true
	if opts.Output != cliapp.FormatText {
		if err := printPlan(env, opts.Output, view, ""); err != nil {
			return err
		}
	}
	return applyError(counts, ended, first)
}

var past = map[desired.Action]string{desired.Create: "created", desired.Update: "updated", desired.Verify: "verified",
	desired.Replace: "replaced", desired.Delete: "deleted"}

// causeOf is an error without what it was about, which the line names already.
func causeOf(err error) string {
	var refusal *dps.Error
	if !errors.As(err, &refusal) {
		return err.Error()
	}
	return strings.TrimPrefix(err.Error(), refusal.Op+": ")
}

// applyError chooses the exit code: that of what ended everything, or of the
// only failure, or "partly failed". Progress has told each failure.
func applyError(counts map[desired.Status]int, ended, first error) error {
	done, unknown := counts[desired.Done], counts[desired.Unknown]
	all := plural(done+unknown+counts[desired.Failed]+counts[desired.NotTried], "change")
	if ended != nil {
		if done+unknown == 0 {
			return ended
		}
		state := fmt.Sprintf("%d of %s are made", done, all)
		if unknown > 0 {
			state += fmt.Sprintf(", of %d it is not known", unknown)
		}
		for _, hint := range slices.Backward(hints(ended)) { // the outermost is printed first
			ended = cliapp.WithHint(ended, "%s", hint)
		}
		return cliapp.WithHint(ended, "%s; the same command again makes the others", state)
	}
	if first == nil {
		return nil
	}
	var err error = &applyFailed{fmt.Sprintf("apply: %d of %s failed", unknown+counts[desired.Failed], all), first}
	if done > 0 {
		err = cliapp.WithCode(err, cliapp.ExitPartial)
	}
	return err
}

// applyFailed is why some changes failed: the first cause gives it its exit code
// and its hints, and was printed already.
type applyFailed struct {
	text  string
	cause error
}

func (e *applyFailed) Error() string { return e.text }
func (e *applyFailed) Unwrap() error { return e.cause }

// hintChange adds to the failure of a change what the user of a document can do.
func hintChange(r desired.Result, doc *desired.Document) error {
	for _, g := range doc.Groups {
		x509 := g.Attestation.X509
		if r.Kind == desired.KindGroup && g.EnrollmentGroupID == r.ID && x509 != nil && x509.CAReferences != nil {
			return hintReferences(r.Err, attestationChanges{CAReference: x509.CAReferences.Primary, SecondRef: x509.CAReferences.Secondary})
		}
	}
	return r.Err
}

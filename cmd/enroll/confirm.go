package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
)

// deletion is what a delete command does with each of the things that it was
// given.
type deletion struct {
	env    *cliapp.Env
	ep     *endpoint
	kind   string
	yes    bool
	format cliapp.Format
}

// deletedView is the outcome as JSON prints it.
type deletedView struct {
	Deleted []string        `json:"deleted"`
	Failed  []failedRemoval `json:"failed"`
}

type failedRemoval struct {
	ID    string `json:"id"`
	Error string `json:"error"`
	err   error
}

// each deletes the named things one after the other, after a confirmation. A
// failure does not keep the others from being deleted: it is told, and the exit
// code says that a part failed. When nothing could be deleted the first failure
// is returned.
func (d deletion) each(names []string, remove func(name string) error) error {
	if d.ep.dryRun == nil {
		if err := confirm(d.env, fmt.Sprintf("delete %s %s", d.kind, quoteAll(names)), d.ep.host, d.yes); err != nil {
			return err
		}
	}
	view := deletedView{Deleted: []string{}, Failed: []failedRemoval{}}
	var ended error
	for _, name := range names {
		err := remove(name)
		switch {
		case err == nil:
			d.env.Notef("deleted %s %q", d.kind, name)
			view.Deleted = append(view.Deleted, name)
		case d.ep.finish(err) == nil: // a dry run
		case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
			ended = err
		default:
			view.Failed = append(view.Failed, failedRemoval{name, err.Error(), err})
		}
		if ended != nil {
			break
		}
	}
	show := func() error { return d.print(view) }
	if err := d.ep.end(nil, show); err != nil {
		return err
	}
	return d.outcome(view, len(names), ended)
}

// print prints the document of what was deleted, if something was.
func (d deletion) print(view deletedView) error {
	if d.format != cliapp.FormatJSON || len(view.Deleted) == 0 {
		return nil
	}
	return d.env.Print(d.format, cliapp.View{Value: view})
}

func (d deletion) outcome(view deletedView, all int, ended error) error {
	failed := view.Failed
	if all > 1 {
		for _, f := range failed {
			d.env.Notef("%s", f.Error)
		}
	}
	switch {
	case ended != nil:
		return ended
	case len(failed) == 0:
		return nil
	case len(failed) == all:
		return failed[0].err
	}
	return cliapp.WithCode(fmt.Errorf("%d of %d could not be deleted", len(failed), all), cliapp.ExitPartial)
}

func quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = fmt.Sprintf("%q", n)
	}
	return strings.Join(quoted, ", ")
}

// confirm asks at a terminal; elsewhere --yes is needed, so that a script
// deletes nothing by accident.
func confirm(env *cliapp.Env, what, host string, yes bool) error {
	if yes {
		return nil
	}
	if host != "" {
		what += " at " + host
	}
	if !env.InTTY {
		return cliapp.WithHint(cliapp.WithCode(fmt.Errorf("%s: not confirmed", what), cliapp.ExitUsage), "add --%s", flagYes)
	}
	fmt.Fprintf(env.Err, "%s? [y/N] ", cliapp.Printable(what))
	line, _ := bufio.NewReader(env.In).ReadString('\n')
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return nil
	}
	return fmt.Errorf("%s: not confirmed", what)
}

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
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
func (d deletion) each(ctx context.Context, names []string, remove func(name string) error) error {
	if d.ep.dryRun == nil {
		if err := confirm(ctx, d.env, fmt.Sprintf("delete %s %s", d.kind, quoteAll(names)), d.ep.host, d.yes); err != nil {
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
// deletes nothing by accident. An interrupt ends the question.
func confirm(ctx context.Context, env *cliapp.Env, what, host string, yes bool) error {
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
	line, err := readLine(ctx, env.In)
	if err != nil {
		fmt.Fprintln(env.Err)
		return err
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return nil
	}
	return fmt.Errorf("%s: not confirmed", what)
}

// readLine reads a line, or what there is of one. It gives up when ctx ends,
// although the read goes on until the process ends: a terminal cannot be told to
// stop.
func readLine(ctx context.Context, in io.Reader) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	done := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(in).ReadString('\n')
		done <- line
	}()
	select {
	case line := <-done:
		return line, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

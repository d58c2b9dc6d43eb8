package main

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/bulk"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

// importTarget is the service, or a dry run of it.
type importTarget struct {
	*service.Client
	ep   *endpoint
	opts importOptions
}

// BulkEnrollments prints the request of a dry run and takes it for done. If what
// exists is to be updated, the answer names the rows that exist, as that of the
// service would: what follows for them is shown, too.
func (t importTarget) BulkEnrollments(ctx context.Context, mode service.BulkMode, list []service.IndividualEnrollment) (service.BulkResult, error) {
	var exist []*service.BulkError
	if t.opts.Connect.DryRun && t.opts.IfExists == bulk.Update {
		var err error
		if exist, err = t.existing(ctx, list); err != nil {
			return service.BulkResult{}, err
		}
	}
	result, err := t.Client.BulkEnrollments(ctx, mode, list)
	result.Errors = append(result.Errors, exist...)
	return result, t.ep.finish(err)
}

// existing looks the rows up, several at a time.
func (t importTarget) existing(ctx context.Context, list []service.IndividualEnrollment) ([]*service.BulkError, error) {
	found := make([]bool, len(list))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(t.opts.Concurrency)
	for i, e := range list {
		group.Go(func() error {
			_, err := t.GetEnrollment(ctx, e.RegistrationID, nil)
			if errors.Is(err, dps.ErrNotFound) {
				return nil
			}
			found[i] = err == nil
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var exist []*service.BulkError
	for i, e := range list {
		if found[i] {
			exist = append(exist, &service.BulkError{ID: e.RegistrationID, Code: codeEnrollmentExists, Message: "it exists already"})
		}
	}
	return exist, nil
}

// PutEnrollment prints the request of a dry run and takes it for done.
func (t importTarget) PutEnrollment(ctx context.Context, e service.IndividualEnrollment, opts *service.PutOptions) (service.IndividualEnrollment, error) {
	stored, err := t.Client.PutEnrollment(ctx, e, opts)
	return stored, t.ep.finish(err)
}

// dryImport says what would be done.
func dryImport(env *cliapp.Env, ep *endpoint, opts importOptions, report *bulk.Report, ended error) error {
	if ended != nil {
		return gaveUp(opts, ended)
	}
	count, earlier := report.Count()
	env.Notef("dry run: %s, of which an earlier import has done %d; nothing was sent", plural(len(report.Results), "row"), earlier)
	switch {
	case earlier == len(report.Results):
	case opts.IfExists == bulk.Fail:
		env.Notef("rows that exist would fail, with exit code %d: they were not looked up (--%s fail)", cliapp.ExitPartial, flagIfExists)
	case opts.IfExists == bulk.Skip:
		env.Notef("rows that exist would be left as they are: they were not looked up (--%s skip)", flagIfExists)
	default:
		sent := map[bulk.Outcome]int{}
		for _, result := range report.Results {
			if !result.Earlier {
				sent[result.Outcome]++
			}
		}
		env.Notef("%d would be created, %d updated by a PUT of their own, %d are as the file says, %d would fail",
			sent[bulk.Created], sent[bulk.Updated], sent[bulk.Unchanged], count[bulk.Failed])
		showFailures(env, opts, report)
	}
	return ep.end(nil, func() error { return nil })
}

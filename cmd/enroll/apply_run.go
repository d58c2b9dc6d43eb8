package main

import (
	"context"
	"crypto/x509"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps/arm"
	"github.com/dpskit/dpskit/pkg/dps/desired"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

func runApply(ctx context.Context, env *cliapp.Env, opts applyOptions) error {
	doc, err := parseDocument(env, opts)
	if err != nil {
		return err
	}
	ep, target, err := applyTarget(ctx, env, opts, doc)
	if err != nil {
		return err
	}
	plan, err := desired.Compare(ctx, doc, target, &desired.PlanOptions{Prune: opts.Prune})
	if err != nil {
		return pruneError(err)
	}
	view := planView{Host: ep.host, Unchanged: plan.Unchanged}
	for _, c := range plan.Changes {
		view.Changes = append(view.Changes, viewChange(c))
	}
	if len(plan.Changes) == 0 {
		show := func() error {
			return printPlan(env, opts.Output, view, "no changes: "+plural(plan.Unchanged, "object")+" as wanted")
		}
		return ep.end(nil, show)
	}
	if opts.Plan {
		return printPlan(env, opts.Output, view, "")
	}
	if opts.Connect.DryRun {
		return dryApply(ctx, ep, plan)
	}
	if opts.Output == cliapp.FormatText {
		if err := printPlan(env, opts.Output, view, ""); err != nil {
			return err
		}
	}
	if err := confirm(ctx, env, "make "+plural(len(plan.Changes), "change"), ep.host, opts.Yes); err != nil {
		return err
	}
	return makeChanges(ctx, env, opts, doc, plan, view)
}

// applyTarget connects to the planes that the document needs.
func applyTarget(ctx context.Context, env *cliapp.Env, opts applyOptions, doc *desired.Document) (*endpoint, desired.Target, error) {
	var target desired.Target
	ep, err := connect(env, opts.Connect)
	if err != nil {
		return nil, target, err
	}
	if doc.Sections[desired.KindCertificate] {
		if err := ep.locate(ctx); err != nil {
			return nil, target, err
		}
		client, err := ep.arm()
		if err != nil {
			return nil, target, err
		}
		target.Certificates = certificatesOf{client, ep}
	}
	wanted := doc.Sections[desired.KindGroup] || doc.Sections[desired.KindEnrollment]
	if !wanted && opts.Prune && ep.host == "" {
		env.Notef("warning: without --%s or a connection string it is not known whether groups refer to a CA that is deleted", flagHost)
	}
	if wanted || opts.Prune && ep.host != "" { // whether a CA may be pruned depends on the groups
		client, err := ep.service()
		if err != nil {
			return nil, target, err
		}
		target.Enrollments = enrollmentsOf{client, ep}
	}
	return ep, target, nil
}

// enrollmentsOf and certificatesOf are the planes, or dry runs of them: a write
// that was printed instead of sent counts as done.
type enrollmentsOf struct {
	*service.Client
	ep *endpoint
}

func (t enrollmentsOf) PutGroup(ctx context.Context, g service.EnrollmentGroup, opts *service.PutOptions) (service.EnrollmentGroup, error) {
	stored, err := t.Client.PutGroup(ctx, g, opts)
	return stored, t.ep.finish(err)
}

func (t enrollmentsOf) DeleteGroup(ctx context.Context, id string, opts *service.DeleteOptions) error {
	return t.ep.finish(t.Client.DeleteGroup(ctx, id, opts))
}

func (t enrollmentsOf) PutEnrollment(ctx context.Context, e service.IndividualEnrollment, opts *service.PutOptions) (service.IndividualEnrollment, error) {
	stored, err := t.Client.PutEnrollment(ctx, e, opts)
	return stored, t.ep.finish(err)
}

func (t enrollmentsOf) DeleteEnrollment(ctx context.Context, id string, opts *service.DeleteOptions) error {
	return t.ep.finish(t.Client.DeleteEnrollment(ctx, id, opts))
}

type certificatesOf struct {
	*arm.Client
	ep *endpoint
}

func (t certificatesOf) UploadCertificate(ctx context.Context, name string, ca *x509.Certificate, opts *arm.UploadOptions) (arm.Certificate, error) {
	cert, err := t.Client.UploadCertificate(ctx, name, ca, opts)
	return cert, t.ep.finish(err)
}

func (t certificatesOf) Prove(ctx context.Context, name string, ca *x509.Certificate,
	sign func(context.Context, string) (*x509.Certificate, error), opts *arm.ProveOptions) (arm.ProveResult, error) {
	if t.ep.dryRun != nil && t.ep.dryRun.fired { // the upload of this change
		return arm.ProveResult{}, t.ep.planCode(ctx, &t.CertificateClient, name, ca, true)
	}
	if t.ep.dryRun != nil {
		return t.ep.planProof(ctx, &t.CertificateClient, name, ca, opts != nil && opts.Replace)
	}
	return t.Client.Prove(ctx, name, ca, sign, opts)
}

func (t certificatesOf) DeleteCertificate(ctx context.Context, name, etag string) error {
	return t.ep.finish(t.Client.DeleteCertificate(ctx, name, etag))
}

// dryApply prints the requests, one after the other.
func dryApply(ctx context.Context, ep *endpoint, plan *desired.Plan) error {
	for i := range plan.Changes {
		ep.dryRun.fired = false
		one := desired.Plan{Changes: plan.Changes[i : i+1]}
		results, err := one.Apply(ctx, &desired.ApplyOptions{Concurrency: 1})
		if err == nil {
			err = results[0].Err
		}
		if err != nil {
			return err
		}
	}
	return ep.end(nil, func() error { return nil })
}

package main

import (
	"context"
	"errors"
	"strings"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/enrollment"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

// createOptions is what a create command was asked for.
type createOptions struct {
	Connect  connectOptions
	ID       string
	Changes  changes
	IfExists existing
	Output   cliapp.Format
}

func runCreate[T enrollment.Object](ctx context.Context, env *cliapp.Env, k kind[T], opts createOptions) error {
	object, err := build[T](opts.ID, opts.Changes)
	if err != nil {
		return err
	}
	if err := usageProblems(enrollment.Check(object)); err != nil {
		return err
	}
	warn(env, enrollment.Warnings(object, env.Now()))
	ep, client, err := connectService(env, opts.Connect)
	if err != nil {
		return err
	}
	c := creation[T]{kind: k, client: client, env: env, opts: opts}
	stored, err := c.run(ctx, object)
	return ep.end(hintReferences(err, opts.Changes.Attestation), func() error { return printObject(env, k, opts.Output, stored) })
}

// hintReferences adds to a refused reference to a CA how the CA becomes one that
// can be referred to.
func hintReferences(err error, a attestationChanges) error {
	if !a.hasReferences() || !errors.Is(err, dps.ErrBadRequest) {
		return err
	}
	name := a.CAReference
	if a.SecondRef != "" && (name == "" || strings.Contains(err.Error(), "'"+a.SecondRef+"'")) {
		name = a.SecondRef
	}
	return cliapp.WithHint(err, "the CA must be uploaded to this DPS and verified: enroll ca prove %s --cert FILE --key FILE ('enroll ca list' shows what there is)", name)
}

// build makes the new enrollment that the command line describes.
func build[T enrollment.Object](id string, ch changes) (T, error) {
	var object T
	f := enrollment.Of(&object)
	attestation, err := ch.Attestation.build(f.Individual)
	if err != nil {
		return object, err
	}
	*f.ID, *f.Attestation, *f.ProvisioningStatus = id, attestation, service.ProvisioningEnabled
	ch.apply(f)
	return object, nil
}

// creation creates one enrollment, or does with an existing one what was asked
// for.
type creation[T enrollment.Object] struct {
	kind   kind[T]
	client *service.Client
	env    *cliapp.Env
	opts   createOptions
}

func (c creation[T]) run(ctx context.Context, object T) (T, error) {
	if c.opts.IfExists == existsFail {
		return c.kind.put(c.client, ctx, object, nil)
	}
	for attempt := 0; ; attempt++ {
		stored, err := c.kind.get(c.client, ctx, c.opts.ID, nil)
		switch {
		case err == nil:
			return c.existing(ctx, stored)
		case !errors.Is(err, dps.ErrNotFound):
			return stored, err
		}
		stored, err = c.kind.put(c.client, ctx, object, nil)
		if attempt > 0 || !errors.Is(err, dps.ErrConflict) {
			return stored, err
		}
		// Someone made it just now, or the conflict is about something else, such
		// as its certificate: the second look tells.
	}
}

func (c creation[T]) existing(ctx context.Context, stored T) (T, error) {
	if c.opts.IfExists == existsSkip {
		c.env.Notef("%s %q exists already and stays as it is", c.kind.noun, c.opts.ID)
		return stored, nil
	}
	u := update[T]{kind: c.kind, client: c.client, env: c.env, id: c.opts.ID, changes: c.opts.Changes}
	return u.run(ctx)
}

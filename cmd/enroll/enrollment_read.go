package main

import (
	"context"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps/enrollment"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

// readOptions is what a show, list or delete command was asked for.
type readOptions struct {
	Connect connectOptions
	IDs     []string
	Top     int
	IfMatch string
	Yes     bool
	// Webhook asks for the URL of the webhook with its key.
	Webhook bool
	Output  cliapp.Format
}

func runShow[T enrollment.Object](ctx context.Context, env *cliapp.Env, k kind[T], opts readOptions) error {
	_, client, err := connectService(env, opts.Connect)
	if err != nil {
		return err
	}
	object, err := k.get(client, ctx, opts.IDs[0], nil)
	if err != nil {
		return err
	}
	if opts.Webhook {
		enrollment.Of(&object).Attestation.SymmetricKey = nil // there is a command for keys
		return printWhole(env, k, opts.Output, object)
	}
	return printObject(env, k, opts.Output, object)
}

func runList[T enrollment.Object](ctx context.Context, env *cliapp.Env, k kind[T], opts readOptions) error {
	if opts.Top < 0 {
		return cliapp.Usagef("invalid --%s %d: want 1 or more", flagTop, opts.Top)
	}
	_, client, err := connectService(env, opts.Connect)
	if err != nil {
		return err
	}
	page := &service.ListOptions{}
	if opts.Top > 0 && opts.Top < 100 {
		page.PageSize = opts.Top
	}
	objects, rows := []T{}, [][]string{}
	for object, err := range k.list(client, ctx, page) {
		if err != nil {
			return err
		}
		object = withoutSecrets(object)
		objects, rows = append(objects, object), append(rows, k.row(object))
		if len(objects) == opts.Top {
			break
		}
	}
	return env.Print(opts.Output, cliapp.View{Value: objects, Columns: k.columns, Rows: rows, Empty: "no " + k.plural})
}

func runDelete[T enrollment.Object](ctx context.Context, env *cliapp.Env, k kind[T], opts readOptions) error {
	if opts.IfMatch != "" && len(opts.IDs) > 1 {
		return cliapp.Usagef("--%s goes with one ID", flagIfMatch)
	}
	ep, client, err := connectService(env, opts.Connect)
	if err != nil {
		return err
	}
	return deletion{env, ep, k.noun, opts.Yes, opts.Output}.each(ctx, opts.IDs, func(id string) error {
		return k.remove(client, ctx, id, &service.DeleteOptions{IfMatch: opts.IfMatch})
	})
}

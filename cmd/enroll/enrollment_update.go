package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/enrollment"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

// updateOptions is what an update command was asked for.
type updateOptions struct {
	Connect connectOptions
	ID      string
	Changes changes
	IfMatch string
	Output  cliapp.Format
}

func runUpdate[T enrollment.Object](ctx context.Context, env *cliapp.Env, k kind[T], opts updateOptions) error {
	if opts.Changes.none() {
		return cliapp.Usagef("nothing to change: give a flag for each setting")
	}
	ep, client, err := connectService(env, opts.Connect)
	if err != nil {
		return err
	}
	u := update[T]{kind: k, client: client, env: env, id: opts.ID, changes: opts.Changes, ifMatch: opts.IfMatch}
	stored, err := u.run(ctx)
	return ep.end(hintReferences(err, opts.Changes.Attestation), func() error { return printObject(env, k, opts.Output, stored) })
}

// update is a read-modify-write: it changes what was asked for, keeps
// everything else, and loses nobody's change in between.
type update[T enrollment.Object] struct {
	kind    kind[T]
	client  *service.Client
	env     *cliapp.Env
	id      string
	changes changes
	ifMatch string
}

func (u update[T]) run(ctx context.Context) (T, error) {
	before, err := u.read(ctx)
	if err != nil {
		return before, err
	}
	wanted, differences, err := u.change(before)
	if err != nil {
		return before, err
	}
	if len(differences) == 0 {
		u.env.Notef("no changes: %s %q is as wanted already", u.kind.noun, u.id)
		return before, nil
	}
	warn(u.env, enrollment.Warnings(wanted, u.env.Now()))
	stored, err := u.kind.put(u.client, ctx, wanted, &service.PutOptions{IfMatch: u.ifMatch})
	if errors.Is(err, dps.ErrPrecondition) && u.ifMatch == "" {
		stored, err = u.again(ctx, before, differences, err)
	}
	if err == nil {
		for _, d := range differences {
			u.env.Notef("changed %s", changeText(d))
		}
	}
	return stored, err
}

// read gets the stored object, with its keys if the changes are about keys:
// the service leaves them out otherwise, and a key that was not given would be
// lost.
func (u update[T]) read(ctx context.Context) (T, error) {
	stored, err := u.kind.get(u.client, ctx, u.id, nil)
	if err != nil || u.changes.Attestation.PrimaryKey == "" && u.changes.Attestation.SecondKey == "" {
		return stored, err
	}
	attestation := enrollment.Of(&stored).Attestation
	if attestation.Type != service.AttestationSymmetricKey {
		return stored, nil
	}
	withKeys, err := u.kind.keys(u.client, ctx, u.id, nil)
	if err == nil && withKeys.Type == service.AttestationSymmetricKey {
		attestation.SymmetricKey = withKeys.SymmetricKey
	}
	return stored, err
}

// change returns the object with the changes made, and what they come to.
func (u update[T]) change(before T) (T, []enrollment.Difference, error) {
	after := before
	f := enrollment.Of(&after)
	if err := u.changes.Attestation.change(f, u.changes.Clear); err != nil {
		return before, nil, err
	}
	u.changes.apply(f)
	if err := usageProblems(u.blameClear(newProblems(before, after))); err != nil {
		return before, nil, err
	}
	return after, enrollment.Diff(before, after), nil
}

// blameClear words problems that --clear made by what was given.
func (u update[T]) blameClear(problems []enrollment.Problem) []enrollment.Problem {
	cleared := func(flag string) bool { return slices.Contains(u.changes.Clear, flag) }
	for i := range problems {
		p := &problems[i]
		flag := flagOfMember[p.Member]
		switch {
		case p.Member == "allocationPolicy" && cleared(flagAllocationPolicy):
			p.Member = "--" + flagClear + " " + flagAllocationPolicy
			p.Text = "the enrollment has hubs, which need a policy"
			p.Fix = "give --" + flagClear + " " + flagIoTHub + " too, or another --" + flagAllocationPolicy + " instead"
		case (flag == flagCert || flag == flagSigningCert) && (cleared(flag) || cleared(flagSecondaryCert)):
			p.Member = "--" + flagClear
			p.Text = "no certificate would be left"
			p.Fix = fmt.Sprintf("give the one that takes its place with --%s; or delete it: enroll %s delete %s", flag, u.kind.command, u.id)
		}
	}
	return problems
}

// again repeats the update once on what someone else has stored meanwhile, but
// only if that was about other members: their change and ours both count then.
func (u update[T]) again(ctx context.Context, before T, ours []enrollment.Difference, refusal error) (T, error) {
	current, err := u.read(ctx)
	if err != nil {
		return current, err
	}
	for _, theirs := range enrollment.Diff(before, current) {
		if overlaps(theirs, ours) {
			return current, cliapp.WithHint(fmt.Errorf("%w; someone else changed %s", refusal, changeText(theirs)),
				"look at it with 'enroll %s show %s' and repeat the update if you still want it", u.kind.command, u.id)
		}
	}
	wanted, _, err := u.change(current)
	if err != nil {
		return current, err
	}
	u.env.Notef("%s %q was changed meanwhile, elsewhere than here: trying once more", u.kind.noun, u.id)
	return u.kind.put(u.client, ctx, wanted, nil)
}

// overlaps tells whether another's change is about a member of ours. The
// members of an attestation, and those of the allocation, hang together.
func overlaps(theirs enrollment.Difference, ours []enrollment.Difference) bool {
	for _, d := range ours {
		if memberFamily(d.Member) == memberFamily(theirs.Member) {
			return true
		}
	}
	return false
}

func memberFamily(member string) string {
	switch top, _, _ := strings.Cut(member, "."); top {
	case "iotHubs", "iotHubHostName", "customAllocationDefinition":
		return "allocationPolicy"
	default:
		return top
	}
}

// changeText says what became of a member, for a person.
func changeText(d enrollment.Difference) string {
	name := func(s string) string {
		if s == "" {
			return "(not set)"
		}
		return s
	}
	switch {
	case d.Before != d.After:
	case strings.HasPrefix(d.Before, "("): // there is nothing to see of it
		return d.Member + ": differs " + d.Before
	default:
		return d.Member + ": " + d.Before + ", its hidden part differs"
	}
	return d.Member + ": " + name(d.Before) + " -> " + name(d.After)
}

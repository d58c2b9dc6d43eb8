package desired

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/arm"
	"github.com/dpskit/dpskit/pkg/dps/enrollment"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

// Enrollments is what Compare and Apply need of a *service.Client.
type Enrollments interface {
	GetGroup(ctx context.Context, id string, opts *service.GetOptions) (service.EnrollmentGroup, error)
	PutGroup(ctx context.Context, g service.EnrollmentGroup, opts *service.PutOptions) (service.EnrollmentGroup, error)
	DeleteGroup(ctx context.Context, id string, opts *service.DeleteOptions) error
	Groups(ctx context.Context, opts *service.ListOptions) iter.Seq2[service.EnrollmentGroup, error]
	GetGroupAttestation(ctx context.Context, id string, opts *service.GetOptions) (service.Attestation, error)
	GetEnrollment(ctx context.Context, id string, opts *service.GetOptions) (service.IndividualEnrollment, error)
	PutEnrollment(ctx context.Context, e service.IndividualEnrollment, opts *service.PutOptions) (service.IndividualEnrollment, error)
	DeleteEnrollment(ctx context.Context, id string, opts *service.DeleteOptions) error
	Enrollments(ctx context.Context, opts *service.ListOptions) iter.Seq2[service.IndividualEnrollment, error]
	GetEnrollmentAttestation(ctx context.Context, id string, opts *service.GetOptions) (service.Attestation, error)
}

// Target is the service that a document is for. A plane that the document has no
// section for may be nil.
type Target struct {
	Certificates Certificates
	Enrollments  Enrollments
}

// Action is what a change does.
type Action string

// The actions.
const (
	Create Action = "create"
	Update Action = "update"
	// Verify proves possession of the key of a CA, or vouches for it.
	Verify Action = "verify"
	// Replace stores another certificate under the name of a CA.
	Replace Action = "replace"
	Delete  Action = "delete"
)

// Change is one step to the desired state.
type Change struct {
	Kind   Kind
	ID     string
	Action Action
	// Differences are what the step changes, or what the new object has.
	Differences []enrollment.Difference

	run func(ctx context.Context) error
}

// Plan is the way from what a service has to what a document wants.
type Plan struct {
	// Changes in the order in which they are made.
	Changes []Change
	// Unchanged is the number of listed objects that are as wanted.
	Unchanged int
}

// PlanOptions are the choices of Compare. Nil and zero fields mean the defaults.
type PlanOptions struct {
	// Prune deletes objects that are not listed, of the kinds that the document
	// has a section for. A section without a value is [ErrNoValue], a CA that a
	// group will still refer to an [InUseError].
	Prune bool
	// Concurrency is the number of objects that are read at once; default 4.
	Concurrency int
}

const defaultConcurrency = 4

// stages are the order of changes: what is deleted frees names and certificates
// for what is created, groups need their CAs, and CAs go last.
func stage(c Change) int {
	switch {
	case c.Action == Delete && c.Kind == KindEnrollment:
		return 0
	case c.Action == Delete && c.Kind == KindGroup:
		return 1
	case c.Action == Delete:
		return 5
	case c.Kind == KindCertificate:
		return 2
	case c.Kind == KindGroup:
		return 3
	}
	return 4
}

// Compare reads what the service has and returns the changes that lead to what
// the document wants. It writes nothing.
func Compare(ctx context.Context, doc *Document, target Target, opts *PlanOptions) (*Plan, error) {
	if opts == nil {
		opts = &PlanOptions{}
	}
	limit := opts.Concurrency
	if limit <= 0 {
		limit = defaultConcurrency
	}
	if opts.Prune && len(doc.NoValue) > 0 {
		return nil, fmt.Errorf("plan: %w: %s", ErrNoValue, strings.Join(doc.NoValue, ", "))
	}
	c := comparison{target: target, prune: opts.Prune, limit: limit, plan: &Plan{}}
	for _, step := range []func(context.Context, *Document) error{c.certificates, c.groups, c.enrollments} {
		if err := step(ctx, doc); err != nil {
			return nil, err
		}
	}
	if err := c.checkReferences(ctx, doc); err != nil {
		return nil, err
	}
	slices.SortStableFunc(c.plan.Changes, func(a, b Change) int { return cmp.Compare(stage(a), stage(b)) })
	return c.plan, nil
}

// comparison builds a plan.
type comparison struct {
	target Target
	prune  bool
	limit  int
	plan   *Plan
}

func (c *comparison) add(change *Change) {
	if change == nil {
		c.plan.Unchanged++
		return
	}
	c.plan.Changes = append(c.plan.Changes, *change)
}

func (c *comparison) groups(ctx context.Context, doc *Document) error {
	if !doc.Sections[KindGroup] {
		return nil
	}
	t := c.target.Enrollments
	return compareAll(ctx, c, doc.Groups, collection[service.EnrollmentGroup]{
		kind: KindGroup, get: t.GetGroup, keys: t.GetGroupAttestation, put: t.PutGroup, remove: t.DeleteGroup, list: t.Groups,
	})
}

func (c *comparison) enrollments(ctx context.Context, doc *Document) error {
	if !doc.Sections[KindEnrollment] {
		return nil
	}
	t := c.target.Enrollments
	return compareAll(ctx, c, doc.Enrollments, collection[service.IndividualEnrollment]{
		kind: KindEnrollment, get: t.GetEnrollment, keys: t.GetEnrollmentAttestation, put: t.PutEnrollment, remove: t.DeleteEnrollment, list: t.Enrollments,
	})
}

// collection is one kind of enrollment of the service.
type collection[T enrollment.Object] struct {
	kind   Kind
	get    func(context.Context, string, *service.GetOptions) (T, error)
	keys   func(context.Context, string, *service.GetOptions) (service.Attestation, error)
	put    func(context.Context, T, *service.PutOptions) (T, error)
	remove func(context.Context, string, *service.DeleteOptions) error
	list   func(context.Context, *service.ListOptions) iter.Seq2[T, error]
}

// compareAll compares the wanted objects of one kind, several at a time, and
// finds those to prune.
func compareAll[T enrollment.Object](ctx context.Context, c *comparison, wanted []T, coll collection[T]) error {
	changes := make([]*Change, len(wanted))
	group, reading := errgroup.WithContext(ctx)
	group.SetLimit(c.limit)
	for i, object := range wanted {
		group.Go(func() (err error) {
			changes[i], err = coll.compare(reading, object)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	listed := make(map[string]bool, len(wanted))
	for i := range wanted {
		listed[strings.ToLower(*enrollment.Of(&wanted[i]).ID)] = true
		c.add(changes[i])
	}
	if !c.prune {
		return nil
	}
	for object, err := range coll.list(ctx, nil) {
		if err != nil {
			return err
		}
		if f := enrollment.Of(&object); !listed[strings.ToLower(*f.ID)] {
			c.add(coll.prune(*f.ID, *f.ETag))
		}
	}
	return nil
}

// compare returns the change for one object; nil if it is as wanted.
func (coll collection[T]) compare(ctx context.Context, wanted T) (*Change, error) {
	w := enrollment.Of(&wanted)
	stored, err := coll.get(ctx, *w.ID, nil)
	if errors.Is(err, dps.ErrNotFound) {
		return coll.creation(wanted)
	}
	if err != nil {
		return nil, err
	}
	if err := coll.readKeys(ctx, &stored, w); err != nil {
		return nil, err
	}
	merged := enrollment.Replace(stored, wanted)
	differences := enrollment.Diff(stored, merged)
	if len(differences) == 0 {
		return nil, nil
	}
	return &Change{Kind: coll.kind, ID: *w.ID, Action: Update, Differences: differences, run: func(ctx context.Context) error {
		_, err := coll.put(ctx, merged, nil)
		return err
	}}, nil
}

// readKeys reads the stored keys where the document gives some.
func (coll collection[T]) readKeys(ctx context.Context, stored *T, w enrollment.Fields) error {
	a := enrollment.Of(stored).Attestation
	keys := w.Attestation.SymmetricKey
	if a.Type != service.AttestationSymmetricKey || keys == nil || keys.PrimaryKey == "" && keys.SecondaryKey == "" {
		return nil
	}
	full, err := coll.keys(ctx, *w.ID, nil)
	if err != nil || full.SymmetricKey == nil {
		return err
	}
	a.SymmetricKey = full.SymmetricKey
	// A key that the document leaves out stays.
	given := *keys
	if given.PrimaryKey == "" {
		given.PrimaryKey = full.SymmetricKey.PrimaryKey
	}
	if given.SecondaryKey == "" {
		given.SecondaryKey = full.SymmetricKey.SecondaryKey
	}
	w.Attestation.SymmetricKey = &given
	return nil
}

func (coll collection[T]) creation(wanted T) (*Change, error) {
	var nothing T
	f, w := enrollment.Of(&nothing), enrollment.Of(&wanted)
	*f.ID, f.Attestation.Type = *w.ID, w.Attestation.Type
	if member := onlyDescribed(w.Attestation.X509); member != "" {
		return nil, fmt.Errorf("plan %s %q: %w: it is not there, and %s only describes a certificate: give certificateFile",
			coll.kind, *w.ID, dps.ErrBadRequest, member)
	}
	differences := append([]enrollment.Difference{{Member: "attestation.type", After: string(w.Attestation.Type)}}, enrollment.Diff(nothing, wanted)...)
	return &Change{Kind: coll.kind, ID: *w.ID, Action: Create, Differences: differences, run: func(ctx context.Context) error {
		_, err := coll.put(ctx, wanted, nil)
		return err
	}}, nil
}

// onlyDescribed finds a certificate of which there is no more than a description.
func onlyDescribed(x *service.X509Attestation) string {
	if x == nil {
		return ""
	}
	for name, pair := range map[string]*service.X509Certificates{"clientCertificates": x.ClientCertificates, "signingCertificates": x.SigningCertificates} {
		if pair == nil {
			continue
		}
		for _, slot := range []*service.X509CertificateWithInfo{pair.Primary, pair.Secondary} {
			if slot != nil && slot.Certificate == "" && slot.Info != nil {
				return name
			}
		}
	}
	return ""
}

func (coll collection[T]) prune(id, etag string) *Change {
	return &Change{Kind: coll.kind, ID: id, Action: Delete, run: func(ctx context.Context) error {
		return coll.remove(ctx, id, &service.DeleteOptions{IfMatch: etag})
	}}
}

var (
	_ Enrollments  = (*service.Client)(nil)
	_ Certificates = (*arm.Client)(nil)
)

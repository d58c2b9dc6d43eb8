package desired

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dpskit/dpskit/pkg/dps/service"
)

// ErrNoValue: to prune by a section that has no value would delete everything
// of its kind; an explicit [] says that this is meant.
var ErrNoValue = errors.New("a section without a value says nothing about what may be deleted")

// InUseError is a CA certificate that is to be pruned although enrollment groups
// refer to it, also after the other changes.
type InUseError struct {
	// Name of the certificate.
	Name string
	// Groups that refer to it.
	Groups []string
}

// Error names all of the groups.
func (e *InUseError) Error() string {
	quoted := make([]string, len(e.Groups))
	for i, g := range e.Groups {
		quoted[i] = fmt.Sprintf("%q", g)
	}
	noun := "enrollment group"
	if len(quoted) > 1 {
		noun += "s"
	}
	return fmt.Sprintf("plan delete certificate %q: %s %s would still refer to it", e.Name, noun, strings.Join(quoted, ", "))
}

// checkReferences refuses to prune a CA that a group of the desired state, or a
// stored one that stays, refers to.
func (c *comparison) checkReferences(ctx context.Context, doc *Document) error {
	doomed, gone := map[string]string{}, map[string]bool{}
	for _, change := range c.plan.Changes {
		switch {
		case change.Action == Delete && change.Kind == KindCertificate:
			doomed[strings.ToLower(change.ID)] = change.ID
		case change.Action == Delete && change.Kind == KindGroup:
			gone[strings.ToLower(change.ID)] = true
		}
	}
	if len(doomed) == 0 {
		return nil
	}
	users := map[string][]string{}
	note := func(g service.EnrollmentGroup) {
		for _, name := range references(g) {
			if id, is := doomed[strings.ToLower(name)]; is && !slices.Contains(users[id], g.EnrollmentGroupID) {
				users[id] = append(users[id], g.EnrollmentGroupID)
			}
		}
	}
	for _, g := range doc.Groups {
		gone[strings.ToLower(g.EnrollmentGroupID)] = true // what is stored will not count
		note(g)
	}
	if c.target.Enrollments != nil {
		for g, err := range c.target.Enrollments.Groups(ctx, nil) {
			if err != nil {
				return err
			}
			if !gone[strings.ToLower(g.EnrollmentGroupID)] {
				note(g)
			}
		}
	}
	var refused []error
	for _, change := range c.plan.Changes {
		if groups := users[change.ID]; change.Action == Delete && change.Kind == KindCertificate && len(groups) > 0 {
			refused = append(refused, &InUseError{Name: change.ID, Groups: groups})
		}
	}
	return errors.Join(refused...)
}

// references are the names of the CAs that a group refers to.
func references(g service.EnrollmentGroup) []string {
	if g.Attestation.X509 == nil || g.Attestation.X509.CAReferences == nil {
		return nil
	}
	refs := g.Attestation.X509.CAReferences
	return []string{refs.Primary, refs.Secondary}
}

package desired_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/dps/desired"
)

// TestPruneWantsAnExplicitList: a section whose entries are all commented out
// must not delete everything of its kind.
func TestPruneWantsAnExplicitList(t *testing.T) {
	w := newWorld(t, nil)
	w.apply(t, "enrollmentGroups: [{enrollmentGroupId: g, attestation: {symmetricKey: {}}}]\n", nil)
	const silent = "enrollmentGroups:\n  # - enrollmentGroupId: g\n"
	_, err := desired.Compare(t.Context(), w.parse(t, silent), w.target(), &desired.PlanOptions{Prune: true})
	if !errors.Is(err, desired.ErrNoValue) {
		t.Errorf("got %v, want ErrNoValue", err)
	}
	if plan := w.plan(t, silent, nil); len(plan.Changes) != 0 {
		t.Errorf("without pruning: %q", outline(plan))
	}
	explicit := w.plan(t, "enrollmentGroups: []\n", &desired.PlanOptions{Prune: true})
	if want := []string{"delete enrollmentGroup g"}; !slices.Equal(outline(explicit), want) {
		t.Errorf("got %q, want %q", outline(explicit), want)
	}
}

// TestPruneKeepsReferencedCAs removes a CA that a group refers to from the
// document, with and without the group.
func TestPruneKeepsReferencedCAs(t *testing.T) {
	const (
		cas    = "certificates: [{name: ca-1, certificateFile: root.pem, keyFile: root.key}]\n"
		group  = "enrollmentGroups: [{enrollmentGroupId: g, attestation: {x509: {caReferences: {primary: CA-1}}}}]\n"
		others = "enrollmentGroups: [{enrollmentGroupId: g, attestation: {symmetricKey: {}}}]\n"
	)
	tests := []struct {
		name, text string
		want       []string // nil: refused
	}{
		{"a stored group", "certificates: []\n", nil},
		{"a group of the document", "certificates: []\n" + group, nil},
		{"the group is pruned too", "certificates: []\nenrollmentGroups: []\n", []string{"delete enrollmentGroup g", "delete certificate ca-1: certificate"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.apply(t, cas+group, nil)
			plan, err := desired.Compare(t.Context(), w.parse(t, tt.text), w.target(), &desired.PlanOptions{Prune: true})
			if tt.want != nil {
				if err != nil || !slices.Equal(outline(plan), tt.want) {
					t.Errorf("got %v, want %q", err, tt.want)
				}
				return
			}
			var used *desired.InUseError
			if !errors.As(err, &used) {
				t.Fatalf("got %v, want an InUseError", err)
			}
			if diff := cmp.Diff(&desired.InUseError{Name: "ca-1", Groups: []string{"g"}}, used); diff != "" {
				t.Error(diff)
			}
			if got, want := err.Error(), `plan delete certificate "ca-1": enrollment group "g" would still refer to it`; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
	t.Run("the group gets another attestation", func(t *testing.T) {
		w := newWorld(t, nil)
		w.apply(t, cas+"enrollmentGroups: [{enrollmentGroupId: h, attestation: {symmetricKey: {}}}]\n", nil)
		plan := w.plan(t, "certificates: []\n"+others, &desired.PlanOptions{Prune: true})
		if got := outline(plan); !slices.Contains(got, "delete certificate ca-1: certificate") {
			t.Errorf("got %q", got)
		}
	})
}

package service

import (
	"context"
	"iter"
)

var groups = resource[EnrollmentGroup]{
	noun: "enrollment group", segment: "enrollmentGroups",
	id:          func(g EnrollmentGroup) string { return g.EnrollmentGroupID },
	etag:        func(g EnrollmentGroup) string { return g.ETag },
	attestation: func(g *EnrollmentGroup) *Attestation { return &g.Attestation },
	differences: func(want, stored EnrollmentGroup) []string { return want.Differences(stored) },
}

// GetGroup returns the enrollment group with this id. Certificates come back as
// descriptions and symmetric keys not at all; see [Client.GetGroupAttestation].
func (c *Client) GetGroup(ctx context.Context, id string, _ *GetOptions) (EnrollmentGroup, error) {
	return groups.get(ctx, c, id)
}

// GetGroupAttestation returns the attestation of a group with its symmetric
// keys.
func (c *Client) GetGroupAttestation(ctx context.Context, id string, _ *GetOptions) (Attestation, error) {
	return groups.mechanism(ctx, c, id)
}

// PutGroup creates the group, or updates it if g has an ETag or opts an
// IfMatch, and returns it as stored.
//
// A group from GetGroup can be changed and put back: members that this package
// does not know are kept byte for byte, the stored certificates stay, and
// missing symmetric keys are read first so that they stay too. Someone else's
// change in between fails with dps.ErrPrecondition.
//
// A create whose acknowledgement was lost is repeated; if the group then exists
// exactly as wanted, that is a success.
func (c *Client) PutGroup(ctx context.Context, g EnrollmentGroup, opts *PutOptions) (EnrollmentGroup, error) {
	return groups.put(ctx, c, g, opts)
}

// DeleteGroup deletes the group. Registration records of its devices stay.
func (c *Client) DeleteGroup(ctx context.Context, id string, opts *DeleteOptions) error {
	return groups.delete(ctx, c, id, opts)
}

// Groups yields every enrollment group, in no particular order, page by page as
// it is consumed. The first error ends the sequence.
func (c *Client) Groups(ctx context.Context, opts *ListOptions) iter.Seq2[EnrollmentGroup, error] {
	return groups.list(ctx, c, "SELECT * FROM enrollmentGroups", opts)
}

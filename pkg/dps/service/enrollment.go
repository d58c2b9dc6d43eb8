package service

import (
	"context"
	"iter"
)

var enrollments = resource[IndividualEnrollment]{
	noun: "enrollment", segment: "enrollments",
	id:          func(e IndividualEnrollment) string { return e.RegistrationID },
	etag:        func(e IndividualEnrollment) string { return e.ETag },
	attestation: func(e *IndividualEnrollment) *Attestation { return &e.Attestation },
	differences: func(want, stored IndividualEnrollment) []string { return want.Differences(stored) },
}

// GetEnrollment returns the individual enrollment with this registration id,
// including its RegistrationState. Certificates come back as descriptions and
// symmetric keys not at all; see [Client.GetEnrollmentAttestation].
func (c *Client) GetEnrollment(ctx context.Context, id string, _ *GetOptions) (IndividualEnrollment, error) {
	return enrollments.get(ctx, c, id)
}

// GetEnrollmentAttestation returns the attestation of an individual enrollment
// with its symmetric keys.
func (c *Client) GetEnrollmentAttestation(ctx context.Context, id string, _ *GetOptions) (Attestation, error) {
	return enrollments.mechanism(ctx, c, id)
}

// PutEnrollment creates or updates an individual enrollment; everything said
// about [Client.PutGroup] holds here.
func (c *Client) PutEnrollment(ctx context.Context, e IndividualEnrollment, opts *PutOptions) (IndividualEnrollment, error) {
	return enrollments.put(ctx, c, e, opts)
}

// DeleteEnrollment deletes the enrollment. The device keeps its identity in the
// IoT hub.
func (c *Client) DeleteEnrollment(ctx context.Context, id string, opts *DeleteOptions) error {
	return enrollments.delete(ctx, c, id, opts)
}

// Enrollments yields every individual enrollment, in no particular order, page
// by page as it is consumed. RegistrationState is nil in a list. The first
// error ends the sequence.
func (c *Client) Enrollments(ctx context.Context, opts *ListOptions) iter.Seq2[IndividualEnrollment, error] {
	return enrollments.list(ctx, c, "SELECT * FROM enrollments", opts)
}

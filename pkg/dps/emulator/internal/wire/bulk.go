package wire

// QuerySpecification is the body of a query.
type QuerySpecification struct {
	Query string `json:"query"`
}

// BulkEnrollments is BulkEnrollmentOperation.
type BulkEnrollments struct {
	Mode        string                  `json:"mode"`
	Enrollments []*IndividualEnrollment `json:"enrollments"`
}

// BulkGroups is BulkEnrollmentGroupOperation.
type BulkGroups struct {
	Mode   string             `json:"mode"`
	Groups []*EnrollmentGroup `json:"enrollmentGroups"`
}

// BulkResult is BulkEnrollmentOperationResult, and the same for groups.
type BulkResult struct {
	Errors       []BulkError `json:"errors"`
	IsSuccessful bool        `json:"isSuccessful"`
}

// BulkError is the outcome of one failed item.
type BulkError struct {
	RegistrationID    string `json:"registrationId,omitempty"`
	EnrollmentGroupID string `json:"enrollmentGroupId,omitempty"`
	ErrorCode         int    `json:"errorCode"`
	ErrorStatus       string `json:"errorStatus"`
}

// Package service is a client of the DPS service API: enrollments, enrollment
// groups and registration records of one provisioning service.
//
//	cs, err := dps.ParseConnectionString(text)
//	client, err := service.NewClient(cs.HostName, service.SharedKey(cs.SharedAccessKeyName, cs.SharedAccessKey), nil)
//	group, err := client.PutGroup(ctx, service.EnrollmentGroup{
//		EnrollmentGroupID: "line-1",
//		Attestation:       service.SigningCertificate(intermediate, nil),
//	}, nil)
//
// # Creating, updating, concurrency
//
// An object without an ETag is created and must not exist; an object that was
// read has one, and putting it back updates exactly the version that was read.
// So a read-modify-write never loses another's change, and never loses members
// that this package does not know: they are kept byte for byte at every level
// of the model.
//
// # Retries
//
// Lists and reads are repeated after a lost connection, 408, 429 and 5xx.
// Writes are too, because they converge: if the refusal of a repeated request
// may come from its own first attempt, the stored object is read and compared
// before an error is returned. Retry-After is honoured in every form, up to
// ClientOptions.MaxRetryDelay.
//
// # Keys
//
// Symmetric keys are dps.Secret: they show as REDACTED when a model is printed
// or marshalled, and travel in clear only to the service.
package service

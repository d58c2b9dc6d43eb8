// Package desired brings a provisioning service to the state that a document
// describes: CA certificates, enrollment groups and individual enrollments.
//
//	doc, err := desired.Parse(data, &desired.ParseOptions{Format: desired.YAML, Files: readFile})
//	plan, err := desired.Compare(ctx, doc, target, nil)
//	// show plan.Changes, ask
//	results, err := plan.Apply(ctx, nil)
//
// The document has the member names of the service API:
//
//	certificates:
//	  - name: my-root
//	    certificateFile: root.pem
//	    keyFile: root.key.pem      # proves possession; isVerified: true vouches instead
//	enrollmentGroups:
//	  - enrollmentGroupId: line-1
//	    attestation: {x509: {signingCertificates: {primary: {certificateFile: line-1.pem}}}}
//	enrollments:
//	  - registrationId: pump-7
//	    attestation: {symmetricKey: {}}
//
// # What the document decides
//
// A listed object becomes what its entry says: a setting that the entry leaves
// out is removed. Kept are members of newer API versions, symmetric keys that
// the entry does not give, and certificates that it only describes. Objects
// that are not listed stay, unless pruning is asked for; then those of the kinds
// that the document has a section for are deleted.
//
// # Safety
//
// [Compare] only reads. Each change is made under the condition that the object
// is still the version that was compared, so that nobody's change in between is
// lost. Applying the same document again finds no changes.
package desired

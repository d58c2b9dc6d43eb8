// Package document turns what a person wrote about enrollments into models of
// package service, strictly: an unknown member, a wrong type and everything that
// enrollment.Check finds is a [Problem] with its line and column.
//
// Members have the names of the service API. Beside them, a member that takes a
// certificate or a key has a twin with "File" after its name, which names a file
// instead: certificateFile, primaryKeyFile, webhookUrlFile. What the service
// alone sets (etag, dates, registrationState) is ignored, so that the output of
// a show command is a document, too.
package document

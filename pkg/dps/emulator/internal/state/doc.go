// Package state is what the emulator remembers, in terms of the service:
// enrollments, enrollment groups, CA certificates, registration records and
// the operations that made them.
//
// Records are JSON in the tables of package store. A few index rows next to
// them answer the questions of a registering device without a scan: which
// enrollment has this leaf, which group has this signing certificate, which
// groups have symmetric keys. Records and index rows change in one transaction.
//
// Identifiers are compared without case and returned as they were first written.
package state

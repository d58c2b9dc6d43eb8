// Package serviceapi is the emulator's service plane: enrollments, enrollment
// groups and registration records under api-versions up to 2021-10-01 and the
// later ones with the same shapes.
//
// What a client sends goes through [draft], which checks it, fills in what the
// service fills in (certificate details, symmetric keys, defaults) and drops
// what the service drops (nulls, read-only members). What goes out has the
// service's member order, and no symmetric keys except in the answer to a PUT
// and to attestationmechanism.
package serviceapi

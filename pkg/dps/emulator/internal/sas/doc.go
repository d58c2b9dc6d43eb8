// Package sas checks shared access signatures as the service does.
//
// Clients disagree about the form: members come in any order, percent escapes
// in either case, the resource encoded or not. So the signature is computed
// over the resource text exactly as it was received, and the resource is
// decoded and compared only afterwards. The comparison of signatures takes the
// same time for every wrong one.
//
// The package is written against the service's documentation and shares no
// code with the clients of this module, so that a mistake on either side shows.
package sas

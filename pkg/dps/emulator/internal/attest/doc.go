// Package attest decides whether a certificate proves what it is shown for. It
// is pure: certificates, a registration ID or a code, and a time go in; nil or
// a refusal comes out.
//
// [Chain] judges a device of an enrollment group. It searches paths from the
// leaf to its issuers, through the certificates that the device sent and, for
// the root alone, through those that were uploaded and verified. The enrollment
// group nearest to the leaf decides; its certificate, or one above it, must be
// a verified CA. Signatures, dates, CA flags, path lengths and usages are
// checked at each level up to there.
//
// A CA may have several certificates: cross-signed by another CA, renewed, or
// re-keyed under its old name. The search goes back and tries the next where
// one leads nowhere or breaks a rule (RFC 4158). A device is accepted if there
// is any path in order, whatever else it sent and in which order; if there is
// none, the refusal is about the path that got farthest.
//
// [Leaf] judges a device with an individual enrollment, by its certificate
// alone. [Proof] judges a verification certificate (proof of possession).
//
// The work is bounded: number of certificates, size of keys, signatures that
// are checked, certificates that are tried in paths, names that are compared
// with constraints. A hostile chain costs milliseconds. The search is held
// against the vectors of BetterTLS in the tests, which also list where it
// differs from RFC 5280 on purpose.
package attest

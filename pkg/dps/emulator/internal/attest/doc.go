// Package attest decides whether a certificate proves what it is shown for. It
// is pure: certificates, a registration ID or a code, and a time go in; nil or
// a refusal comes out.
//
// [Chain] judges a device of an enrollment group. It walks from the leaf to its
// issuers, through the certificates that the device sent and, for the root
// alone, through those that were uploaded and verified. The enrollment group
// nearest to the leaf decides; its certificate, or one above it, must be a
// verified CA. Signatures, dates, CA flags, path lengths and key usages are
// checked at each level up to there.
//
// [Leaf] judges a device with an individual enrollment, by its certificate
// alone. [Proof] judges a verification certificate (proof of possession).
//
// Every walk is bounded before it starts: number of certificates, size of keys,
// number of signature checks. A hostile chain costs milliseconds.
package attest

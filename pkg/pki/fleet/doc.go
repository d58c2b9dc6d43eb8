// Package fleet makes device certificates by the thousand: on every processor, in memory that does not depend on
// their number, in the order of a list, and split over several machines if need be.
//
// # Model
//
// A fleet is a list of registration IDs, made up ([Numbered]) or read from a file ([ReadIDs]), and the authority that
// signs them. [Write] makes the devices and puts their files into a folder, a tar or a zip file, with an index:
//
//	ids, err := fleet.Numbered("press-", 1, 100_000)
//	result, err := fleet.Write(ctx, fleet.Options{Authority: ca, IDs: ids}, fleet.Target{Path: "fleet"})
//
// [Run] is the same for a [Sink] of the caller's own, such as one that uploads.
//
// The certificates are those that [pki.Authority.Issue] makes, byte for byte but for the serial number, the subject,
// the key and its identifier: one is made as a model, and the others are built from its parts. That takes a tenth of
// the time that making a key and a signature takes; encoding each certificate from nothing and reading it back would
// double it.
//
// # Parts
//
// [Shard] is a part of a fleet. Every machine gets the same list and the number of its part, and needs to know
// nothing of the others. The registration IDs, file names and folders of a device do not depend on the part that it
// is in, so all parts together are the whole.
//
// # Interruptions
//
// A run that ended early, in whatever way, is continued by calling [Write] again with the same options. What is there
// is not believed but checked: the devices of a folder one by one, an unfinished archive by the checksums of its
// journal. See [Write].
package fleet

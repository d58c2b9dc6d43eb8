// Package provision registers devices: it finds the enrollment that a device
// belongs to, judges its proof, allocates a hub and keeps the record. It knows
// nothing of HTTP, so that every transport gives the same answers.
//
// A registration runs in two steps. The proof is judged against a consistent
// picture of the store, in parallel with others. The record is then written in
// one transaction that first makes sure that what the judgement rested on is
// still so; if an enrollment or a CA changed meanwhile, the judgement is made
// again. So a device is never assigned by an enrollment that was disabled or
// deleted before.
//
// Custom allocation has a third step. The record says that the registration
// waits, a goroutine asks the webhook, and its answer is written in another
// transaction, if the enrollment is still there and enabled. Whatever is
// interrupted in between is taken up by the next poll.
package provision

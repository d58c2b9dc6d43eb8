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
package provision

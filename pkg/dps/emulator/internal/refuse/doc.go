// Package refuse is the one way in which the emulator says no.
//
// The real service answers a refused device with little more than
// "401002 CA certificate not found." A [Refusal] carries that answer for the
// wire and, next to it, what the service keeps to itself: which rule was
// broken, by which certificate, what was expected and what to do about it.
// The second half goes to the log, never to the client, so that clients see
// exactly what they would see in production.
package refuse

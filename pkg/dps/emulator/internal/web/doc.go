// Package web is the HTTP plumbing that the emulator's planes share: paths
// that are decoded once and compared without case, method tables with Allow,
// request identifiers, bounded and strict JSON bodies, and one place that turns
// a refusal into an answer and a log record.
//
// A plane is a [Plane]: routes, a check that runs before each of them, and a
// function that renders refusals. Its handlers take a [Request] and return a
// [Response] or an error; they never touch the response writer.
package web

// Package inject makes the faults that package fault describes: [Injector]
// decides which requests are hit, whatever the transport, and [Injector.Wrap]
// does it to HTTP.
package inject

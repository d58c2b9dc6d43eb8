// Package webhook calls the webhook of a custom allocation policy.
//
// Its URL comes from whoever may write enrollments, so the emulator could be
// made to send requests to any host that it reaches. Only loopback addresses
// are dialled unless others are allowed; that is decided by the address, not by
// the name, and redirects are not followed. Time and size of an answer are
// bounded, and no proxy is used. Errors never have the query of the URL in
// them: it often holds a key.
package webhook

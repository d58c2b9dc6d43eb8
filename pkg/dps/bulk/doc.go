// Package bulk imports individual enrollments from a file by the thousand.
//
//	source := bulk.Source{Open: open, Format: bulk.CSV}
//	report, err := bulk.Import(ctx, client, source, &bulk.Options{Exists: bulk.Skip, State: state})
//
// # Nothing is sent before everything is checked
//
// [Import] reads the file twice. The first pass finds every fault with its line
// and column; if there is one, it returns [Faults] and has sent nothing. The
// second pass sends. Neither holds the enrollments of the whole file.
//
// # Pace
//
// Rows go out in bulk operations of ten, several at a time. When the service
// answers 429, all of them wait together as long as it asks; the client should
// therefore not retry by itself (service.ClientOptions.MaxRetries = -1). After
// [Options.Patience] without any progress the import gives up; much sooner if
// the service has never answered at all.
//
// # Exactly once
//
// A bulk operation whose answer is lost may have been done or not. Its rows are
// looked up one by one, and only those that are missing are sent again. A
// [State] makes that hold across runs: it is a journal, written before a request
// is sent and after it is answered, so that a second run does what is left and
// nothing twice, whatever ended the first one.
package bulk

// Package rollout registers many devices, each as itself.
//
//	report, err := rollout.OpenReport("report.csv", scope, source, nil)
//	summary, err := rollout.Run(ctx, scope, source, &rollout.Options{Report: report})
//	err = report.Finish()
//
// A [Source] names the devices and reads the credential of one when its turn
// comes, so that the memory that a run needs depends on how many are on their
// way at once, not on how many there are.
//
// # Pace
//
// So many devices register at the same time as Options.Concurrency says; each
// waits between its questions as the service asks. When the service tells one of
// them to slow down (429, or 503 with Retry-After), all of them wait together:
// they count against one limit.
//
// # Failures
//
// What fails in passing is repeated. A device that is refused is an outcome and
// no error: the others go on. The run itself ends early when its context does,
// when the report cannot be written, or when many devices in a row could not
// reach the service ([ErrUnreachable]).
//
// # Again
//
// A [Report] is a table with one row for each device. Each row is written as
// soon as the device is done, so that whatever ends a run, what it did is there
// to be read; the next run with the same report passes over the devices that are
// assigned. To register a device twice does no harm; it keeps its hub or gets
// another, as its enrollment says.
package rollout

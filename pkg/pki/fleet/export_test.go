package fleet

import "time"

// WithStep makes a target call step before every change of a file. An error of step fails the change.
func WithStep(t Target, step func(op, name string) error) Target {
	t.step = step
	return t
}

// RecordAlways makes the journal of an archive have a record of every device.
func RecordAlways(t Target) Target {
	t.recordEvery = time.Nanosecond
	return t
}

// FileStem is how a registration ID is spelled in file names.
func FileStem(id string) string { return fileStem(id) }

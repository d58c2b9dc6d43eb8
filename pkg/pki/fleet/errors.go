package fleet

import "errors"

// Reasons that callers branch on, reached with [errors.Is].
var (
	// ErrBadList means that a list of registration IDs cannot be used; the error says where and why.
	ErrBadList = errors.New("the list of registration ids cannot be used")
	// ErrExists means that something is in the place of the output that is not this fleet.
	ErrExists = errors.New("exists already")
	// ErrImmovable means that Force would have to move a folder that the process works in, or one around it.
	ErrImmovable = errors.New("cannot be moved away")
	// ErrLocked means that another process is writing the same output.
	ErrLocked = errors.New("another process is writing it")
	// ErrSomeFailed means that the run went to its end and some devices could not be made.
	ErrSomeFailed = errors.New("some devices failed")
)

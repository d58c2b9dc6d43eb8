package workspace

import "errors"

// Reasons that callers branch on, reached with [errors.Is].
var (
	// ErrNotFound means that the workspace has no certificate of that name.
	ErrNotFound = errors.New("not found in the workspace")
	// ErrExists means that something would be replaced and Force was not set.
	ErrExists = errors.New("exists already")
	// ErrNameConflict means that a name differs only by case from one that is there. Neither the service nor every
	// file system tells them apart, so Force does not help.
	ErrNameConflict = errors.New("differs only by case")
	// ErrBroken means that the manifest cannot be read, or that files are missing or do not match it.
	ErrBroken = errors.New("the workspace is damaged")
	// ErrKeyUnreadable means that this user may not read a key or the folder with the keys. [fs.ErrPermission] is in
	// the error as well. The certificates can be read all the same, with [Workspace.Chain].
	ErrKeyUnreadable = errors.New("the key cannot be read")
	// ErrChanged means that other processes kept replacing what a change builds on, such as the signing CA.
	ErrChanged = errors.New("the workspace was changed at the same time by another process")
	// ErrLocked means that another process is changing the workspace.
	ErrLocked = errors.New("the workspace is locked by another process")
)

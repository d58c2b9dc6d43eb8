package emulator

import "errors"

// Reasons why an emulator does not start, reached with errors.Is.
var (
	// ErrStart marks every error of [Start]: of its options, a listener or the
	// data folder, never of a service elsewhere.
	ErrStart = errors.New("start emulator")
	// ErrNotLoopback means that an address can be reached by others, which
	// needs Options.AllowRemote and a key of one's own.
	ErrNotLoopback = errors.New("not a loopback address")
)

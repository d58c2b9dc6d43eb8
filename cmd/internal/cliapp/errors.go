package cliapp

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
)

// Exit codes of both programs. Scripts rely on them; they do not change.
const (
	ExitOK           = 0   // done
	ExitFailed       = 1   // failed
	ExitUsage        = 2   // the command line is wrong
	ExitNotFound     = 3   // a named thing does not exist
	ExitUnauthorized = 4   // not authorised
	ExitConflict     = 5   // exists already, or changed in between (stale etag)
	ExitRefused      = 6   // verification failed: doctor, proof of possession, refused registration
	ExitUnavailable  = 7   // throttled or unavailable after retries
	ExitPartial      = 8   // some of many failed
	ExitInterrupted  = 130 // interrupted
)

// Error is an error that knows its exit code and what to do about it.
type Error struct {
	Err   error
	Code  int      // exit code; 0 leaves the choice to the classifier
	Hints []string // printed one a line after the error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Usagef returns an error about the command line itself (exit code 2). The
// frame adds a pointer to the --help of the command that was run.
func Usagef(format string, args ...any) error {
	return &usageError{err: fmt.Errorf(format, args...)}
}

// WithHint adds to err a line that says what to do. A nil err stays nil.
func WithHint(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &Error{Err: err, Hints: []string{fmt.Sprintf(format, args...)}}
}

// WithCode sets the exit code of err. A nil err stays nil.
func WithCode(err error, code int) error {
	if err == nil {
		return nil
	}
	return &Error{Err: err, Code: code}
}

type usageError struct {
	err     error
	command string // full name of the command, filled in by Program.run
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// Classifier gives the exit code and the hints for an error of the program's
// own packages; code 0 means that it does not know the error.
type Classifier func(err error) (code int, hints []string)

// verdict decides the exit code and collects the hints of err: what was set
// explicitly wins, outermost first, then the classifier, then what is common.
func verdict(err error, classify Classifier) (code int, hints []string) {
	for e := err; e != nil; {
		var wrapped *Error
		if !errors.As(e, &wrapped) {
			break
		}
		hints = append(hints, wrapped.Hints...)
		if code == 0 {
			code = wrapped.Code
		}
		e = wrapped.Err
	}
	if classify != nil {
		c, h := classify(err)
		if code == 0 {
			code = c
		}
		if len(hints) == 0 {
			hints = h
		}
	}
	if code == 0 {
		code = commonCode(err)
	}
	return code, hints
}

func commonCode(err error) int {
	var usage *usageError
	switch {
	case errors.As(err, &usage):
		return ExitUsage
	case errors.Is(err, context.Canceled):
		return ExitInterrupted
	case errors.Is(err, context.DeadlineExceeded):
		return ExitUnavailable
	case errors.Is(err, fs.ErrNotExist):
		return ExitNotFound
	}
	return ExitFailed
}

package cliapp

import (
	"context"
	"os"

	"golang.org/x/term"
)

// SecretContext is Secret for a command that has to react to an interrupt: it
// gives up when ctx ends, although reading from a terminal or a pipe cannot be
// stopped, and turns the echo of the terminal on again.
//
// The read goes on in the background until the process ends, so a program that
// gets an error should leave soon.
func (e *Env) SecretContext(ctx context.Context, src SecretSource) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	restore := e.saveTerminal()
	type result struct {
		secret []byte
		err    error
	}
	done := make(chan result, 1)
	go func() {
		secret, err := e.Secret(src)
		done <- result{secret, err}
	}()
	select {
	case r := <-done:
		return r.secret, r.err
	case <-ctx.Done():
		restore()
		return nil, ctx.Err()
	}
}

// saveTerminal returns a function that sets the terminal back to what it is now.
func (e *Env) saveTerminal() func() {
	fd := int(os.Stdin.Fd())
	if !e.InTTY {
		return func() {}
	}
	state, err := term.GetState(fd)
	if err != nil {
		return func() {}
	}
	return func() { _ = term.Restore(fd, state) }
}

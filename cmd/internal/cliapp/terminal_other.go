//go:build !(linux || darwin || freebsd || netbsd || openbsd)

package cliapp

import "golang.org/x/term"

// readPassword reads one line from a terminal without echo.
func readPassword(fd int) ([]byte, error) { return term.ReadPassword(fd) }

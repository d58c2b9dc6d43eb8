//go:build linux || darwin || freebsd || netbsd || openbsd

package cliapp

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"
)

// readPassword reads one line from a terminal without echo. It is that of x/term
// but for the end of input (Ctrl-D), which that one waits to be taken back.
func readPassword(fd int) ([]byte, error) {
	state, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return nil, err
	}
	silent := *state
	silent.Lflag &^= unix.ECHO
	silent.Lflag |= unix.ICANON | unix.ISIG
	silent.Iflag |= unix.ICRNL
	if err := unix.IoctlSetTermios(fd, setTermios, &silent); err != nil {
		return nil, err
	}
	defer func() { _ = unix.IoctlSetTermios(fd, setTermios, state) }()
	return readLine(fd)
}

// readLine reads single bytes, so that what follows the line stays in the terminal.
func readLine(fd int) ([]byte, error) {
	var line []byte
	for {
		var b [1]byte
		n, err := unix.Read(fd, b[:])
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return nil, err
		case n == 0 && len(line) == 0:
			return nil, io.EOF
		case n == 0 || b[0] == '\n':
			return line, nil
		default:
			line = append(line, b[0])
		}
	}
}

package cliapp

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/term"
)

// Env is what a command may use of the world: its streams, its clock and its
// environment. Commands never reach for os.Stdout, time.Now or os.Getenv.
type Env struct {
	// In, Out and Err are standard input, output and error.
	In       io.Reader
	Out, Err io.Writer
	// InTTY, OutTTY and ErrTTY say whether the stream is a terminal.
	InTTY, OutTTY, ErrTTY bool
	// GoRun is true when the program was started by `go run`, so that it is not
	// installed; see Env.Program.
	GoRun bool
	// Getenv looks up an environment variable; "" means not set.
	Getenv func(string) string
	// Now is the clock.
	Now func() time.Time
	// ReadPassword reads one line from the terminal without echo, io.EOF if the
	// input ends before it. It is called only where InTTY is true.
	ReadPassword func() ([]byte, error)
}

// SystemEnv returns the Env of the running process.
func SystemEnv() *Env {
	return &Env{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		InTTY:  term.IsTerminal(int(os.Stdin.Fd())),
		OutTTY: term.IsTerminal(int(os.Stdout.Fd())),
		ErrTTY: term.IsTerminal(int(os.Stderr.Fd())),
		GoRun:  startedByGoRun(),
		Getenv: os.Getenv,
		Now:    time.Now,
		ReadPassword: func() ([]byte, error) {
			return readPassword(int(os.Stdin.Fd()))
		},
	}
}

// startedByGoRun says whether the executable lies where `go run` puts it.
func startedByGoRun() bool {
	path, err := os.Executable()
	return err == nil && filepath.Base(filepath.Dir(path)) == "exe" && strings.Contains(path, "go-build")
}

// Program returns how a user types the name of one of the programs, for the
// commands that are suggested: after `go run ./cmd/enroll` nothing is
// installed.
func (e *Env) Program(name string) string {
	if e.GoRun {
		return "go run ./cmd/" + name
	}
	return name
}

// Notef writes one line of progress for a person to standard error.
func (e *Env) Notef(format string, args ...any) {
	fmt.Fprintln(e.Err, Printable(fmt.Sprintf(format, args...)))
}

// Printable makes text from elsewhere (a service, a file, a certificate) safe
// for a terminal and for a log of one record per line: control characters and
// the marks that reorder bidirectional text become visible escapes. Tabs stay.
func Printable(s string) string {
	hidden := func(r rune) bool {
		return r != '\t' && (r < 0x20 || (r >= 0x7f && r < 0xa0) || r == '\u2028' || r == '\u2029' ||
			(r >= '\u202a' && r <= '\u202e') || (r >= '\u2066' && r <= '\u2069'))
	}
	if strings.IndexFunc(s, hidden) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if hidden(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

package cliapp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"unicode/utf16"
)

// maxSecret bounds what is read from a file or standard input as a secret.
const maxSecret = 64 << 10

// SecretSource says where a secret may come from, in the order of precedence.
type SecretSource struct {
	// File is the value of a --…-file flag; "-" is standard input. It holds the
	// secret in one line.
	File string
	// Env is the name of an environment variable.
	Env string
	// Prompt is shown at a terminal when neither is given; "" never asks.
	Prompt string
	// Twice asks again at the terminal, for a new secret that a slip of the
	// finger would lock away.
	Twice bool
}

// ErrNoSecret is returned when no source gives a secret.
var ErrNoSecret = errors.New("no secret given")

// Secret reads a secret from the first source that has one: a file (without
// the byte order mark and the line end of editors), the environment, a prompt
// on the terminal.
func (e *Env) Secret(src SecretSource) ([]byte, error) {
	if src.File != "" {
		return e.secretFile(src.File)
	}
	if src.Env != "" {
		if v := e.Getenv(src.Env); v != "" {
			return []byte(v), nil
		}
	}
	if src.Prompt == "" || !e.InTTY || e.ReadPassword == nil {
		return nil, ErrNoSecret
	}
	secret, err := e.ask(src.Prompt)
	if err != nil || len(secret) == 0 || !src.Twice {
		return secret, err
	}
	again, err := e.ask(src.Prompt + ", once more")
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(secret, again) {
		return nil, Usagef("the two that were typed differ")
	}
	return secret, nil
}

func (e *Env) ask(prompt string) ([]byte, error) {
	fmt.Fprintf(e.Err, "%s: ", prompt)
	secret, err := e.ReadPassword()
	fmt.Fprintln(e.Err)
	if errors.Is(err, io.EOF) {
		return nil, WithCode(errors.New("the input ended and nothing was typed"), ExitUnauthorized)
	}
	if err != nil {
		return nil, fmt.Errorf("read from the terminal: %w", err)
	}
	return secret, nil
}

func (e *Env) secretFile(path string) ([]byte, error) {
	r := e.In
	if path != "-" {
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, WithHint(err, "the secret is read from that file: make one that holds it in one line, or give - for standard input")
		}
		if err != nil {
			return nil, err
		}
		defer f.Close()
		r = f
	}
	data, err := io.ReadAll(io.LimitReader(r, maxSecret+1))
	if err != nil {
		return nil, fmt.Errorf("read secret from %q: %w", path, err)
	}
	if len(data) > maxSecret {
		return nil, fmt.Errorf("read secret from %q: longer than %d bytes", path, maxSecret)
	}
	secret := bytes.TrimRight(utf8Text(data), "\r\n")
	if n := 1 + bytes.Count(secret, []byte("\n")); n > 1 {
		return nil, WithHint(Usagef("read secret from %q: it has %d lines, and a secret is one", path, n),
			"give a file that holds the secret alone")
	}
	return secret, nil
}

// utf8Text returns text without its byte order mark, which Windows PowerShell
// and old editors write, and as UTF-8 if the mark says that it is UTF-16.
func utf8Text(data []byte) []byte {
	var low, high int
	switch {
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}):
		low, high = 0, 1
	case bytes.HasPrefix(data, []byte{0xfe, 0xff}):
		low, high = 1, 0
	default:
		return bytes.TrimPrefix(data, []byte("\ufeff"))
	}
	var units []uint16
	for data = data[2:]; len(data) >= 2; data = data[2:] {
		units = append(units, uint16(data[low])|uint16(data[high])<<8)
	}
	return []byte(string(utf16.Decode(units)))
}

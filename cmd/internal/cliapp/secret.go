package cliapp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// maxSecret bounds what is read from a file or standard input as a secret.
const maxSecret = 64 << 10

// SecretSource says where a secret may come from, in the order of precedence.
type SecretSource struct {
	// File is the value of a --…-file flag; "-" is standard input.
	File string
	// Env is the name of an environment variable.
	Env string
	// Prompt is shown at a terminal when neither is given; "" never asks.
	Prompt string
}

// ErrNoSecret is returned when no source gives a secret.
var ErrNoSecret = errors.New("no secret given")

// Secret reads a secret from the first source that has one: a file (one
// trailing newline is cut), the environment, a prompt on the terminal.
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
	fmt.Fprintf(e.Err, "%s: ", src.Prompt)
	secret, err := e.ReadPassword()
	fmt.Fprintln(e.Err)
	if err != nil {
		return nil, fmt.Errorf("read from the terminal: %w", err)
	}
	return secret, nil
}

func (e *Env) secretFile(path string) ([]byte, error) {
	r := e.In
	if path != "-" {
		f, err := os.Open(path)
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
	data = bytes.TrimSuffix(data, []byte("\n"))
	return bytes.TrimSuffix(data, []byte("\r")), nil
}

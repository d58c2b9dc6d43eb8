package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

func TestClassify(t *testing.T) {
	tests := []struct {
		err  error
		code int
		hint string // a part of the hint; "": there is none
	}{
		{workspace.ErrNotFound, cliapp.ExitNotFound, "certgen list"},
		{workspace.ErrExists, cliapp.ExitConflict, "--force"},
		{workspace.ErrNameConflict, cliapp.ExitConflict, "another name"},
		{workspace.ErrLocked, cliapp.ExitUnavailable, "try again"},
		{workspace.ErrChanged, cliapp.ExitUnavailable, "try again"},
		{workspace.ErrBroken, cliapp.ExitFailed, "nothing was changed"},
		{pki.ErrPassphraseRequired, cliapp.ExitUnauthorized, envCAPassword},
		{pki.ErrWrongPassphrase, cliapp.ExitUnauthorized, "case-sensitive"},
		{pki.ErrInvalidID, cliapp.ExitUsage, ""},
		{pki.ErrKeyMismatch, cliapp.ExitFailed, "same pair"},
		{pki.ErrNotCA, cliapp.ExitFailed, "another one"},
		{pki.ErrExpired, cliapp.ExitFailed, "certgen init"},
		{pki.ErrNotYetValid, cliapp.ExitFailed, "clock"},
		{fs.ErrPermission, cliapp.ExitFailed, "permissions"},
		{pki.ErrPFXPassword, cliapp.ExitFailed, "must be UTF-8"},
		{pki.ErrPKCS7, cliapp.ExitFailed, "openssl pkcs7 -print_certs"},
		{pki.ErrRounds, cliapp.ExitFailed, "-iter 2048"},
		{errTooLarge, cliapp.ExitFailed, "few KiB"},
		{&fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, cliapp.ExitFailed, "the disk is full"},
		{&fs.PathError{Op: "open", Path: "x", Err: syscall.ELOOP}, cliapp.ExitFailed, "leads back to itself"},
		{fs.ErrExist, cliapp.ExitFailed, "has the name of the folder"},
		{fmt.Errorf("%w: path escapes from parent", workspace.ErrBroken), cliapp.ExitFailed, "does not follow it"},
		{errors.New("something else"), 0, ""},
		{context.Canceled, 0, ""},
		// A damaged folder is more than what was found in it.
		{fmt.Errorf("load %q: %w: %w", "x", workspace.ErrBroken, pki.ErrKeyMismatch), cliapp.ExitFailed, "nothing was changed"},
	}
	for _, tt := range tests {
		for _, err := range []error{tt.err, fmt.Errorf("make it: %w", tt.err)} {
			code, hints := classify(err)
			hint := strings.Join(hints, "; ")
			if code != tt.code || (hint == "") != (tt.hint == "") || !strings.Contains(hint, tt.hint) {
				t.Errorf("classify(%v) = %d, %q; want %d and a hint with %q", err, code, hint, tt.code, tt.hint)
			}
		}
	}
}

func TestInFolder(t *testing.T) {
	const hint = "try 'certgen list' or 'certgen init --force', it's 'x'"
	tests := []struct{ dir, want string }{
		{"./pki", hint},
		{"a", "try 'certgen list --dir a' or 'certgen init --force --dir a', it's 'x'"},
		{"a b", "try 'certgen list --dir 'a b'' or 'certgen init --force --dir 'a b'', it's 'x'"},
	}
	for _, tt := range tests {
		if got := inFolder(hint, tt.dir); got != tt.want {
			t.Errorf("inFolder(%q) = %q, want %q", tt.dir, got, tt.want)
		}
	}
}

package main

import (
	"context"
	"errors"
	"io/fs"
	"regexp"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

// classify gives the exit code of the errors of pki and its workspace, and says
// what to do about them. A command that knows better sets its own.
func classify(err error) (code int, hints []string) {
	if strings.Contains(err.Error(), pathEscapes) {
		return cliapp.ExitFailed, []string{"a symbolic link leads out of the folder, and certgen does not follow it: move into the folder what it leads to"}
	}
	for _, known := range knownErrors {
		if errors.Is(err, known.err) {
			if known.hint != "" {
				hints = []string{inFolder(known.hint, folderOf(err))}
			}
			return known.code, hints
		}
	}
	return 0, nil
}

// knownErrors are tried in order: the more special error stands first.
var knownErrors = []struct {
	err  error
	code int
	hint string
}{
	{workspace.ErrNotFound, cliapp.ExitNotFound, "'certgen list' shows what the folder holds"},
	{workspace.ErrExists, cliapp.ExitConflict, "choose another name, or use --force: what it replaces is kept in the folder 'replaced'"},
	{workspace.ErrNameConflict, cliapp.ExitConflict, "DPS and many file systems do not tell the two apart: choose another name"},
	{workspace.ErrLocked, cliapp.ExitUnavailable, "another certgen is at work in the folder: try again when it has ended"},
	{workspace.ErrChanged, cliapp.ExitUnavailable, "another certgen is at work in the folder: try again when it has ended"},
	{workspace.ErrBroken, cliapp.ExitFailed, "nothing was changed: repair the file that the error names; if it is certgen.json, " +
		"'certgen list --rebuild' makes that anew from the other files"},
	{pki.ErrPassphraseRequired, cliapp.ExitUnauthorized, "give it by --ca-key-password-file FILE, by $" + envCAPassword +
		" or at a terminal; keys that the original certGen.sh made have the pass phrase 1234"},
	{pki.ErrWrongPassphrase, cliapp.ExitUnauthorized, "check the file, the environment variable or what you typed: pass phrases are case-sensitive"},
	{pki.ErrPFXPassword, cliapp.ExitFailed, "it holds no emoji, and its file must be UTF-8: check --pfx-password-file or --password-file, $" +
		envPFXPassword + " or what you typed"},
	{pki.ErrPKCS7, cliapp.ExitFailed, "take the certificates out: openssl pkcs7 -print_certs -in FILE -out chain.pem, with -inform der if it is binary"},
	{pki.ErrRounds, cliapp.ExitFailed, "write it again with a usual number: openssl pkcs12 -export -iter 2048, or openssl pkcs8 -topk8 -iter 2048 for a key"},
	{pki.ErrInvalidID, cliapp.ExitUsage, ""},
	{pki.ErrKeyMismatch, cliapp.ExitFailed, "the certificate and the key must come from the same pair of files"},
	{pki.ErrPathLen, cliapp.ExitFailed, "sign with a CA further up by --ca, or make the CAs anew with room for it: 'certgen init --force' without " +
		"--path-len limits nothing, 'certgen intermediate NAME --force --path-len N' allows N CAs below NAME"},
	{pki.ErrNotCA, cliapp.ExitFailed, "only a CA certificate (basic constraints CA:TRUE) can sign: choose another one"},
	{pki.ErrExpired, cliapp.ExitFailed, "make a new CA: 'certgen init --force --days 365' makes all anew and keeps the old files in the " +
		"folder 'replaced', 'certgen intermediate NAME --force' makes one below a root that is still valid"},
	{pki.ErrNotYetValid, cliapp.ExitFailed, "check the clock of this machine and --not-before of the CA"},
	{fs.ErrPermission, cliapp.ExitFailed, "check who owns the folder and its permissions"},
	{errTooLarge, cliapp.ExitFailed, "certificates, keys and requests are a few KiB: give the right file"},
	{syscall.ENOSPC, cliapp.ExitFailed, "the disk is full: make room and run it again"},
	{syscall.ELOOP, cliapp.ExitFailed, "the symbolic link leads back to itself: remove it, or let it lead to the file"},
	{fs.ErrExist, cliapp.ExitFailed, "a file, or a symbolic link to nothing, has the name of the folder: remove it, or choose another folder"},
}

// pathEscapes is in the error of os.Root about a link that leads out of it, for
// which there is no value to compare with.
const pathEscapes = "path escapes from parent"

// unreadable adds to an error about the content of a file how to find out more,
// where nothing better is known. command is that of openssl for such a file.
func unreadable(err error, command string) error {
	var hinted *cliapp.Error
	if err == nil || errors.As(err, &hinted) || errors.Is(err, context.Canceled) {
		return err
	}
	if code, _ := classify(err); code != 0 {
		return err
	}
	return cliapp.WithHint(err, "'openssl %s -noout -in FILE' shows whether other programs can read it", command)
}

// folderError is the error of a command on the certificates of a folder.
type folderError struct {
	error
	dir string // as --dir gives it
}

func (e *folderError) Unwrap() error { return e.error }

func folderOf(err error) string {
	var folder *folderError
	if errors.As(err, &folder) {
		return folder.dir
	}
	return defaultDir
}

// withFolder makes the hints about an error of action hold for the folder that
// the command is about.
func withFolder(env *cliapp.Env, action cli.ActionFunc) cli.ActionFunc {
	return func(c *cli.Context) error {
		err := action(c)
		if err == nil {
			return nil
		}
		dir := readDir(env, c)
		for e := err; e != nil; {
			var hinted *cliapp.Error
			if !errors.As(e, &hinted) {
				break
			}
			for i, hint := range hinted.Hints {
				hinted.Hints[i] = inFolder(hint, dir)
			}
			e = hinted.Err
		}
		return &folderError{err, dir}
	}
}

// hintCommand is a command in a hint.
var hintCommand = regexp.MustCompile(`'(certgen [^']*)'`)

// inFolder adds the folder to the commands in a hint, so that they can be pasted.
func inFolder(hint, dir string) string {
	if dir == defaultDir {
		return hint
	}
	return hintCommand.ReplaceAllStringFunc(hint, func(command string) string {
		return command[:len(command)-1] + " --" + flagDir + " " + shellQuote(dir) + "'"
	})
}

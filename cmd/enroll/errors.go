package main

import (
	"errors"
	"net/http"
	"runtime"
	"strings"
	"syscall"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/arm"
	"github.com/dpskit/dpskit/pkg/dps/device"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

// exitCodes maps what callers of the libraries can tell apart to exit codes.
// The first match counts.
var exitCodes = []struct {
	target error
	code   int
}{
	{device.ErrRefused, cliapp.ExitRefused},
	{arm.ErrProof, cliapp.ExitRefused},
	{arm.ErrNotCA, cliapp.ExitUsage},
	{dps.ErrUnauthorized, cliapp.ExitUnauthorized},
	{dps.ErrNotFound, cliapp.ExitNotFound},
	{dps.ErrConflict, cliapp.ExitConflict},
	{dps.ErrPrecondition, cliapp.ExitConflict},
	{dps.ErrThrottled, cliapp.ExitUnavailable},
	{dps.ErrUnavailable, cliapp.ExitUnavailable},
	{workspace.ErrBroken, cliapp.ExitFailed},
	{workspace.ErrNotFound, cliapp.ExitNotFound},
	{workspace.ErrExists, cliapp.ExitConflict},
	{workspace.ErrNameConflict, cliapp.ExitConflict},
	{workspace.ErrLocked, cliapp.ExitUnavailable},
	{workspace.ErrChanged, cliapp.ExitUnavailable},
	{pki.ErrPassphraseRequired, cliapp.ExitUnauthorized},
	{pki.ErrWrongPassphrase, cliapp.ExitUnauthorized},
	{pki.ErrInvalidID, cliapp.ExitUsage},
	{arm.ErrInvalidName, cliapp.ExitUsage},
	{arm.ErrInvalidScope, cliapp.ExitUsage},
	{dps.ErrInvalidID, cliapp.ExitUsage},
}

// classify gives the errors of the libraries their exit code and a hint.
func classify(err error) (int, []string) {
	code := 0
	for _, e := range exitCodes {
		if errors.Is(err, e.target) {
			code = e.code
			break
		}
	}
	return code, hints(err)
}

func hints(err error) []string {
	if h := refusalHint(err); h != nil {
		return h
	}
	if e := (*signInError)(nil); errors.As(err, &e) {
		return []string{signInHint}
	}
	if addressInUse(err) {
		return []string{"another program, perhaps another emulator, has that address: stop it, or choose another with --" +
			flagHTTPSAddr + ", --" + flagMQTTAddr + " and --" + flagAdminAddr + " (port 0 takes a free one)"}
	}
	switch {
	case errors.Is(err, emulator.ErrNotLoopback):
		return []string{"give --" + flagRemote + " and a key of your own in --" + flagKeyFile + ", or listen on 127.0.0.1"}
	case errors.Is(err, emulator.ErrStart):
		return nil // about a listener or a folder of this machine, not about the network
	case errors.Is(err, workspace.ErrBroken):
		return []string{"restore the file, choose another --" + flagDir + ", or make everything anew with --" + flagForce +
			" (what is replaced is kept); a damaged certgen.json is made again by 'certgen list --rebuild' with the same --" + flagDir}
	case wrongEmulatorKey(err):
		return []string{"the key of the connection string is not the key of this emulator: use the connection string that it printed when it started"}
	}
	if e, ok := dps.Explain(err); ok {
		return splitHint(e)
	}
	switch {
	case errors.Is(err, pki.ErrPassphraseRequired):
		return []string{"give --" + flagKeyPasswordFile + " or set " + envKeyPassword}
	case errors.Is(err, workspace.ErrExists):
		return []string{"replace it with --" + flagForce}
	}
	return nil
}

// hintBroken says how to mend a workspace to a command that cannot make it anew.
func hintBroken(err error, dir string) error {
	if !errors.Is(err, workspace.ErrBroken) {
		return err
	}
	return cliapp.WithHint(err, "restore the file, or choose another --%s; a damaged certgen.json is made again by 'certgen list --rebuild --dir %s'", flagDir, quoteShell(dir))
}

// wrongEmulatorKey says whether the resource manager plane of an emulator
// refused the token that was made from the connection string's key. For Azure
// the same answer is about signing in.
func wrongEmulatorKey(err error) bool {
	var e *dps.Error
	return errors.As(err, &e) && e.StatusCode == http.StatusUnauthorized &&
		strings.HasPrefix(e.ErrorCode, "InvalidAuthenticationToken") && dps.IsLoopbackHost(e.Host)
}

// addressInUse says whether a listener found its address taken. Windows has an
// error of its own for that, which the syscall package does not name.
func addressInUse(err error) bool {
	const wsaeaddrinuse = syscall.Errno(10048)
	return errors.Is(err, syscall.EADDRINUSE) || runtime.GOOS == "windows" && errors.Is(err, wsaeaddrinuse)
}

func splitHint(e dps.Explanation) []string {
	var lines []string
	for _, s := range []string{e.What, e.Why, e.Fix} {
		if s = strings.TrimSpace(s); s != "" {
			lines = append(lines, s)
		}
	}
	return lines
}

// exitCodeOf returns the exit code that err would end the program with.
func exitCodeOf(err error) int {
	var e *cliapp.Error
	if errors.As(err, &e) && e.Code != 0 {
		return e.Code
	}
	code, _ := classify(err)
	return code
}

package main

import (
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/dpskit/dpskit/cmd/internal/clitest"
)

func TestMain(m *testing.M) {
	// A child process built with the race detector sleeps for a second at its
	// end, unless told not to.
	os.Setenv("GORACE", strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0"))
	// Nor does it have to read the roots of the system, which takes as long as all
	// else that it does: what is trusted here is named.
	os.Setenv("SSL_CERT_FILE", os.DevNull)
	os.Setenv("SSL_CERT_DIR", filepath.Join(os.TempDir(), "no-such-folder"))
	// Half of what the tests do is waiting, for processes and for delays.
	_ = flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0))) // -parallel counts more
	testscript.Main(m, map[string]func(){"enroll": main})
}

// TestScripts runs the program as a user does, in child processes. To the
// commands of clitest it adds:
//
//	emulator [FLAG...]        start `enroll emulator` and wait for its ready line
//	stop-emulator SIGNAL      end it by int, term or kill; a clean end is demanded but for kill
//	sign-verification DIR CODE   make a verification certificate in a workspace
//	make-cas DIR              write CAs in the forms in which people have them
//	get URL STATUS            GET by plain HTTP and demand this status
//	make-devices DIR ID...    make device certificates in a workspace
//	make-fleet DIR OUT PREFIX N   make a fleet of N devices below the CA of a workspace
//	webhook HUB               serve a webhook that chooses HUB, by https, as $WEBHOOK; its CA is webhook-ca.pem
func TestScripts(t *testing.T) {
	commands := clitest.Commands()
	running := &children{byScript: map[string]*child{}}
	commands["emulator"] = running.start
	commands["stop-emulator"] = running.stop
	commands["sign-verification"] = signVerification
	commands["make-cas"] = makeCAs
	commands["get"] = get
	commands["make-devices"] = makeDevices
	commands["make-fleet"] = makeFleet
	commands["webhook"] = webhook
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true, RequireUniqueNames: true, Cmds: commands,
		Setup: func(e *testscript.Env) error {
			for _, name := range []string{"GORACE", "SSL_CERT_FILE", "SSL_CERT_DIR"} {
				e.Setenv(name, os.Getenv(name))
			}
			for _, name := range []string{envConnectionString, envCAFile, envIDScope, envDeviceHost, envSubscription, envDir, envKeyPassword} {
				e.Setenv(name, "")
			}
			return nil
		},
	})
}

package foreign

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/pki"
)

// scriptTime bounds one script. Scripts take a second or two.
const scriptTime = time.Minute

// Folder is where the scripts and their packages lie.
func Folder(t testing.TB) string {
	t.Helper()
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		t.Fatal("the path of this source file is not known")
	}
	return filepath.Join(filepath.Dir(file), "..", "..", "testdata", "node")
}

// EnvRequire is the environment variable that, when it is 1, makes tests fail that
// would skip because something is missing on this machine.
const EnvRequire = "DPSKIT_REQUIRE"

// Missing ends a test that needs something that this machine does not have.
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv(EnvRequire) == "1" {
		t.Fatalf(EnvRequire+" is set: "+format, args...)
	}
	t.Skipf("skipped: "+format, args...)
}

// RequireNode ends the test, see [Missing], unless Node and this package of the
// lock file are there.
func RequireNode(t testing.TB, npmPackage string) {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		Missing(t, "node is not installed")
	}
	if _, err := os.Stat(filepath.Join(Folder(t), "node_modules", filepath.FromSlash(npmPackage))); err != nil {
		Missing(t, "%s is not installed; run `npm ci --ignore-scripts` in pkg/dps/emulator/testdata/node", npmPackage)
	}
}

// LoopbackAddr returns an address of this machine, other than 127.0.0.1, on
// which nobody uses this port: official clients have no way to say a port. It
// ends the test, see [Missing], if such a port may not be used, or if the system knows
// 127.0.0.1 only.
func LoopbackAddr(t testing.TB, port string) string {
	t.Helper()
	var err error
	for host := 2; host < 100; host++ {
		addr := net.JoinHostPort(net.IPv4(127, 0, byte(os.Getpid()%250+1), byte(host)).String(), port)
		var l net.Listener
		if l, err = net.Listen("tcp", addr); err == nil { //nolint:noctx // closed at once
			_ = l.Close()
			return addr
		}
	}
	Missing(t, "port %s of 127.0.0.x cannot be used, and the client insists on it: %v", port, err)
	return ""
}

// Node runs a script of the folder with input as JSON on its standard input,
// trusting the emulator's CA, and decodes the JSON document that it prints into
// output. A script that fails, or ends without a word, fails the test.
func Node(t testing.TB, e *emulator.Emulator, script string, input, output any) {
	t.Helper()
	in, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), scriptTime)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "node", script) //nolint:gosec // a script of this repository
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = Folder(t), bytes.NewReader(in), &stdout, &stderr
	cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+caFile(t, e))
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", script, err, &stdout, &stderr)
	}
	if err := json.Unmarshal(stdout.Bytes(), output); err != nil {
		t.Fatalf("%s ended without its report: %v\n%s%s", script, err, &stdout, &stderr)
	}
}

func caFile(t testing.TB, e *emulator.Emulator) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pki.EncodeCertificatesPEM(e.CACertificate()), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

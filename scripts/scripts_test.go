// Package scripts tests the drop-in scripts with the program certgen and, where
// it is installed, with openssl: the scripts take the place of ones that used it.
package scripts

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/pki"
)

var (
	scriptDir   string // this folder
	programDir  string // where certgen was built
	programName = "certgen"
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if scriptDir, err = os.Getwd(); err == nil {
		programDir, err = os.MkdirTemp("", "scripts-test")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(programDir)
	if runtime.GOOS == "windows" {
		programName += ".exe"
	}
	build := exec.Command("go", "build", "-o", filepath.Join(programDir, programName), "../cmd/certgen")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build certgen: %v\n%s", err, out)
		return 1
	}
	// Others may run it, too: TestAsAnotherUser.
	if err := os.Chmod(programDir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// result is what a program left.
type result struct {
	code           int
	stdout, stderr string
}

// call is one run of a program.
type call struct {
	dir   string   // working directory
	env   []string // beside the basic environment
	shell []string // default: sh
	stdin string
	as    func(*exec.Cmd) // changes the process, such as its user
}

// environment is all that the scripts get: no TERM, nothing of the person who
// runs the tests. Short keys make the tests quick.
func environment(extra []string) []string {
	env := []string{
		"PATH=" + programDir + string(os.PathListSeparator) + os.Getenv("PATH"), "HOME=" + os.TempDir(),
		"CERTGEN_KEY_TYPE=ec-p256",
	}
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH", "GOFLAGS", "SYSTEMROOT", "TMPDIR"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return append(env, extra...)
}

// exec runs a program to its end.
func (c call) exec(t *testing.T, name string, args ...string) result {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = c.dir, environment(c.env)
	cmd.Stdin = strings.NewReader(c.stdin)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if c.as != nil {
		c.as(cmd)
	}
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("run %s: %v", name, err)
	}
	return result{code: cmd.ProcessState.ExitCode(), stdout: out.String(), stderr: errOut.String()}
}

// certGen runs certGen.sh.
func (c call) certGen(t *testing.T, args ...string) result {
	t.Helper()
	return c.script(t, filepath.Join(scriptDir, "certGen.sh"), args...)
}

func (c call) script(t *testing.T, script string, args ...string) result {
	t.Helper()
	shell := c.shell
	if len(shell) == 0 {
		shell = []string{"sh"}
	}
	if _, err := exec.LookPath(shell[0]); err != nil {
		t.Skipf("no %s here", shell[0])
	}
	return c.exec(t, shell[0], append(append(shell[1:len(shell):len(shell)], script), args...)...)
}

// must is certGen for a call that has to succeed.
func (c call) must(t *testing.T, args ...string) result {
	t.Helper()
	r := c.certGen(t, args...)
	if r.code != 0 {
		t.Fatalf("certGen.sh %q: exit code %d\n%s%s", args, r.code, r.stdout, r.stderr)
	}
	return r
}

// certgen runs the program itself on the folder.
func (c call) certgen(t *testing.T, args ...string) result {
	t.Helper()
	return c.exec(t, filepath.Join(programDir, programName), append(args, "--dir", ".")...)
}

// openssl runs openssl, or reports that there is none.
func openssl(t *testing.T, dir string, args ...string) (string, bool) {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		return "", false
	}
	r := call{dir: dir}.exec(t, "openssl", args...)
	if r.code != 0 {
		t.Errorf("openssl %s: exit code %d\n%s%s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r.stdout, true
}

// certificates reads a PEM file.
func certificates(t *testing.T, name string) []*x509.Certificate {
	t.Helper()
	certs, err := pki.ParseCertificates(readFile(t, name))
	if err != nil {
		t.Fatalf("read %s: %v", name, err)
	}
	return certs
}

func certificate(t *testing.T, name string) *x509.Certificate {
	t.Helper()
	certs := certificates(t, name)
	if len(certs) != 1 {
		t.Errorf("%s holds %d certificates, want 1", name, len(certs))
	}
	return certs[0]
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func writeFile(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// files lists every file below a folder, with its content.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == ".certgen.lock" {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		found[filepath.ToSlash(name)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// checkMode checks permission bits, which Windows does not have.
func checkMode(t *testing.T, name string, want os.FileMode) {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != want && runtime.GOOS != "windows" {
		t.Errorf("%s has mode %04o, want %04o", name, got, want)
	}
}

// checkEncrypted checks that a key is encrypted with the pass phrase. The program opens it: the
// many rounds of that are slow under the race detector.
func checkEncrypted(t *testing.T, name, passphrase string) {
	t.Helper()
	data := readFile(t, name)
	if _, err := pki.ParseKey(data, nil); !errors.Is(err, pki.ErrPassphraseRequired) {
		t.Errorf("%s without a pass phrase: %v, want it required", name, err)
	}
	c := call{dir: filepath.Dir(name), env: []string{"CERTGEN_CA_PASSWORD=" + passphrase}}
	if r := c.certgen(t, "inspect", "--quiet", filepath.Base(name)); r.code != 0 {
		t.Errorf("%s: %s", name, r.stderr)
	}
	if block, _ := pem.Decode(data); block == nil || block.Type != "ENCRYPTED PRIVATE KEY" {
		t.Errorf("%s is no encrypted PKCS#8", name)
	}
}

package scripts

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/pki"
)

func mkdir(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}

// A wrong call changes nothing, says why, and exits with 1 as the originals do.
func TestWrongCalls(t *testing.T) {
	t.Parallel()
	c := call{dir: t.TempDir()}
	for _, test := range []struct {
		args []string
		says string
	}{
		{[]string{}, ""},
		{[]string{"create_everything"}, `unknown verb "create_everything"`},
		{[]string{"create_root_and_intermediate", "x"}, "takes no argument"},
		{[]string{"create_device_certificate"}, "the name of the device, got 0"},
		{[]string{"create_device_certificate", "my", "device"}, "put quotes around"},
		{[]string{"create_device_certificate", ""}, "an empty one"},
		{[]string{"create_device_certificate_from_intermediate"}, "the name of the device"},
		{[]string{"create_verification_certificate"}, "the verification code"},
		{[]string{"create_edge_device_certificate"}, "the name of the device"},
		{[]string{"create_edge_device_ca_certificate"}, "the name of the CA"},
		{[]string{"create_edge_device_identity_certificate"}, "the name of the device"},
		{[]string{"create_edge_server_certificate"}, "the name of the host"},
		{[]string{"install_root_ca_from_files", "cert"}, "a certificate, a key"},
		{[]string{"install_root_ca_from_files", "cert", "key", "password", "more"}, "got 4"},
	} {
		r := c.certGen(t, test.args...)
		if r.code != 1 || !strings.Contains(r.stderr, test.says) {
			t.Errorf("%q: exit code %d, stderr %q, want 1 and %q", test.args, r.code, r.stderr, test.says)
		}
		if test.says == "" && !strings.Contains(r.stdout, "Usage:") {
			t.Errorf("%q: stdout %q", test.args, r.stdout)
		}
	}
	c.env = []string{"CERTGEN_COPY=neither"}
	if r := c.certGen(t, "create_root_and_intermediate"); r.code != 1 || !strings.Contains(r.stderr, "azure-iot-sdk-c") {
		t.Errorf("bad CERTGEN_COPY: exit code %d, stderr %q", r.code, r.stderr)
	}
	if found := files(t, c.dir); len(found) > 0 {
		t.Errorf("files were written: %v", found)
	}
}

// Names that the originals split at blanks or gave to openssl as they were.
func TestBadNames(t *testing.T) {
	t.Parallel()
	c := call{dir: t.TempDir()}
	r := c.certGen(t, "create_device_certificate", "dev")
	if r.code != 3 || !strings.Contains(r.stderr, "no root CA") ||
		!strings.Contains(r.stderr, "certGen.sh create_root_and_intermediate") || strings.Contains(r.stderr, "certgen init") {
		t.Errorf("without a CA: exit code %d, stderr %q", r.code, r.stderr)
	}
	c.must(t, "create_root_and_intermediate")
	before := files(t, c.dir)
	for _, name := range []string{
		"a b", "a/b", "../b", "a\nb", "a'b", `a"b`, "$(touch pwned)", "`touch pwned`", "a;touch pwned", "*", "dev.", strings.Repeat("x", 65), "gerät", "\xff",
	} {
		r := c.certGen(t, "create_device_certificate", name)
		if r.code == 0 || !strings.HasPrefix(r.stderr, "certgen: error: ") {
			t.Errorf("%q: exit code %d, stderr %q", name, r.code, r.stderr)
		}
	}
	for _, name := range []string{"a/b", strings.Repeat("x", 65), "a b"} {
		if r := c.certGen(t, "create_verification_certificate", name); r.code == 0 {
			t.Errorf("code %q: exit code 0", name)
		}
	}
	if r := c.certGen(t, "create_edge_device_certificate", strings.Repeat("x", 62)); r.code == 0 {
		t.Errorf("a name that is too long with .ca: exit code 0")
	}
	checkSame(t, before, files(t, c.dir))

	// A name is no flag.
	for _, name := range []string{"-h", "--force", "--"} {
		c.must(t, "create_device_certificate", name)
		checkSet(t, c.dir, want{"iot-device-" + name, name, pki.ProfileDevice, "intermediate"})
	}
}

// The originals needed root for a second device (chmod 444 and a wrong file
// name in rm), and refused the same device again.
func TestAsAnotherUser(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := call{dir: dir}
	if os.Geteuid() == 0 {
		c.as = anotherUser(t, dir)
	}
	c.must(t, "create_root_and_intermediate")
	for _, name := range []string{"a", "b", "b"} {
		c.must(t, "create_device_certificate", name)
		checkSet(t, dir, want{"new-device", name, pki.ProfileDevice, "root"})
		checkSet(t, dir, want{"iot-device-" + name, name, pki.ProfileDevice, "intermediate"})
	}
	checkSet(t, dir, want{"iot-device-a", "a", pki.ProfileDevice, "intermediate"})
	c.must(t, "create_verification_certificate", "one")
	c.must(t, "create_verification_certificate", "two")
	checkSet(t, dir, want{"verification-code", "two", pki.ProfileVerification, "root"})

	// The tutorials make the full chain by hand.
	if runtime.GOOS != "windows" {
		r := c.exec(t, "sh", "-c", "cd certs && cat new-device.cert.pem azure-iot-test-only.root.ca.cert.pem > new-device-full-chain.cert.pem")
		if r.code != 0 {
			t.Errorf("the chain cannot be written: %s", r.stderr)
		}
	}
}

// A new root takes the place of the old one and of all that it signed, and
// nothing is lost.
func TestNewRoot(t *testing.T) {
	t.Parallel()
	c := call{dir: t.TempDir()}
	c.must(t, "create_root_and_intermediate")
	c.must(t, "create_edge_device_certificate", "gw")
	c.must(t, "create_verification_certificate", "CODE")
	writeFile(t, filepath.Join(c.dir, "certs/notes.txt"), "mine", 0o644)
	old := files(t, c.dir)
	r := c.must(t, "create_root_and_intermediate")
	if !strings.Contains(r.stdout, "replaced") {
		t.Errorf("output does not say where the old files are:\n%s", r.stdout)
	}
	now := files(t, c.dir)
	for name, text := range old {
		if name == "certgen.json" || name == "certs/notes.txt" {
			continue
		}
		if now[name] == text {
			t.Errorf("%s is still the old one", name)
		}
		kept := false
		for other, otherText := range now {
			kept = kept || strings.HasPrefix(other, "replaced/") && strings.HasSuffix(other, name) && otherText == text
		}
		if !kept {
			t.Errorf("the old %s is lost", name)
		}
	}
	if now["certs/notes.txt"] != "mine" {
		t.Error("a file that is none of the script's is gone")
	}
	if _, ok := now["certs/new-edge-device.cert.pem"]; ok {
		t.Error("a certificate of the old root is still in its place")
	}
	checkCAs(t, c.dir, pki.KeyECP256)
}

// What fails, or is interrupted, leaves the CAs and the certificates of before.
func TestAllOrNothing(t *testing.T) {
	t.Parallel()
	c := call{dir: t.TempDir()}
	for _, test := range []struct {
		name string
		env  []string
		args []string
		code int // -1: any but 0
	}{
		{"no CA yet, a PFX password that is none", []string{"CERTGEN_PFX_PASSWORD=bad\U0001F642"}, []string{"create_root_and_intermediate"}, -1},
		{"wrong PFX profile", []string{"CERTGEN_PFX_PROFILE=x"}, []string{"create_root_and_intermediate"}, 2},
	} {
		r := (call{dir: c.dir, env: test.env}).certGen(t, test.args...)
		if r.code == 0 || test.code > 0 && r.code != test.code || len(files(t, c.dir)) > 0 {
			t.Errorf("%s: exit code %d, stderr %q, left %d files", test.name, r.code, r.stderr, len(files(t, c.dir)))
		}
	}
	c.must(t, "create_root_and_intermediate")
	c.must(t, "create_device_certificate", "dev")
	before := files(t, c.dir)
	for _, test := range []struct {
		env  string
		verb []string
	}{
		{"CERTGEN_PFX_PASSWORD=bad\U0001F642", []string{"create_root_and_intermediate"}},
		{"ROOT_CA_PASSWORD=wrong", []string{"create_device_certificate", "dev"}},
		{"INTERMEDIATE_CA_PASSWORD=wrong", []string{"create_device_certificate", "dev"}},
		{"CERTGEN_PFX_PASSWORD=bad\U0001F642", []string{"create_device_certificate", "other"}},
	} {
		r := (call{dir: c.dir, env: []string{test.env}}).certGen(t, test.verb...)
		if r.code == 0 || strings.Contains(r.stdout, "replaced") || strings.Contains(r.stdout, "moved") {
			t.Errorf("%s: exit code %d, stdout %q", test.env, r.code, r.stdout)
		}
		checkSame(t, before, files(t, c.dir))
	}
}

// Passwords go to certgen in its environment, where other users cannot read.
func TestNoSecretsInArguments(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("needs a program that is a shell script")
	}
	dir := t.TempDir()
	spy := filepath.Join(dir, "spy")
	writeFile(t, spy, "#!/bin/sh\nprintf '%s\\n' \"$*\" >>\"$SPY_OUT\"\nexec \"$SPY_ON\" \"$@\"\n", 0o755)
	log := filepath.Join(dir, "arguments")
	c := call{dir: filepath.Join(dir, "work"), env: []string{
		"CERTGEN=" + spy, "SPY_OUT=" + log, "SPY_ON=" + filepath.Join(programDir, programName),
		"ROOT_CA_PASSWORD=hush1", "INTERMEDIATE_CA_PASSWORD=hush2", "CERTGEN_PFX_PASSWORD=hush3",
	}}
	mkdir(t, c.dir)
	c.must(t, "create_root_and_intermediate")
	for _, v := range verbs {
		c.must(t, v.verb, v.name)
	}
	seen := string(readFile(t, log))
	if n := strings.Count(seen, "\n"); n < len(verbs)+1 {
		t.Errorf("certgen was called %d times:\n%s", n, seen)
	}
	if strings.Contains(seen, "hush") {
		t.Errorf("a password is in the arguments:\n%s", seen)
	}
}

// certgen is looked for beside the script, in PATH and in a checkout.
func TestFindsCertgen(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("PATH is set up for POSIX")
	}
	bare := "PATH=/usr/bin:/bin"
	place := func(t *testing.T) (dir, script string) {
		dir = t.TempDir()
		script = filepath.Join(dir, "bin", "certGen.sh")
		mkdir(t, filepath.Dir(script))
		writeFile(t, script, string(readFile(t, filepath.Join(scriptDir, "certGen.sh"))), 0o755)
		return dir, script
	}
	program := filepath.Join(programDir, programName)

	t.Run("nowhere", func(t *testing.T) {
		dir, script := place(t)
		r := call{dir: dir, env: []string{bare}}.script(t, script, "create_root_and_intermediate")
		if r.code != 1 || !strings.Contains(r.stderr, "go install github.com/dpskit/dpskit/cmd/certgen") {
			t.Errorf("exit code %d, stderr %q", r.code, r.stderr)
		}
	})
	ran := func(t *testing.T, r result) {
		t.Helper()
		if r.code != 0 || !strings.Contains(r.stdout, "azure-iot-test-only.root.ca.cert.pem") {
			t.Errorf("exit code %d, stderr %q", r.code, r.stderr)
		}
	}
	t.Run("beside the script", func(t *testing.T) {
		dir, script := place(t)
		link(t, program, filepath.Join(dir, "bin", "certgen"))
		ran(t, call{dir: dir, env: []string{bare}}.script(t, script, "create_root_and_intermediate"))
	})
	t.Run("beside what a link points to", func(t *testing.T) {
		dir, _ := place(t)
		link(t, program, filepath.Join(dir, "bin", "certgen"))
		link(t, "bin/certGen.sh", filepath.Join(dir, "linked"))
		ran(t, call{dir: dir, env: []string{bare}}.script(t, "./linked", "create_root_and_intermediate"))
	})
	t.Run("where CERTGEN says", func(t *testing.T) {
		dir, script := place(t)
		link(t, program, filepath.Join(dir, "other name"))
		for _, value := range []string{filepath.Join(dir, "other name"), "./other name"} {
			c := call{dir: dir, env: []string{bare, "CERTGEN=" + value, "CERTIFICATE_OUTPUT_DIR=out"}}
			ran(t, c.script(t, script, "create_root_and_intermediate"))
		}
		c := call{dir: dir, env: []string{"CERTGEN=/no/such/program"}}
		if r := c.script(t, script, "create_root_and_intermediate"); r.code != 1 || !strings.Contains(r.stderr, "CERTGEN") {
			t.Errorf("exit code %d, stderr %q", r.code, r.stderr)
		}
	})
	t.Run("in a checkout", func(t *testing.T) {
		if testing.Short() {
			t.Skip("builds certgen")
		}
		tool, err := exec.LookPath("go")
		if err != nil {
			t.Skip("no go here")
		}
		c := call{dir: t.TempDir(), env: []string{"PATH=" + filepath.Dir(tool) + ":/usr/bin:/bin"}}
		if r := c.certGen(t, "create_root_and_intermediate"); r.code != 0 || !strings.Contains(r.stdout, rootFile) {
			t.Errorf("exit code %d, stderr %q", r.code, r.stderr)
		}
	})
}

func link(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Symlink(from, to); err != nil {
		t.Fatal(err)
	}
}

func TestShellcheck(t *testing.T) {
	t.Parallel()
	tool, err := exec.LookPath("shellcheck")
	if err != nil {
		t.Skip("no shellcheck here")
	}
	for _, dialect := range []string{"sh", "bash", "dash", "ksh"} {
		if r := (call{dir: scriptDir}).exec(t, tool, "-s", dialect, "certGen.sh"); r.code != 0 {
			t.Errorf("as %s:\n%s", dialect, r.stdout)
		}
	}
}

// Names that differ only by case are one device to DPS, and one file to many
// file systems: the second is refused, and neither of its two certificates is made.
func TestCaseClash(t *testing.T) {
	t.Parallel()
	c := call{dir: t.TempDir()}
	c.must(t, "create_root_and_intermediate")
	c.must(t, "create_device_certificate", "dev-a")
	before := files(t, c.dir)
	for _, verb := range []string{"create_device_certificate", "create_device_certificate_from_intermediate"} {
		r := c.certGen(t, verb, "DEV-A")
		if r.code != 5 || !strings.Contains(r.stderr, `"iot-device-DEV-A" differs only by case from "iot-device-dev-a"`) {
			t.Errorf("%s: exit code %d, stderr %q", verb, r.code, r.stderr)
		}
		checkSame(t, before, files(t, c.dir))
	}
}

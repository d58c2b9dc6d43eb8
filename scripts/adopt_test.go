package scripts

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/pki"
)

// config is what `openssl ca` needs to work as the original scripts let it.
const config = `
[ca]
default_ca = all
[all]
dir = .
new_certs_dir = ./newcerts
database = ./index.txt
serial = ./serial
default_md = sha256
policy = any
[any]
commonName = supplied
[req]
distinguished_name = dn
[dn]
[root]
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always,issuer
basicConstraints = critical, CA:true
keyUsage = critical, digitalSignature, cRLSign, keyCertSign
[client]
basicConstraints = CA:FALSE
nsCertType = client, email
nsComment = "Made with openssl"
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid,issuer
keyUsage = critical, nonRepudiation, digitalSignature, keyEncipherment
extendedKeyUsage = clientAuth, emailProtection
`

// oldFolder returns a folder as one of the original scripts leaves it: encrypted
// keys, a database of openssl, requests, modes that forbid to write. With old
// the keys are encrypted in the form of openssl before 3.0.
func oldFolder(t *testing.T, copyName string, old bool) string {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("no openssl here")
	}
	made := filepath.Join(programDir, fmt.Sprintf("%s-%v", copyName, old))
	if _, err := os.Stat(made); err != nil {
		mkdir(t, made)
		makeOldFolder(t, made, copyName, old)
	}
	dir := filepath.Join(t.TempDir(), "work")
	if err := os.CopyFS(dir, os.DirFS(made)); err != nil {
		t.Fatal(err)
	}
	protect(t, dir)
	return dir
}

func makeOldFolder(t *testing.T, dir, copyName string, old bool) {
	t.Helper()
	for _, sub := range []string{"certs", "private", "csr", "newcerts", "intermediateCerts"} {
		mkdir(t, filepath.Join(dir, sub))
	}
	writeFile(t, filepath.Join(dir, "openssl.cnf"), config, 0o644)
	writeFile(t, filepath.Join(dir, "index.txt"), "", 0o644)
	writeFile(t, filepath.Join(dir, "serial"), "01\n", 0o644)
	const root, intermediate = "azure-iot-test-only.root.ca", "azure-iot-test-only.intermediate"
	key := func(stem string, flags ...string) {
		if old && len(flags) > 0 {
			flags = append(flags, "-traditional")
		}
		openssl(t, dir, append(append([]string{"genrsa"}, flags...), "-out", "private/"+stem+".key.pem", "2048")...)
	}
	sign := func(stem, cn, section, issuer string) {
		openssl(t, dir, "req", "-new", "-config", "openssl.cnf", "-key", "private/"+stem+".key.pem", "-passin", "pass:1234",
			"-subj", "/CN="+cn, "-out", "csr/"+stem+".csr.pem")
		openssl(t, dir, "ca", "-batch", "-config", "openssl.cnf", "-extensions", section, "-days", "30", "-notext",
			"-cert", "certs/"+issuer+".cert.pem", "-keyfile", "private/"+issuer+".key.pem", "-passin", "pass:1234",
			"-in", "csr/"+stem+".csr.pem", "-out", "certs/"+stem+".cert.pem")
	}
	key(root, "-aes256", "-passout", "pass:1234")
	openssl(t, dir, "req", "-new", "-x509", "-config", "openssl.cnf", "-key", "private/"+root+".key.pem", "-passin", "pass:1234",
		"-subj", "/"+strings.TrimPrefix(rootSubject, "/"), "-days", "30", "-extensions", "root", "-out", "certs/"+root+".cert.pem")
	key(intermediate, "-aes256", "-passout", "pass:1234")
	sign(intermediate, strings.TrimPrefix(intermediateSubject, "CN="), "root", root)
	join := func(to string, from ...string) {
		var all strings.Builder
		for _, stem := range from {
			all.Write(readFile(t, filepath.Join(dir, "certs", stem+".cert.pem")))
		}
		writeFile(t, filepath.Join(dir, "certs", to+".cert.pem"), all.String(), 0o644)
	}
	device := "new-device"
	if copyName == "iotedge" {
		device = "iot-device-first"
		join(intermediate+"-full-chain", intermediate, root)
		key(device)
		sign(device, "first", "client", intermediate)
		join(device+"-full-chain", device, intermediate, root)
	} else {
		join("azure-iot-test-only.chain.ca", intermediate, root)
		key(device)
		sign(device, "first", "client", root)
	}
	openssl(t, dir, "pkcs12", "-export", "-in", "certs/"+device+".cert.pem", "-inkey", "private/"+device+".key.pem",
		"-passout", "pass:1234", "-out", "certs/"+device+".cert.pfx")
}

// protect sets the modes of the originals.
func protect(t *testing.T, dir string) {
	t.Helper()
	for name := range files(t, dir) {
		mode := os.FileMode(0o444)
		if strings.Contains(name, "azure-iot-test-only.root.ca.key") || strings.HasSuffix(name, "intermediate.key.pem") {
			mode = 0o400
		}
		if strings.HasPrefix(name, "certs/") || strings.HasPrefix(name, "private/") {
			if err := os.Chmod(filepath.Join(dir, filepath.FromSlash(name)), mode); err != nil {
				t.Fatal(err)
			}
		}
	}
}

var oldFolders = []struct {
	name, copy string
	old        bool
}{
	{"azure-iot-sdk-c", "azure-iot-sdk-c", false},
	{"iotedge", "iotedge", false},
	{"azure-iot-sdk-c before openssl 3", "azure-iot-sdk-c", true},
}

// A folder of the originals is used as it is by certgen.
func TestAdoptWithCertgen(t *testing.T) {
	t.Parallel()
	for _, test := range oldFolders {
		t.Run(test.name, func(t *testing.T) {
			c := call{
				dir: oldFolder(t, test.copy, test.old), env: []string{"CERTGEN_CA_PASSWORD=1234", "CERTGEN_PFX_PASSWORD=1234"},
			}
			if os.Geteuid() == 0 {
				giveAway(t, c.dir)
				c.as = anotherUser(t, c.dir)
			}
			old := files(t, c.dir)

			r := c.certgen(t, "list", "--output", "json")
			checkList(t, r, map[string]string{
				"root": rootSubject, "intermediate": intermediateSubject,
				map[bool]string{true: "iot-device-first", false: "new-device"}[test.copy == "iotedge"]: "CN=first",
			})
			checkSame(t, old, files(t, c.dir)) // looking changes nothing

			for _, args := range [][]string{{"device", "second"}, {"device", "third", "--ca", "root"}, {"verification", "CODE"}} {
				if r := c.certgen(t, args...); r.code != 0 {
					t.Fatalf("certgen %q: exit code %d, stderr %q", args, r.code, r.stderr)
				}
			}
			checkSet(t, c.dir, want{"second", "second", pki.ProfileDevice, "intermediate"})
			checkSet(t, c.dir, want{"third", "third", pki.ProfileDevice, "root"})
			proof := filepath.Join(c.dir, "certs/verification-code.cert.pem")
			if cert := certificate(t, proof); cert.Subject.CommonName != "CODE" || cert.Issuer.String() != rootSubject {
				t.Errorf("the proof is %q by %q", cert.Subject, cert.Issuer)
			}
			now := files(t, c.dir)
			for name, text := range old {
				if now[name] != text {
					t.Errorf("%s of the old folder changed", name)
				}
			}
			if strings.Contains(c.exec(t, filepath.Join(programDir, programName), "--help").stdout, "doctor") {
				if r := c.certgen(t, "doctor", "second"); r.code != 0 {
					t.Errorf("doctor: exit code %d\n%s%s", r.code, r.stdout, r.stderr)
				}
			}
			if r := c.certgen(t, "init"); r.code != 5 {
				t.Errorf("init over it: exit code %d", r.code)
			}
		})
	}
}

// checkList checks what certgen list knows: names and subjects.
func checkList(t *testing.T, r result, want map[string]string) {
	t.Helper()
	var list struct {
		Certificates []struct{ Name, Subject string }
	}
	if err := json.Unmarshal([]byte(r.stdout), &list); err != nil {
		t.Fatalf("list: %v\n%s%s", err, r.stdout, r.stderr)
	}
	got := map[string]string{}
	for _, c := range list.Certificates {
		got[c.Name] = c.Subject
	}
	for name, subject := range want {
		if got[name] != subject {
			t.Errorf("list has %q for %s, want %q", got[name], name, subject)
		}
	}
	if len(got) != len(want) {
		t.Errorf("list has %v, want %v", got, want)
	}
}

// The new script goes on where the old one stopped.
func TestAdoptWithScript(t *testing.T) {
	t.Parallel()
	for _, test := range oldFolders[:2] {
		t.Run(test.name, func(t *testing.T) {
			c := call{dir: oldFolder(t, test.copy, test.old)}
			if os.Geteuid() == 0 {
				giveAway(t, c.dir)
				c.as = anotherUser(t, c.dir)
			}
			old := files(t, c.dir)
			c.must(t, "create_device_certificate", "second")
			c.must(t, "create_verification_certificate", "CODE")
			checkSet(t, c.dir, want{"new-device", "second", pki.ProfileDevice, "root"})
			checkSet(t, c.dir, want{"iot-device-second", "second", pki.ProfileDevice, "intermediate"})
			checkSet(t, c.dir, want{"verification-code", "CODE", pki.ProfileVerification, "root"})
			if test.copy == "azure-iot-sdk-c" {
				kept := false
				for name, text := range files(t, c.dir) {
					kept = kept || strings.HasPrefix(name, "replaced/") && text == old["private/new-device.key.pem"]
				}
				if !kept {
					t.Error("the key of the old new-device is lost")
				}
			}

			// A new root moves all of the old away.
			c.must(t, "create_root_and_intermediate")
			checkCAs(t, c.dir, pki.KeyECP256)
			now := files(t, c.dir)
			for name, text := range old {
				if strings.HasPrefix(name, "certs/") && now[name] == text {
					t.Errorf("%s is still that of the old root", name)
				}
			}
		})
	}
}

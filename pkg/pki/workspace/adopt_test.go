package workspace_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

const (
	scriptRoot         = "azure-iot-test-only.root.ca"
	scriptIntermediate = "azure-iot-test-only.intermediate"
)

func secret() ([]byte, error) { return []byte("1234"), nil }

// scriptFolder makes what certGen.sh of the C SDK leaves: encrypted keys of CAs, read-only files, no manifest.
func scriptFolder(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "CACertificates")
	copyTree(t, scriptTemplate(), dir)
	return dir
}

// scriptTemplate is the folder that scriptFolder copies. Making it takes a second or two.
var scriptTemplate = sync.OnceValue(func() string {
	dir, err := os.MkdirTemp(templates, "")
	for _, sub := range []string{"certs", "private", "csr", "newcerts"} {
		err = errors.Join(err, os.Mkdir(filepath.Join(dir, sub), 0o755))
	}
	write := func(name string, data []byte, mode os.FileMode) {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), data, mode))
	}
	root, rootErr := pki.NewRoot(&pki.CAOptions{KeyType: pki.KeyRSA2048})
	if rootErr != nil {
		panic(rootErr)
	}
	mid, midErr := root.NewIntermediate(nil)
	if err = errors.Join(err, midErr); err != nil {
		panic(err)
	}
	for stem, a := range map[string]*pki.Authority{scriptRoot: root, scriptIntermediate: mid} {
		write("private/"+stem+".key.pem", opensslKey(a), 0o400)
		write("certs/"+stem+".cert.pem", a.Bundle().CertificatePEM(), 0o444)
	}
	write("certs/azure-iot-test-only.chain.ca.cert.pem", pki.EncodeCertificatesPEM(mid.Chain()...), 0o444)
	for stem, leaf := range map[string]struct {
		ca  *pki.Authority
		req pki.IssueRequest
	}{
		"new-device":        {mid, pki.IssueRequest{CommonName: "my-device"}},
		"new-edge-device":   {mid, pki.IssueRequest{Profile: pki.ProfileEdgeCA, CommonName: "gw"}},
		"verification-code": {root, pki.IssueRequest{CommonName: "ABC"}},
	} {
		files, leafErr := leafFiles(stem, leaf.ca, leaf.req)
		err = errors.Join(err, leafErr)
		for name, f := range files {
			write(name, f.data, f.mode)
		}
	}
	write("index.txt", []byte("V\t...\n"), 0o644)
	if err != nil {
		panic(err)
	}
	return dir
})

// opensslKey returns a key as "openssl genrsa -aes256" of the script writes it, in the traditional format. Its
// encryption takes no time, unlike that of our own keys.
func opensslKey(a *pki.Authority) []byte {
	kind, der, err := "EC PRIVATE KEY", []byte(nil), error(nil)
	switch key := a.Key().(type) {
	case *rsa.PrivateKey:
		kind, der = "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)
	case *ecdsa.PrivateKey:
		der, err = x509.MarshalECPrivateKey(key)
	}
	if err != nil {
		panic(err)
	}
	//lint:ignore SA1019 the script uses it, too
	block, err := x509.EncryptPEMBlock(rand.Reader, kind, der, []byte("1234"), x509.PEMCipherAES256)
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(block)
}

type leafFile struct {
	data []byte
	mode os.FileMode
}

// leafFiles returns the files of a certificate as the script leaves them.
func leafFiles(stem string, ca *pki.Authority, req pki.IssueRequest) (map[string]leafFile, error) {
	b, err := ca.Issue(req)
	if err != nil {
		return nil, err
	}
	key, err := b.KeyPEM()
	if err != nil {
		return nil, err
	}
	pfx, err := b.PFX(pki.PFXOptions{Password: "1234"})
	return map[string]leafFile{
		"certs/" + stem + ".cert.pem": {b.CertificatePEM(), 0o444}, "private/" + stem + ".key.pem": {key, 0o444},
		"certs/" + stem + ".cert.pfx": {pfx, 0o600},
	}, err
}

func put(t *testing.T, dir, name string, data []byte, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), data, mode); err != nil {
		t.Fatal(err)
	}
}

func putLeaf(t *testing.T, dir, stem string, ca *pki.Authority, req pki.IssueRequest) {
	t.Helper()
	files, err := leafFiles(stem, ca, req)
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range files {
		put(t, dir, name, f.data, f.mode)
	}
}

func TestAdopt(t *testing.T) {
	dir := scriptFolder(t)
	before := snapshot(t, dir)
	w := open(t, dir)
	type row struct {
		Name    string
		Profile pki.Profile
		CA      string
		Cert    string
	}
	var got []row
	for _, e := range w.Entries() {
		got = append(got, row{e.Name, e.Profile, e.CA, e.Files.Certificate})
	}
	want := []row{
		{"intermediate", pki.ProfileIntermediate, "root", "certs/" + scriptIntermediate + ".cert.pem"},
		{"new-device", pki.ProfileDevice, "intermediate", "certs/new-device.cert.pem"},
		{"new-edge-device", pki.ProfileEdgeCA, "intermediate", "certs/new-edge-device.cert.pem"},
		{"root", pki.ProfileRoot, "", "certs/" + scriptRoot + ".cert.pem"},
		{"verification-code", pki.ProfileVerification, "root", "certs/verification-code.cert.pem"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if !w.Exists() || w.DefaultCA() != "intermediate" || len(w.Problems()) != 0 {
		t.Errorf("exists %t, default ca %q, problems %v", w.Exists(), w.DefaultCA(), w.Problems())
	}
	if b, err := w.Bundle("new-device"); err != nil || len(b.Issuers) != 2 || b.Key == nil {
		t.Errorf("a device without a full chain file: %v", err)
	}
	if diff := cmp.Diff(before, snapshot(t, dir)); diff != "" {
		t.Errorf("reading changed files:\n%s", diff)
	}
}

func TestAdoptedKeysAreEncrypted(t *testing.T) {
	w := open(t, scriptFolder(t))
	calls := 0
	count := func() ([]byte, error) { calls++; return secret() }
	if _, err := w.Authority("root", nil); !errors.Is(err, pki.ErrPassphraseRequired) || errors.Is(err, workspace.ErrBroken) {
		t.Errorf("without a pass phrase: got %v, want ErrPassphraseRequired", err)
	}
	wrong := func() ([]byte, error) { return []byte("4321"), nil }
	_, err := w.Authority("root", wrong)
	if !errors.Is(err, pki.ErrWrongPassphrase) || errors.Is(err, workspace.ErrBroken) || strings.Contains(err.Error(), "4321") {
		t.Errorf("wrong pass phrase: got %v, want ErrWrongPassphrase", err)
	}
	gone := errors.New("no terminal")
	if _, err := w.Authority("root", func() ([]byte, error) { return nil, gone }); !errors.Is(err, gone) {
		t.Errorf("no answer: got %v, want the error of the callback", err)
	}
	if a, err := w.Authority("root", count); err != nil || calls != 1 || !pki.KeyMatches(a.Certificate(), a.Key()) {
		t.Errorf("with the pass phrase: %v after %d calls", err, calls)
	}
	if _, err := w.BundleWithPassphrase("new-device", count); err != nil || calls != 1 {
		t.Errorf("a plain key: %v, %d calls", err, calls)
	}
	if _, err := w.Authority("new-device", count); !errors.Is(err, pki.ErrNotCA) {
		t.Errorf("a device as ca: got %v, want ErrNotCA", err)
	}
	if _, err := w.Authority("other", count); !errors.Is(err, workspace.ErrNotFound) {
		t.Errorf("unknown ca: got %v, want ErrNotFound", err)
	}
}

func TestWorkInAdoptedFolder(t *testing.T) {
	dir := scriptFolder(t)
	before := snapshot(t, dir)
	w := open(t, dir)
	_, _, err := w.IssueDevice(t.Context(), workspace.DeviceOptions{ID: "x"})
	if !errors.Is(err, pki.ErrPassphraseRequired) {
		t.Errorf("without a pass phrase: got %v, want ErrPassphraseRequired", err)
	}
	if diff := cmp.Diff(before, snapshot(t, dir)); diff != "" {
		t.Errorf("a refused change left files:\n%s", diff)
	}
	if _, _, err := w.Init(t.Context(), workspace.InitOptions{}); !errors.Is(err, workspace.ErrExists) {
		t.Errorf("init: got %v, want ErrExists", err)
	}
	b, _, err := w.IssueDevice(t.Context(), workspace.DeviceOptions{ID: "x", Passphrase: secret})
	if err != nil {
		t.Fatal(err)
	}
	if err := pki.Verify(b.Certificate, b.Issuers, time.Now()); err != nil || len(b.Issuers) != 2 {
		t.Error(err)
	}
	after := snapshot(t, dir)
	for name, content := range before {
		if after[name] != content {
			t.Errorf("%s is changed", name)
		}
	}
	if names := manifestEntries(t, dir); len(names) != 6 {
		t.Errorf("the manifest lists %d entries, want 6", len(names))
	}
	if _, _, err := w.IssueVerification(t.Context(), workspace.VerificationOptions{Code: "DEF", Passphrase: secret}); err != nil {
		t.Errorf("a proof over the read-only one of the script: %v", err)
	}
	if _, err := os.Lstat(w.Paths("verification-code").PFX); err == nil {
		t.Error("the pfx of the old proof is still beside the new one")
	}
	if _, _, err := w.IssueDevice(t.Context(), workspace.DeviceOptions{ID: "new-device", Force: true, Passphrase: secret}); err != nil {
		t.Errorf("a device over the read-only one of the script: %v", err)
	}
	keptOld(t, snapshot(t, dir), before)
	if _, _, err := w.Init(t.Context(), workspace.InitOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	keptOld(t, snapshot(t, dir), before)
	consistent(t, open(t, dir))
}

// The IoT Edge copy of the script has other file names.
func TestAdoptEdgeNames(t *testing.T) {
	dir := scriptFolder(t)
	mid, err := open(t, dir).Authority("intermediate", secret)
	if err != nil {
		t.Fatal(err)
	}
	put(t, dir, "certs/"+scriptIntermediate+"-full-chain.cert.pem", pki.EncodeCertificatesPEM(mid.Chain()...), 0o444)
	putLeaf(t, dir, "iot-device-a:b", mid, pki.IssueRequest{CommonName: "a:b"})
	putLeaf(t, dir, "iot-edge-device-gw2", mid, pki.IssueRequest{Profile: pki.ProfileEdgeCA, CommonName: "gw2"})
	putLeaf(t, dir, "iot-edge-server-srv", mid, pki.IssueRequest{Profile: pki.ProfileServer, CommonName: "srv"})
	putLeaf(t, dir, "iot-device-verification-code", mid, pki.IssueRequest{CommonName: "ABC"})
	w := open(t, dir)
	for name, want := range map[string]pki.Profile{
		"iot-device-a:b": pki.ProfileDevice, "iot-edge-device-gw2": pki.ProfileEdgeCA, "iot-edge-server-srv": pki.ProfileServer,
		"iot-device-verification-code": pki.ProfileVerification, "intermediate": pki.ProfileIntermediate,
	} {
		if e, err := w.Lookup(name); err != nil || e.Profile != want {
			t.Errorf("%s is %q, want %q: %v", name, e.Profile, want, err)
		}
	}
	if _, _, err := w.IssueDevice(t.Context(), workspace.DeviceOptions{ID: "x", CA: "iot-edge-device-gw2"}); err != nil {
		t.Errorf("below the edge ca: %v", err)
	}
	w = open(t, dir) // the manifest takes names of files that the workspace would not make
	if _, err := w.Bundle("iot-device-a:b"); err != nil {
		t.Error(err)
	}
}

// A file that cannot be taken in is reported; only the root is needed.
func TestAdoptProblems(t *testing.T) {
	dir := scriptFolder(t)
	if _, err := os.Lstat(filepath.Join(dir, "CERTS")); err == nil {
		t.Skip("this file system takes upper and lower case for the same")
	}
	put(t, dir, "certs/damaged.cert.pem", []byte("-----BEGIN CERTIFICATE-----\n"), 0o644)
	put(t, dir, "certs/root.cert.pem", []byte("x"), 0o644)
	data, err := os.ReadFile(filepath.Join(dir, "certs", "new-device.cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	put(t, dir, "certs/New-Device.cert.pem", data, 0o644)
	mkdir(t, filepath.Join(dir, "certs", "folder.cert.pem"))
	w := open(t, dir)
	got := map[string]string{}
	for _, p := range w.Problems() {
		got[p.File] = p.Err.Error()
	}
	for file, want := range map[string]string{
		"certs/damaged.cert.pem": "damaged or cut short", "certs/root.cert.pem": "reserved",
		"certs/folder.cert.pem": "no regular file", "certs/new-device.cert.pem": "differs only by case",
	} {
		if !strings.Contains(got[file], want) {
			t.Errorf("%s: got %q, want %q", file, got[file], want)
		}
	}
	if len(got) != 4 || len(w.Entries()) != 5 {
		t.Errorf("got %d problems and %d entries", len(got), len(w.Entries()))
	}

	for name, content := range map[string][]byte{
		"damaged": []byte("-----BEGIN CERTIFICATE-----\n"), "a leaf": data, "nothing": nil,
	} {
		path := filepath.Join(dir, "certs", scriptRoot+".cert.pem")
		_ = os.Remove(path)
		put(t, dir, "certs/"+scriptRoot+".cert.pem", content, 0o644)
		_, err := workspace.Open(dir)
		if !errors.Is(err, workspace.ErrBroken) || !strings.Contains(err.Error(), scriptRoot) {
			t.Errorf("root is %s: got %v, want ErrBroken with the file", name, err)
		}
	}
}

// The same with the files that openssl itself makes, by the commands of the original script.
func TestAdoptOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("the openssl program is not installed, so no folder is made with it")
	}
	dir := t.TempDir()
	mkdir(t, filepath.Join(dir, "certs"))
	mkdir(t, filepath.Join(dir, "private"))
	put(t, dir, "openssl.cnf", []byte(`[req]
distinguished_name = dn
[dn]
[v3_ca]
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always,issuer
basicConstraints = critical, CA:true
keyUsage = critical, digitalSignature, cRLSign, keyCertSign
`), 0o644)
	run := func(args string) {
		t.Helper()
		cmd := exec.Command(openssl, strings.Split(args, "|")...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("openssl %s: %v\n%s", args, err, out)
		}
	}
	rootKey, midKey := "private/"+scriptRoot+".key.pem", "private/"+scriptIntermediate+".key.pem"
	rootCert, midCert := "certs/"+scriptRoot+".cert.pem", "certs/"+scriptIntermediate+".cert.pem"
	run("genrsa|-aes256|-passout|pass:1234|-out|" + rootKey + "|2048")
	run("req|-new|-x509|-config|openssl.cnf|-passin|pass:1234|-key|" + rootKey + "|-subj|/CN=Azure IoT Hub CA Cert Test Only|" +
		"-days|30|-sha256|-extensions|v3_ca|-out|" + rootCert)
	run("genrsa|-aes256|-passout|pass:1234|-out|" + midKey + "|2048")
	run("req|-new|-sha256|-passin|pass:1234|-config|openssl.cnf|-subj|/CN=Azure IoT Hub Intermediate Cert Test Only|-key|" +
		midKey + "|-out|mid.csr")
	run("x509|-req|-in|mid.csr|-CA|" + rootCert + "|-CAkey|" + rootKey + "|-passin|pass:1234|-CAcreateserial|-days|30|-sha256|" +
		"-extfile|openssl.cnf|-extensions|v3_ca|-out|" + midCert)

	w := open(t, dir)
	_, paths, err := w.IssueDevice(t.Context(), workspace.DeviceOptions{ID: "dev-1", Passphrase: secret})
	if err != nil {
		t.Fatal(err)
	}
	run("verify|-x509_strict|-purpose|sslclient|-CAfile|" + rootCert + "|-untrusted|" + midCert + "|" + paths.Cert)
	if _, _, err := w.IssueVerification(t.Context(), workspace.VerificationOptions{Code: "ABC", Passphrase: secret}); err != nil {
		t.Fatal(err)
	}
	run("verify|-x509_strict|-CAfile|" + rootCert + "|" + w.Paths("verification-code").Cert)
}

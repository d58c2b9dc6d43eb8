package fleet_test

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/fleet"
	"github.com/dpskit/dpskit/pkg/pki/pkitest"
)

func numbered(t testing.TB, prefix string, n int) fleet.IDs {
	t.Helper()
	ids, err := fleet.Numbered(prefix, 1, n)
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// list is IDs as they stand.
type list []string

func (l list) Len() int        { return len(l) }
func (l list) ID(i int) string { return l[i] }

// made is what a sink saw of a device.
type made struct {
	index                       int
	id, serial, sha1, sha256    string
	cert, chain, key, pfx, word string
	kept                        bool
	err                         error
}

// collect is a sink that keeps everything.
type collect struct{ devices []made }

func (c *collect) Write(d *fleet.Device) error {
	f := d.Files
	c.devices = append(c.devices, made{
		index: d.Index, id: d.ID, serial: d.Serial, sha1: d.SHA1Thumbprint, sha256: d.SHA256Thumbprint,
		cert: string(f.Certificate.Data), chain: string(f.FullChain.Data), key: string(f.Key.Data),
		pfx: string(f.PFX.Data), word: string(f.PFXPassword.Data), kept: d.Kept, err: d.Err,
	})
	return nil
}

// sinkFunc is a function as a sink.
type sinkFunc func(*fleet.Device) error

func (f sinkFunc) Write(d *fleet.Device) error { return f(d) }

func parse(t *testing.T, certPEM string) *x509.Certificate {
	t.Helper()
	certs, err := pki.ParseCertificates([]byte(certPEM))
	if err != nil {
		t.Fatal(err)
	}
	if len(certs) != 1 {
		t.Fatalf("%d certificates, want 1", len(certs))
	}
	return certs[0]
}

// options are those of a small fleet.
func options(t testing.TB, n int) fleet.Options {
	return fleet.Options{Authority: pkitest.Intermediate(t), IDs: numbered(t, "dev-", n), Workers: 2}
}

// tree returns every file below dir with its mode and a hash of what is in it, and every folder with its mode.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		text := info.Mode().String()
		if d.Type().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text += fmt.Sprintf(" %x", sha256.Sum256(data))
		}
		out[filepath.ToSlash(name)] = text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// readIndex returns the rows of an index below its header.
func readIndex(t *testing.T, path string) [][]string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(string(data))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) == 0 || rows[0][0] != "registrationId" {
		t.Fatalf("index %q has no header", path)
	}
	return rows[1:]
}

// stopAfter returns a context that ends when n devices are done, and the progress function that ends it.
func stopAfter(t *testing.T, n int) (context.Context, func(done, total int)) {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return ctx, func(done, _ int) {
		if done >= n {
			cancel()
		}
	}
}

// checkFleet checks that a folder holds a whole fleet: for each ID a certificate of the authority, its key and chain.
func checkFleet(t *testing.T, dir string, ca *pki.Authority, ids fleet.IDs) {
	t.Helper()
	for i := range ids.Len() {
		base := fleet.FileStem(ids.ID(i))
		bucket := fmt.Sprintf("%05d", i/1000)
		read := func(parts ...string) []byte {
			data, err := os.ReadFile(filepath.Join(append([]string{dir}, parts...)...))
			if err != nil {
				t.Fatal(err)
			}
			return data
		}
		cert := parse(t, string(read("certs", bucket, base+".cert.pem")))
		key, err := pki.ParseKey(read("private", bucket, base+".key.pem"), nil)
		if err != nil {
			t.Fatal(err)
		}
		chain, err := pki.ParseCertificates(read("certs", bucket, base+"-full-chain.cert.pem"))
		if err != nil {
			t.Fatal(err)
		}
		if !pki.KeyMatches(cert, key) || cert.Subject.CommonName != ids.ID(i) || !chain[0].Equal(cert) {
			t.Fatalf("the files of %q do not fit together", ids.ID(i))
		}
		if err := pki.Verify(cert, chain[1:], cert.NotBefore.Add(pki.Backdate)); err != nil || len(chain) != 1+len(ca.Chain()) {
			t.Fatalf("chain of %q: %d certificates, %v", ids.ID(i), len(chain), err)
		}
	}
}

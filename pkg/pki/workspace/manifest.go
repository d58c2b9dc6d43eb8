package workspace

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dpskit/dpskit/pkg/pki"
)

const (
	manifestVersion = 1
	maxManifest     = 128 << 20 // about 200,000 entries
)

// Files are the files of an entry, relative to the folder and with slashes. An empty one does not exist.
type Files struct {
	Certificate string `json:"certificate"`
	FullChain   string `json:"fullChain,omitempty"`
	Key         string `json:"key,omitempty"`
	PFX         string `json:"pfx,omitempty"`
	PFXPassword string `json:"pfxPassword,omitempty"`
}

// all returns the files that exist.
func (f Files) all() []string {
	list := []string{f.Certificate, f.FullChain, f.Key, f.PFX, f.PFXPassword}
	return slices.DeleteFunc(list, func(s string) bool { return s == "" })
}

// overlay returns f with the files that g has.
func (f Files) overlay(g Files) Files {
	pick := func(a, b string) string {
		if b != "" {
			return b
		}
		return a
	}
	return Files{
		Certificate: pick(f.Certificate, g.Certificate), FullChain: pick(f.FullChain, g.FullChain),
		Key: pick(f.Key, g.Key), PFX: pick(f.PFX, g.PFX), PFXPassword: pick(f.PFXPassword, g.PFXPassword),
	}
}

// Entry is one certificate of the workspace, as the manifest lists it.
type Entry struct {
	Name             string      `json:"name"`
	Profile          pki.Profile `json:"profile"`
	Subject          string      `json:"subject"`      // RFC 2253 text
	Issuer           string      `json:"issuer"`       // RFC 2253 text
	CA               string      `json:"ca,omitempty"` // name of the issuing entry; empty when self-signed or from outside
	Serial           string      `json:"serial"`       // upper-case hexadecimal
	NotBefore        time.Time   `json:"notBefore"`
	NotAfter         time.Time   `json:"notAfter"`
	SHA1Thumbprint   string      `json:"sha1Thumbprint"`
	SHA256Thumbprint string      `json:"sha256Thumbprint"`
	KeyType          pki.KeyType `json:"keyType,omitempty"` // see [pki.KeyName]: it may be one that package pki does not make
	Files            Files       `json:"files"`
	// PFXProfile is the profile of the PFX, empty when there is none or its profile is not known.
	PFXProfile pki.PFXProfile `json:"pfxProfile,omitempty"`
	Broken     pki.Fault      `json:"broken,omitempty"` // what is wrong with it on purpose; empty when nothing is
}

type manifest struct {
	Version int     `json:"version"`
	Entries []Entry `json:"entries"`
}

// newEntry describes a certificate.
func newEntry(name, ca string, profile pki.Profile, cert *x509.Certificate, files Files) Entry {
	return Entry{
		Name: name, Profile: profile, CA: ca, Files: files, KeyType: pki.KeyType(pki.KeyName(cert.PublicKey)),
		Subject: cert.Subject.String(), Issuer: cert.Issuer.String(),
		Serial:    strings.ToUpper(cert.SerialNumber.Text(16)),
		NotBefore: cert.NotBefore.UTC(), NotAfter: cert.NotAfter.UTC(),
		SHA1Thumbprint: pki.SHA1Thumbprint(cert), SHA256Thumbprint: pki.SHA256Thumbprint(cert),
	}
}

// encodeManifest returns the manifest with its entries sorted by name.
func encodeManifest(entries map[string]Entry) ([]byte, error) {
	m := manifest{Version: manifestVersion, Entries: sortedEntries(entries)}
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %v", err)
	}
	if len(data) >= maxManifest {
		return nil, fmt.Errorf("encode manifest: %d entries are too many for one workspace", len(entries))
	}
	return append(data, '\n'), nil
}

func sortedEntries(entries map[string]Entry) []Entry {
	list := make([]Entry, 0, len(entries))
	for _, e := range entries {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// parseManifest reads and checks a manifest. Members that it does not know are passed over, so that a later program
// may add some; one that changes their meaning raises the version.
func parseManifest(data []byte) (map[string]Entry, error) {
	if len(data) > maxManifest {
		return nil, fmt.Errorf("%d bytes are more than the limit of %d", len(data), maxManifest)
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, fmt.Errorf("it is empty")
	}
	var m manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("%v", err)
	}
	switch {
	case m.Version > manifestVersion:
		return nil, fmt.Errorf("it has version %d, and this program knows version %d", m.Version, manifestVersion)
	case m.Version != manifestVersion:
		return nil, fmt.Errorf("it has no known version")
	}
	entries := make(map[string]Entry, len(m.Entries))
	folded := make(map[string]bool, len(m.Entries))
	for i, e := range m.Entries {
		if err := e.check(); err != nil {
			return nil, fmt.Errorf("entry %d: %w", i+1, err)
		}
		if key := strings.ToLower(e.Name); folded[key] {
			return nil, fmt.Errorf("entry %d: the name %q is there twice", i+1, e.Name)
		} else {
			folded[key] = true
		}
		entries[e.Name] = e
	}
	for _, e := range entries {
		if _, ok := entries[e.CA]; e.CA != "" && !ok {
			return nil, fmt.Errorf("entry %q: its ca %q is not there", e.Name, e.CA)
		}
	}
	return entries, nil
}

// check checks one entry. Its file names decide what is read and moved.
func (e Entry) check() error {
	if err := checkName(e.Name); err != nil {
		return err
	}
	if _, err := pki.ParseProfile(string(e.Profile)); err != nil {
		return err
	}
	if e.PFXProfile != "" {
		if _, err := pki.ParsePFXProfile(string(e.PFXProfile)); err != nil {
			return err
		}
	}
	if len(e.SHA256Thumbprint) != 64 {
		return fmt.Errorf("%q has no sha256Thumbprint", e.Name)
	}
	if e.Files.Certificate == "" {
		return fmt.Errorf("%q has no certificate file", e.Name)
	}
	for _, name := range e.Files.all() {
		if !isWorkspaceFile(name) {
			return fmt.Errorf("%q has a file %q outside of the folders certs and private", e.Name, name)
		}
	}
	return nil
}

// isWorkspaceFile reports whether name is a plain file name within certs or private.
func isWorkspaceFile(name string) bool {
	dir, base := path.Split(name)
	return (dir == certsDir+"/" || dir == privateDir+"/") && isFileName(base) && len(base) <= 255
}

func isFileName(base string) bool {
	return base != "." && !strings.ContainsAny(base, "/\\\x00") && filepath.IsLocal(base)
}

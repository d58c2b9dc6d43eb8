package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps/device"
	"github.com/dpskit/dpskit/pkg/dps/rollout"
	"github.com/dpskit/dpskit/pkg/pki"
	pkifleet "github.com/dpskit/dpskit/pkg/pki/fleet"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

// deviceFolder is the devices of a workspace and of the fleets in it. Their
// certificates and keys are read one by one, when the turn of each has come.
type deviceFolder struct {
	dir        string
	ws         *workspace.Workspace
	devices    []folderDevice
	fleets     []*fleetFolder
	passphrase func() ([]byte, error)
	now        func() time.Time
	notes      []folderNote
	seen       map[string]bool // ids, folded
	doubles    []folderDevice  // whose id is that of another
}

// folderDevice is where the certificate of a device is.
type folderDevice struct {
	id    string
	entry string       // of the workspace
	fleet *fleetFolder // or else
	files fleetFiles
}

// folderNote is something about the folder that its user should know.
type folderNote struct {
	minor bool // of no interest to who named the devices
	text  string
}

// openDevices finds the devices of a folder. It reads no certificates, but those
// of a workspace whose subject has more than a common name.
func openDevices(dir string, passphrase func() ([]byte, error), now func() time.Time) (*deviceFolder, error) {
	f := &deviceFolder{dir: dir, passphrase: passphrase, now: now, seen: map[string]bool{}}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		if err == nil {
			err = fmt.Errorf("%q is no folder", dir)
		}
		return nil, cliapp.WithHint(cliapp.WithCode(fmt.Errorf("read workspace: %w", err), cliapp.ExitNotFound), "'certgen device my-device --dir %s' makes one", quoteShell(dir))
	}
	var err error
	if f.ws, err = workspace.Open(dir); err != nil {
		return nil, hintBroken(err, dir)
	}
	if err := f.addEntries(); err != nil {
		return nil, err
	}
	for _, at := range []string{dir, filepath.Join(dir, "fleet")} {
		if err := f.addFleet(at); err != nil {
			f.close()
			return nil, err
		}
	}
	f.seen = nil
	return f, nil
}

func (f *deviceFolder) close() {
	for _, fleet := range f.fleets {
		_ = fleet.root.Close()
	}
}

// addEntries takes the devices of the workspace; certificates of anything else
// do not register. Those that every workspace has go without saying.
func (f *deviceFolder) addEntries() error {
	left := map[pki.Profile]int{}
	for _, e := range f.ws.Entries() {
		if e.Profile != pki.ProfileDevice && e.Profile != pki.ProfileEdgeIdentity {
			left[e.Profile]++
			continue
		}
		id, err := f.idOf(e)
		if err != nil {
			return err
		}
		f.add(folderDevice{id: id, entry: e.Name})
	}
	for _, p := range f.ws.Problems() {
		f.note(false, "left out %s: %v", p.File, p.Err)
	}
	var parts []string
	for _, p := range []pki.Profile{pki.ProfileEdgeCA, pki.ProfileServer} {
		if n := left[p]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, p))
		}
	}
	if len(parts) > 0 {
		f.note(true, "left out, because they are of no device: %s", strings.Join(parts, ", "))
	}
	return nil
}

func (f *deviceFolder) note(minor bool, format string, args ...any) {
	f.notes = append(f.notes, folderNote{minor, fmt.Sprintf(format, args...)})
}

// settleNotes drops the notes that are not about the devices that were chosen.
func (f *deviceFolder) settleNotes() {
	f.notes = slices.DeleteFunc(f.notes, func(n folderNote) bool { return n.minor })
	chosen := make(map[string]bool, len(f.devices))
	for _, d := range f.devices {
		chosen[strings.ToLower(d.id)] = true
	}
	f.doubles = slices.DeleteFunc(f.doubles, func(d folderDevice) bool { return !chosen[strings.ToLower(d.id)] })
}

// maxDoubles bounds the certificates that are left out with a line for each.
const maxDoubles = 3

// texts are what the user should know of the folder, a line each.
func (f *deviceFolder) texts() []string {
	var lines []string
	for _, n := range f.notes {
		lines = append(lines, n.text)
	}
	for _, d := range f.doubles[:min(len(f.doubles), maxDoubles)] {
		lines = append(lines, fmt.Sprintf("left out %s: another certificate is for the registration ID %q, too", d.where(), d.id))
	}
	if more := len(f.doubles) - maxDoubles; more > 0 {
		lines = append(lines, fmt.Sprintf("left out %d more, as other certificates are for the same registration IDs", more))
	}
	return lines
}

func (d folderDevice) where() string {
	if d.fleet != nil {
		return filepath.Join(d.fleet.dir, filepath.FromSlash(d.files.chain))
	}
	return "entry " + strconv.Quote(d.entry)
}

// idOf returns the common name of an entry, which is what the device registers
// as; its name in the workspace may be another.
func (f *deviceFolder) idOf(e workspace.Entry) (string, error) {
	if id, ok := strings.CutPrefix(e.Subject, "CN="); ok && pki.CheckRegistrationID(id) == nil {
		return id, nil
	}
	chain, err := f.ws.Chain(e.Name)
	if errors.Is(err, workspace.ErrBroken) {
		return e.Name, nil // its turn will say what is wrong
	}
	if err != nil {
		return "", err
	}
	return chain[0].Subject.CommonName, nil
}

// add takes a device, unless its id is there already.
func (f *deviceFolder) add(d folderDevice) {
	key := strings.ToLower(d.id)
	if f.seen[key] {
		f.doubles = append(f.doubles, d)
		return
	}
	f.seen[key] = true
	f.devices = append(f.devices, d)
}

// choose keeps the devices whose id matches one of the patterns.
func (f *deviceFolder) choose(globs []string) {
	if len(globs) == 0 {
		return
	}
	f.devices = slices.DeleteFunc(f.devices, func(d folderDevice) bool {
		return !slices.ContainsFunc(globs, func(glob string) bool {
			ok, err := path.Match(strings.ToLower(glob), strings.ToLower(d.id))
			return ok && err == nil
		})
	})
}

// number keeps the devices that are called prefix and a number, in the order of
// the numbers, and returns the ids of those that are missing. The numbers may
// have more leading zeros than so many devices need: the first ten of a hundred
// are dev-001 to dev-010.
func (f *deviceFolder) number(prefix string, start, count int) (missing []string, err error) {
	ids, err := pkifleet.Numbered(prefix, start, count)
	if err != nil {
		return nil, err
	}
	found := make([]int, count) // index, from 1
	for i, d := range f.devices {
		tail, ok := strings.CutPrefix(strings.ToLower(d.id), strings.ToLower(prefix))
		n, err := strconv.ParseUint(tail, 10, 62)
		at := int(n) - start
		if !ok || err != nil || at < 0 || at >= count {
			continue
		}
		if found[at] == 0 || strings.EqualFold(d.id, ids.ID(at)) {
			found[at] = i + 1
		}
	}
	chosen := make([]folderDevice, 0, count)
	for at, i := range found {
		if i == 0 {
			missing = append(missing, ids.ID(at))
			continue
		}
		chosen = append(chosen, f.devices[i-1])
	}
	f.devices = chosen
	return missing, nil
}

// Len, ID and Credential make it a rollout.Source.
func (f *deviceFolder) Len() int        { return len(f.devices) }
func (f *deviceFolder) ID(i int) string { return f.devices[i].id }

// Credential reads certificate and key of a device, and leaves out one that
// cannot be registered.
func (f *deviceFolder) Credential(i int) (device.Credential, error) {
	b, err := f.bundle(f.devices[i])
	if err != nil {
		return nil, skipped(err)
	}
	cert, now := b.Certificate, f.now()
	switch {
	case b.Key == nil:
		return nil, fmt.Errorf("%w: it has no key", rollout.ErrSkip)
	case now.After(cert.NotAfter):
		return nil, fmt.Errorf("%w: its certificate has expired", rollout.ErrSkip)
	case now.Before(cert.NotBefore):
		return nil, fmt.Errorf("%w: its certificate is not valid yet", rollout.ErrSkip)
	case !strings.EqualFold(cert.Subject.CommonName, f.devices[i].id):
		return nil, fmt.Errorf("%w: its certificate is for %q", rollout.ErrSkip, cert.Subject.CommonName)
	}
	tlsCert, err := b.TLSCertificate()
	if err != nil {
		return nil, skipped(err)
	}
	return device.X509(tlsCert), nil
}

func (f *deviceFolder) bundle(d folderDevice) (*pki.Bundle, error) {
	if d.fleet == nil {
		return f.ws.BundleWithPassphrase(d.entry, f.passphrase)
	}
	return d.fleet.bundle(d.files, f.passphrase)
}

// skipped says why a device cannot register, so that nothing is sent for it. All
// that is wrong with its files is one kind of outcome, whatever it is.
func skipped(err error) error {
	switch {
	case errors.Is(err, rollout.ErrSkip):
		return err
	case errors.Is(err, pki.ErrPassphraseRequired):
		return fmt.Errorf("%w: its key is encrypted: give --%s or set %s", rollout.ErrSkip, flagKeyPasswordFile, envKeyPassword)
	case errors.Is(err, pki.ErrWrongPassphrase):
		return fmt.Errorf("%w: the pass phrase does not open its key", rollout.ErrSkip)
	case errors.Is(err, workspace.ErrKeyUnreadable):
		return fmt.Errorf("%w: its key may not be read by this user", rollout.ErrSkip)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: a file of it is missing: %w", rollout.ErrSkip, err)
	}
	return fmt.Errorf("%w: %w", rollout.ErrSkip, err)
}

// chain is what a device presents, to explain a refusal; nil if it cannot be
// read any more.
func (f *deviceFolder) chain(i int) []*x509.Certificate {
	b, err := f.bundle(f.devices[i])
	if err != nil {
		return nil
	}
	return append([]*x509.Certificate{b.Certificate}, b.Issuers...)
}

// file is where the chain is.
func (f *deviceFolder) file(i int) string {
	if d := f.devices[i]; d.fleet != nil {
		return filepath.Join(d.fleet.dir, filepath.FromSlash(d.files.chain))
	}
	return f.ws.Paths(f.devices[i].entry).FullChain
}

package workspace

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/dpskit/dpskit/pkg/pki"
)

// scriptVerificationStem is the proof of possession of the IoT Edge copy of the script.
const scriptVerificationStem = "iot-device-verification-code"

// Rebuild makes the manifest of a folder anew from its files, whatever the old manifest says. The old one is moved
// to the replaced folder. Files that cannot be taken in are returned by [Workspace.Problems] of the result.
//
// What is broken on purpose keeps its mark when the old manifest still tells it, be it damaged elsewhere, or when the
// certificate or its chain does; else it looks like any certificate with wrong dates or usages.
func Rebuild(ctx context.Context, dir string) (*Workspace, error) {
	w, err := newWorkspace(dir)
	if err != nil {
		return nil, err
	}
	f, err := openFolder(dir, w.hooks)
	if err != nil {
		return nil, err
	}
	defer f.close()
	unlock, err := lockExclusive(ctx, f)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := recoverJournal(f); err != nil && !errors.Is(err, ErrBroken) {
		return nil, err
	}
	var marks map[string]Entry
	if data, err := f.read(manifestFile, maxManifest); err == nil {
		marks = recallMarks(data)
	}
	found, err := adopt(f, marks)
	if err == nil {
		err = found.noKeys
	}
	if err != nil {
		return nil, fmt.Errorf("rebuild manifest: %w", err)
	}
	w.state = state{entries: found.entries}
	err = w.commit(ctx, f, time.Now(), func(d *draft) error { return d.retire(manifestFile) })
	if err != nil {
		return nil, err
	}
	w.state.problems = found.problems
	return w, nil
}

// adopt makes entries of the certificates in a folder. Only a root that cannot be read is an error; another file is
// reported and left out. Keys that cannot be looked at leave the certificates without keys. marks are the entries of
// what is broken on purpose, as far as that is known.
func adopt(f *folder, marks map[string]Entry) (state, error) {
	files, err := stems(f)
	if err != nil {
		return state{}, err
	}
	var out state
	if _, err := f.lstat(path.Join(privateDir, rootStem+keySuffix)); errors.Is(err, fs.ErrPermission) {
		out.noKeys = fmt.Errorf("%w: %w", ErrKeyUnreadable, err)
		out.problems = append(out.problems, Problem{File: privateDir, Err: out.noKeys})
	}
	entries := map[string]Entry{}
	certs := map[string]*x509.Certificate{}
	taken := map[string]bool{}
	for _, stem := range files {
		name := nameOfStem(stem)
		e, cert, err := adoptOne(f, name, stem, out.noKeys == nil)
		if err == nil && taken[strings.ToLower(name)] {
			err = fmt.Errorf("its name %q %w from another", name, ErrNameConflict)
		}
		if err != nil && name == RootName && stem == rootStem {
			return state{}, fmt.Errorf("adopt workspace %q: %w", f.dir, damage(err))
		}
		if err != nil {
			out.problems = append(out.problems, Problem{File: path.Join(certsDir, stem+certSuffix), Err: err})
			continue
		}
		taken[strings.ToLower(name)] = true
		entries[name], certs[name] = e, cert
	}
	linkCAs(entries, certs)
	markBroken(f, entries, certs, marks)
	out.entries = entries
	return out, nil
}

// stems returns the stems of all certificates in the folder, those of the CAs first.
func stems(f *folder) ([]string, error) {
	list, err := f.list(certsDir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range list {
		stem, ok := strings.CutSuffix(e.Name(), certSuffix)
		if !ok || !isFileName(e.Name()) || strings.HasSuffix(stem, fullChainTail) || e.Name() == path.Base(chainCAFile) {
			continue
		}
		out = append(out, stem)
	}
	slices.SortFunc(out, func(a, b string) int {
		aCA, bCA := strings.HasPrefix(a, scriptPrefix), strings.HasPrefix(b, scriptPrefix)
		if aCA != bCA {
			if aCA {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	return out, nil
}

func adoptOne(f *folder, name, stem string, keys bool) (Entry, *x509.Certificate, error) {
	if isReserved(name) && fileStem(name) != stem {
		return Entry{}, nil, fmt.Errorf("the name %q is reserved", name)
	}
	if err := checkName(name); err != nil {
		return Entry{}, nil, err
	}
	files := Files{Certificate: path.Join(certsDir, stem+certSuffix)}
	cert, err := readCertificate(f, files.Certificate)
	if err != nil {
		return Entry{}, nil, err
	}
	for file, field := range map[string]*string{
		path.Join(certsDir, stem+fullChainTail+certSuffix): &files.FullChain,
		path.Join(privateDir, stem+keySuffix):              &files.Key,
		path.Join(certsDir, stem+pfxSuffix):                &files.PFX,
		path.Join(privateDir, stem+pfxPasswordSuffix):      &files.PFXPassword,
	} {
		if !keys && path.Dir(file) == privateDir {
			continue
		}
		info, err := f.lstat(file)
		if err != nil {
			return Entry{}, nil, err
		}
		if info != nil && !info.IsDir() {
			*field = file
		}
	}
	profile := pki.GuessProfile(cert)
	if name == VerificationName || stem == scriptVerificationStem {
		profile = pki.ProfileVerification
	}
	if name == RootName && profile != pki.ProfileRoot {
		return Entry{}, nil, fmt.Errorf("read %q: it is no self-signed ca", f.show(files.Certificate))
	}
	e := newEntry(name, "", profile, cert, files)
	if files.PFX != "" {
		if data, err := f.read(files.PFX, maxFile); err == nil { // one that cannot be read has no known profile
			e.PFXProfile = pki.GuessPFXProfile(data)
		}
	}
	return e, cert, nil
}

// linkCAs fills in which entry issued which.
func linkCAs(entries map[string]Entry, certs map[string]*x509.Certificate) {
	for name, e := range entries {
		for caName, ca := range entries {
			if caName != name && ca.Profile.IsCA() && ca.Subject == e.Issuer && issued(certs[caName], certs[name]) {
				e.CA = caName
				entries[name] = e
				break
			}
		}
	}
}

func issued(ca, cert *x509.Certificate) bool {
	return string(ca.RawSubject) == string(cert.RawIssuer) && cert.CheckSignatureFrom(ca) == nil
}

// readCertificate reads the first certificate of a file.
func readCertificate(f *folder, name string) (*x509.Certificate, error) {
	certs, err := readCertificates(f, name)
	if err != nil {
		return nil, err
	}
	return certs[0], nil
}

func readCertificates(f *folder, name string) ([]*x509.Certificate, error) {
	data, err := f.read(name, maxFile)
	if err != nil {
		return nil, err
	}
	certs, err := pki.ParseCertificates(data)
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", f.show(name), err)
	}
	return certs, nil
}

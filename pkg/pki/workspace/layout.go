package workspace

import (
	"fmt"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/dpskit/dpskit/pkg/pki"
)

// Names of the workspace, relative to its folder and with slashes.
const (
	certsDir     = "certs"
	privateDir   = "private"
	replacedDir  = "replaced"
	manifestFile = "certgen.json"
	lockFile     = ".certgen.lock"
	journalFile  = ".certgen.journal"
	tempPrefix   = ".certgen-ws-" // of this package alone: what has it is removed
	tempSuffix   = ".tmp"

	certSuffix        = ".cert.pem"
	fullChainTail     = "-full-chain"
	keySuffix         = ".key.pem"
	pfxSuffix         = ".cert.pfx"
	pfxPasswordSuffix = ".pfx.password"

	scriptPrefix     = "azure-iot-test-only."
	rootStem         = scriptPrefix + "root.ca"
	intermediateStem = scriptPrefix + "intermediate"
	chainCAFile      = certsDir + "/" + scriptPrefix + "chain.ca" + certSuffix

	// RootName is the name of the root CA in a workspace.
	RootName = "root"
	// IntermediateName is the name of the first intermediate CA; the next ones are "intermediate2" and so on.
	IntermediateName = "intermediate"
	// VerificationName is the name of the proof of possession.
	VerificationName = "verification-code"
)

// maxStem is in bytes and leaves room for the longest suffix within the 255 of common file systems. It is the only
// limit on the length of a name: a name may be a common name, which has at most 64 characters, with a prefix of the
// original scripts.
const maxStem = 200

// Paths are the files of one certificate, each joined to the folder as it was given to [Open]. They need not exist.
type Paths struct {
	Cert        string // the certificate alone
	FullChain   string // with its intermediates and root
	Key         string // PKCS#8 PEM, encrypted in a folder of the original script
	PFX         string
	PFXPassword string // only there when the password was made up
}

// intermediateName returns the name of the n-th intermediate of the series, counted from 1.
func intermediateName(n int) string {
	if n == 1 {
		return IntermediateName
	}
	return IntermediateName + strconv.Itoa(n)
}

// seriesNumber returns n for the name of the n-th intermediate of the series.
func seriesNumber(name string) (int, bool) {
	tail, ok := strings.CutPrefix(name, IntermediateName)
	switch {
	case !ok:
		return 0, false
	case tail == "":
		return 1, true
	}
	n, err := strconv.Atoi(tail)
	return n, err == nil && n > 1 && intermediateName(n) == name
}

// fileStem returns the file name of an entry without folder and suffix. It is reversible ([nameOfStem]) and means
// the same on Windows: names of registration IDs stand as they are but for ':' and the names that Windows reserves.
func fileStem(name string) string {
	switch n, ok := seriesNumber(name); {
	case name == RootName:
		return rootStem
	case name == VerificationName:
		return VerificationName
	case ok:
		return strings.Replace(intermediateName(n), IntermediateName, intermediateStem, 1)
	}
	var out strings.Builder
	for i := range len(name) {
		if c := name[i]; isPlainByte(c) && !escapeAt(name, i) {
			out.WriteByte(c)
		} else {
			fmt.Fprintf(&out, "%%%02X", c)
		}
	}
	return out.String()
}

func isPlainByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.'
}

// escapeAt reports whether a plain byte must be escaped where it stands: to hide no file, to look like no option, to
// be no device of Windows, and to keep apart from the files that the workspace itself names.
func escapeAt(name string, i int) bool {
	lower := strings.ToLower(name)
	if i == 0 {
		base, _, _ := strings.Cut(lower, ".")
		return name[0] == '.' || name[0] == '-' || isWindowsDevice(base) || strings.HasPrefix(lower, scriptPrefix) ||
			isReserved(name)
	}
	if i == len(name)-1 && name[i] == '.' {
		return true
	}
	return strings.HasSuffix(lower, fullChainTail) && i == len(name)-len(fullChainTail)
}

func isWindowsDevice(base string) bool {
	switch base {
	case "con", "prn", "aux", "nul":
		return true
	}
	if len(base) != 4 || base[3] < '0' || base[3] > '9' {
		return false
	}
	return base[:3] == "com" || base[:3] == "lpt"
}

// nameOfStem is the inverse of [fileStem]. A stem that fileStem would not make is its own name.
func nameOfStem(stem string) string {
	if stem == rootStem {
		return RootName
	}
	if tail, ok := strings.CutPrefix(stem, intermediateStem); ok {
		if n, ok := seriesNumber(IntermediateName + tail); ok {
			return intermediateName(n)
		}
	}
	var out []byte
	for i := 0; i < len(stem); i++ {
		if stem[i] != '%' {
			out = append(out, stem[i])
			continue
		}
		if i+2 >= len(stem) {
			return stem
		}
		c, err := strconv.ParseUint(stem[i+1:i+3], 16, 8)
		if err != nil {
			return stem
		}
		out = append(out, byte(c))
		i += 2
	}
	if name := string(out); fileStem(name) == stem {
		return name
	}
	return stem
}

// isReserved reports whether a name belongs to the workspace: a device cannot have it.
func isReserved(name string) bool {
	lower := strings.ToLower(name)
	_, series := seriesNumber(lower)
	return lower == RootName || lower == VerificationName || series
}

// checkName checks the name of an entry as far as the workspace minds.
func checkName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: it is empty", pki.ErrInvalidID)
	case len(name) > maxStem:
		return fmt.Errorf("%w: %q... has %d bytes, and a file name has room for %d", pki.ErrInvalidID,
			strings.ToValidUTF8(name[:40], "?"), len(name), maxStem)
	case !utf8.ValidString(name):
		return fmt.Errorf("%w: %q is not UTF-8", pki.ErrInvalidID, name)
	case len(fileStem(name)) > maxStem:
		return fmt.Errorf("%w: %q needs %d bytes as a file name, which has room for %d", pki.ErrInvalidID, name,
			len(fileStem(name)), maxStem)
	}
	for _, r := range name {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("%w: %q has the character %q", pki.ErrInvalidID, name, r)
		}
	}
	return nil
}

// defaultFiles returns where the files of an entry go.
func defaultFiles(name string) Files {
	stem := fileStem(name)
	return Files{
		Certificate: path.Join(certsDir, stem+certSuffix),
		FullChain:   path.Join(certsDir, stem+fullChainTail+certSuffix),
		Key:         path.Join(privateDir, stem+keySuffix),
		PFX:         path.Join(certsDir, stem+pfxSuffix),
		PFXPassword: path.Join(privateDir, stem+pfxPasswordSuffix),
	}
}

// Paths returns where the files of a name are, or would go. Only the files in [Entry.Files] are there.
func (w *Workspace) Paths(name string) Paths {
	f := defaultFiles(name)
	if e, err := w.Lookup(name); err == nil {
		f = defaultFiles(e.Name).overlay(e.Files)
	}
	join := func(rel string) string { return filepath.Join(w.dir, filepath.FromSlash(rel)) }
	return Paths{
		Cert: join(f.Certificate), FullChain: join(f.FullChain), Key: join(f.Key), PFX: join(f.PFX),
		PFXPassword: join(f.PFXPassword),
	}
}

// ChainCAPath returns the file that holds the issuing CA first and the root last.
func (w *Workspace) ChainCAPath() string {
	return filepath.Join(w.dir, filepath.FromSlash(chainCAFile))
}

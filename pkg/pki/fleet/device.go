package fleet

import (
	"crypto/sha1" //nolint:gosec // the service shows SHA-1 thumbprints
	"crypto/sha256"
	"fmt"
	"strings"
	"time"
)

// Device is one device of a fleet on its way to a [Sink]. It and its files are valid only until the sink returns.
type Device struct {
	Index int    // in the whole fleet, from 0
	ID    string // registration ID, and common name of the certificate
	// Kept says that a run before made the device. Its files have no data then.
	Kept bool
	// Err says why the device could not be made or written; the other fields are empty then.
	Err error

	Serial           string // upper-case hexadecimal
	NotBefore        time.Time
	NotAfter         time.Time
	SHA1Thumbprint   string // upper-case hexadecimal, as the service writes it
	SHA256Thumbprint string
	Files            Files

	names   names
	scratch scratch
	staged  []byte // what an archive appends for this device
	central []byte // and its entries in the directory of a zip file
}

// Files are the files of a device. One without a name does not exist.
type Files struct {
	Certificate File // the certificate alone
	FullChain   File // with its intermediates and root: what a device presents
	Key         File // PKCS#8
	PFX         File // key and full chain as PKCS#12
	PFXPassword File // when it was made up
}

// All returns the files that exist, in the order in which they are written: the certificate comes last, so that a
// device that has one has everything.
func (f *Files) All() []*File {
	all := [...]*File{&f.Key, &f.PFXPassword, &f.PFX, &f.FullChain, &f.Certificate}
	list := make([]*File, 0, len(all))
	for _, file := range all {
		if file.Name != "" {
			list = append(list, file)
		}
	}
	return list
}

// File is one file of a device.
type File struct {
	Name    string // relative to the output, with slashes
	Data    []byte
	Private bool // holds a key or a password: mode 0600
}

// scratch is memory that the devices of a batch use again and again.
type scratch struct {
	serial             [2 + serialSize]byte // with its DER header
	digest             [64]byte
	subject, spki, tbs []byte
	der, pkcs8         []byte
	public             []byte
	certPEM, chainPEM  []byte
	keyPEM             []byte
}

// serialSize is the size of a serial number in bytes, of at most 20 (RFC 5280 section 4.1.2.2).
const serialSize = 16

// reset prepares a device for another ID.
func (d *Device) reset(index int, id string) {
	*d = Device{
		Index: index, ID: id, names: newNames(index, id),
		scratch: d.scratch, staged: d.staged[:0], central: d.central[:0],
	}
}

// fail leaves nothing of a device but its ID and what is wrong.
func (d *Device) fail(err error) {
	d.reset(d.Index, d.ID)
	d.Err = err
}

func (d *Device) setThumbprints(der []byte) {
	short, long := sha1.Sum(der), sha256.Sum256(der) //nolint:gosec // the service shows SHA-1 thumbprints
	d.SHA1Thumbprint, d.SHA256Thumbprint = upperHex(short[:]), upperHex(long[:])
}

const (
	certsDir   = "certs"
	privateDir = "private"
	// perBucket is how many devices share a folder: 3000 files at most, which every file system and every file
	// manager copes with.
	perBucket = 1000

	certSuffix        = ".cert.pem"
	fullChainTail     = "-full-chain"
	keySuffix         = ".key.pem"
	pfxSuffix         = ".cert.pfx"
	pfxPasswordSuffix = ".pfx.password"
)

// names are the file names of a device: those of the workspace, in a folder of a thousand devices.
type names struct {
	bucket string
	stem   string
}

func newNames(index int, id string) names {
	return names{bucket: bucketName(index / perBucket), stem: fileStem(id)}
}

func bucketName(n int) string { return fmt.Sprintf("%05d", n) }

func (n names) certificate() string { return certsDir + "/" + n.bucket + "/" + n.stem + certSuffix }
func (n names) fullChain() string {
	return certsDir + "/" + n.bucket + "/" + n.stem + fullChainTail + certSuffix
}
func (n names) key() string { return privateDir + "/" + n.bucket + "/" + n.stem + keySuffix }
func (n names) pfx() string { return certsDir + "/" + n.bucket + "/" + n.stem + pfxSuffix }
func (n names) pfxPassword() string {
	return privateDir + "/" + n.bucket + "/" + n.stem + pfxPasswordSuffix
}

// fileStem returns a registration ID as a file name that means the same on every system. It is that of the workspace:
// the ID itself, but for ':', a first character that would hide the file or look like an option, the names of
// Windows devices, and names that would meet the full chain of another device; those have a character as %XX.
func fileStem(id string) string {
	escaped := needsEscape(id)
	if !escaped && strings.IndexByte(id, ':') < 0 {
		return id
	}
	tail := -1
	if strings.HasSuffix(strings.ToLower(id), fullChainTail) {
		tail = len(id) - len(fullChainTail)
	}
	var out strings.Builder
	for i := range len(id) {
		if c := id[i]; c == ':' || i == tail || i == 0 && escapesFirst(id) {
			fmt.Fprintf(&out, "%%%02X", c)
		} else {
			out.WriteByte(c)
		}
	}
	return out.String()
}

func needsEscape(id string) bool {
	n := len(id) - len(fullChainTail)
	return escapesFirst(id) || n >= 0 && strings.EqualFold(id[n:], fullChainTail)
}

// escapesFirst reports whether the first character of an ID must not stand as it is.
func escapesFirst(id string) bool {
	if id == "" {
		return false
	}
	if id[0] == '.' || id[0] == '-' {
		return true
	}
	base, _, _ := strings.Cut(id, ".")
	switch {
	case len(base) == 3:
		base = strings.ToLower(base)
		return base == "con" || base == "prn" || base == "aux" || base == "nul"
	case len(base) == 4 && base[3] >= '0' && base[3] <= '9':
		base = strings.ToLower(base[:3])
		return base == "com" || base == "lpt"
	}
	return false
}

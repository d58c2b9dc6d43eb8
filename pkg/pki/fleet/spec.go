package fleet

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/dpskit/dpskit/pkg/pki"
)

const (
	specVersion = 1
	maxSpec     = 64 << 10
	specStem    = "fleet"
	indexStem   = "index"
)

// spec says what a fleet in a folder is, so that a later run goes on with the same one only.
type spec struct {
	Version int         `json:"version"`
	Devices int         `json:"devices"` // of the whole fleet
	IDs     string      `json:"idsSha256"`
	First   string      `json:"firstId"`
	Last    string      `json:"lastId"`
	Shard   string      `json:"shard"`
	Issuer  string      `json:"issuerSha256"`
	KeyType pki.KeyType `json:"keyType"`
	PFX     string      `json:"pfx,omitempty"` // profile
	// Lifetime is nil in what older versions wrote.
	Lifetime *lifetime `json:"lifetime,omitempty"`
}

func (r *run) spec() spec {
	ids := r.opts.IDs
	h := sha256.New()
	var line []byte
	for i := range ids.Len() {
		line = append(append(line[:0], ids.ID(i)...), '\n')
		h.Write(line)
	}
	s := spec{
		Version: specVersion, Devices: ids.Len(), IDs: hex.EncodeToString(h.Sum(nil)),
		First: ids.ID(0), Last: ids.ID(ids.Len() - 1), Shard: r.opts.Shard.String(),
		Issuer: pki.SHA256Thumbprint(r.opts.Authority.Certificate()), KeyType: r.mint.keyType,
		Lifetime: newLifetime(r.opts.Validity, r.now()),
	}
	if r.opts.PFX != nil {
		if s.PFX = string(r.opts.PFX.Profile); s.PFX == "" {
			s.PFX = string(pki.PFXModern)
		}
	}
	return s
}

// difference says in words how the fleet of another spec differs, or nothing.
func (s spec) difference(other spec) string {
	switch {
	case s.Version != other.Version:
		return fmt.Sprintf("was written by another version of the format (%d)", other.Version)
	case s.Devices != other.Devices:
		return fmt.Sprintf("has %d devices, not %d", other.Devices, s.Devices)
	case s.IDs != other.IDs:
		return fmt.Sprintf("has other ids, from %q to %q", other.First, other.Last)
	case s.Issuer != other.Issuer:
		return "is signed by another ca"
	case s.KeyType != other.KeyType:
		return fmt.Sprintf("has %s keys, not %s", other.KeyType, s.KeyType)
	case s.PFX != other.PFX:
		return fmt.Sprintf("has %s pfx files, not %s", orNone(other.PFX), orNone(s.PFX))
	case s.Lifetime.difference(other.Lifetime) != "":
		return s.Lifetime.difference(other.Lifetime)
	case parts(s.Shard) != parts(other.Shard):
		return fmt.Sprintf("is split in another way (it has part %s)", other.Shard)
	}
	return ""
}

func orNone(s string) string {
	if s == "" {
		return "no"
	}
	return s
}

func parts(shard string) string {
	_, n, _ := strings.Cut(shard, "/")
	return n
}

// readSpecs returns the specs of all parts in a folder, and whether there is anything in it that no fleet has.
func readSpecs(root *os.Root) (specs []spec, foreign string, err error) {
	dir, err := root.Open(".")
	if err != nil {
		return nil, "", cause(err)
	}
	defer dir.Close()
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return nil, "", cause(err)
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	for _, e := range entries {
		name := e.Name()
		switch {
		case strings.HasPrefix(name, specStem) && strings.HasSuffix(name, ".json"):
			s, err := readSpec(root, name)
			if err != nil {
				return nil, "", err
			}
			specs = append(specs, s)
		case name == certsDir, name == privateDir, isOurTemp(name), isOfSystem(name),
			strings.HasPrefix(name, indexStem) && strings.HasSuffix(name, ".csv"):
		case foreign == "":
			foreign = name
		}
	}
	return specs, foreign, nil
}

func readSpec(root *os.Root, name string) (spec, error) {
	var s spec
	info, err := root.Stat(name)
	if err == nil && !info.Mode().IsRegular() { // a named pipe would block whoever opens it
		err = errors.New("it is no regular file")
	}
	if err != nil {
		return s, fmt.Errorf("read %q: %w", name, cause(err))
	}
	file, err := root.Open(name)
	if err != nil {
		return s, fmt.Errorf("read %q: %w", name, cause(err))
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxSpec+1))
	if err != nil {
		return s, fmt.Errorf("read %q: %w", name, cause(err))
	}
	if len(data) > maxSpec {
		return s, fmt.Errorf("read %q: it has more than %d bytes", name, maxSpec)
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("read %q: %v", name, err)
	}
	return s, nil
}

func (s spec) encode() ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetIndent("", "  ")
	if err := enc.Encode(s); err != nil {
		return nil, fmt.Errorf("encode spec: %v", err)
	}
	return out.Bytes(), nil
}

// check compares the fleet with what is in the folder already. found says that it is there, others that other parts
// of some fleet are.
func (s spec) check(root *os.Root) (found, others bool, err error) {
	specs, foreign, err := readSpecs(root)
	if err != nil {
		return false, false, err
	}
	for _, other := range specs {
		found = found || s.Shard == other.Shard
		others = others || s.Shard != other.Shard
	}
	return found, others, s.conflict(root, specs, foreign)
}

// conflict returns [ErrExists] when something in the folder is not of the fleet.
func (s spec) conflict(root *os.Root, specs []spec, foreign string) error {
	for _, other := range specs {
		if d := s.difference(other); d != "" {
			return fmt.Errorf("another fleet %w there: it %s", ErrExists, d)
		}
	}
	if foreign != "" {
		return fmt.Errorf("%q %w in the folder and is of no fleet", foreign, ErrExists)
	}
	if len(specs) == 0 {
		for _, name := range []string{certsDir, privateDir} {
			if _, err := root.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("%q %w in the folder, and no %s.json says of what fleet", name, ErrExists, specStem)
			}
		}
	}
	return nil
}

// isOfSystem reports whether a name is what operating systems put into folders of their own accord.
func isOfSystem(name string) bool {
	switch name {
	case "lost+found", ".DS_Store", "Thumbs.db", "desktop.ini", ".snapshot":
		return true
	}
	return false
}

package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps/rollout"
	"github.com/dpskit/dpskit/pkg/pki"
)

// fleetFolder is a folder that 'certgen device --count' made. Its index names
// the devices in their order, and their files.
type fleetFolder struct {
	dir  string
	root *os.Root // no file outside is read, whatever the index names
}

// fleetFiles are the files of a device, relative to the folder.
type fleetFiles struct {
	chain, key string
	err        string // why certgen could not make it
}

// addFleet takes the devices of a fleet, if the folder is one; of all its parts,
// if several machines made it.
func (f *deviceFolder) addFleet(dir string) error {
	list, err := os.ReadDir(dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("read workspace: %w", err)
	}
	var indexes []string
	parts := 0
	for _, e := range list {
		if ok, _ := filepath.Match("index*.csv", e.Name()); ok {
			indexes = append(indexes, e.Name())
		}
		if ok, _ := filepath.Match("fleet*.json", e.Name()); ok {
			parts++
		}
	}
	if parts == 0 {
		return nil
	}
	if parts > len(indexes) {
		f.note(false, "left out a part of %s that has no index yet: the certgen command that began it finishes it", dir)
	}
	slices.SortFunc(indexes, func(a, b string) int { return part(a) - part(b) })
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("read workspace: %w", err)
	}
	fleet := &fleetFolder{dir: dir, root: root}
	f.fleets = append(f.fleets, fleet)
	for _, index := range indexes {
		if err := f.addIndex(fleet, index); err != nil {
			return err
		}
	}
	return nil
}

// part is the number of a part of a fleet, from its index: index-3-of-8.csv.
func part(index string) int {
	number, _, _ := strings.Cut(strings.TrimPrefix(index, "index-"), "-of-")
	n, err := strconv.Atoi(number)
	if err != nil {
		return -1
	}
	return n
}

func (f *deviceFolder) addIndex(fleet *fleetFolder, name string) error {
	wrong := func(format string, args ...any) error {
		return cliapp.WithHint(fmt.Errorf("read index %q: %s", filepath.Join(fleet.dir, name), fmt.Sprintf(format, args...)),
			"the certgen command that made the folder makes its index anew")
	}
	file, err := fleet.root.Open(name)
	if err != nil {
		return fmt.Errorf("read index: %w", err)
	}
	defer file.Close()
	rows := csv.NewReader(file)
	rows.ReuseRecord = true
	header, err := rows.Read()
	if err != nil {
		return wrong("it has no header")
	}
	columns := map[string]int{}
	for _, column := range []string{"registrationId", "fullChain", "key", "error"} {
		if columns[column] = slices.Index(header, column); columns[column] < 0 {
			return wrong("it has no column %q", column)
		}
	}
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return wrong("%v", err)
		}
		cell := func(column string) string { return strings.Clone(row[columns[column]]) }
		id := strings.TrimPrefix(cell("registrationId"), "'") // against spreadsheets; no id begins with one
		files := fleetFiles{chain: cell("fullChain"), key: cell("key"), err: cell("error")}
		for _, name := range []string{files.chain, files.key} {
			if name != "" && !filepath.IsLocal(filepath.FromSlash(name)) {
				return wrong("%q leads out of the folder", name)
			}
		}
		f.add(folderDevice{id: id, fleet: fleet, files: files})
	}
}

// bundle reads the certificate of a device, its issuers and its key.
func (fleet *fleetFolder) bundle(files fleetFiles, passphrase func() ([]byte, error)) (*pki.Bundle, error) {
	switch {
	case files.err != "":
		return nil, fmt.Errorf("%w: certgen could not make it: %s", rollout.ErrSkip, files.err)
	case files.chain == "" || files.key == "":
		return nil, fmt.Errorf("%w: the index names no chain and key of it", rollout.ErrSkip)
	}
	data, err := fleet.read(files.chain)
	if err != nil {
		return nil, err
	}
	certs, err := pki.ParseCertificates(data)
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", files.chain, err)
	}
	if data, err = fleet.read(files.key); err != nil {
		return nil, err
	}
	key, err := pki.ParseKey(data, nil)
	if errors.Is(err, pki.ErrPassphraseRequired) {
		var secret []byte
		if secret, err = passphrase(); err == nil {
			key, err = pki.ParseKey(data, secret)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", files.key, err)
	}
	return &pki.Bundle{Profile: pki.ProfileDevice, Certificate: certs[0], Key: key, Issuers: certs[1:]}, nil
}

func (fleet *fleetFolder) read(name string) ([]byte, error) {
	file, err := fleet.root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxFile))
}

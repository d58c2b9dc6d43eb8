package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki/fleet"
)

// stdoutFile is the --out that means standard output.
const stdoutFile = "-"

// mayExport refuses a file, the value of flag, that would be lost or would harm what is
// there. The files of the folder are not for it: whatever replaces one of them
// must keep the old one and correct the list of certificates.
func mayExport(opts exportOptions, flag, path string) error {
	if path == "" {
		return nil
	}
	if inWorkspace(opts.Dir, path) {
		return cliapp.WithHint(cliapp.Usagef("--%s %q is among the files that certgen keeps in %q", flag, path, opts.Dir),
			"export to another folder")
	}
	return cliapp.MayWrite(flag, path, opts.Force)
}

// inWorkspace reports whether a path is one of those that certgen keeps in dir,
// under whatever name it goes there.
func inWorkspace(dir, path string) bool {
	home, err := os.Stat(dir)
	if err != nil {
		return false
	}
	// Only the parent is there for sure, and only it may be reached by a link.
	parent, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return false
	}
	if real, err := filepath.EvalSymlinks(parent); err == nil {
		parent = real
	}
	name := filepath.Base(path)
	for {
		if info, err := os.Stat(parent); err == nil && os.SameFile(info, home) {
			return isKept(name)
		}
		next := filepath.Dir(parent)
		if next == parent {
			return false
		}
		parent, name = next, filepath.Base(parent)
	}
}

// checkFleetOut refuses a place for a fleet that would harm the folder of certificates, or that --force would have to
// move away and cannot: the working folder and those around it.
func checkFleetOut(opts deviceOptions) error {
	out := filepath.Clean(opts.Fleet.Out)
	refuse := func(format string, args ...any) error {
		return cliapp.WithHint(cliapp.Usagef("--%s %q %s", flagOut, opts.Fleet.Out, fmt.Sprintf(format, args...)),
			"choose a new name for the fleet, such as %s", filepath.Join(opts.Dir, "fleet"))
	}
	switch {
	case fleet.Around(out, opts.Dir):
		return refuse("is the folder of the CAs, %q, or around it", opts.Dir)
	case inWorkspace(opts.Dir, out):
		return refuse("is among the files that certgen keeps in %q", opts.Dir)
	case opts.Force && fleet.Around(out, "."):
		return refuse("is the working folder or around it, and --%s cannot move that away", flagForce)
	}
	return nil
}

// forceHelps reports whether --force takes away what is in the place of a fleet.
func (f *fleetOptions) forceHelps() bool {
	info, err := os.Stat(f.Out)
	if err != nil {
		return true
	}
	return info.IsDir() == (f.Format == fleet.FormatFiles) && !fleet.Around(f.Out, ".")
}

// isKept reports whether certgen keeps something of this name in its folder.
func isKept(name string) bool {
	switch name = strings.ToLower(name); name {
	case "certs", "private", "replaced", "certgen.json":
		return true
	}
	return strings.HasPrefix(name, ".certgen")
}

// writeOut writes the file, the value of flag, after mayExport.
func writeOut(opts exportOptions, flag, path string, data []byte) error {
	if err := mayExport(opts, flag, path); err != nil {
		return err
	}
	return cliapp.WriteOut(path, data)
}

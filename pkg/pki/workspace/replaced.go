package workspace

import "path/filepath"

// Replaced is what a change moved away.
type Replaced struct {
	// Dir is the folder that has the old files now, under the names that they had; below [Workspace.Dir] as that was
	// given. Empty when nothing was moved.
	Dir string
	// Entries are what is no longer in the workspace as it was, sorted by name: what was replaced, and what was issued
	// by a CA that was. Their files are those that were moved, relative to Dir.
	Entries []Entry
}

// Replaced returns what the last change by w moved away, by force or because it was renewed. A change that fails
// moves nothing.
func (w *Workspace) Replaced() Replaced {
	w.mu.Lock()
	defer w.mu.Unlock()
	return Replaced{Dir: w.replaced.Dir, Entries: append([]Entry(nil), w.replaced.Entries...)}
}

// whatMoved compares the entries before and after the change.
func (d *draft) whatMoved(dir string) Replaced {
	if d.replaced == "" {
		return Replaced{}
	}
	out := Replaced{Dir: filepath.Join(dir, filepath.FromSlash(d.replaced))}
	for _, e := range sortedEntries(d.state.entries) {
		if now, ok := d.entries[e.Name]; ok && now.SHA256Thumbprint == e.SHA256Thumbprint {
			continue
		}
		e.Files = e.Files.only(d.moves)
		out.Entries = append(out.Entries, e)
	}
	return out
}

// only returns the files for which keep is true.
func (f Files) only(keep func(name string) bool) Files {
	for _, name := range []*string{&f.Certificate, &f.FullChain, &f.Key, &f.PFX, &f.PFXPassword} {
		if !keep(*name) {
			*name = ""
		}
	}
	return f
}

//go:build !linux

package fleet

import "os"

// flusher writes to a file.
type flusher struct{ file *os.File }

func newFlusher(file *os.File, _ int64) flusher { return flusher{file: file} }

func (f *flusher) Write(p []byte) (int, error) { return f.file.Write(p) }

// syncAll has no counterpart here that takes any number of files at once. The system writes them in its own time; a
// run after a power cut finds what was lost.
func syncAll(*os.Root) error { return nil }

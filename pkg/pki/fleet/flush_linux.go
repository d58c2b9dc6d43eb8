package fleet

import (
	"os"

	"golang.org/x/sys/unix"
)

// flushEvery is how much is written before the kernel is asked to begin bringing it to the disk.
const flushEvery = 16 << 20

// flusher writes to a file and lets the disk work while certificates are made, so that the one sync at the end has
// little left to do.
type flusher struct {
	file        *os.File
	at, flushed int64
}

// newFlusher returns a flusher for a file that has some bytes already.
func newFlusher(file *os.File, at int64) flusher { return flusher{file: file, at: at, flushed: at} }

func (f *flusher) Write(p []byte) (int, error) {
	n, err := f.file.Write(p)
	f.at += int64(n)
	if f.at-f.flushed >= flushEvery {
		// Only advice: a file system that does not know it syncs later.
		_ = unix.SyncFileRange(int(f.file.Fd()), f.flushed, f.at-f.flushed, unix.SYNC_FILE_RANGE_WRITE)
		f.flushed = f.at
	}
	return n, err
}

// syncAll brings everything in the file system of a folder to the disk: one call for any number of files.
func syncAll(root *os.Root) error {
	dir, err := root.Open(".")
	if err != nil {
		return cause(err)
	}
	defer dir.Close()
	return unix.Syncfs(int(dir.Fd()))
}

package fleet

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"syscall"
)

// fatal reports whether an error would hit every other device, too: the disk is full or broken, or the run is to end.
func fatal(err error) bool {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return slices.Contains(fatalErrnos, errno)
	}
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// cause takes the operation and path off an error of package os, whose place is taken by ours.
func cause(err error) error {
	var pathErr *fs.PathError
	var linkErr *os.LinkError
	switch {
	case errors.As(err, &pathErr):
		return pathErr.Err
	case errors.As(err, &linkErr):
		return linkErr.Err
	}
	return err
}

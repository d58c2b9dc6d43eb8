package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Format is what the files of a fleet are put in.
type Format string

// The formats. All hold the same files under the same names.
const (
	FormatFiles Format = "files" // a folder
	FormatTar   Format = "tar"   // POSIX tar, not compressed: the keys cannot be
	FormatZip   Format = "zip"   // zip, stored, with the permissions of Unix
)

// AllFormats returns every format, the default first.
func AllFormats() []Format { return []Format{FormatFiles, FormatTar, FormatZip} }

// ParseFormat returns the format with the given name. The error lists the known names.
func ParseFormat(s string) (Format, error) {
	names := make([]string, 0, len(AllFormats()))
	for _, f := range AllFormats() {
		if s == string(f) {
			return f, nil
		}
		names = append(names, string(f))
	}
	return "", fmt.Errorf("parse format %q: known formats are %s", clip(s), strings.Join(names, ", "))
}

// Target says where a fleet goes.
type Target struct {
	Format Format // empty means files
	// Path is the folder or the archive.
	Path string
	// RawIndex leaves the protection against formulas out of the index; see [Index].
	RawIndex bool
	// Force moves what is in the way to the folder "replaced" beside it instead of refusing with [ErrExists].
	Force bool

	step        func(op, name string) error // called before every change; tests make it fail
	recordEvery time.Duration               // 0 means recordEvery; see archive
}

// Result says what [Write] has written.
type Result struct {
	Summary
	Path  string // as Target gives it
	Index string // empty when the run did not get to its end
	// Unfinished is the archive under its temporary name when the run ended early and the next one goes on with it, and
	// Saved how many devices it holds then.
	Unfinished string
	Saved      int
}

// Write makes a fleet and writes it to a folder or an archive, with an index (see [Index]) beside it:
//
//	<path>/certs/00000/<id>.cert.pem                 the certificate alone
//	<path>/certs/00000/<id>-full-chain.cert.pem      with its intermediates and root
//	<path>/certs/00000/<id>.cert.pfx                 when PFX is asked for
//	<path>/private/00000/<id>.key.pem                the key, mode 0600
//	<path>/private/00000/<id>.pfx.password           when it was made up, mode 0600
//	<path>/index.csv                                 the index
//	<path>/fleet.json                                what the fleet is, so that a later run can tell
//
// Each thousand devices have a folder of their own. An archive holds the same names without the last two; its index
// is the file <path>.index.csv. A part of a fleet ([Shard]) has its number in the names of
// the last two, so that all parts can go to the same folder, and their archives can be unpacked in the same place.
//
// A run that ends early, by an error or because ctx ends, keeps the devices of a folder that are whole, and the next
// call with the same options goes on: a device that is there is checked (the signature of the CA, the key, the chain,
// the PFX) and kept, one that is damaged is made again. A certificate that is not of this fleet, or whose key is
// missing, is never replaced; it counts as failed.
//
// An archive appears only when it is complete. Until then it has the name .<name>.part, and a journal beside it lists
// how much of it is whole: after an interrupt nothing is lost, after a kill a second's work, and after a power cut
// some seconds' work. The next call for the same fleet in the same format compares what is there with the checksums
// of the journal, cuts off what is behind, and goes on, also with Force. An unfinished archive of another fleet gives
// [ErrExists], and with Force is moved away. No device is in an archive twice, and all are in order.
//
// The devices of a folder are synced to the disk once, at the end. After a power cut the next call finds what was
// lost.
func Write(ctx context.Context, opts Options, target Target) (Result, error) {
	result := Result{Path: target.Path}
	r, err := newRun(opts)
	if err != nil {
		return result, err
	}
	if target.Format == "" {
		target.Format = FormatFiles
	}
	out, err := open(ctx, r, target)
	if err != nil {
		return result, fmt.Errorf("write fleet to %q: %w", target.Path, err)
	}
	defer out.abandon()
	result.Summary, err = r.run(ctx, out)
	if err != nil && !errors.Is(err, ErrSomeFailed) {
		result.Unfinished, result.Saved = out.abandon()
		return result, err
	}
	if commitErr := out.commit(ctx); commitErr != nil {
		result.Unfinished, result.Saved = out.abandon()
		return result, fmt.Errorf("write fleet to %q: %w", target.Path, commitErr)
	}
	result.Index = out.indexPath()
	return result, err
}

// output is where a fleet goes. abandon after commit or abandon does nothing; it returns what it leaves of an archive.
type output interface {
	Sink
	stager
	commit(ctx context.Context) error
	abandon() (unfinished string, saved int)
	indexPath() string
}

func open(ctx context.Context, r *run, target Target) (output, error) {
	if target.Path == "" {
		return nil, errors.New("no place given")
	}
	switch target.Format {
	case FormatFiles:
		return openFolder(ctx, r, target)
	case FormatTar:
		return openArchive(ctx, r, target, &tarWriter{})
	case FormatZip:
		return openArchive(ctx, r, target, &zipWriter{})
	}
	_, err := ParseFormat(string(target.Format))
	return nil, err
}

func (r *run) now() time.Time {
	if r.opts.Now == nil {
		return time.Now()
	}
	return r.opts.Now()
}

// archiveIndex returns the name of the index of an archive.
func archiveIndex(path string) string { return path + ".index.csv" }

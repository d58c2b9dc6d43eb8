package fleet

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"time"
)

const tarBlock = 512

// tarWriter writes POSIX ustar members. The header of a file is that of archive/tar for a file like it, with another
// name, size and checksum; archive/tar itself writes the rare member whose name needs an extended header.
type tarWriter struct {
	mtime          time.Time
	public, secret tarTemplate
}

// tarTemplate is the header of a file without name and size.
type tarTemplate struct {
	block [tarBlock]byte
	sum   int // of its bytes, with spaces in the place of the checksum and nothing in that of the size
}

// Places of a header block (POSIX.1-2008, pax, ustar interchange format).
const (
	tarNameSize   = 100
	tarSizeAt     = 124 // 11 octal digits and NUL
	tarChecksumAt = 148 // 6 octal digits, NUL, space
)

func (t *tarWriter) begin(mtime time.Time, _ func() (*os.File, error)) {
	t.mtime = mtime.UTC().Truncate(time.Second)
	for private, template := range map[bool]*tarTemplate{false: &t.public, true: &t.secret} {
		block := template.block[:]
		var out bytes.Buffer
		// The header of an empty file with a short name is one block.
		if err := tar.NewWriter(&out).WriteHeader(t.header("x", 0, private)); err == nil {
			copy(block, out.Bytes())
		}
		block[0] = 0
		copy(block[tarChecksumAt:], "        ")
		template.sum = sumBytes(block) - sumBytes(block[tarSizeAt:tarSizeAt+11])
	}
}

func (t *tarWriter) header(name string, size int, private bool) *tar.Header {
	mode := int64(0o644)
	if private {
		mode = 0o600
	}
	return &tar.Header{
		Typeflag: tar.TypeReg, Name: name, Size: int64(size), Mode: mode, ModTime: t.mtime, Format: tar.FormatUnknown,
	}
}

func (t *tarWriter) encode(d *Device) error {
	for _, f := range d.Files.All() {
		var err error
		if d.staged, err = t.appendHeader(d.staged, f); err != nil {
			return err
		}
		d.staged = append(d.staged, f.Data...)
		if rest := len(f.Data) % tarBlock; rest > 0 {
			d.staged = append(d.staged, make([]byte, tarBlock-rest)...)
		}
	}
	return nil
}

func (t *tarWriter) appendHeader(dst []byte, f *File) ([]byte, error) {
	if len(f.Name) >= tarNameSize || len(f.Data) >= 1<<30 {
		var out bytes.Buffer
		if err := tar.NewWriter(&out).WriteHeader(t.header(f.Name, len(f.Data), f.Private)); err != nil {
			return nil, fmt.Errorf("encode tar header of %q: %v", f.Name, err)
		}
		return append(dst, out.Bytes()...), nil
	}
	template := &t.public
	if f.Private {
		template = &t.secret
	}
	at := len(dst)
	dst = append(dst, template.block[:]...)
	block := dst[at:]
	copy(block, f.Name)
	putOctal(block[tarSizeAt:tarSizeAt+11], len(f.Data))
	sum := template.sum + sumBytes(block[:len(f.Name)]) + sumBytes(block[tarSizeAt:tarSizeAt+11])
	putOctal(block[tarChecksumAt:tarChecksumAt+6], sum)
	block[tarChecksumAt+6] = 0
	return dst, nil
}

func sumBytes(b []byte) int {
	sum := 0
	for _, c := range b {
		sum += int(c)
	}
	return sum
}

// putOctal writes n in octal digits that fill dst.
func putOctal(dst []byte, n int) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = '0' + byte(n&7)
		n >>= 3
	}
}

func (t *tarWriter) folder(w io.Writer, name string, private bool) error {
	mode := int64(0o755)
	if private {
		mode = 0o700
	}
	return tar.NewWriter(w).WriteHeader(&tar.Header{
		Typeflag: tar.TypeDir, Name: name + "/", Mode: mode, ModTime: t.mtime,
	})
}

func (t *tarWriter) device(w io.Writer, d *Device) error {
	_, err := w.Write(d.staged)
	return err
}

// A tar file has nothing that waits until its end.
func (t *tarWriter) record(*record) error  { return nil }
func (t *tarWriter) goOn(record, *os.File) {}
func (t *tarWriter) sync() error           { return nil }

func (t *tarWriter) end(w io.Writer) error {
	_, err := w.Write(make([]byte, 2*tarBlock))
	return err
}

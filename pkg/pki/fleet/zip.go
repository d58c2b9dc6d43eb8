package fleet

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"time"
)

// zipWriter writes a zip file (APPNOTE.TXT 6.3.9) whose members are stored: base64 of keys and signatures does not
// shrink enough to be worth the time. Its directory stands at the end and grows with the fleet, so it waits in a
// temporary file; archive/zip would hold it in memory.
type zipWriter struct {
	date, clock uint16
	unix        uint32
	newSpill    func() (*os.File, error)
	spill       *os.File
	spilled     measured
	directory   *bufio.Writer
	offset      uint64 // in the archive
	size        uint64 // of the directory
	members     uint64
}

const (
	zipLocal     = 0x04034b50
	zipCentral   = 0x02014b50
	zipEnd       = 0x06054b50
	zip64End     = 0x06064b50
	zip64Locator = 0x07064b50

	zipVersion    = 20
	zipVersion64  = 45
	zipUnix       = 3 << 8 // upper byte of "version made by"
	zipTimeExtra  = 0x5455 // extended timestamp
	zip64Extra    = 0x0001
	zipExtraSize  = 9
	zipOffsetAt   = 42 // in an entry of the directory
	zipEntrySize  = 46
	zipEntryExtra = 30 // place of the size of the extra fields

	regularFile = 0o100000
	directory   = 0o040000
)

func (z *zipWriter) begin(mtime time.Time, spill func() (*os.File, error)) {
	t := mtime.UTC()
	if t.Year() < 1980 || t.Year() > 2107 {
		t = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	z.date = uint16(t.Year()-1980)<<9 | uint16(t.Month())<<5 | uint16(t.Day())
	z.clock = uint16(t.Hour())<<11 | uint16(t.Minute())<<5 | uint16(t.Second()/2)
	z.unix = uint32(min(max(mtime.Unix(), 0), math.MaxInt32))
	z.newSpill = spill
}

// encode appends the members of a device to d.staged and their directory entries, with offsets that count from the
// beginning of the device, to d.central.
func (z *zipWriter) encode(d *Device) error {
	for _, f := range d.Files.All() {
		mode := uint32(regularFile | 0o644)
		if f.Private {
			mode = regularFile | 0o600
		}
		d.central = z.appendEntry(d.central, f.Name, f.Data, mode, uint32(len(d.staged)))
		d.staged = z.appendLocal(d.staged, f.Name, f.Data)
		d.staged = append(d.staged, f.Data...)
	}
	return nil
}

func (z *zipWriter) appendLocal(dst []byte, name string, data []byte) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, zipLocal)
	dst = le.AppendUint16(dst, zipVersion)
	dst = z.appendCommon(dst, name, data)
	dst = append(dst, name...)
	return z.appendTime(dst)
}

func (z *zipWriter) appendEntry(dst []byte, name string, data []byte, mode, offset uint32) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, zipCentral)
	dst = le.AppendUint16(dst, zipUnix|zipVersion)
	dst = le.AppendUint16(dst, zipVersion)
	dst = z.appendCommon(dst, name, data)
	dst = le.AppendUint16(dst, 0) // comment
	dst = le.AppendUint16(dst, 0) // disk
	dst = le.AppendUint16(dst, 0) // internal attributes
	external := mode << 16
	if mode&directory != 0 && mode&regularFile == 0 {
		external |= 0x10 // of MS-DOS
	}
	dst = le.AppendUint32(dst, external)
	dst = le.AppendUint32(dst, offset)
	dst = append(dst, name...)
	return z.appendTime(dst)
}

// appendCommon appends what both headers of a member have, from the flags to the length of the extra fields.
func (z *zipWriter) appendCommon(dst []byte, name string, data []byte) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint16(dst, 0) // flags
	dst = le.AppendUint16(dst, 0) // stored
	dst = le.AppendUint16(dst, z.clock)
	dst = le.AppendUint16(dst, z.date)
	dst = le.AppendUint32(dst, crc32.ChecksumIEEE(data))
	dst = le.AppendUint32(dst, uint32(len(data)))
	dst = le.AppendUint32(dst, uint32(len(data)))
	dst = le.AppendUint16(dst, uint16(len(name)))
	return le.AppendUint16(dst, zipExtraSize)
}

func (z *zipWriter) appendTime(dst []byte) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint16(dst, zipTimeExtra)
	dst = le.AppendUint16(dst, 5)
	dst = append(dst, 1) // the modification time follows
	return le.AppendUint32(dst, z.unix)
}

func (z *zipWriter) folder(w io.Writer, name string, private bool) error {
	mode := uint32(directory | 0o755)
	if private {
		mode = directory | 0o700
	}
	d := Device{
		staged:  z.appendLocal(nil, name+"/", nil),
		central: z.appendEntry(nil, name+"/", nil, mode, 0),
	}
	return z.device(w, &d)
}

func (z *zipWriter) device(w io.Writer, d *Device) error {
	if z.spill == nil {
		spill, err := z.newSpill()
		if err != nil {
			return err
		}
		z.setSpill(spill, extent{})
	}
	if _, err := w.Write(d.staged); err != nil {
		return err
	}
	for entries := d.central; len(entries) > 0; {
		size := entrySize(entries)
		if err := z.entry(entries[:size]); err != nil {
			return err
		}
		entries = entries[size:]
	}
	z.offset += uint64(len(d.staged))
	return nil
}

func (z *zipWriter) setSpill(file *os.File, begun extent) {
	z.spill, z.spilled = file, measured{w: file, extent: begun}
	z.directory = bufio.NewWriterSize(&z.spilled, 256<<10)
}

func (z *zipWriter) record(rec *record) error {
	if z.spill == nil {
		return nil
	}
	rec.Members = z.members
	err := z.directory.Flush()
	rec.Directory = z.spilled.extent
	return err
}

func (z *zipWriter) goOn(rec record, spill *os.File) {
	z.offset, z.size, z.members = uint64(rec.Archive.Size), uint64(rec.Directory.Size), rec.Members
	z.setSpill(spill, rec.Directory)
}

func (z *zipWriter) sync() error {
	if z.spill == nil {
		return nil
	}
	return z.spill.Sync()
}

func entrySize(entry []byte) int {
	le := binary.LittleEndian
	return zipEntrySize + int(le.Uint16(entry[28:])) + int(le.Uint16(entry[zipEntryExtra:]))
}

// entry writes one entry of the directory, with the offset of its member in the archive.
func (z *zipWriter) entry(entry []byte) error {
	le := binary.LittleEndian
	offset := z.offset + uint64(le.Uint32(entry[zipOffsetAt:]))
	if offset < math.MaxUint32 {
		le.PutUint32(entry[zipOffsetAt:], uint32(offset))
	} else {
		le.PutUint32(entry[zipOffsetAt:], math.MaxUint32)
		le.PutUint16(entry[6:], zipVersion64)
		le.PutUint16(entry[zipEntryExtra:], zipExtraSize+12)
	}
	if _, err := z.directory.Write(entry); err != nil {
		return err
	}
	z.size += uint64(len(entry))
	z.members++
	if offset < math.MaxUint32 {
		return nil
	}
	extra := le.AppendUint16(make([]byte, 0, 12), zip64Extra)
	extra = le.AppendUint16(extra, 8)
	extra = le.AppendUint64(extra, offset)
	z.size += uint64(len(extra))
	_, err := z.directory.Write(extra)
	return err
}

// end appends the directory.
func (z *zipWriter) end(w io.Writer) error {
	if err := z.directory.Flush(); err != nil {
		return err
	}
	if _, err := z.spill.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if n, err := io.Copy(w, z.spill); err != nil || uint64(n) != z.size {
		return fmt.Errorf("copy directory: %d of %d bytes: %v", n, z.size, err)
	}
	le := binary.LittleEndian
	var out []byte
	if z.members >= math.MaxUint16 || z.size >= math.MaxUint32 || z.offset >= math.MaxUint32 {
		out = z.appendEnd64(out)
	}
	members := uint16(min(z.members, math.MaxUint16))
	out = le.AppendUint32(out, zipEnd)
	out = le.AppendUint32(out, 0) // this disk, and that of the directory
	out = le.AppendUint16(out, members)
	out = le.AppendUint16(out, members)
	out = le.AppendUint32(out, uint32(min(z.size, math.MaxUint32)))
	out = le.AppendUint32(out, uint32(min(z.offset, math.MaxUint32)))
	out = le.AppendUint16(out, 0) // comment
	_, err := w.Write(out)
	return err
}

func (z *zipWriter) appendEnd64(out []byte) []byte {
	le := binary.LittleEndian
	out = le.AppendUint32(out, zip64End)
	out = le.AppendUint64(out, 44) // of what follows
	out = le.AppendUint16(out, zipUnix|zipVersion64)
	out = le.AppendUint16(out, zipVersion64)
	out = le.AppendUint64(out, 0) // disks
	out = le.AppendUint64(out, z.members)
	out = le.AppendUint64(out, z.members)
	out = le.AppendUint64(out, z.size)
	out = le.AppendUint64(out, z.offset)
	out = le.AppendUint32(out, zip64Locator)
	out = le.AppendUint32(out, 0) // disk
	out = le.AppendUint64(out, z.offset+z.size)
	return le.AppendUint32(out, 1) // disks
}

// Close closes the temporary file.
func (z *zipWriter) Close() error {
	if z.spill == nil {
		return nil
	}
	err := z.spill.Close()
	z.spill = nil
	return err
}

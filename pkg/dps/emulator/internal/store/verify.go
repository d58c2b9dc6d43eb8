package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
)

// bbolt maps its file into memory and trusts it: a damaged page ends the
// process. So the file is read here first, page by page and with every length
// checked, in the layout of bbolt's file version 2.
const (
	boltMagic      = 0xED0CDAED
	boltVersion    = 2
	pageHeader     = 16
	elementSize    = 16
	bucketHeader   = 16
	metaBodySize   = 56 // what the checksum of a meta page covers
	branchFlag     = 0x01
	leafFlag       = 0x02
	bucketFlag     = 0x01
	noFreelist     = ^uint64(0)
	minPageSize    = 1 << 10
	maxPageSize    = 64 << 10
	maxVerifyDepth = 32
)

var native = binary.NativeEndian

// verifier walks one file.
type verifier struct {
	file     io.ReaderAt
	pageSize int64
	pages    uint64 // first page number beyond the used part
	seen     []bool // pages that something already points to
	visit    func(table, key string, value []byte) error
}

// verifyFile checks the structure of a bbolt file of the given size and calls
// visit for each value in each top-level bucket. Errors wrap ErrCorrupt or
// ErrForeign, or come from visit or from reading.
func verifyFile(file io.ReaderAt, size int64, visit func(table, key string, value []byte) error) error {
	meta, err := newestMeta(file, size)
	if err != nil {
		return err
	}
	v := &verifier{file: file, pageSize: meta.pageSize, pages: meta.pages, visit: visit}
	if meta.pages < 3 || meta.pages > uint64(size/meta.pageSize) {
		return corrupt("file ends before page %d", meta.pages)
	}
	if meta.freelist != noFreelist {
		return fmt.Errorf("%w: it keeps a free list", ErrForeign)
	}
	v.seen = make([]bool, meta.pages)
	v.seen[0], v.seen[1] = true, true
	return v.page(meta.root, 0, "", nil, nil)
}

type metaPage struct {
	pageSize                    int64
	root, freelist, pages, txid uint64
}

// newestMeta returns the valid meta page with the highest transaction number.
// One invalid page is what a crash during a commit leaves behind.
func newestMeta(file io.ReaderAt, size int64) (metaPage, error) {
	first, magic, err := readMeta(file, 0)
	if err != nil {
		return metaPage{}, err
	}
	best, found := first, first.pageSize != 0
	for ps := int64(minPageSize); ps <= maxPageSize && ps < size; ps <<= 1 {
		if found && first.pageSize != 0 && ps != first.pageSize {
			continue
		}
		second, m, err := readMeta(file, ps)
		if err != nil {
			return metaPage{}, err
		}
		magic = magic || m
		if second.pageSize == ps && (!found || second.txid > best.txid) {
			best, found = second, true
		}
	}
	switch {
	case found:
		return best, nil
	case magic:
		return metaPage{}, corrupt("both meta pages are invalid")
	default:
		return metaPage{}, ErrForeign
	}
}

// readMeta reads the meta page at off; pageSize is 0 if it is not valid. A
// page that lies beyond the end of the file is not valid.
func readMeta(file io.ReaderAt, off int64) (m metaPage, magic bool, err error) {
	var buf [pageHeader + metaBodySize + 8]byte
	if _, err := file.ReadAt(buf[:], off); err == io.EOF {
		return metaPage{}, false, nil
	} else if err != nil {
		return metaPage{}, false, err
	}
	body := buf[pageHeader:]
	magic = native.Uint32(body) == boltMagic
	sum := fnv.New64a()
	sum.Write(body[:metaBodySize])
	ps := int64(native.Uint32(body[8:]))
	if !magic || native.Uint32(body[4:]) != boltVersion ||
		native.Uint64(body[metaBodySize:]) != sum.Sum64() ||
		ps < minPageSize || ps > maxPageSize || ps&(ps-1) != 0 {
		return metaPage{}, magic, nil
	}
	return metaPage{
		pageSize: ps,
		root:     native.Uint64(body[16:]),
		freelist: native.Uint64(body[32:]),
		pages:    native.Uint64(body[40:]),
		txid:     native.Uint64(body[48:]),
	}, magic, nil
}

// page checks the tree under page id: in table "" the values are buckets.
// Keys must lie in [low, high); nil means no bound.
func (v *verifier) page(id uint64, depth int, table string, low, high []byte) error {
	if depth > maxVerifyDepth {
		return corrupt("page %d lies too deep", id)
	}
	data, err := v.load(id)
	if err != nil {
		return err
	}
	return v.node(data, id, depth, table, low, high)
}

// load reads page id with its overflow and notes that it is in use.
func (v *verifier) load(id uint64) ([]byte, error) {
	if id < 2 || id >= v.pages {
		return nil, corrupt("page %d is out of bounds", id)
	}
	head := make([]byte, v.pageSize)
	if _, err := v.file.ReadAt(head, int64(id)*v.pageSize); err != nil {
		return nil, err
	}
	overflow := uint64(native.Uint32(head[12:]))
	if native.Uint64(head) != id || overflow >= v.pages-id {
		return nil, corrupt("header of page %d is invalid", id)
	}
	for i := id; i <= id+overflow; i++ {
		if v.seen[i] {
			return nil, corrupt("page %d is used twice", i)
		}
		v.seen[i] = true
	}
	if overflow == 0 {
		return head, nil
	}
	data := make([]byte, v.pageSize*int64(overflow+1))
	_, err := v.file.ReadAt(data, int64(id)*v.pageSize)
	return data, err
}

// node checks one page image, which for a small bucket lies inside a value.
func (v *verifier) node(data []byte, id uint64, depth int, table string, low, high []byte) error {
	flags, count := native.Uint16(data[8:]), int(native.Uint16(data[10:]))
	if pageHeader+count*elementSize > len(data) {
		return corrupt("page %d has too many elements", id)
	}
	switch flags {
	case branchFlag:
		return v.branch(data, id, count, depth, table, low, high)
	case leafFlag:
		return v.leaf(data, id, count, depth, table, low, high)
	default:
		return corrupt("page %d has type %#x", id, flags)
	}
}

func (v *verifier) branch(data []byte, id uint64, count, depth int, table string, low, high []byte) error {
	if count == 0 {
		return corrupt("branch page %d is empty", id)
	}
	keys, children := make([][]byte, count), make([]uint64, count)
	for i := range count {
		at := pageHeader + i*elementSize
		key, ok := slice(data, at, native.Uint32(data[at:]), native.Uint32(data[at+4:]))
		if !ok || !between(key, low, high) {
			return corrupt("key %d of page %d is invalid", i, id)
		}
		keys[i], children[i], low = key, native.Uint64(data[at+8:]), key
	}
	for i, child := range children {
		top := high
		if i+1 < count {
			top = keys[i+1]
		}
		if err := v.page(child, depth+1, table, keys[i], top); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) leaf(data []byte, id uint64, count, depth int, table string, low, high []byte) error {
	for i := range count {
		at := pageHeader + i*elementSize
		pos, ksize, vsize := native.Uint32(data[at+4:]), native.Uint32(data[at+8:]), native.Uint32(data[at+12:])
		key, ok := slice(data, at, pos, ksize)
		value, ok2 := slice(data, at, pos+ksize, vsize)
		if !ok || !ok2 || uint64(pos)+uint64(ksize) > uint64(len(data)) || !between(key, low, high) ||
			(i > 0 && bytes.Equal(key, low)) {
			return corrupt("element %d of page %d is invalid", i, id)
		}
		low = key
		isBucket := native.Uint32(data[at:]) == bucketFlag
		if isBucket != (table == "") {
			return corrupt("element %d of page %d has the wrong kind", i, id)
		}
		var err error
		if isBucket {
			err = v.bucket(string(key), value, id, depth)
		} else {
			err = v.visit(table, string(key), value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bucket follows the value of a bucket element to its page.
func (v *verifier) bucket(name string, value []byte, id uint64, depth int) error {
	if len(value) < bucketHeader || name == "" {
		return corrupt("bucket in page %d is invalid", id)
	}
	if root := native.Uint64(value); root != 0 {
		return v.page(root, depth+1, name, nil, nil)
	}
	inline := value[bucketHeader:]
	if len(inline) < pageHeader || native.Uint16(inline[8:]) != leafFlag {
		return corrupt("inline bucket in page %d is invalid", id)
	}
	return v.node(inline, id, depth+1, name, nil, nil)
}

// slice cuts size bytes at pos, counted from at, out of data.
func slice(data []byte, at int, pos, size uint32) ([]byte, bool) {
	from := int64(at) + int64(pos)
	to := from + int64(size)
	if to > int64(len(data)) {
		return nil, false
	}
	return data[from:to:to], true
}

func between(key, low, high []byte) bool {
	return (low == nil || bytes.Compare(key, low) >= 0) && (high == nil || bytes.Compare(key, high) < 0)
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

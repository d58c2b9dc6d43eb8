package fleet

const (
	// listChunk is the size of the pieces that the text of a list lies in, so that it grows without being copied.
	listChunk = 64 << 10
	// listBlock is how many IDs are written after one that stands there whole.
	listBlock = 32
	maxListID = 64
	// maxBlockSize is the size of a block in bytes; a block lies in one chunk.
	maxBlockSize = listBlock * (2 + maxListID)
)

// List is registration IDs that were read by [ReadIDs]. It holds them packed: of each one only what differs from the
// one before, which for serial numbers is some three bytes.
type List struct {
	chunks [][]byte
	heads  []uint32 // where the blocks begin: chunk and offset
	n      int
	last   []byte // the last ID
}

// Len returns the number of IDs.
func (l *List) Len() int { return l.n }

// ID returns the ID at index i, counted from 0.
func (l *List) ID(i int) string {
	var buf [maxListID]byte
	return string(l.appendID(buf[:0], i))
}

// appendID decodes an ID into dst[:0].
func (l *List) appendID(dst []byte, i int) []byte {
	head := l.heads[i/listBlock]
	at := l.chunks[head/listChunk][head%listChunk:]
	for range i%listBlock + 1 {
		same, more := int(at[0]), int(at[1])
		dst = append(dst[:same], at[2:2+more]...)
		at = at[2+more:]
	}
	return dst
}

// add appends an ID of at most maxListID bytes.
func (l *List) add(id []byte) {
	same := 0
	if l.n%listBlock == 0 {
		if n := len(l.chunks); n == 0 || cap(l.chunks[n-1])-len(l.chunks[n-1]) < maxBlockSize {
			l.chunks = append(l.chunks, make([]byte, 0, listChunk))
		}
		n := len(l.chunks) - 1
		l.heads = append(l.heads, uint32(n*listChunk+len(l.chunks[n]))) // below 4 GiB for MaxDevices of 64 characters
	} else {
		for same < len(id) && same < len(l.last) && id[same] == l.last[same] {
			same++
		}
	}
	chunk := &l.chunks[len(l.chunks)-1]
	*chunk = append(*chunk, byte(same), byte(len(id)-same))
	*chunk = append(*chunk, id[same:]...)
	l.last = append(l.last[:0], id...)
	l.n++
}

// idSet finds IDs that are there already, by their hashes. It is many small tables, of which one grows at a time.
type idSet struct {
	tables [256]struct {
		slots []uint32 // index of an ID and 1, or 0
		used  int
	}
}

// insert adds the ID with index i unless an equal one is there, whose index it returns then. hashOf is only called
// when a table grows.
func (s *idSet) insert(hash uint64, i int, equal func(j int) bool, hashOf func(j int) uint64) (first int, found bool) {
	t := &s.tables[hash>>56]
	if t.used*4 >= len(t.slots)*3 {
		old := t.slots
		t.slots = make([]uint32, max(16, 2*len(old)))
		for _, j := range old {
			if j > 0 {
				place(t.slots, hashOf(int(j-1)), func(uint32) bool { return false }, j)
			}
		}
	}
	if j := place(t.slots, hash, func(j uint32) bool { return equal(int(j - 1)) }, uint32(i+1)); j > 0 {
		return int(j - 1), true
	}
	t.used++
	return 0, false
}

// place puts a value into the first free slot, or returns the one before it that is equal.
func place(slots []uint32, hash uint64, equal func(uint32) bool, value uint32) uint32 {
	mask := uint64(len(slots) - 1)
	for at := hash & mask; ; at = (at + 1) & mask {
		switch j := slots[at]; {
		case j == 0:
			slots[at] = value
			return 0
		case equal(j):
			return j
		}
	}
}

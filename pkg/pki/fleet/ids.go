package fleet

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/dpskit/dpskit/pkg/pki"
)

// MaxDevices is the largest fleet. The service itself stops at a million registrations.
const MaxDevices = 10_000_000

// IDs is an ordered list of registration IDs, no two of them equal in any letter case. It may be asked by several
// goroutines at once.
type IDs interface {
	Len() int
	// ID returns the ID at index i, counted from 0.
	ID(i int) string
}

// numbered is a prefix and a range of numbers.
type numbered struct {
	prefix       string
	start, count int
	digits       int
}

// Numbered returns count registration IDs: the prefix and a number, from start on, with leading zeros so that all
// have the same length: "dev-", 1 and 100 give dev-001 to dev-100. It takes no memory.
//
// A prefix that makes no registration ID gives [pki.ErrInvalidID].
func Numbered(prefix string, start, count int) (IDs, error) {
	switch {
	case count < 1 || count > MaxDevices:
		return nil, fmt.Errorf("number devices: %d devices, want 1 to %d", count, MaxDevices)
	case start < 0 || start > 1_000_000_000_000:
		return nil, fmt.Errorf("number devices: they cannot start with %d", start)
	}
	n := numbered{prefix: prefix, start: start, count: count}
	n.digits = len(strconv.Itoa(start + count - 1))
	// All IDs have the same length, and they differ in digits only.
	if err := pki.CheckRegistrationID(n.ID(0)); err != nil {
		return nil, fmt.Errorf("number devices with prefix %q: %w", clip(prefix), err)
	}
	return n, nil
}

func (n numbered) Len() int { return n.count }

func (n numbered) ID(i int) string {
	number := strconv.Itoa(n.start + i)
	if len(number) == n.digits {
		return n.prefix + number
	}
	var out strings.Builder
	out.Grow(len(n.prefix) + n.digits)
	out.WriteString(n.prefix)
	for range n.digits - len(number) {
		out.WriteByte('0')
	}
	out.WriteString(number)
	return out.String()
}

// clip shortens text from users before it goes into an error.
func clip(s string) string {
	const limit = 100
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}

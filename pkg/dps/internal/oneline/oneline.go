// Package oneline makes text from a server safe to put into an error, a log
// line or a terminal.
package oneline

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Ellipsis ends text that was cut.
const Ellipsis = "…"

// Clean returns s as one line of at most limit bytes: runs of white space
// become one space, control characters (so every terminal escape sequence
// loses its ESC), format characters such as the bidirectional overrides, and
// invalid UTF-8 are dropped. A limit of 0 means no limit.
func Clean(s string, limit int) string {
	if limit > 0 && len(s) > 4*limit {
		s = s[:4*limit] // enough input for any output of limit bytes; the rest is never shown
	}
	var b strings.Builder
	space := false
	for i, r := range s {
		switch {
		case unicode.IsSpace(r):
			space = b.Len() > 0
			continue
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)):
			continue
		case unicode.Is(unicode.Cc, r), unicode.Is(unicode.Cf, r):
			continue
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteRune(r)
	}
	return cut(b.String(), limit)
}

// cut shortens s to limit bytes at a rune boundary and says so.
func cut(s string, limit int) string {
	if limit <= 0 || len(s) <= limit {
		return s
	}
	end := max(limit-len(Ellipsis), 0)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return strings.TrimRight(s[:end], " ") + Ellipsis
}

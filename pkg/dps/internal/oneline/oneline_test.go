package oneline_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/dpskit/dpskit/pkg/dps/internal/oneline"
)

func TestClean(t *testing.T) {
	tests := []struct {
		name, in string
		limit    int
		want     string
	}{
		{"plain", "a b", 0, "a b"},
		{"white space", " \ta \r\n\n b\u2028c ", 0, "a b c"},
		{"escape sequence", "a\x1b[31mred\x1b]0;t\x07", 0, "a[31mred]0;t"},
		{"bidi and zero width", "a\u202eb\u200dc\ufeff", 0, "abc"},
		{"invalid UTF-8", "a\xff\xc3b", 0, "ab"},
		{"replacement character", "a\ufffdb", 0, "a\ufffdb"},
		{"at the limit", "abcde", 5, "abcde"},
		{"beyond the limit", "abcdefgh", 6, "abc…"},
		{"cut inside a rune", "ääää", 6, "ä…"},
		{"tiny limit", "abc", 2, "…"},
		{"only rubbish", "\x00\x01", 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := oneline.Clean(tt.in, tt.limit); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	if got := oneline.Clean(strings.Repeat("x", 1<<20), 100); len(got) > 100 {
		t.Errorf("%d bytes", len(got))
	}
}

func FuzzClean(f *testing.F) {
	f.Add("a\x1b[31m\u202e\xff \n", 10)
	f.Add("ääää…", 3)
	f.Fuzz(func(t *testing.T, in string, limit int) {
		got := oneline.Clean(in, limit)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf) }) {
			t.Fatalf("not clean: %q", got)
		}
		if limit > 3 && len(got) > limit {
			t.Fatalf("%d bytes, limit %d", len(got), limit)
		}
		if strings.TrimSpace(got) != got {
			t.Fatalf("spaces at the ends of %q", got)
		}
		if again := oneline.Clean(got, 0); again != got {
			t.Fatalf("%q becomes %q", got, again)
		}
	})
}

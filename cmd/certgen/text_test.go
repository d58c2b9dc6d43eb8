package main

import "testing"

func TestShellQuote(t *testing.T) {
	tests := []struct{ word, want string }{
		{"dev-1", "dev-1"},
		{"./pki/certs/a.pem", "./pki/certs/a.pem"},
		{"", "''"},
		{"my folder", "'my folder'"},
		{"it's", `'it'\''s'`},
		{"$(rm -rf x)", "'$(rm -rf x)'"},
		{"a;b", "'a;b'"},
		{"~", "'~'"},
	}
	for _, tt := range tests {
		if got := shellQuote(tt.word); got != tt.want {
			t.Errorf("shellQuote(%q) = %s, want %s", tt.word, got, tt.want)
		}
	}
	if got, want := commandLine("certgen", "list", "--dir", "a b"), "certgen list --dir 'a b'"; got != want {
		t.Errorf("commandLine() = %s, want %s", got, want)
	}
}

func TestPage(t *testing.T) {
	var p page
	p.linef("device %s", "a\x1b[2J")
	p.fields("  ", "key", "a\tb\nc", "empty", "", "long name", "\u202ex")
	want := "device a\\u001b[2J\n  key        a b\\u000ac\n  long name  \\u202ex\n"
	if got := p.String(); got != want {
		t.Errorf("page = %q, want %q", got, want)
	}
}

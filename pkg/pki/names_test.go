package pki_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/pki"
)

func TestCheckRegistrationID(t *testing.T) {
	good := []string{
		"a", "7", "-", "dev-1", "Dev_1", "a.b", "a:b", "a-", "00:11:22:aa:bb:cc", "sn-007-888-abc-mac-a1-b2",
		strings.Repeat("a", 64), ".a", "_a", ":a", "..a", "CON", "nul",
	}
	for _, id := range good {
		if err := pki.CheckRegistrationID(id); err != nil {
			t.Errorf("CheckRegistrationID(%q): %v", id, err)
		}
	}
	tests := []struct{ name, id, want string }{
		{"empty", "", "it is empty"},
		{"65", strings.Repeat("a", 65), "must be the common name"},
		{"128", strings.Repeat("a", 128), "X.509 allows 64"},
		{"129", strings.Repeat("a", 129), "it has 129 characters; use 1 to 64"},
		{"long", strings.Repeat("a", 1<<20), "it has 1048576 characters"},
		{"ends with dot", "a.", "it ends with '.'"},
		{"ends with colon", "a:", "it ends with ':'"},
		{"ends with underscore", "a_", "it ends with '_'"},
		{"dot", ".", "it ends with '.'"},
		{"dot dot", "..", "it ends with '.'"},
		{"parent folder", "../x", "character '/'"},
		{"absolute", "/abs", "character '/'"},
		{"backslash", `a\b`, `character '\\'`},
		{"drive", `C:\x`, `character '\\'`},
		{"percent", "%2e%2e", "character '%'"},
		{"space", "a b", "character ' '"},
		{"at", "a@b", "character '@'"},
		{"comma", "a,b", "character ','"},
		{"star", "a*", "character '*'"},
		{"nul", "a\x00b", `character '\x00'`},
		{"newline", "a\nb", `character '\n'`},
		{"escape", "a\x1b[31m", `character '\x1b'`},
		{"right-to-left override", "a\u202eb", `character '\u202e'`},
		{"umlaut", "mün", `character '\u00fc'`},
		{"decomposed umlaut", "mu\u0308n", `character '\u0308'`},
		{"full width", "Ａ", `character '\uff21'`},
		{"emoji", "dev😀", `character '\U0001f600'`},
		{"invalid UTF-8", "a\xffb", `character '\ufffd'`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := pki.CheckRegistrationID(tt.id)
			if !errors.Is(err, pki.ErrInvalidID) {
				t.Fatalf("got %v, want ErrInvalidID", err)
			}
			if msg := err.Error(); !strings.Contains(msg, tt.want) || strings.ContainsAny(msg, "\n\x1b\x00\u202e") ||
				len(msg) > 500 {
				t.Errorf("got %q, want one short line with %q", msg, tt.want)
			}
		})
	}
}

func TestNormalizeVerificationCode(t *testing.T) {
	const code = "75B86466DA34D2B04C0C4C9557A119687ADAE7D4732BDDB3"
	for _, in := range []string{code, code + "\n", code + "\r\n", " \t" + code + " ", "\ufeff" + code + "\n", code + "\x00"} {
		got, err := pki.NormalizeVerificationCode(in)
		if err != nil || got != code {
			t.Errorf("NormalizeVerificationCode(%q) = %q, %v", in, got, err)
		}
	}
	// No format is documented, so another spelling is kept as it is.
	if got, err := pki.NormalizeVerificationCode("abc-123"); err != nil || got != "abc-123" {
		t.Errorf("got %q, %v", got, err)
	}
	for _, in := range []string{
		"", " \n", "\ufeff", code + code[:17], "AB CD", "AB\nCD", "A/B", `A\B`, "A\x1bB", "Ä", "😀", "A\u202eB", "\xff",
	} {
		if got, err := pki.NormalizeVerificationCode(in); !errors.Is(err, pki.ErrInvalidID) {
			t.Errorf("NormalizeVerificationCode(%q) = %q, %v, want ErrInvalidID", in, got, err)
		}
	}
}

func TestProfileCommonName(t *testing.T) {
	tests := []struct {
		name    string
		profile pki.Profile
		in      string
		want    string // empty: ErrInvalidID
	}{
		{"device", pki.ProfileDevice, "dev-1", "dev-1"},
		{"device with a space", pki.ProfileDevice, "dev 1", ""},
		{"edge identity", pki.ProfileEdgeIdentity, "gw", "gw"},
		{"edge ca", pki.ProfileEdgeCA, "gw", "gw.ca"},
		{"edge ca, suffix counts", pki.ProfileEdgeCA, strings.Repeat("a", 62), ""},
		{"edge ca, empty", pki.ProfileEdgeCA, "", ""},
		{"verification", pki.ProfileVerification, " CODE\n", "CODE"},
		{"server", pki.ProfileServer, "*.example.com", "*.example.com"},
		{"root", pki.ProfileRoot, "Prüf CA", "Prüf CA"},
		{"root, 64 runes", pki.ProfileRoot, strings.Repeat("ü", 64), strings.Repeat("ü", 64)},
		{"root, 65 runes", pki.ProfileRoot, strings.Repeat("ü", 65), ""},
		{"root, empty", pki.ProfileRoot, "", ""},
		{"root, space around", pki.ProfileRoot, " a", ""},
		{"root, newline", pki.ProfileRoot, "a\nb", ""},
		{"root, override", pki.ProfileRoot, "a\u202eb", ""},
		{"root, invalid UTF-8", pki.ProfileRoot, "a\xff", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.profile.CommonName(tt.in)
			if tt.want == "" {
				if !errors.Is(err, pki.ErrInvalidID) {
					t.Errorf("got %q, %v, want ErrInvalidID", got, err)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}

func TestParseProfile(t *testing.T) {
	for _, p := range pki.AllProfiles() {
		if got, err := pki.ParseProfile(string(p)); err != nil || got != p {
			t.Errorf("ParseProfile(%q) = %q, %v", p, got, err)
		}
	}
	if _, err := pki.ParseProfile("client"); err == nil || !strings.Contains(err.Error(), "edge-identity") {
		t.Errorf("got %v, want an error that lists the profiles", err)
	}
}

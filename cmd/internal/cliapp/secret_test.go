package cliapp_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
)

// What editors and shells put around a secret is no part of it.
func TestSecretFile(t *testing.T) {
	tests := []struct {
		name, content, want, wantErr string
	}{
		{"plain", "pw", "pw", ""},
		{"line end", "pw\n", "pw", ""},
		{"Windows line end", "pw\r\n", "pw", ""},
		{"empty lines behind it", "pw\r\n\r\n\n", "pw", ""},
		{"blanks are part of it", " pw \n", " pw ", ""},
		{"Out-File -Encoding utf8", "\xef\xbb\xbfpässwort\r\n", "pässwort", ""},
		{"Out-File", "\xff\xfep\x00\xe4\x00\r\x00\n\x00", "pä", ""},
		{"big endian", "\xfe\xff\x00p\x00\xe4\x00\n", "pä", ""},
		{"beyond the BMP", "\xff\xfe\x3d\xd8\x00\xde", "😀", ""},
		{"mark alone", "\xef\xbb\xbf", "", ""},
		{"other encodings stay", "p\xe4", "p\xe4", ""},
		{"empty", "", "", ""},
		{"two lines", "pw\nmore\n", "", "it has 2 lines, and a secret is one"},
		{"line before it", "\npw\n", "", "it has 2 lines"},
		{"two lines in UTF-16", "\xff\xfea\x00\n\x00b\x00", "", "it has 2 lines"},
		{"too long", strings.Repeat("a", 64<<10+1), "", "longer than 65536 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "pw")
			if err := os.WriteFile(file, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{file, "-"} {
				env := &cliapp.Env{In: strings.NewReader(tt.content)}
				secret, err := env.Secret(cliapp.SecretSource{File: path})
				if tt.wantErr == "" && err != nil || tt.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tt.wantErr)) {
					t.Errorf("%q: error %v, want %q", path, err, tt.wantErr)
				}
				if string(secret) != tt.want {
					t.Errorf("%q: %q, want %q", path, secret, tt.want)
				}
			}
		})
	}
}

// A new secret is asked for twice, any other once.
func TestSecretPrompt(t *testing.T) {
	tests := []struct {
		name  string
		typed []string
		twice bool
		want  string
		code  int // of the error
		asked int
	}{
		{"once", []string{"a", "b"}, false, "a", 0, 1},
		{"twice the same", []string{"a", "a"}, true, "a", 0, 2},
		{"differ", []string{"a", "b"}, true, "", cliapp.ExitUsage, 2},
		{"empty", []string{"", "b"}, true, "", 0, 1},
		{"end of input", nil, false, "", cliapp.ExitUnauthorized, 1},
		{"end of input the second time", []string{"a"}, true, "", cliapp.ExitUnauthorized, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var prompts bytes.Buffer
			asked := 0
			env := &cliapp.Env{Err: &prompts, InTTY: true, Getenv: func(string) string { return "" }, ReadPassword: func() ([]byte, error) {
				if asked++; asked > len(tt.typed) {
					return nil, io.EOF
				}
				return []byte(tt.typed[asked-1]), nil
			}}
			secret, err := env.Secret(cliapp.SecretSource{Prompt: "New password", Twice: tt.twice})
			if string(secret) != tt.want || asked != tt.asked || (err != nil) != (tt.code != 0) {
				t.Errorf("Secret() = %q, %v, asked %d times; want %q, asked %d times", secret, err, asked, tt.want, tt.asked)
			}
			var coded *cliapp.Error
			if tt.code == cliapp.ExitUnauthorized && (!errors.As(err, &coded) || coded.Code != tt.code) {
				t.Errorf("error %v has not the exit code %d", err, tt.code)
			}
			want := "New password: \n"
			if tt.asked == 2 {
				want += "New password, once more: \n"
			}
			if prompts.String() != want {
				t.Errorf("prompts %q, want %q", prompts.String(), want)
			}
		})
	}
}

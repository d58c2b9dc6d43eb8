package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki"
)

func noPassword(context.Context, string) ([]byte, error) { return nil, cliapp.ErrNoSecret }

// testBundle is a device below a root, with the PFX made of it.
func testBundle(t testing.TB) (*pki.Bundle, []byte) {
	t.Helper()
	root, err := pki.NewRoot(nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := root.Issue(pki.IssueRequest{CommonName: "dev-1"})
	if err != nil {
		t.Fatal(err)
	}
	pfx, err := b.PFX(pki.PFXOptions{Password: "pw"})
	if err != nil {
		t.Fatal(err)
	}
	return b, pfx
}

func TestIsPFX(t *testing.T) {
	b, pfx := testBundle(t)
	key, err := b.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	if !isPFX(pfx) {
		t.Error("a PFX is not taken for one")
	}
	if der, ok := decodeBase64([]byte("\xef\xbb\xbf" + base64.StdEncoding.EncodeToString(pfx) + "\r\n")); !ok || !isPFX(der) {
		t.Error("a PFX in base64 is not taken for one")
	}
	for name, data := range map[string][]byte{
		"certificate": b.Certificate.Raw, "key": key, "nothing": nil, "short": pfx[:4], "one byte": {0x30},
		"long length": {0x30, 0xff, 2, 1, 3, 0, 0, 0, 0}, "text": []byte("hello, world"),
	} {
		if isPFX(data) {
			t.Errorf("%s is taken for a PFX", name)
		}
	}
}

func TestParseContentsPasswords(t *testing.T) {
	_, pfx := testBundle(t)
	give := func(secret string, err error) passwordSource {
		return func(_ context.Context, variable string) ([]byte, error) {
			if variable != envPFXPassword {
				t.Errorf("the password of a PFX is looked for in $%s", variable)
			}
			return []byte(secret), err
		}
	}
	if c, err := parseContents(t.Context(), pfx, give("pw", nil)); err != nil || len(c.Certificates) != 2 || c.Key == nil {
		t.Errorf("parseContents with the password = %+v, %v", c, err)
	}
	for name, tt := range map[string]struct {
		source passwordSource
		want   error
	}{
		"wrong":       {give("no", nil), pki.ErrWrongPassphrase},
		"interrupted": {give("", context.Canceled), context.Canceled},
	} {
		if _, err := parseContents(t.Context(), pfx, tt.source); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	if _, err := parseContents(t.Context(), pfx, noPassword); err == nil {
		t.Error("a PFX opens without a password")
	}
}

// silentReader is a terminal at which nobody types.
type silentReader struct {
	reading, release chan struct{}
}

func (r *silentReader) Read([]byte) (int, error) {
	close(r.reading)
	<-r.release
	return 0, io.EOF
}

func TestReadFileGivesUpWhenInterrupted(t *testing.T) {
	in := &silentReader{reading: make(chan struct{}), release: make(chan struct{})}
	t.Cleanup(func() { close(in.release) })
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-in.reading
		cancel()
	}()
	if data, err := readFile(ctx, &cliapp.Env{In: in}, "-"); !errors.Is(err, context.Canceled) {
		t.Errorf("readFile() = %q, %v; want context.Canceled", data, err)
	}
}

// Whatever the input is, inspect ends with contents or with an error of one
// line, and what it prints is safe for a terminal.
func FuzzInspect(f *testing.F) {
	b, pfx := testBundle(f)
	key, err := b.KeyPEM()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b.FullChainPEM())
	f.Add(b.Certificate.Raw)
	f.Add(key)
	f.Add(pfx)
	f.Add([]byte(base64.StdEncoding.EncodeToString(b.Certificate.Raw)))
	f.Add([]byte("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"))
	f.Add([]byte("\x30\x82\x00\x03\x02\x01\x03"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseContents(t.Context(), data, noPassword)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without text")
			}
			return
		}
		if len(c.Certificates) == 0 && c.Key == nil && c.Request == nil {
			t.Error("neither contents nor an error")
		}
		var p page
		newInspection("x", c, testNow).render(&p, testNow)
		if i := strings.IndexFunc(p.String(), func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' }); i >= 0 {
			t.Errorf("printed %q", p.String()[i:])
		}
		if bytes.Contains([]byte(p.String()), []byte("PRIVATE KEY-----")) {
			t.Error("printed a private key")
		}
	})
}

package certtext_test

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/certtext"
	"github.com/dpskit/dpskit/pkg/pki"
)

func armour(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func TestParse(t *testing.T) {
	root, err := pki.NewRoot(nil)
	if err != nil {
		t.Fatal(err)
	}
	other, err := root.NewIntermediate(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := pki.EncodeKeyPEM(root.Key())
	if err != nil {
		t.Fatal(err)
	}
	der := root.Certificate().Raw
	text := armour("CERTIFICATE", der)
	b64 := base64.StdEncoding.EncodeToString
	for name, in := range map[string]string{
		"PEM":                       text,
		"PEM with CRLF":             strings.ReplaceAll(text, "\n", "\r\n"),
		"PEM with text before":      "subject=CN = x\n" + text,
		"PEM after a key":           string(key) + text,
		"chain, first counts":       text + armour("CERTIFICATE", other.Certificate().Raw),
		"base64 of DER":             b64(der),
		"base64 of DER, line ends":  b64(der[:300]) + "\n" + b64(der[300:]),
		"base64 of PEM":             b64([]byte(text)),
		"base64 of PEM and CRLF":    b64([]byte(strings.ReplaceAll(text, "\n", "\r\n"))),
		"base64 of a chain, in PEM": b64([]byte(text + text)),
	} {
		cert, err := certtext.Parse(in)
		if err != nil || !bytes.Equal(cert.Raw, der) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, in := range map[string]string{
		"empty":                  "",
		"text":                   "hello world",
		"base64 of text":         b64([]byte("hello world")),
		"key":                    string(key),
		"base64 of a key":        b64(key),
		"PEM of garbage":         armour("CERTIFICATE", []byte("garbage")),
		"cut PEM":                text[:len(text)/2],
		"cut DER":                b64(der[:len(der)-5]),
		"trailing bytes":         b64(append(bytes.Clone(der), 0)),
		"DER as it is":           string(der),
		"base64url":              strings.NewReplacer("+", "-", "/", "_").Replace(b64(der)) + "-_",
		"base64 of base64":       b64([]byte(b64(der))),
		"request":                armour("CERTIFICATE REQUEST", der),
		"very large":             strings.Repeat("A", 200<<10),
		"many PEM blocks, large": strings.Repeat(text, 300),
	} {
		if _, err := certtext.Parse(in); !errors.Is(err, certtext.ErrForm) {
			t.Errorf("%s: %v, want ErrForm", name, err)
		}
	}
}

func TestIsPEM(t *testing.T) {
	if !certtext.IsPEM([]byte("x\n-----BEGIN CERTIFICATE-----")) || certtext.IsPEM([]byte("LS0tLS1CRUdJTg==")) {
		t.Error("PEM text and base64 are not told apart")
	}
}

func FuzzParse(f *testing.F) {
	root, err := pki.NewRoot(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(armour("CERTIFICATE", root.Certificate().Raw))
	f.Add(base64.StdEncoding.EncodeToString(root.Certificate().Raw))
	f.Fuzz(func(t *testing.T, text string) {
		cert, err := certtext.Parse(text)
		if (cert == nil) != (err != nil) || (err != nil && !errors.Is(err, certtext.ErrForm)) {
			t.Errorf("Parse = %v, %v", cert, err)
		}
	})
}

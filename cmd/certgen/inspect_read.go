package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki"
)

// maxInput bounds a file that certgen reads; a chain with keys is a few KiB.
const maxInput = 1 << 20

var errTooLarge = fmt.Errorf("larger than %d KiB", maxInput>>10)

// contents is what was found in a file.
type contents struct {
	Format       string // "pem", "der", "base64", "pfx"
	Certificates []*x509.Certificate
	Key          *foundKey
	Request      *x509.CertificateRequest
	FriendlyName string // of the key in a PFX
}

// foundKey is a private key in a file. Signer is nil when the key is encrypted
// and nobody has its pass phrase.
type foundKey struct {
	Signer    crypto.Signer
	Encrypted bool
}

// passwordSource asks for the password of a file when it turns out that one is
// needed; variable is the environment variable that may hold it. It returns
// cliapp.ErrNoSecret when there is none.
type passwordSource func(ctx context.Context, variable string) ([]byte, error)

// readFile reads a whole file, or standard input for "-", up to maxInput. It
// gives up when ctx ends: a terminal or a pipe may never say a word.
func readFile(ctx context.Context, env *cliapp.Env, path string) ([]byte, error) {
	type result struct {
		data []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		data, err := readAll(env, path)
		done <- result{data, err}
	}()
	select {
	case r := <-done:
		return r.data, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("read %q: %w", path, ctx.Err())
	}
}

func readAll(env *cliapp.Env, path string) ([]byte, error) {
	r := env.In
	if path != "-" {
		if err := checkRegular(path); err != nil {
			return nil, fmt.Errorf("read %q: %w", path, err)
		}
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		r = f
	}
	data, err := io.ReadAll(io.LimitReader(r, maxInput+1))
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", path, err)
	}
	if len(data) > maxInput {
		return nil, fmt.Errorf("read %q: %w", path, errTooLarge)
	}
	return data, nil
}

// errNotFile means that a path names a pipe, a device or the like.
var errNotFile = errors.New("not a file")

// checkRegular refuses what is no file before it is opened: a named pipe waits
// for somebody to write into it, and a device may never end. A pipe that this
// process was given by the shell is as good as standard input.
func checkRegular(path string) error {
	info, err := os.Stat(path)
	if err != nil || info.Mode().IsRegular() || givenByShell(path) {
		return nil // opening it says what is wrong
	}
	kind := "device"
	switch mode := info.Mode(); {
	case mode.IsDir():
		return errors.New("is a folder")
	case mode&fs.ModeNamedPipe != 0:
		kind = "named pipe"
	case mode&fs.ModeSocket != 0:
		kind = "socket"
	}
	return cliapp.WithHint(fmt.Errorf("is a %s, %w", kind, errNotFile), "reading it may never end: give a file, or its content on "+
		"standard input as -")
}

// givenByShell reports whether the path is one of the pipes that <(...) makes.
func givenByShell(path string) bool {
	path = filepath.ToSlash(filepath.Clean(path))
	return path == "/dev/stdin" || strings.HasPrefix(path, "/dev/fd/") || strings.HasPrefix(path, "/proc/self/fd/")
}

// parseContents finds out what data is: PEM with any mix of certificates, a key
// and a request; one of these in DER, bare or in base64; or a PFX.
func parseContents(ctx context.Context, data []byte, password passwordSource) (contents, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return contents{}, errors.New("the file is empty")
	}
	c := contents{Format: "der"}
	if bytes.Contains(data, []byte("-----BEGIN ")) {
		c.Format = "pem"
	} else if der, ok := decodeBase64(data); ok {
		data, c.Format = der, "base64"
	}
	if isPFX(data) {
		return parsePFX(ctx, data, password)
	}
	var certErr, requestErr, keyErr error
	c.Certificates, certErr = pki.ParseCertificates(data)
	c.Request, requestErr = pki.ParseCertificateRequest(data)
	c.Key, keyErr = parseKey(ctx, data, password)
	return c, decide(data, c, certErr, requestErr, keyErr)
}

// decide tells a file that merely lacks one kind of content from one whose
// content is damaged.
func decide(data []byte, c contents, certErr, requestErr, keyErr error) error {
	if errors.Is(keyErr, context.Canceled) || errors.Is(keyErr, pki.ErrWrongPassphrase) {
		return keyErr
	}
	for _, part := range []struct {
		marker string
		err    error
	}{
		{" CERTIFICATE-----", certErr}, {" CERTIFICATE REQUEST-----", requestErr}, {" PRIVATE KEY-----", keyErr},
	} {
		if part.err != nil && bytes.Contains(data, []byte(part.marker)) {
			return part.err
		}
	}
	if len(c.Certificates) > 0 || c.Request != nil || c.Key != nil {
		return nil
	}
	if errors.Is(certErr, pki.ErrPKCS7) {
		return certErr
	}
	return errors.New("neither a certificate, a certificate request, a private key nor a PFX")
}

// parseKey reads a private key; one that is encrypted and whose pass phrase
// nobody has is still worth listing.
func parseKey(ctx context.Context, data []byte, password passwordSource) (*foundKey, error) {
	signer, err := pki.ParseKey(data, nil)
	if err == nil {
		return &foundKey{Signer: signer}, nil
	}
	if !errors.Is(err, pki.ErrPassphraseRequired) {
		return nil, err
	}
	phrase, err := password(ctx, envCAPassword)
	if errors.Is(err, cliapp.ErrNoSecret) {
		return &foundKey{Encrypted: true}, nil
	}
	if err != nil {
		return nil, err
	}
	if signer, err = pki.ParseKey(data, phrase); err != nil {
		return nil, err
	}
	return &foundKey{Signer: signer, Encrypted: true}, nil
}

func parsePFX(ctx context.Context, data []byte, password passwordSource) (contents, error) {
	phrase, err := password(ctx, envPFXPassword)
	if errors.Is(err, cliapp.ErrNoSecret) {
		return contents{}, cliapp.WithHint(
			cliapp.WithCode(errors.New("the PFX needs a password"), cliapp.ExitUnauthorized),
			"give it by --%s FILE, by $%s or at a terminal; certgen keeps that of NAME in private/NAME.pfx.password",
			flagPasswordFile, envPFXPassword)
	}
	if err != nil {
		return contents{}, err
	}
	bundle, err := pki.DecodePFX(data, string(phrase))
	if errors.Is(err, pki.ErrNoPrivateKey) {
		certs, err := pki.DecodePFXCertificates(data, string(phrase))
		return contents{Format: "pfx", Certificates: certs}, err
	}
	if err != nil {
		return contents{}, err
	}
	return contents{
		Format:       "pfx",
		Certificates: append([]*x509.Certificate{bundle.Certificate}, bundle.Issuers...),
		Key:          &foundKey{Signer: bundle.Key, Encrypted: true},
		FriendlyName: pki.PFXFriendlyName(data),
	}, nil
}

// isPFX reports whether DER data starts like a PFX: a SEQUENCE whose first
// element is the INTEGER 3 (RFC 7292, section 4). No other format that certgen
// reads does: keys have version 0 or 1.
func isPFX(data []byte) bool {
	if len(data) < 8 || data[0] != 0x30 {
		return false
	}
	header := 2
	if data[1]&0x80 != 0 { // long or, from some exporters, indefinite length
		header += int(data[1] & 0x7f)
	}
	return len(data) >= header+3 && bytes.Equal(data[header:header+3], []byte{2, 1, 3})
}

// decodeBase64 decodes text that is nothing but base64 of a DER SEQUENCE.
func decodeBase64(data []byte) ([]byte, bool) {
	text := bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	text = bytes.Join(bytes.Fields(text), nil)
	der, err := base64.StdEncoding.DecodeString(string(text))
	return der, err == nil && len(der) > 2 && der[0] == 0x30
}

package main

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"io"
	"os"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki"
)

// maxFile bounds the certificate and key files that are read: the largest
// chain anybody uses is a few kilobytes.
const maxFile = 1 << 20

// readFile reads a small file given by a flag; "" is a usage error.
func readFile(flag, file string) ([]byte, error) {
	if file == "" {
		return nil, cliapp.Usagef("give --%s FILE", flag)
	}
	data, err := readSmall(file)
	if err != nil {
		return nil, fmt.Errorf("read --%s: %w", flag, err)
	}
	return data, nil
}

// readSmall reads a file that cannot be large.
func readSmall(file string) ([]byte, error) { return readBounded(file, maxFile) }

func readBounded(file string, limit int64) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%q is larger than %d bytes", file, limit)
	}
	return data, nil
}

func readCertificates(flag, file string) ([]*x509.Certificate, error) {
	data, err := readFile(flag, file)
	if err != nil {
		return nil, err
	}
	certs, err := pki.ParseCertificates(data)
	if err != nil {
		return nil, fmt.Errorf("read --%s %q: %w", flag, file, err)
	}
	return certs, nil
}

// readKey reads a private key; the pass phrase is asked for only when the key
// is encrypted.
func readKey(env *cliapp.Env, file string, password cliapp.SecretSource) (crypto.Signer, error) {
	data, err := readFile(flagKey, file)
	if err != nil {
		return nil, err
	}
	key, err := parseKeyWith(env, data, password)
	if err != nil {
		return nil, fmt.Errorf("read --%s %q: %w", flagKey, file, err)
	}
	return key, nil
}

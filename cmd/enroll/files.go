package main

import (
	"crypto"
	"crypto/x509"
	"errors"
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
func readSmall(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%q is larger than %d bytes", file, maxFile)
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
	key, err := pki.ParseKey(data, nil)
	if errors.Is(err, pki.ErrPassphraseRequired) {
		secret, secretErr := env.Secret(password)
		if errors.Is(secretErr, cliapp.ErrNoSecret) {
			return nil, fmt.Errorf("read --%s %q: %w", flagKey, file, err)
		}
		if secretErr != nil {
			return nil, secretErr
		}
		key, err = pki.ParseKey(data, secret)
	}
	if err != nil {
		return nil, fmt.Errorf("read --%s %q: %w", flagKey, file, err)
	}
	return key, nil
}

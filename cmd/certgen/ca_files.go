package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/pki"
)

// loadCA reads a CA from files outside of the folder: its certificate, with its
// issuers if the file has them, and its key, which may be in the same file.
func loadCA(ctx context.Context, env *cliapp.Env, certFile, keyFile, passwordFile string) (*pki.Authority, error) {
	a, _, err := openCA(ctx, env, certFile, keyFile, passwordFile)
	return a, err
}

// openCA is loadCA that also returns the pass phrase that opened the key, nil
// when it was not encrypted.
func openCA(ctx context.Context, env *cliapp.Env, certFile, keyFile, passwordFile string) (_ *pki.Authority, used []byte, _ error) {
	ask := caPassphrase(ctx, env, passwordFile, orDefault(keyFile, certFile))
	passphrase := func() ([]byte, error) {
		phrase, err := ask()
		used = phrase
		return phrase, err
	}
	together := keyFile == "" || keyFile == certFile
	chain, key, err := readCACertificate(ctx, env, certFile, together, passphrase)
	if err != nil {
		return nil, nil, fmt.Errorf("read CA certificate %q: %w", certFile, err)
	}
	if !together || key == nil && keyFile != "" {
		used = nil // which opened nothing but the certificate
		if key, err = readCAKey(ctx, env, keyFile, passphrase); err != nil {
			return nil, nil, fmt.Errorf("read CA key %q: %w", keyFile, err)
		}
	}
	if key == nil {
		return nil, nil, cliapp.Usagef("the key of the CA is not in %q: give its file by --%s", certFile, flagCAKey)
	}
	a, err := pki.LoadAuthority(chain, key)
	return a, used, err
}

// readCACertificate reads the certificates of a file, and the key if it is to be
// there together with them and is.
func readCACertificate(ctx context.Context, env *cliapp.Env, file string, together bool,
	passphrase func() ([]byte, error),
) ([]*x509.Certificate, crypto.Signer, error) {
	data, err := readFile(ctx, env, file)
	if err != nil {
		return nil, nil, err
	}
	if bundle, err := openCAPFX(data, passphrase); bundle != nil || err != nil {
		if err != nil {
			return nil, nil, err
		}
		return append([]*x509.Certificate{bundle.Certificate}, bundle.Issuers...), bundle.Key, nil
	}
	chain, err := pki.ParseCertificates(data)
	if err != nil || !together {
		return chain, nil, unreadable(err, "x509")
	}
	c, err := parseContents(ctx, data, func(context.Context, string) ([]byte, error) { return nil, cliapp.ErrNoSecret })
	if err != nil || c.Key == nil {
		return chain, nil, nil
	}
	key, err := parseCAKey(data, passphrase)
	return chain, key, err
}

// readCAKey reads the key alone.
func readCAKey(ctx context.Context, env *cliapp.Env, file string, passphrase func() ([]byte, error)) (crypto.Signer, error) {
	data, err := readFile(ctx, env, file)
	if err != nil {
		return nil, err
	}
	if bundle, err := openCAPFX(data, passphrase); bundle != nil || err != nil {
		if err != nil {
			return nil, err
		}
		if bundle.Key == nil {
			return nil, pki.ErrNoPrivateKey
		}
		return bundle.Key, nil
	}
	key, err := parseCAKey(data, passphrase)
	return key, unreadable(err, "pkey")
}

// openCAPFX opens a PFX; nil when data is none. Some, such as those that a key
// vault hands out, have the empty password: nobody is asked for that.
func openCAPFX(data []byte, passphrase func() ([]byte, error)) (*pki.Bundle, error) {
	if der, ok := decodeBase64(data); ok {
		data = der
	}
	if !isPFX(data) {
		return nil, nil
	}
	bundle, err := decodePFX(data, "")
	if !errors.Is(err, pki.ErrWrongPassphrase) {
		return bundle, err
	}
	secret, err := passphrase()
	if err != nil {
		return nil, err
	}
	return decodePFX(data, string(secret))
}

// decodePFX is that of pki, and leaves the key of the bundle nil when the file has none.
func decodePFX(data []byte, password string) (*pki.Bundle, error) {
	bundle, err := pki.DecodePFX(data, password)
	if !errors.Is(err, pki.ErrNoPrivateKey) {
		return bundle, err
	}
	certs, err := pki.DecodePFXCertificates(data, password)
	if err != nil {
		return nil, err
	}
	return &pki.Bundle{Certificate: certs[0], Issuers: certs[1:]}, nil
}

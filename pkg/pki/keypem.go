package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"go.step.sm/crypto/pemutil"
)

const (
	keyType          = "PRIVATE KEY"
	encryptedKeyType = "ENCRYPTED PRIVATE KEY"
)

// EncodeKeyPEM returns the key as unencrypted PKCS#8 PEM.
func EncodeKeyPEM(key crypto.Signer) ([]byte, error) { return serializeKey(key) }

// EncodeEncryptedKeyPEM returns the key as PKCS#8 PEM encrypted with AES-256-CBC and PBKDF2-HMAC-SHA-256 in 600,000
// rounds, which takes some tenths of a second. The pass phrase must not be empty.
func EncodeEncryptedKeyPEM(key crypto.Signer, passphrase []byte) ([]byte, error) {
	if len(passphrase) == 0 {
		return nil, fmt.Errorf("encode key: the pass phrase is empty")
	}
	return serializeKey(key, pemutil.WithPassword(passphrase))
}

func serializeKey(key crypto.Signer, opts ...pemutil.Options) ([]byte, error) {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if k == nil {
			return nil, fmt.Errorf("encode key: no key given")
		}
	case *ecdsa.PrivateKey:
		if k == nil {
			return nil, fmt.Errorf("encode key: no key given")
		}
	case nil:
		return nil, fmt.Errorf("encode key: no key given")
	default: // the encoder's own error would print the value
		return nil, fmt.Errorf("encode key: %w: type %T", ErrUnsupportedKey, key)
	}
	block, err := pemutil.Serialize(key, append([]pemutil.Options{pemutil.WithPKCS8(true)}, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("encode key: %v", err)
	}
	return pem.EncodeToMemory(block), nil
}

// ParseKey reads one private key: PEM with PKCS#8 (plain or encrypted), SEC 1, PKCS#1 or the old DEK-Info encryption
// of OpenSSL, or the DER or bare base64 of any but the last. Certificates and EC parameters beside it are passed
// over; two keys are refused. At most 1 MiB is read, and an encrypted key may ask for at most 2,000,000 rounds of
// key derivation.
//
// An encrypted key without a pass phrase gives [ErrPassphraseRequired], a pass phrase that does not fit gives
// [ErrWrongPassphrase], and a key that the service does not take gives [ErrUnsupportedKey]. The pass phrase is not
// looked at when the key is not encrypted.
func ParseKey(data, passphrase []byte) (crypto.Signer, error) {
	key, err := parseKey(data, passphrase)
	if err != nil {
		return nil, fmt.Errorf("parse key: %w", err)
	}
	return key, nil
}

func parseKey(data, passphrase []byte) (crypto.Signer, error) {
	if len(data) > maxInput {
		return nil, fmt.Errorf("%d bytes are more than the limit of %d", len(data), maxInput)
	}
	text := plainText(data)
	if bytes.Contains(text, beginMarker) {
		block, err := keyBlock(text)
		if err != nil {
			return nil, err
		}
		return keyFromBlock(block, passphrase)
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, fmt.Errorf("the input is empty")
	}
	der := data
	if raw, ok := bareBase64(text); ok {
		der = raw
	}
	if isEncryptedPKCS8(der) {
		return keyFromBlock(&pem.Block{Type: encryptedKeyType, Bytes: der}, passphrase)
	}
	return keyFromDER(der)
}

// keyBlock finds the one private key of a PEM file.
func keyBlock(text []byte) (*pem.Block, error) {
	blocks, err := pemBlocks(text)
	if err != nil {
		return nil, err
	}
	var found *pem.Block
	for _, block := range blocks {
		if !strings.HasSuffix(block.Type, keyType) {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("the input holds more than one private key")
		}
		found = block
	}
	if found != nil {
		return found, nil
	}
	for _, block := range blocks {
		if block.Type == certificateType {
			return nil, fmt.Errorf("the input holds a certificate and no private key; give the .key.pem file")
		}
	}
	return nil, fmt.Errorf("the input holds no private key")
}

func keyFromBlock(block *pem.Block, passphrase []byte) (crypto.Signer, error) {
	switch block.Type {
	case keyType, "EC PRIVATE KEY", "RSA PRIVATE KEY", encryptedKeyType:
	default:
		return nil, fmt.Errorf("%w: a PEM block of type %q; write it with openssl pkcs8 -topk8", ErrUnsupportedKey,
			clip(block.Type))
	}
	legacy := strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED")
	if !legacy && block.Type != encryptedKeyType {
		return keyFromDER(block.Bytes)
	}
	if !legacy {
		der, err := normalizePKCS8(block.Bytes)
		if err != nil {
			return nil, err
		}
		block = &pem.Block{Type: encryptedKeyType, Bytes: der}
	}
	if len(passphrase) == 0 {
		return nil, ErrPassphraseRequired
	}
	der, err := pemutil.DecryptPEMBlock(block, passphrase)
	if errors.Is(err, x509.IncorrectPasswordError) {
		return nil, ErrWrongPassphrase
	}
	if err != nil {
		return nil, fmt.Errorf("decrypt key: %v", err)
	}
	// A wrong pass phrase passes the padding check once in 256 times and leaves noise.
	if _, err := pemutil.ParseDER(der); err != nil && !bytes.Contains(der, oidSecp256k1) {
		return nil, ErrWrongPassphrase
	}
	return keyFromDER(der)
}

func keyFromDER(der []byte) (crypto.Signer, error) {
	parsed, err := pemutil.ParseDER(der)
	if err != nil {
		if _, certErr := x509.ParseCertificate(der); certErr == nil {
			return nil, fmt.Errorf("the input is a certificate, not a private key")
		}
		if bytes.Contains(der, oidSecp256k1) {
			return nil, explainParse(err, der)
		}
		return nil, fmt.Errorf("the input is not a private key that can be read, or it is damaged")
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("the input is a public key, not a private one")
	}
	if err := checkPublicKey(key.Public()); err != nil {
		return nil, err
	}
	return key, nil
}

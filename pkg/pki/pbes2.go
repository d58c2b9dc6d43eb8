package pki

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"strings"
)

// Object identifiers of PKCS#5 (RFC 8018) and PKCS#12 (RFC 7292).
var (
	oidPBES2      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidHMACSHA1   = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 7}
	oidHMACSHA256 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}

	// pbes2Ciphers maps the encryption schemes that can be read to their key and block sizes in bytes.
	pbes2Ciphers = map[string]struct{ key, block int }{
		"2.16.840.1.101.3.4.1.2":  {16, 16}, // AES-128-CBC
		"2.16.840.1.101.3.4.1.22": {24, 16}, // AES-192-CBC
		"2.16.840.1.101.3.4.1.42": {32, 16}, // AES-256-CBC
		"1.2.840.113549.3.7":      {24, 8},  // DES-EDE3-CBC
	}
)

// maxRounds bounds one key derivation to about half a second; the highest number in common use is 1,300,000.
const maxRounds = 2_000_000

// encryptedPKCS8 is EncryptedPrivateKeyInfo of RFC 5208 section 6.
type encryptedPKCS8 struct {
	Algorithm pkix.AlgorithmIdentifier
	Data      []byte
}

type pbes2Params struct {
	KDF    pkix.AlgorithmIdentifier
	Scheme pkix.AlgorithmIdentifier
}

type pbkdf2Params struct {
	Salt      []byte
	Rounds    int
	KeyLength int                      `asn1:"optional"`
	PRF       pkix.AlgorithmIdentifier `asn1:"optional"`
}

func isEncryptedPKCS8(der []byte) bool {
	var info encryptedPKCS8
	rest, err := asn1.Unmarshal(der, &info)
	return err == nil && len(rest) == 0 && len(info.Algorithm.Algorithm) > 0
}

// normalizePKCS8 checks an encrypted PKCS#8 key before anything is derived from a pass phrase, and returns it in the
// form that pemutil reads: pemutil panics on a bad initialisation vector or a torn last block, has no limit on
// rounds, ignores an explicit key length together with the hash that follows it, and takes any unknown hash for
// SHA-1.
func normalizePKCS8(der []byte) ([]byte, error) {
	var info encryptedPKCS8
	if rest, err := asn1.Unmarshal(der, &info); err != nil || len(rest) > 0 {
		return nil, fmt.Errorf("the encrypted key is damaged")
	}
	if !info.Algorithm.Algorithm.Equal(oidPBES2) {
		return nil, unsupportedEncryption("algorithm " + info.Algorithm.Algorithm.String())
	}
	var params pbes2Params
	if err := unmarshalAll(info.Algorithm.Parameters.FullBytes, &params); err != nil {
		return nil, fmt.Errorf("the encrypted key is damaged")
	}
	kdf, err := readPBKDF2(params.KDF)
	if err != nil {
		return nil, err
	}
	if prf := kdf.PRF.Algorithm; len(prf) > 0 && !prf.Equal(oidHMACSHA1) && !prf.Equal(oidHMACSHA256) {
		return nil, unsupportedEncryption("hash " + prf.String())
	}
	cipher, ok := pbes2Ciphers[params.Scheme.Algorithm.String()]
	if !ok {
		return nil, unsupportedEncryption("cipher " + params.Scheme.Algorithm.String())
	}
	var iv []byte
	if err := unmarshalAll(params.Scheme.Parameters.FullBytes, &iv); err != nil || len(iv) != cipher.block {
		return nil, fmt.Errorf("the encrypted key is damaged: its initialisation vector is wrong")
	}
	switch {
	case kdf.KeyLength != 0 && kdf.KeyLength != cipher.key:
		return nil, fmt.Errorf("the encrypted key is damaged: its key length is wrong")
	case len(info.Data) == 0 || len(info.Data)%cipher.block != 0:
		return nil, fmt.Errorf("the encrypted key is damaged: its length is wrong")
	}
	return remarshalPKCS8(info, params, kdf)
}

// remarshalPKCS8 writes the key again without the explicit key length, which the cipher implies.
func remarshalPKCS8(info encryptedPKCS8, params pbes2Params, kdf pbkdf2Params) ([]byte, error) {
	kdf.KeyLength = 0
	var err error
	if params.KDF.Parameters.FullBytes, err = asn1.Marshal(kdf); err != nil {
		return nil, fmt.Errorf("rewrite encrypted key: %v", err)
	}
	if info.Algorithm.Parameters.FullBytes, err = asn1.Marshal(params); err != nil {
		return nil, fmt.Errorf("rewrite encrypted key: %v", err)
	}
	out, err := asn1.Marshal(info)
	if err != nil {
		return nil, fmt.Errorf("rewrite encrypted key: %v", err)
	}
	return out, nil
}

// readPBKDF2 returns the parameters of a PBKDF2 with a bounded number of rounds.
func readPBKDF2(id pkix.AlgorithmIdentifier) (pbkdf2Params, error) {
	var kdf pbkdf2Params
	if !id.Algorithm.Equal(oidPBKDF2) {
		return kdf, unsupportedEncryption("key derivation " + id.Algorithm.String())
	}
	if err := unmarshalAll(id.Parameters.FullBytes, &kdf); err != nil {
		return kdf, fmt.Errorf("the key derivation parameters are damaged")
	}
	return kdf, checkRounds(kdf.Rounds)
}

func checkRounds(n int) error {
	if n < 1 || n > maxRounds {
		return fmt.Errorf("%w: %d rounds, want 1 to %d", ErrRounds, n, maxRounds)
	}
	return nil
}

func unsupportedEncryption(what string) error {
	return fmt.Errorf("%w: encryption with %s; write it again with openssl pkcs8 -topk8 -v2 aes-256-cbc -v2prf "+
		"hmacWithSHA256", ErrUnsupportedKey, strings.TrimSpace(what))
}

// unmarshalAll is asn1.Unmarshal that refuses data behind the value.
func unmarshalAll(der []byte, out any) error {
	rest, err := asn1.Unmarshal(der, out)
	if err == nil && len(rest) > 0 {
		return fmt.Errorf("trailing data")
	}
	return err
}

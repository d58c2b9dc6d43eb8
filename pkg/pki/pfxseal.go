package pki

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des" //nolint:gosec // what the legacy profile is made of
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1" //nolint:gosec // likewise
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"hash"
)

var (
	oidPBESHA1TripleDES = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1, 3}
	oidAES256CBC        = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
	oidSHA1             = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}
	oidSHA256           = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
)

// The purposes of keys in RFC 7292 appendix B.3.
const (
	purposeKey    = 1
	purposeVector = 2
	purposeMAC    = 3
)

// pfxSeal encrypts the certificates of a PKCS#12 file in the way of one of our profiles, in CBC mode.
type pfxSeal struct {
	block  cipher.Block
	vector []byte
}

// newPFXSeal derives the key for an algorithm of our profiles. It is for files that were made here: nothing bounds the
// rounds.
func newPFXSeal(id pkix.AlgorithmIdentifier, password string) (s pfxSeal, err error) {
	if id.Algorithm.Equal(oidPBESHA1TripleDES) {
		var params pfxPBE
		if err := unmarshalAll(id.Parameters.FullBytes, &params); err != nil {
			return s, err
		}
		secret := append(bmpString(password), 0, 0)
		s.vector = pkcs12KDF(sha1.New, purposeVector, secret, params.Salt, params.Rounds, des.BlockSize)
		s.block, err = des.NewTripleDESCipher(pkcs12KDF(sha1.New, purposeKey, secret, params.Salt, params.Rounds, 24))
		return s, err
	}
	var params pbes2Params
	var kdf pbkdf2Params
	if err := unmarshalAll(id.Parameters.FullBytes, &params); err != nil {
		return s, err
	}
	if err := unmarshalAll(params.KDF.Parameters.FullBytes, &kdf); err != nil {
		return s, err
	}
	if err := unmarshalAll(params.Scheme.Parameters.FullBytes, &s.vector); err != nil {
		return s, err
	}
	if !params.Scheme.Algorithm.Equal(oidAES256CBC) || !kdf.PRF.Algorithm.Equal(oidHMACSHA256) || len(s.vector) != aes.BlockSize {
		return s, fmt.Errorf("the encryption is not that of a profile")
	}
	key, err := pbkdf2.Key(sha256.New, password, kdf.Salt, kdf.Rounds, 32)
	if err != nil {
		return s, err
	}
	s.block, err = aes.NewCipher(key)
	return s, err
}

// open decrypts, and takes the padding off (RFC 8018 section 6.1.1).
func (s pfxSeal) open(data []byte) ([]byte, error) {
	size := s.block.BlockSize()
	if len(data) == 0 || len(data)%size != 0 {
		return nil, fmt.Errorf("the encrypted contents are damaged")
	}
	plain := make([]byte, len(data))
	cipher.NewCBCDecrypter(s.block, s.vector).CryptBlocks(plain, data)
	pad := int(plain[len(plain)-1])
	if pad == 0 || pad > size {
		return nil, ErrWrongPassphrase
	}
	return plain[:len(plain)-pad], nil
}

// close pads and encrypts.
func (s pfxSeal) close(plain []byte) []byte {
	size := s.block.BlockSize()
	pad := size - len(plain)%size
	out := append(bytes.Clone(plain), bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(s.block, s.vector).CryptBlocks(out, out)
	return out
}

// sum is the MAC of a message (RFC 7292 section 5.1) with the algorithm, salt and rounds that m has.
func (m pfxMAC) sum(message []byte, password string) ([]byte, error) {
	var newHash func() hash.Hash
	switch id := m.Digest.Algorithm.Algorithm; {
	case id.Equal(oidSHA1):
		newHash = sha1.New
	case id.Equal(oidSHA256):
		newHash = sha256.New
	default:
		return nil, fmt.Errorf("the MAC is not that of a profile")
	}
	secret := append(bmpString(password), 0, 0)
	mac := hmac.New(newHash, pkcs12KDF(newHash, purposeMAC, secret, m.Salt, m.Rounds, newHash().Size()))
	mac.Write(message)
	return mac.Sum(nil), nil
}

// pkcs12KDF derives size bytes for a purpose from a password in UCS-2 with its terminator: RFC 7292 appendix B.2.
func pkcs12KDF(newHash func() hash.Hash, purpose byte, password, salt []byte, rounds, size int) []byte {
	h := newHash()
	block := h.BlockSize()
	diversifier := bytes.Repeat([]byte{purpose}, block)
	input := append(repeatTo(salt, block), repeatTo(password, block)...)
	var out []byte
	for {
		h.Reset()
		h.Write(diversifier)
		h.Write(input)
		sum := h.Sum(nil)
		for range rounds - 1 {
			h.Reset()
			h.Write(sum)
			sum = h.Sum(sum[:0])
		}
		if out = append(out, sum...); len(out) >= size {
			return out[:size]
		}
		add := repeatTo(sum, block)
		for chunk := input; len(chunk) > 0; chunk = chunk[block:] { // each one plus add plus 1, without the overflow
			carry := 1
			for i := block - 1; i >= 0; i-- {
				carry += int(chunk[i]) + int(add[i])
				chunk[i] = byte(carry)
				carry >>= 8
			}
		}
	}
}

// repeatTo repeats data to the next multiple of size bytes.
func repeatTo(data []byte, size int) []byte {
	if len(data) == 0 {
		return nil
	}
	n := (len(data) + size - 1) / size * size
	return bytes.Repeat(data, n/len(data)+1)[:n]
}

package fleet

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/asn1"
	"fmt"

	"github.com/dpskit/dpskit/pkg/pki"
)

// keyCodec encodes keys of one type. EC keys of one curve have encodings of one length, so that the encoding of a
// sample with other bytes in two places is that of any key. RSA keys, whose making takes a thousand times as long as
// their encoding, go through crypto/x509.
type keyCodec struct {
	sample crypto.Signer // of the same family, for the model certificate
	// For EC keys: the encodings of the sample, and where the private and the public number are in them.
	pkcs8, spki         []byte
	privateAt, publicAt int // in pkcs8
	spkiAt              int // in spki
	privateLen          int
	publicLen           int
}

func newKeyCodec(t pki.KeyType) (*keyCodec, error) {
	switch t {
	case pki.KeyRSA3072, pki.KeyRSA4096: // the sample decides nothing but the family
		t = pki.KeyRSA2048
	}
	sample, err := pki.GenerateKey(t)
	if err != nil {
		return nil, err
	}
	c := &keyCodec{sample: sample}
	key, ok := sample.(*ecdsa.PrivateKey)
	if !ok {
		return c, nil
	}
	return c, c.learn(key)
}

// fast reports whether keys of the type are made in microseconds.
func (c *keyCodec) fast() bool { return c.spki != nil }

// learn takes the encodings of the sample apart.
func (c *keyCodec) learn(key *ecdsa.PrivateKey) error {
	private, err := key.Bytes()
	if err != nil {
		return fmt.Errorf("encode key: %v", err)
	}
	public, err := key.PublicKey.Bytes()
	if err != nil {
		return fmt.Errorf("encode key: %v", err)
	}
	if c.pkcs8, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
		return fmt.Errorf("encode key: %v", err)
	}
	if c.spki, err = x509.MarshalPKIXPublicKey(key.Public()); err != nil {
		return fmt.Errorf("encode key: %v", err)
	}
	c.privateLen, c.publicLen = len(private), len(public)
	c.privateAt, c.publicAt = bytes.Index(c.pkcs8, private), bytes.Index(c.pkcs8, public)
	c.spkiAt = bytes.Index(c.spki, public)
	if c.privateAt < 0 || c.publicAt < 0 || c.spkiAt != len(c.spki)-len(public) {
		return fmt.Errorf("encode key: its encoding is not as RFC 5915 says")
	}
	return nil
}

// appendPublic appends the SubjectPublicKeyInfo of a key, and keeps its numbers in s for appendKeyPEM.
func (c *keyCodec) appendPublic(dst []byte, s *scratch, key crypto.Signer) ([]byte, error) {
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		der, err := x509.MarshalPKIXPublicKey(key.Public())
		if err != nil {
			return nil, fmt.Errorf("encode public key: %v", err)
		}
		return append(dst, der...), nil
	}
	// Bytes of the standard library would check the point again and keep a cleanup for each key, which takes as long as
	// all of our encoding.
	x, y := ec.X, ec.Y
	if (x.BitLen()+7)/8 > c.privateLen || (y.BitLen()+7)/8 > c.privateLen {
		return nil, fmt.Errorf("encode public key: it is not on the curve")
	}
	dst = append(dst, c.spki...)
	s.public = dst[len(dst)-c.publicLen:]
	x.FillBytes(s.public[1 : 1+c.privateLen])
	y.FillBytes(s.public[1+c.privateLen:])
	return dst, nil
}

// publicBits returns the content of the BIT STRING of a SubjectPublicKeyInfo, which key identifiers are hashes of.
func (c *keyCodec) publicBits(spki []byte) []byte {
	if c.spki != nil {
		return spki[c.spkiAt:]
	}
	return bitString(spki)
}

// appendKeyPEM appends a key as [pki.EncodeKeyPEM] does. appendPublic must have been called for the key.
func (c *keyCodec) appendKeyPEM(dst []byte, s *scratch, key crypto.Signer) ([]byte, error) {
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		data, err := pki.EncodeKeyPEM(key)
		return append(dst, data...), err
	}
	//lint:ignore SA1019 the number is only read
	private := ec.D
	if (private.BitLen()+7)/8 > c.privateLen {
		return nil, fmt.Errorf("encode key: it is not of the curve")
	}
	s.pkcs8 = append(s.pkcs8[:0], c.pkcs8...)
	private.FillBytes(s.pkcs8[c.privateAt : c.privateAt+c.privateLen])
	copy(s.pkcs8[c.publicAt:], s.public)
	return appendPEM(dst, "PRIVATE KEY", s.pkcs8), nil
}

// bitString returns the content of the BIT STRING of any SubjectPublicKeyInfo.
func bitString(spki []byte) []byte {
	var info struct {
		Algorithm asn1.RawValue
		Bits      asn1.BitString
	}
	if _, err := asn1.Unmarshal(spki, &info); err != nil {
		return nil // crypto/x509 has just encoded it
	}
	return info.Bits.Bytes
}

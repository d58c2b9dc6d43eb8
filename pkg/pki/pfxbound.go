package pki

import (
	"bytes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"strings"

	"software.sslmate.com/src/go-pkcs12"
)

// The outer layers of a PKCS#12 file (RFC 7292 section 4), as far as its cost can be told from them.
type (
	pfxFile struct {
		Version  int
		AuthSafe pfxContent
		MAC      pfxMAC `asn1:"optional"`
	}
	pfxContent struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"tag:0,explicit,optional"`
	}
	pfxMAC struct {
		Digest pfxDigest
		Salt   []byte
		Rounds int `asn1:"optional,default:1"`
	}
	pfxDigest struct {
		Algorithm pkix.AlgorithmIdentifier
		Value     []byte
	}
	pfxEncrypted struct {
		Version int
		Info    struct {
			Type      asn1.ObjectIdentifier
			Algorithm pkix.AlgorithmIdentifier
			Data      []byte `asn1:"tag:0,optional"`
		}
	}
	pfxBag struct {
		ID         asn1.ObjectIdentifier
		Value      asn1.RawValue   `asn1:"tag:0,explicit"`
		Attributes []asn1.RawValue `asn1:"set,optional"`
	}
	pfxPBE struct {
		Salt   []byte
		Rounds int
	}
	pfxPBMAC1 struct {
		KDF pkix.AlgorithmIdentifier
		MAC pkix.AlgorithmIdentifier
	}
)

var (
	oidData          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidEncryptedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 6}
	oidKeyBag        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 1}
	oidShroudedBag   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 2}
	oidPBMAC1        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 14}
)

const (
	// maxPFXParts bounds the containers of one file: one for the key and one for the certificates.
	maxPFXParts = 2
	// pfxBudget bounds the rounds of all key derivations of one file together, which no caller can interrupt. They
	// take a second or two; real files ask for some thousands, and the most careful ones for some hundred thousands.
	pfxBudget = 6_000_000
)

// pfxCost adds up the rounds of a file.
type pfxCost struct{ rounds int }

// add counts one number of rounds that the decoder will do so many times.
func (c *pfxCost) add(rounds, times int) error {
	if err := checkRounds(rounds); err != nil {
		return err
	}
	if c.rounds += rounds * times; c.rounds > pfxBudget {
		return fmt.Errorf("%w: more than %d rounds together", ErrRounds, pfxBudget)
	}
	return nil
}

// boundPFX checks how much work the file asks for before go-pkcs12, which has no limit, sees it. It returns the
// certificates of containers without a key, which that would not.
func boundPFX(data []byte, password string) (found []*x509.Certificate, err error) {
	if len(data) > maxInput {
		return nil, fmt.Errorf("%d bytes are more than the limit of %d", len(data), maxInput)
	}
	var file pfxFile
	if err := unmarshalAll(data, &file); err != nil {
		if bytes.Contains(data, beginMarker) {
			return nil, fmt.Errorf("the input is PEM, not PKCS#12")
		}
		return nil, fmt.Errorf("the input is not a PKCS#12 file in DER, or it is cut short")
	}
	var cost pfxCost
	if err := cost.mac(file.MAC); err != nil {
		return nil, err
	}
	var safe []byte
	if err := unmarshalAll(file.AuthSafe.Content.Bytes, &safe); err != nil {
		return nil, fmt.Errorf("the contents are damaged or signed with a certificate, which is not supported")
	}
	var parts []pfxContent
	if err := unmarshalAll(safe, &parts); err != nil {
		return nil, fmt.Errorf("the contents are damaged")
	}
	if len(parts) > maxPFXParts {
		return nil, fmt.Errorf("it has %d containers, and one for the key and one for the certificates are read", len(parts))
	}
	for _, part := range parts { // everything is added up before the first derivation
		if err := cost.part(part); err != nil {
			return nil, err
		}
	}
	for _, part := range parts {
		certs, err := probePart(part, password)
		if err != nil {
			return nil, err
		}
		found = append(found, certs...)
	}
	return found, nil
}

// GuessPFXProfile returns the profile that a PKCS#12 file was written with, as far as its outer layers tell: legacy
// for every encryption older than PBES2, empty for what is no PKCS#12 file with encrypted certificates.
func GuessPFXProfile(data []byte) PFXProfile {
	var file pfxFile
	var safe []byte
	var parts []pfxContent
	if len(data) > maxInput || unmarshalAll(data, &file) != nil ||
		unmarshalAll(file.AuthSafe.Content.Bytes, &safe) != nil || unmarshalAll(safe, &parts) != nil {
		return ""
	}
	for _, part := range parts {
		var enc pfxEncrypted
		if !part.Type.Equal(oidEncryptedData) || unmarshalAll(part.Content.Bytes, &enc) != nil {
			continue
		}
		if enc.Info.Algorithm.Algorithm.Equal(oidPBES2) {
			return PFXModern
		}
		return PFXLegacy
	}
	return ""
}

func (c *pfxCost) mac(mac pfxMAC) error {
	if !mac.Digest.Algorithm.Algorithm.Equal(oidPBMAC1) {
		if len(mac.Digest.Algorithm.Algorithm) == 0 {
			return nil // no MAC
		}
		return c.add(mac.Rounds, 1)
	}
	var params pfxPBMAC1
	if err := unmarshalAll(mac.Digest.Algorithm.Parameters.FullBytes, &params); err != nil {
		return fmt.Errorf("the authentication parameters are damaged")
	}
	kdf, err := readPBKDF2(params.KDF)
	if err != nil {
		return err
	}
	return c.add(kdf.Rounds, 1)
}

func (c *pfxCost) part(part pfxContent) error {
	switch {
	case part.Type.Equal(oidEncryptedData):
		var enc pfxEncrypted
		if err := unmarshalAll(part.Content.Bytes, &enc); err != nil {
			return fmt.Errorf("the encrypted contents are damaged")
		}
		return c.pbe(enc.Info.Algorithm, 2) // once by probePart
	case part.Type.Equal(oidData):
		var raw []byte
		if err := unmarshalAll(part.Content.Bytes, &raw); err != nil {
			return fmt.Errorf("the contents are damaged")
		}
		var bags []pfxBag
		if err := unmarshalAll(raw, &bags); err != nil {
			return fmt.Errorf("the contents are damaged")
		}
		for _, bag := range bags {
			if err := c.bag(bag); err != nil {
				return err
			}
		}
	}
	return nil // other kinds are refused by the decoder without work
}

func (c *pfxCost) bag(bag pfxBag) error {
	if !bag.ID.Equal(oidShroudedBag) {
		return nil
	}
	var info encryptedPKCS8
	if err := unmarshalAll(bag.Value.Bytes, &info); err != nil {
		return fmt.Errorf("the encrypted key is damaged")
	}
	return c.pbe(info.Algorithm, 1)
}

// pbe counts the rounds of either generation of password-based encryption.
func (c *pfxCost) pbe(id pkix.AlgorithmIdentifier, times int) error {
	if id.Algorithm.Equal(oidPBES2) {
		var params pbes2Params
		if err := unmarshalAll(id.Parameters.FullBytes, &params); err != nil {
			return fmt.Errorf("the encryption parameters are damaged")
		}
		kdf, err := readPBKDF2(params.KDF)
		if err != nil {
			return err
		}
		return c.add(kdf.Rounds, times)
	}
	var params pfxPBE
	if err := unmarshalAll(id.Parameters.FullBytes, &params); err != nil {
		return fmt.Errorf("the encryption parameters are damaged")
	}
	return c.add(params.Rounds, times)
}

// probePart returns the certificates of a container without a key. It makes sure that an encrypted container holds no
// encrypted key, whose number of rounds could not be checked from outside: it hands the decoder a file made of that
// container behind a key of our own, and the decoder refuses a second key before it decrypts it. No known program
// nests a key in that way.
func probePart(part pfxContent, password string) ([]*x509.Certificate, error) {
	probe, err := probeFile(part, password)
	if err != nil {
		return nil, fmt.Errorf("check contents: %v", err)
	}
	_, first, others, err := pkcs12.DecodeChain(probe, password)
	switch {
	case err == nil:
		return append([]*x509.Certificate{first}, others...), nil
	case !part.Type.Equal(oidEncryptedData):
		return nil, nil // the key alone, mostly; its rounds were seen
	case strings.Contains(err.Error(), "exactly one key bag"):
		return nil, fmt.Errorf("%w: the key lies inside the encrypted certificates; write the file again with openssl pkcs12",
			ErrUnsupportedKey)
	case password == "":
		// With an empty password the decoder would try a second spelling of it, which this check did not see.
		return nil, ErrWrongPassphrase
	}
	return nil, nil // the decoder meets the same error in the real file and reports it
}

// probeFile wraps a container and a throw-away key into a PKCS#12 file with a MAC of one round.
func probeFile(part pfxContent, password string) ([]byte, error) {
	key, err := GenerateKey(DefaultKeyType)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	bag := pfxBag{ID: oidKeyBag, Value: explicit(der)}
	bags, err := asn1.Marshal([]pfxBag{bag})
	if err != nil {
		return nil, err
	}
	keyPart, err := dataContent(bags)
	if err != nil {
		return nil, err
	}
	safe, err := asn1.Marshal([]pfxContent{keyPart, {Type: part.Type, Content: explicit(part.Content.Bytes)}})
	if err != nil {
		return nil, err
	}
	file := pfxFile{Version: 3}
	if file.AuthSafe, err = dataContent(safe); err != nil {
		return nil, err
	}
	if file.MAC, err = probeMAC(safe, password); err != nil {
		return nil, err
	}
	return asn1.Marshal(file)
}

// probeMAC is PBMAC1 (RFC 9579) with one round.
func probeMAC(message []byte, password string) (mac pfxMAC, err error) {
	kdf := pbkdf2Params{Salt: make([]byte, 16), Rounds: 1, KeyLength: sha256.Size}
	kdf.PRF.Algorithm = oidHMACSHA256
	params := pfxPBMAC1{}
	params.KDF.Algorithm = oidPBKDF2
	params.MAC.Algorithm = oidHMACSHA256
	if params.KDF.Parameters.FullBytes, err = asn1.Marshal(kdf); err != nil {
		return mac, err
	}
	mac.Digest.Algorithm.Algorithm = oidPBMAC1
	if mac.Digest.Algorithm.Parameters.FullBytes, err = asn1.Marshal(params); err != nil {
		return mac, err
	}
	key, err := pbkdf2.Key(sha256.New, password, kdf.Salt, kdf.Rounds, kdf.KeyLength)
	if err != nil {
		return mac, err
	}
	h := hmac.New(sha256.New, key)
	h.Write(message)
	mac.Digest.Value = h.Sum(nil)
	return mac, nil
}

func dataContent(content []byte) (pfxContent, error) {
	octets, err := asn1.Marshal(content)
	return pfxContent{Type: oidData, Content: explicit(octets)}, err
}

// explicit is the value of a field tagged [0] EXPLICIT.
func explicit(der []byte) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: der}
}

package pki_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"
)

// nestedPFX builds a PKCS#12 file that is right in every respect but that its encrypted key lies inside of the
// encrypted certificates and asks for the given rounds. The password is "x".
func nestedPFX(t *testing.T, key *ecdsa.PrivateKey, cert *x509.Certificate, rounds int) []byte {
	t.Helper()
	certBag := marshal(t, struct {
		ID   asn1.ObjectIdentifier
		Data []byte `asn1:"tag:0,explicit"`
	}{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 22, 1}, cert.Raw})
	algorithm, sealed := seal(t, pkcs8Of(t, key), rounds)
	bags := []testBag{
		{ID: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 3}, Value: tagged(certBag)},
		{
			ID:    asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 2},
			Value: tagged(marshal(t, testEncrypted{algorithm, sealed})),
		},
	}
	var enc testEncryptedData
	enc.Info.Type = oidData
	enc.Info.Algorithm, enc.Info.Data = seal(t, marshal(t, bags), 1)
	safe := marshal(t, []testContent{{Type: oidEncrypted, Content: tagged(marshal(t, enc))}})
	file := testPFX{Version: 3, AuthSafe: testContent{Type: oidData, Content: tagged(marshal(t, safe))}}
	file.MAC = pbmac1(t, safe)
	return marshal(t, file)
}

func testKDF(rounds, length int) pkix.AlgorithmIdentifier {
	params, err := asn1.Marshal(testPBKDF2{
		Salt: make([]byte, 16), Rounds: rounds, KeyLength: length,
		PRF: pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}},
	})
	if err != nil {
		panic(err)
	}
	return pkix.AlgorithmIdentifier{
		Algorithm:  asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12},
		Parameters: asn1.RawValue{FullBytes: params},
	}
}

// seal encrypts with AES-256-CBC. What asks for many rounds is sealed with one: nobody gets to open it.
func seal(t *testing.T, plain []byte, rounds int) (pkix.AlgorithmIdentifier, []byte) {
	t.Helper()
	key, err := pbkdf2.Key(sha256.New, "x", make([]byte, 16), 1, 32)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	pad := 16 - len(plain)%16
	for range pad {
		plain = append(plain, byte(pad))
	}
	iv := make([]byte, 16)
	sealed := make([]byte, len(plain))
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(sealed, plain)
	params := marshal(t, testPBES2{
		KDF: testKDF(rounds, 32),
		Scheme: pkix.AlgorithmIdentifier{
			Algorithm:  asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42},
			Parameters: asn1.RawValue{FullBytes: marshal(t, iv)},
		},
	})
	return pkix.AlgorithmIdentifier{Algorithm: oidPBES2, Parameters: asn1.RawValue{FullBytes: params}}, sealed
}

func pbmac1(t *testing.T, message []byte) (mac testMAC) {
	t.Helper()
	key, err := pbkdf2.Key(sha256.New, "x", make([]byte, 16), 1, 32)
	if err != nil {
		t.Fatal(err)
	}
	mac.Digest.Algorithm = pkix.AlgorithmIdentifier{
		Algorithm: oidPBMAC1,
		Parameters: asn1.RawValue{FullBytes: marshal(t, testPBES2{
			KDF: testKDF(1, 32), Scheme: pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}},
		})},
	}
	h := hmac.New(sha256.New, key)
	h.Write(message)
	mac.Digest.Value = h.Sum(nil)
	return mac
}

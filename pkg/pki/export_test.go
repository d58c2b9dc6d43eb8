package pki

import "crypto/sha1"

// CheckPFX compares a PKCS#12 file with the bundle and the friendly name that it should hold.
func CheckPFX(b *Bundle, data []byte, password, friendly string) error {
	return b.checkPFX(data, password, friendly)
}

// PKCS12KDF is the key derivation of PKCS#12 with SHA-1.
func PKCS12KDF(purpose byte, password, salt []byte, rounds, size int) []byte {
	return pkcs12KDF(sha1.New, purpose, password, salt, rounds, size)
}

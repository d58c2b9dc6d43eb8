package pki

// CheckPFX compares a PKCS#12 file with the bundle that it should hold.
func CheckPFX(b *Bundle, data []byte, password string) error { return b.checkPFX(data, password) }

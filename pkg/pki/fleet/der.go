package fleet

import (
	"encoding/base64"
	"strings"
)

// headerSize returns the size of a DER header for a value of n bytes.
func headerSize(n int) int {
	size := 2
	if n >= 0x80 {
		for ; n > 0; n >>= 8 {
			size++
		}
	}
	return size
}

// appendHeader appends the tag and length of a DER value of n bytes.
func appendHeader(dst []byte, tag byte, n int) []byte {
	dst = append(dst, tag)
	if n < 0x80 {
		return append(dst, byte(n))
	}
	size := headerSize(n) - 2
	dst = append(dst, 0x80|byte(size))
	for i := size - 1; i >= 0; i-- {
		dst = append(dst, byte(n>>(8*i)))
	}
	return dst
}

// appendCommonName appends a distinguished name of one common name, as encoding/asn1 writes it: a PrintableString
// where that can hold it, which leaves out the underscore of registration IDs, else a UTF8String.
func appendCommonName(dst []byte, id string) []byte {
	const printable, utf8 = 0x13, 0x0c
	tag := byte(printable)
	if strings.IndexByte(id, '_') >= 0 {
		tag = utf8
	}
	oid := [...]byte{0x06, 0x03, 0x55, 0x04, 0x03} // 2.5.4.3
	value := headerSize(len(id)) + len(id)
	attribute := len(oid) + value
	set := headerSize(attribute) + attribute
	dst = appendHeader(dst, 0x30, headerSize(set)+set)
	dst = appendHeader(dst, 0x31, set)
	dst = appendHeader(dst, 0x30, attribute)
	dst = append(dst, oid[:]...)
	dst = appendHeader(dst, tag, len(id))
	return append(dst, id...)
}

// appendPEM appends a PEM block (RFC 7468), byte for byte what encoding/pem writes.
func appendPEM(dst []byte, label string, der []byte) []byte {
	const perLine = 48 // bytes that make 64 characters
	dst = append(append(append(dst, "-----BEGIN "...), label...), "-----\n"...)
	for len(der) > 0 {
		n := min(len(der), perLine)
		dst = append(base64.StdEncoding.AppendEncode(dst, der[:n]), '\n')
		der = der[n:]
	}
	return append(append(append(dst, "-----END "...), label...), "-----\n"...)
}

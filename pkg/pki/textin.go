package pki

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"unicode/utf16"
)

// Bounds of what is read from users. A chain of ten RSA-4096 certificates is about 20 KiB.
const (
	maxInput        = 1 << 20
	maxCertificates = 100
)

var (
	beginMarker = []byte("-----BEGIN ")
	utf8BOM     = []byte{0xef, 0xbb, 0xbf}
)

// plainText returns data as UTF-8 without a byte order mark. PowerShell 5 redirects in UTF-16.
func plainText(data []byte) []byte {
	switch {
	case bytes.HasPrefix(data, utf8BOM):
		return data[len(utf8BOM):]
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}):
		return decodeUTF16(data[2:], 0, 1)
	case bytes.HasPrefix(data, []byte{0xfe, 0xff}):
		return decodeUTF16(data[2:], 1, 0)
	}
	return data
}

func decodeUTF16(data []byte, low, high int) []byte {
	units := make([]uint16, 0, len(data)/2)
	for ; len(data) >= 2; data = data[2:] {
		units = append(units, uint16(data[low])|uint16(data[high])<<8)
	}
	return []byte(string(utf16.Decode(units)))
}

// pemBlocks returns every PEM block in data. A block that begins but cannot be read is an error: skipping it would
// quietly shorten a chain.
func pemBlocks(data []byte) ([]*pem.Block, error) {
	if !bytes.ContainsRune(data, '\n') && bytes.Contains(data, []byte(`\n`)) {
		// One line with \n spelled out, as in environment variables and C strings.
		data = bytes.ReplaceAll(data, []byte(`\r`), nil)
		data = bytes.ReplaceAll(data, []byte(`\n`), []byte("\n"))
	}
	want := bytes.Count(data, beginMarker)
	if limit := 4 * maxCertificates; want > limit {
		return nil, fmt.Errorf("more than %d PEM blocks", limit)
	}
	blocks := make([]*pem.Block, 0, want)
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		blocks = append(blocks, block)
	}
	if len(blocks) < want {
		return nil, fmt.Errorf("PEM block %d of %d is damaged or cut short", len(blocks)+1, want)
	}
	return blocks, nil
}

// bareBase64 decodes data that is nothing but base64 with white space, as the service shows certificates.
func bareBase64(data []byte) ([]byte, bool) {
	compact := bytes.Join(bytes.Fields(data), nil)
	if len(compact) < 16 {
		return nil, false
	}
	out, err := base64.StdEncoding.AppendDecode(nil, compact)
	return out, err == nil
}

package fleet

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"testing"
)

func TestAppendHeader(t *testing.T) {
	for _, n := range []int{0, 1, 127, 128, 255, 256, 65_535, 65_536, 1 << 20} {
		want, err := asn1.Marshal(asn1.RawValue{Tag: 4, Bytes: make([]byte, n)})
		if err != nil {
			t.Fatal(err)
		}
		got := appendHeader(nil, 4, n)
		if !bytes.Equal(got, want[:len(want)-n]) || len(got) != headerSize(n) {
			t.Errorf("header of %d bytes is %x with size %d, want %x", n, got, headerSize(n), want[:len(want)-n])
		}
	}
}

func FuzzAppendCommonName(f *testing.F) {
	for _, seed := range []string{"a", "dev_1", "A-b.c:9", "x y"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, id string) {
		for _, c := range []byte(id) { // registration IDs have nothing else
			if c != '_' && c != '-' && c != '.' && c != ':' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
				return
			}
		}
		want, err := asn1.Marshal(pkix.Name{CommonName: id}.ToRDNSequence())
		if err != nil {
			t.Fatal(err)
		}
		if got := appendCommonName(nil, id); id != "" && !bytes.Equal(got, want) {
			t.Errorf("common name %q is %x, want %x", id, got, want)
		}
	})
}

func FuzzAppendPEM(f *testing.F) {
	for _, n := range []int{0, 1, 2, 3, 47, 48, 49, 96, 1000} {
		f.Add(bytes.Repeat([]byte{0xa5}, n))
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		want := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
		if got := appendPEM([]byte("x"), "CERTIFICATE", der); string(got) != "x"+string(want) {
			t.Errorf("PEM of %x is\n%s, want\n%s", der, got[1:], want)
		}
	})
}

package main

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"strings"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

// encodePart writes a part of the bundle in a format other than pfx and env.
func encodePart(b *pki.Bundle, e workspace.Entry, opts exportOptions) ([]byte, error) {
	var keyPEM []byte
	if opts.needsKey() {
		var err error
		if keyPEM, err = b.KeyPEM(); err != nil {
			return nil, err
		}
	}
	var certs []*x509.Certificate
	switch opts.Part {
	case partCertificate:
		certs = []*x509.Certificate{b.Certificate}
	case partChain, partAll:
		certs = presented(b)
	case partFullChain, partEverything:
		certs = append([]*x509.Certificate{b.Certificate}, b.Issuers...)
	}
	switch opts.Format {
	case exportDER:
		return oneDER(certs, keyPEM), nil
	case exportBase64:
		return append([]byte(base64.StdEncoding.EncodeToString(oneDER(certs, keyPEM))), '\n'), nil
	case exportOneline:
		text := string(append(keyPEM, pki.EncodeCertificatesPEM(certs...)...))
		return []byte(strings.ReplaceAll(text, "\n", `\n`) + "\n"), nil
	case exportCHeader:
		return []byte(cHeader(e, certs, keyPEM)), nil
	}
	return append(keyPEM, pki.EncodeCertificatesPEM(certs...)...), nil
}

// oneDER is the DER of the key if there is one, else of the first certificate.
func oneDER(certs []*x509.Certificate, keyPEM []byte) []byte {
	if block, _ := pem.Decode(keyPEM); block != nil {
		return block.Bytes
	}
	return certs[0].Raw
}

// cHeader writes C strings that need no other file.
func cHeader(e workspace.Entry, certs []*x509.Certificate, keyPEM []byte) string {
	name := cIdentifier(string(e.Profile) + "_" + e.Name)
	guard := strings.ToUpper(name) + "_H"
	var b strings.Builder
	fmt.Fprintf(&b, "/* Test certificate made by certgen, expires %s. Not for production. */\n", formatTime(e.NotAfter))
	fmt.Fprintf(&b, "#ifndef %s\n#define %s\n", guard, guard)
	if len(certs) > 0 {
		b.WriteString("\n/* The certificate, then every intermediate. */\n")
		cString(&b, name+"_certificate", pki.EncodeCertificatesPEM(certs...))
	}
	if len(keyPEM) > 0 {
		b.WriteString("\n/* Its private key: keep this file to yourself. */\n")
		cString(&b, name+"_private_key", keyPEM)
	}
	b.WriteString("\n#endif\n")
	return b.String()
}

func cString(b *strings.Builder, name string, text []byte) {
	fmt.Fprintf(b, "static const char %s[] =\n", name)
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	for i, line := range lines {
		end := "\n"
		if i == len(lines)-1 {
			end = ";\n"
		}
		fmt.Fprintf(b, "    \"%s\\n\"%s", line, end)
	}
}

// cIdentifier makes a C identifier of a name: lower case, with _ for what an
// identifier cannot hold. The profile in front makes sure of the first letter.
func cIdentifier(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			return r
		case 'A' <= r && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '_'
	}, name)
}

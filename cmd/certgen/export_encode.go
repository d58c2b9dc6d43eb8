package main

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
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

// exportEnvironment writes the variables that the official samples read:
//   - Node.js: provisioning/device/samples/register_x509.js
//   - Python: samples/async-hub-scenarios/provision_x509.py
//   - embedded C: sdk/samples/iot (which wants key and chain in one file)
func exportEnvironment(paths files, e workspace.Entry, opts exportOptions) ([]byte, error) {
	cert, err := filepath.Abs(paths.FullChain)
	if err != nil {
		return nil, err
	}
	key, err := filepath.Abs(paths.Key)
	if err != nil {
		return nil, err
	}
	if paths.FullChain == "" || paths.Key == "" {
		return nil, cliapp.WithCode(fmt.Errorf("the folder has no full chain or no key for it"), cliapp.ExitNotFound)
	}
	id, ok := strings.CutPrefix(e.Subject, "CN=")
	if !ok || pki.CheckRegistrationID(id) != nil {
		return nil, fmt.Errorf("%w: its subject %q is no registration ID", pki.ErrInvalidID, e.Subject)
	}
	var b strings.Builder
	set := func(name, value string) { b.WriteString(setVariable(opts.Shell, name, value)) }
	set("PROVISIONING_HOST", opts.Host)
	scope := orDefault(opts.IDScope, "ID-SCOPE")
	set("PROVISIONING_IDSCOPE", scope)
	b.WriteString("# Node.js\n")
	set("PROVISIONING_REGISTRATION_ID", id)
	set("CERTIFICATE_FILE", cert)
	set("KEY_FILE", key)
	b.WriteString("# Python\n")
	set("DPS_X509_REGISTRATION_ID", id)
	set("X509_CERT_FILE", cert)
	set("X509_KEY_FILE", key)
	b.WriteString("# embedded C; AZ_IOT_DEVICE_X509_CERT_PEM_FILE_PATH is a file made by certgen export --format pem\n")
	set("AZ_IOT_PROVISIONING_ID_SCOPE", scope)
	set("AZ_IOT_PROVISIONING_REGISTRATION_ID", id)
	return []byte(b.String()), nil
}

// setVariable is the command of a shell that sets a variable of the environment.
func setVariable(shell, name, value string) string {
	if shell == "pwsh" {
		return fmt.Sprintf("$env:%s = '%s'\n", name, strings.ReplaceAll(value, "'", "''"))
	}
	return fmt.Sprintf("export %s=%s\n", name, shellQuote(value))
}

package pki

import (
	"fmt"
	"net"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxCommonName is ub-common-name of RFC 5280 appendix A: a common name has at most 64 characters.
const maxCommonName = 64

// maxRegistrationID is the service's own limit, which a certificate cannot use up.
const maxRegistrationID = 128

const registrationIDRule = "use 1 to 64 of the characters a-z A-Z 0-9 - . _ : and end with a letter, a digit or -"

// CheckRegistrationID checks a registration ID that is to be the common name of a certificate: 1 to 64 letters,
// digits, '-', '.', '_' and ':', the last one a letter, a digit or '-'. The error wraps [ErrInvalidID] and shows
// the rule.
//
// The service compares registration IDs without regard to case and takes up to 128 characters with other kinds of
// attestation; an X.509 common name holds 64. See
// https://learn.microsoft.com/azure/iot-dps/concepts-x509-attestation.
func CheckRegistrationID(id string) error {
	switch n := utf8.RuneCountInString(id); {
	case id == "":
		return fmt.Errorf("check registration id: %w: it is empty; %s", ErrInvalidID, registrationIDRule)
	case n > maxCommonName && n <= maxRegistrationID:
		return fmt.Errorf("check registration id %q: %w: it has %d characters; the service takes %d, but it must be "+
			"the common name of the certificate and X.509 allows %d there", clip(id), ErrInvalidID, n,
			maxRegistrationID, maxCommonName)
	case n > maxCommonName:
		return fmt.Errorf("check registration id %q: %w: it has %d characters; %s", clip(id), ErrInvalidID, n,
			registrationIDRule)
	}
	for _, r := range id {
		if !isIDChar(r) {
			return fmt.Errorf("check registration id %q: %w: character %+q is not allowed; %s", id, ErrInvalidID, r,
				registrationIDRule)
		}
	}
	if last := id[len(id)-1]; !isAlphanumeric(rune(last)) && last != '-' {
		return fmt.Errorf("check registration id %q: %w: it ends with %q; %s", id, ErrInvalidID, rune(last),
			registrationIDRule)
	}
	return nil
}

func isAlphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

func isIDChar(r rune) bool { return isAlphanumeric(r) || strings.ContainsRune("-._:", r) }

// NormalizeVerificationCode returns a verification code as it must stand in the common name of the proof: without
// the spaces, line ends and byte order mark that copying adds. The service makes 48 upper-case hexadecimal
// characters but documents no format, so everything else is kept as it is. An empty code, more than 64 characters,
// and characters that cannot be in a code (spaces, control characters, '/', anything outside ASCII) give
// [ErrInvalidID].
func NormalizeVerificationCode(code string) (string, error) {
	trimmed := strings.TrimFunc(code, func(r rune) bool { return unicode.IsSpace(r) || r == '\ufeff' || r == '\x00' })
	switch {
	case trimmed == "":
		return "", fmt.Errorf("read verification code: %w: it is empty", ErrInvalidID)
	case len(trimmed) > maxCommonName:
		return "", fmt.Errorf("read verification code %q: %w: it has %d characters, more than the %d of a common name",
			clip(trimmed), ErrInvalidID, utf8.RuneCountInString(trimmed), maxCommonName)
	}
	for _, r := range trimmed {
		if r <= ' ' || r > '~' || r == '/' || r == '\\' {
			return "", fmt.Errorf("read verification code %q: %w: character %+q cannot be in a code", trimmed,
				ErrInvalidID, r)
		}
	}
	return trimmed, nil
}

// checkCommonName checks a common name that is no registration ID: of a CA or a server.
func checkCommonName(cn string) error {
	switch {
	case cn == "":
		return fmt.Errorf("check common name: %w: it is empty", ErrInvalidID)
	case !utf8.ValidString(cn):
		return fmt.Errorf("check common name %q: %w: it is not valid UTF-8", clip(cn), ErrInvalidID)
	case utf8.RuneCountInString(cn) > maxCommonName:
		return fmt.Errorf("check common name %q: %w: it has %d characters, X.509 allows %d", clip(cn), ErrInvalidID,
			utf8.RuneCountInString(cn), maxCommonName)
	case strings.TrimSpace(cn) != cn:
		return fmt.Errorf("check common name %q: %w: it begins or ends with a space", cn, ErrInvalidID)
	}
	for _, r := range cn {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("check common name %q: %w: character %+q is not printable", cn, ErrInvalidID, r)
		}
	}
	return nil
}

// checkDNSName checks a subject alternative name: a host name, with at most one wildcard label in front.
func checkDNSName(name string) error {
	host := strings.TrimPrefix(name, "*.")
	if len(host) == 0 || len(name) > 253 {
		return fmt.Errorf("check dns name %q: %w: a host name has 1 to 253 characters", clip(name), ErrInvalidID)
	}
	for label := range strings.SplitSeq(host, ".") {
		if len(label) == 0 || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return fmt.Errorf("check dns name %q: %w: bad label %q", name, ErrInvalidID, label)
		}
		for _, r := range label {
			if !isAlphanumeric(r) && r != '-' && r != '_' {
				return fmt.Errorf("check dns name %q: %w: character %+q is not allowed in a host name", name,
					ErrInvalidID, r)
			}
		}
	}
	return nil
}

// hostSAN returns cn as the kind of subject alternative name that it can be, if it is a host at all.
func hostSAN(cn string) (dns []string, ips []net.IP) {
	if ip := net.ParseIP(cn); ip != nil {
		return nil, []net.IP{ip}
	}
	if checkDNSName(cn) == nil {
		return []string{cn}, nil
	}
	return nil, nil
}

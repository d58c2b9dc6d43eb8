package sas

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Skew is how far the clocks of client and service may differ.
const Skew = 5 * time.Minute

// maxToken bounds the length of a token.
const maxToken = 4096

// Errors of Parse and Verify. Their texts hold nothing of the token.
var (
	ErrForm      = errors.New("token is malformed")
	ErrExpired   = errors.New("token has expired")
	ErrSignature = errors.New("signature does not match")
	ErrResource  = errors.New("token is for another resource")
)

// Token is a parsed shared access signature.
type Token struct {
	// KeyName is `skn`, decoded; empty if absent.
	KeyName string

	rawResource string // sr as received: what was signed
	rawExpiry   string // se as received: what was signed
	resource    string // sr decoded
	expiry      int64  // se, seconds since 1970
	signature   []byte
}

// Parse reads the value of an Authorization header, or the password of an MQTT
// connection: `SharedAccessSignature sr=…&sig=…&se=…[&skn=…]`. The scheme is
// compared with case, member names without; members that it does not know are
// ignored. A member given twice, an expiry that is not a plain number and a
// signature that is not base64 of 32 bytes give ErrForm.
func Parse(header string) (Token, error) {
	if len(header) > maxToken {
		return Token{}, ErrForm
	}
	parts := strings.Fields(header)
	if len(parts) != 2 || parts[0] != "SharedAccessSignature" {
		return Token{}, ErrForm
	}
	raw, err := members(parts[1])
	if err != nil {
		return Token{}, err
	}
	return build(raw)
}

// members splits the token at & and the first =.
func members(text string) (map[string]string, error) {
	raw := map[string]string{}
	for part := range strings.SplitSeq(text, "&") {
		name, value, ok := strings.Cut(part, "=")
		name = strings.ToLower(name)
		if _, twice := raw[name]; !ok || twice {
			return nil, ErrForm
		}
		raw[name] = value
	}
	return raw, nil
}

func build(raw map[string]string) (Token, error) {
	t := Token{rawResource: raw["sr"], rawExpiry: raw["se"]}
	resource, err1 := url.QueryUnescape(t.rawResource)
	keyName, err2 := url.QueryUnescape(raw["skn"])
	signature, err3 := decodeSignature(raw["sig"])
	expiry, err4 := parseExpiry(t.rawExpiry)
	if errors.Join(err1, err2, err3, err4) != nil || resource == "" {
		return Token{}, ErrForm
	}
	t.resource, t.KeyName, t.signature, t.expiry = resource, keyName, signature, expiry
	return t, nil
}

// decodeSignature undoes the percent encoding. A client that did not encode
// `+` means `+`, not a space, so this is not query decoding.
func decodeSignature(raw string) ([]byte, error) {
	text, err := url.PathUnescape(raw)
	if err != nil {
		return nil, err
	}
	signature, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, err
	}
	if len(signature) != sha256.Size {
		return nil, ErrForm
	}
	return signature, nil
}

// parseExpiry takes digits only: no sign, no fraction, no exponent.
func parseExpiry(raw string) (int64, error) {
	n, err := strconv.ParseUint(raw, 10, 63)
	if err != nil {
		return 0, ErrForm
	}
	return int64(n), nil
}

// Resource is what the token was made for, decoded.
func (t Token) Resource() string { return t.resource }

// Expired reports whether the token is past its expiry at now, with the
// allowance of Skew.
func (t Token) Expired(now time.Time) bool {
	limit := t.expiry
	if limit > math.MaxInt64-int64(Skew/time.Second) {
		return false
	}
	return limit+int64(Skew/time.Second) < now.Unix()
}

// SignedBy reports whether one of keys (decoded) made the token. Every key is
// tried, so the time does not tell which one matched.
func (t Token) SignedBy(keys ...[]byte) bool {
	ok := false
	for _, key := range keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(t.rawResource + "\n" + t.rawExpiry))
		if hmac.Equal(mac.Sum(nil), t.signature) {
			ok = true
		}
	}
	return ok
}

// Covers reports whether the token's resource is target (a host with a path)
// or a prefix of it that ends at a segment. Case does not matter, nor does a
// trailing slash.
func (t Token) Covers(target string) bool {
	resource := strings.ToLower(strings.TrimSuffix(t.resource, "/"))
	target = strings.ToLower(strings.TrimSuffix(target, "/"))
	return resource != "" && (target == resource || strings.HasPrefix(target, resource+"/"))
}

// Verify checks signature, expiry and resource, in this order. Any of targets
// may be the one that the token covers.
func (t Token) Verify(now time.Time, targets []string, keys ...[]byte) error {
	switch {
	case !t.SignedBy(keys...):
		return ErrSignature
	case t.Expired(now):
		return ErrExpired
	}
	for _, target := range targets {
		if t.Covers(target) {
			return nil
		}
	}
	return ErrResource
}

// DeriveKey returns the device key that belongs to registrationID under a
// group key: HMAC-SHA256 of the identifier as the device spells it.
func DeriveKey(groupKey []byte, registrationID string) []byte {
	mac := hmac.New(sha256.New, groupKey)
	mac.Write([]byte(registrationID))
	return mac.Sum(nil)
}

package dps

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// SASToken returns the value of an Authorization header or MQTT password:
//
//	SharedAccessSignature sr={resource}&sig={signature}&se={expiry}&skn={policy}
//
// The signature is HMAC-SHA256 over the percent-encoded resource, a newline
// and the expiry in Unix seconds, keyed with the base64-decoded key
// (https://learn.microsoft.com/azure/iot-dps/how-to-control-access).
//
// For the service API the resource is the host and keyName the policy. For a
// device the resource is "{idScope}/registrations/{registrationId}" and
// keyName "registration". An empty keyName leaves skn out.
func SASToken(resource, keyName string, key Secret, expiry time.Time) (string, error) {
	if resource == "" {
		return "", errors.New("sign SAS token: resource is empty")
	}
	raw, err := decodeKey(key)
	if err != nil {
		return "", fmt.Errorf("sign SAS token: %w", err)
	}
	sr, se := percentEncode(resource), strconv.FormatInt(expiry.Unix(), 10)
	sig := sign(raw, sr+"\n"+se)
	token := "SharedAccessSignature sr=" + sr + "&sig=" + percentEncode(sig) + "&se=" + se
	if keyName != "" {
		token += "&skn=" + percentEncode(keyName)
	}
	return token, nil
}

// DeriveDeviceKey returns the key of one device of a symmetric-key enrollment
// group: base64(HMAC-SHA256(base64-decoded group key, registrationID))
// (https://learn.microsoft.com/azure/iot-dps/concepts-symmetric-key-attestation).
// The registration id is used exactly as given; the device must send the same
// spelling.
func DeriveDeviceKey(groupKey Secret, registrationID string) (Secret, error) {
	if registrationID == "" {
		return "", errors.New("derive device key: registration id is empty")
	}
	raw, err := decodeKey(groupKey)
	if err != nil {
		return "", fmt.Errorf("derive device key for %q: group %w", registrationID, err)
	}
	return Secret(sign(raw, registrationID)), nil
}

// sign returns base64(HMAC-SHA256(key, text)).
func sign(key []byte, text string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// percentEncode escapes everything but unreserved characters. url.QueryEscape
// does so too, except that it writes a space as "+".
func percentEncode(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

package rest

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/internal/oneline"
)

// minSecret is the shortest text that is cut; a shorter one would cut words.
const minSecret = 8

// secretsOf lists what must not appear in any text about the request: the
// secrets of the call and the parts of its Authorization header.
func secretsOf(call *Call, req *http.Request) []string {
	var list []string
	for _, s := range call.Secrets {
		list = addSecret(list, s.Reveal())
	}
	return addToken(list, req.Header.Get("Authorization"))
}

func addSecret(list []string, s string) []string {
	if len(s) >= minSecret {
		list = append(list, s, url.QueryEscape(s))
	}
	return list
}

// addToken adds the parts of an Authorization header.
func addToken(list []string, header string) []string {
	_, credentials, _ := strings.Cut(header, " ")
	list = addSecret(list, credentials)
	if fields, err := url.ParseQuery(credentials); err == nil {
		list = addSecret(list, fields.Get("sig"))
	}
	return list
}

// ScrubToken cuts the token that a request of another transport carried from
// what the server said.
func ScrubToken(e *dps.Error, token string) { scrubError(e, addToken(nil, token)) }

// scrub replaces each secret in text, which is clean already; also the beginning
// of one where the text was cut.
func scrub(text string, secrets []string) string {
	for _, secret := range secrets {
		text = strings.ReplaceAll(text, secret, dps.Secret("").String())
		if head, cut := strings.CutSuffix(text, oneline.Ellipsis); cut {
			text = scrubEnd(head, secret) + oneline.Ellipsis
		}
	}
	return text
}

// scrubEnd removes the longest beginning of secret that text ends with.
func scrubEnd(text, secret string) string {
	for n := len(secret) - 1; n >= minSecret; n-- {
		if head, found := strings.CutSuffix(text, secret[:n]); found {
			return head + dps.Secret("").String()
		}
	}
	return text
}

// scrubError cuts the secrets of the request from what the server said.
func scrubError(e *dps.Error, secrets []string) {
	e.Message = scrub(e.Message, secrets)
	e.ErrorCode = scrub(e.ErrorCode, secrets)
	e.TrackingID = scrub(e.TrackingID, secrets)
	if e.Info == nil {
		return
	}
	info := make(map[string]string, len(e.Info))
	for name, text := range e.Info {
		info[scrub(name, secrets)] = scrub(text, secrets)
	}
	e.Info = info
}

package mqtt

import (
	"net/url"
	"strconv"
	"strings"
)

// Topics of the service.
const (
	responseFilter = "$dps/registrations/res/#"
	responsePrefix = "$dps/registrations/res/"
	registerPrefix = "$dps/registrations/PUT/iotdps-register/"
	pollPrefix     = "$dps/registrations/GET/iotdps-get-operationstatus/"
)

// maxRequestID bounds $rid, which comes back in the answer. The official SDKs
// send a number or a UUID.
const maxRequestID = 1024

// userName is what the user name of CONNECT says:
// {idScope}/registrations/{registrationId}/api-version={version}&ClientVersion=…
type userName struct {
	scope, registrationID, apiVersion string
}

// parseUserName reports false for text of another form. Parameters other than
// api-version are ignored, whatever they contain.
func parseUserName(text string) (userName, bool) {
	parts := strings.SplitN(text, "/", 4)
	if len(parts) != 4 || parts[0] == "" || parts[1] != "registrations" || parts[2] == "" {
		return userName{}, false
	}
	u := userName{scope: parts[0], registrationID: parts[2]}
	found := 0
	for part := range strings.SplitSeq(parts[3], "&") {
		if value, ok := strings.CutPrefix(part, "api-version="); ok {
			u.apiVersion = value
			found++
		}
	}
	return u, found == 1
}

// request is what the topic of PUBLISH asks for.
type request struct {
	register    bool   // else a poll
	requestID   string // as sent: it goes back byte for byte
	operationID string // of a poll, decoded
}

// parseRequest reads a topic. A topic without a $rid cannot be answered, so that
// is as bad as one of another service.
func parseRequest(topic string) (request, error) {
	var r request
	rest, ok := strings.CutPrefix(topic, registerPrefix)
	if ok {
		r.register = true
	} else if rest, ok = strings.CutPrefix(topic, pollPrefix); !ok {
		return r, protocolError("topic is not one of the service")
	}
	query, ok := strings.CutPrefix(rest, "?")
	if !ok {
		return r, protocolError("topic has no $rid")
	}
	seen := map[string]bool{}
	for part := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(part, "=")
		if seen[name] || len(seen) == maxFilters {
			return r, protocolError("topic has a parameter twice, or too many of them")
		}
		seen[name] = true
		switch name {
		case "$rid":
			r.requestID = value
		case "operationId":
			decoded, err := url.PathUnescape(value)
			if err != nil {
				decoded = value // such an operation does not exist
			}
			r.operationID = decoded
		}
	}
	if r.requestID == "" || len(r.requestID) > maxRequestID {
		return r, protocolError("topic has no $rid, or one that is too long")
	}
	return r, nil
}

// responseTopic has $rid first and retry-after last and in lower case; official
// SDKs depend on both.
func responseTopic(status int, requestID, retryAfter string) string {
	topic := responsePrefix + strconv.Itoa(status) + "/?$rid=" + requestID
	if retryAfter != "" {
		topic += "&retry-after=" + retryAfter
	}
	return topic
}

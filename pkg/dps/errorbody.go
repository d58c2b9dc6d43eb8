package dps

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/dpskit/dpskit/pkg/dps/internal/oneline"
)

// MaxErrorBody is how much of an error body is looked at, in bytes.
const MaxErrorBody = 64 << 10

// maxMessage bounds Error.Message, in bytes.
const maxMessage = 1024

// Bounds of Error.Info.
const (
	maxInfo     = 16  // members
	maxInfoText = 512 // bytes of a value
)

// Texts that the devices provider of Azure Resource Manager appends to its
// messages: `If you contact a support representative please include this
// correlation identifier: <guid>, timestamp: …, errorcode: IH400053.`
var (
	supportText   = regexp.MustCompile(`(?i)\s*If you contact a support representative.*$`)
	correlationID = regexp.MustCompile(`(?i)correlation identifier:\s*([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})`)
	hubErrorCode  = regexp.MustCompile(`(?i)errorcode:\s*IH([0-9]{6})\b`)
)

// ParseErrorBody decodes the body of a refusal in every form that the service
// and its control plane use, names of members in any letter case, codes as
// numbers or strings:
//
//	{"errorCode": 404201, "trackingId": "…", "message": "…", "info": {…}}  service and device API
//	{"Message": "{…one of the others as text…}", "ExceptionMessage": ""}   the same, wrapped
//	{"code": 412001, "httpStatusCode": "PreconditionFailed", "message": …} devices provider
//	{"error": {"code": "ResourceNotFound", "message": …, "details": […]}}  Azure Resource Manager
//
// It never fails: a body of another kind becomes a short Message, and only the
// first [MaxErrorBody] bytes count. A statusCode of 0 is derived from the code.
func ParseErrorBody(statusCode int, body []byte) *Error {
	e := &Error{StatusCode: statusCode}
	if len(body) > MaxErrorBody {
		body = body[:MaxErrorBody]
	}
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\ufeff")))
	if !e.readObject(body, 0) {
		e.Message = plainText(body)
	}
	e.finish()
	return e
}

// readObject fills e from a JSON object and reports whether body is one.
func (e *Error) readObject(body []byte, depth int) bool {
	members, ok := foldedMembers(body)
	if !ok {
		return false
	}
	if inner := members["error"]; depth < 4 && len(inner) > 0 && inner[0] == '{' {
		e.readObject(inner, depth+1)
	}
	e.setCode(members["errorcode"])
	e.setCode(members["code"])
	if e.TrackingID == "" {
		e.TrackingID = jsonText(members["trackingid"])
	}
	e.readMessage(jsonText(members["message"]), depth)
	e.readInfo(members["info"])
	if details := members["details"]; depth < 4 && len(details) > 0 && details[0] == '[' {
		e.readDetails(details, depth)
	}
	return true
}

// readMessage takes a message, which may itself be a serialized error.
func (e *Error) readMessage(message string, depth int) {
	if e.Message != "" || message == "" {
		return
	}
	if depth < 4 && strings.HasPrefix(strings.TrimSpace(message), "{") && e.readObject([]byte(message), depth+1) &&
		e.Message != "" {
		return
	}
	e.Message = message
}

// readInfo takes the texts that explain a refusal; the first member found stays.
func (e *Error) readInfo(raw json.RawMessage) {
	var info map[string]json.RawMessage
	if e.Info != nil || json.Unmarshal(raw, &info) != nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(info)) {
		text := oneline.Clean(jsonText(info[name]), maxInfoText)
		if name = oneline.Clean(name, 64); name == "" || text == "" || len(e.Info) >= maxInfo {
			continue
		}
		if e.Info == nil {
			e.Info = map[string]string{}
		}
		e.Info[name] = text
	}
}

// readDetails looks for the numeric code that Azure Resource Manager hides in
// the details of its own error, and for a message if there is none yet.
func (e *Error) readDetails(details []byte, depth int) {
	var items []json.RawMessage
	if json.Unmarshal(details, &items) != nil {
		return
	}
	for _, item := range items {
		inner := &Error{}
		if !inner.readObject(item, depth+1) {
			continue
		}
		if e.Code == 0 {
			e.Code = inner.Code
		}
		if e.ErrorCode == "" {
			e.ErrorCode = inner.ErrorCode
		}
		if e.Message == "" {
			e.Message = inner.Message
		}
	}
}

// setCode stores a code, which may be 404201, "404201" or "ResourceNotFound".
// The first one found stays.
func (e *Error) setCode(raw json.RawMessage) {
	text := jsonText(raw)
	if n, err := strconv.ParseInt(text, 10, 32); err == nil {
		if e.Code == 0 && n > 0 {
			e.Code = int(n)
		}
		return
	}
	if e.ErrorCode == "" {
		e.ErrorCode = oneline.Clean(text, 64)
	}
}

// finish takes what stands only in the text, and tidies the text.
func (e *Error) finish() {
	if m := hubErrorCode.FindStringSubmatch(e.Message); m != nil && e.Code == 0 {
		e.Code, _ = strconv.Atoi(m[1])
	}
	if m := correlationID.FindStringSubmatch(e.Message); m != nil && e.TrackingID == "" {
		e.TrackingID = m[1]
	}
	e.Message = oneline.Clean(supportText.ReplaceAllString(e.Message, ""), maxMessage)
	e.TrackingID = oneline.Clean(e.TrackingID, 64)
	if e.StatusCode == 0 && e.Code >= 400_000 && e.Code < 600_000 {
		e.StatusCode = e.Code / 1000
	}
}

// foldedMembers returns the members of a JSON object under lower-case names.
func foldedMembers(body []byte) (map[string]json.RawMessage, bool) {
	var raw map[string]json.RawMessage
	if len(body) == 0 || body[0] != '{' || json.Unmarshal(body, &raw) != nil {
		return nil, false
	}
	folded := make(map[string]json.RawMessage, len(raw))
	for name, value := range raw {
		lower := strings.ToLower(name)
		if _, taken := folded[lower]; !taken || name == lower {
			folded[lower] = value
		}
	}
	return folded, true
}

// jsonText returns a JSON string's text or a number's digits, else "".
func jsonText(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var number json.Number
	if json.Unmarshal(raw, &number) == nil {
		return number.String()
	}
	return ""
}

// plainText renders a body that is not the service's JSON.
func plainText(body []byte) string {
	switch {
	case len(body) == 0:
		return ""
	case body[0] == '<':
		return "the answer is a web page, not JSON (a proxy or another server?)"
	case body[0] == '{' || body[0] == '[':
		return "the answer is incomplete JSON"
	case !strings.HasPrefix(http.DetectContentType(body), "text/"):
		return "the answer is binary data, not JSON"
	}
	return oneline.Clean(string(body), 200)
}

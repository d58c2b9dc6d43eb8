package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
)

// maxDepth bounds how deep JSON may nest. Twins, the deepest thing that
// anybody sends, may have ten levels.
const maxDepth = 64

// Rules of this package.
const (
	RuleBodySize    refuse.Rule = "body-size"
	RuleBodyJSON    refuse.Rule = "body-json"
	RuleBodyContent refuse.Rule = "body-content"
	RuleMediaType   refuse.Rule = "media-type"
)

// BadBody refuses a body whose content does not make sense.
func BadBody(format string, args ...any) *refuse.Refusal {
	return bad(RuleBodyContent, fmt.Sprintf(format, args...))
}

func bad(rule refuse.Rule, message string) *refuse.Refusal {
	return &refuse.Refusal{
		Status: http.StatusBadRequest, Code: 400000, ErrorCode: "InvalidRequestContent", Rule: rule, Message: message,
	}
}

// JSON reads the body of r, at most limit bytes, into v. The body must be one
// JSON value in UTF-8 with no member given twice and bounded nesting; a media
// type other than JSON is refused, none at all is accepted.
func (r *Request) JSON(limit int64, v any) error {
	if err := CheckMediaType(r.Header.Get("Content-Type")); err != nil {
		return err
	}
	data, err := r.Body(limit)
	if err != nil {
		return err
	}
	return Decode(data, v)
}

// Body reads the body of r and refuses more than limit bytes.
func (r *Request) Body(limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, TooLarge(limit)
	}
	data, err := io.ReadAll(http.MaxBytesReader(r.writer, r.Request.Body, limit))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, TooLarge(limit)
	case err != nil:
		return nil, bad(RuleBodyJSON, "Request body could not be read.")
	}
	return data, nil
}

// maxDrain is how much of a body is read that nobody wants.
const maxDrain = 16 << 20

// drain reads what is left of the body of r. A client that sends all of it
// before it reads would else find its connection broken instead of the answer.
// One that asked whether to send it gets the answer to that.
func drain(r *http.Request) {
	if r.Body == nil || r.Header.Get("Expect") != "" {
		return
	}
	_, _ = io.CopyN(io.Discard, r.Body, maxDrain) // ends with the read timeout of the server
}

// TooLarge refuses a body of more than limit bytes.
func TooLarge(limit int64) *refuse.Refusal {
	return &refuse.Refusal{
		Status: http.StatusRequestEntityTooLarge, Code: 413000, ErrorCode: "RequestEntityTooLarge", Rule: RuleBodySize,
		Message:  "Request body is too large.",
		Expected: fmt.Sprintf("at most %d bytes", limit),
	}
}

// CheckMediaType refuses a Content-Type other than JSON in UTF-8; none at all is
// accepted.
func CheckMediaType(header string) error {
	if header == "" {
		return nil
	}
	media, params, err := mime.ParseMediaType(header)
	charset := strings.ToLower(params["charset"])
	if err == nil && (media == "application/json" || media == "text/json") && (charset == "" || charset == "utf-8") {
		return nil
	}
	return &refuse.Refusal{
		Status: http.StatusUnsupportedMediaType, Code: 415000, ErrorCode: "UnsupportedMediaType", Rule: RuleMediaType,
		Message:  "Unsupported media type.",
		Expected: "Content-Type: application/json; charset=utf-8",
	}
}

// byteOrderMark is what some editors begin a text in UTF-8 with.
const byteOrderMark = "\uFEFF"

// Decode reads data strictly into v. One byte order mark at the beginning is
// ignored (RFC 8259, section 8.1).
func Decode(data []byte, v any) error {
	data = bytes.TrimPrefix(data, []byte(byteOrderMark))
	if len(bytes.TrimSpace(data)) == 0 {
		return bad(RuleBodyJSON, "Request body is empty.")
	}
	if !utf8.Valid(data) {
		return bad(RuleBodyJSON, "Request body is not UTF-8.")
	}
	if err := lint(data); err != nil {
		return bad(RuleBodyJSON, "Request body is not acceptable JSON: "+err.Error()+".")
	}
	if err := json.Unmarshal(data, v); err != nil {
		return bad(RuleBodyJSON, "Request body does not have the expected form: "+explain(err)+".")
	}
	return nil
}

// explain keeps Go's type names out of answers.
func explain(err error) string {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		if wrong.Field == "" {
			return "unexpected " + wrong.Value
		}
		return fmt.Sprintf("unexpected %s in %q", wrong.Value, memberPath(wrong.Field))
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}

// memberPath takes the names of embedded Go types, which alone begin with a
// capital, out of the path of a member.
func memberPath(field string) string {
	parts := slices.DeleteFunc(strings.Split(field, "."), func(part string) bool {
		return part != "" && 'A' <= part[0] && part[0] <= 'Z'
	})
	return strings.Join(parts, ".")
}

// lint walks the tokens of data: one value, bounded depth, no member twice.
func lint(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	l := linter{dec: dec}
	if err := l.value(0); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("there is more than one value")
	}
	return nil
}

type linter struct{ dec *json.Decoder }

func (l linter) value(depth int) error {
	token, err := l.token()
	if err != nil {
		return err
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	if depth >= maxDepth {
		return fmt.Errorf("it nests more than %d levels deep", maxDepth)
	}
	if delim == '{' {
		return l.object(depth)
	}
	for l.dec.More() {
		if err := l.value(depth + 1); err != nil {
			return err
		}
	}
	_, err = l.token()
	return err
}

func (l linter) object(depth int) error {
	seen := map[string]bool{}
	for l.dec.More() {
		token, err := l.token()
		if err != nil {
			return err
		}
		name, _ := token.(string)
		if seen[name] {
			return fmt.Errorf("member %q is given twice", name)
		}
		seen[name] = true
		if err := l.value(depth + 1); err != nil {
			return err
		}
	}
	_, err := l.token()
	return err
}

func (l linter) token() (json.Token, error) {
	token, err := l.dec.Token()
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, errors.New("it ends too early")
	}
	return token, err
}

// Encode writes v as the service does: no trailing newline, no HTML escapes.
func Encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

package tree

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// ParseJSON reads one JSON value (RFC 8259). A byte order mark before it is
// allowed. Errors are *Error.
func ParseJSON(data []byte) (*Node, error) {
	p := &parser{data: bytes.TrimPrefix(data, []byte("\ufeff")), line: 1}
	if at := invalidUTF8(p.data); at >= 0 {
		p.skipTo(at)
		return nil, p.errorf("not UTF-8")
	}
	p.space()
	n, err := p.value(1)
	if err != nil {
		return nil, err
	}
	if p.space(); p.pos < len(p.data) {
		return nil, p.errorf("text after the end of the value")
	}
	return n, nil
}

func invalidUTF8(data []byte) int {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

type parser struct {
	data      []byte
	pos       int
	line      int
	lineStart int
}

func (p *parser) errorf(format string, args ...any) error {
	line, column := p.place()
	return &Error{Line: line, Column: column, Text: fmt.Sprintf(format, args...)}
}

func (p *parser) place() (line, column int) {
	return p.line, utf8.RuneCount(p.data[p.lineStart:p.pos]) + 1
}

// skipTo moves to a position that is not before the current one.
func (p *parser) skipTo(at int) {
	for ; p.pos < at; p.pos++ {
		if p.data[p.pos] == '\n' {
			p.line, p.lineStart = p.line+1, p.pos+1
		}
	}
}

// space skips what may stand between values.
func (p *parser) space() {
	at := p.pos
	for at < len(p.data) && bytes.IndexByte([]byte(" \t\r\n"), p.data[at]) >= 0 {
		at++
	}
	p.skipTo(at)
}

func (p *parser) value(depth int) (*Node, error) {
	if p.pos >= len(p.data) {
		return nil, p.errorf("the text ends where a value is expected")
	}
	if depth > MaxDepth {
		return nil, p.errorf("nested deeper than %d levels", MaxDepth)
	}
	n := &Node{}
	n.Line, n.Column = p.place()
	switch c := p.data[p.pos]; {
	case c == '{':
		return n, p.object(n, depth)
	case c == '[':
		return n, p.list(n, depth)
	case c == '"':
		text, err := p.text()
		n.Kind, n.Text = String, text
		return n, err
	case c == '-' || c >= '0' && c <= '9':
		return n, p.number(n)
	}
	return n, p.word(n)
}

var words = map[string]Kind{"null": Null, "true": Bool, "false": Bool}

func (p *parser) word(n *Node) error {
	word := wordForm.Find(p.data[p.pos:])
	kind, ok := words[string(word)]
	if !ok {
		r, _ := utf8.DecodeRune(p.data[p.pos:])
		return p.errorf("unexpected %s where a value is expected", strconv.QuoteRune(r))
	}
	n.Kind, n.Text = kind, string(word)
	p.pos += len(word)
	return nil
}

var (
	wordForm   = regexp.MustCompile(`^[A-Za-z0-9_]+`)
	numberForm = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?`)
	numberLike = regexp.MustCompile(`^[-+.0-9A-Za-z_]+`)
)

func (p *parser) number(n *Node) error {
	text := numberForm.Find(p.data[p.pos:])
	if like := numberLike.Find(p.data[p.pos:]); len(text) == 0 || len(like) != len(text) {
		return p.errorf("%.40q is not a number", like)
	}
	n.Kind, n.Text = Number, string(text)
	p.pos += len(text)
	return nil
}

// text reads a string literal.
func (p *parser) text() (string, error) {
	end := p.pos + 1
	for ; end < len(p.data) && p.data[end] != '"'; end++ {
		switch {
		case p.data[end] == '\\':
			end++
		case p.data[end] < 0x20:
			return "", p.errorf("text that is not closed before the end of its line, or holds a control character")
		}
	}
	if end >= len(p.data) {
		return "", p.errorf("text that is not closed")
	}
	literal := p.data[p.pos : end+1]
	if loneSurrogate(literal) {
		return "", p.errorf("text with half a surrogate pair")
	}
	var text string
	if err := json.Unmarshal(literal, &text); err != nil {
		return "", p.errorf("text with an escape that JSON does not have")
	}
	p.pos = end + 1
	return text, nil
}

// loneSurrogate finds a \u escape of half a pair, which encoding/json would
// silently replace.
func loneSurrogate(literal []byte) bool {
	for i := 0; i < len(literal); i++ {
		if literal[i] != '\\' {
			continue
		}
		i++
		r, ok := escaped(literal, i-1)
		if !ok || !utf16.IsSurrogate(r) {
			continue
		}
		low, ok := escaped(literal, i+5)
		if !ok || utf16.DecodeRune(r, low) == utf8.RuneError {
			return true
		}
		i += 10
	}
	return false
}

// escaped returns the code unit of a \uXXXX at this position.
func escaped(literal []byte, at int) (rune, bool) {
	if at+6 > len(literal) || literal[at] != '\\' || literal[at+1] != 'u' {
		return 0, false
	}
	v, err := strconv.ParseUint(string(literal[at+2:at+6]), 16, 16)
	return rune(v), err == nil
}

func (p *parser) list(n *Node, depth int) error {
	n.Kind = List
	p.pos++
	for p.space(); !p.take(']'); p.space() {
		if len(n.Items) > 0 {
			if !p.take(',') {
				return p.errorf("expected ',' or ']'")
			}
			p.space()
		}
		item, err := p.value(depth + 1)
		if err != nil {
			return err
		}
		n.Items = append(n.Items, item)
	}
	return nil
}

func (p *parser) object(n *Node, depth int) error {
	n.Kind = Object
	p.pos++
	seen := map[string]bool{}
	for p.space(); !p.take('}'); p.space() {
		if len(n.Members) > 0 {
			if !p.take(',') {
				return p.errorf("expected ',' or '}'")
			}
			p.space()
		}
		m, err := p.member(depth, seen)
		if err != nil {
			return err
		}
		n.Members = append(n.Members, m)
	}
	return nil
}

func (p *parser) member(depth int, seen map[string]bool) (Member, error) {
	m := Member{}
	m.Line, m.Column = p.place()
	if p.pos >= len(p.data) || p.data[p.pos] != '"' {
		return m, p.errorf("expected the name of a member in double quotes")
	}
	name, err := p.text()
	if err != nil {
		return m, err
	}
	if seen[name] {
		return m, m.Errorf("member %q appears twice", name)
	}
	seen[name], m.Name = true, name
	if p.space(); !p.take(':') {
		return m, p.errorf("expected ':' after the name %q", name)
	}
	p.space()
	m.Value, err = p.value(depth + 1)
	return m, err
}

// take consumes the byte if it stands here.
func (p *parser) take(c byte) bool {
	if p.pos < len(p.data) && p.data[p.pos] == c {
		p.pos++
		return true
	}
	return false
}

package tree

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Kind is the kind of a value.
type Kind int

// The kinds of value that JSON has.
const (
	Null Kind = iota
	Bool
	Number
	String
	List
	Object
)

// String returns the kind as a person calls it, with its article.
func (k Kind) String() string {
	return [...]string{"null", "true or false", "a number", "text", "a list", "an object"}[k]
}

// MaxDepth is the deepest nesting that is read. Ten levels are more than a
// device twin may have.
const MaxDepth = 64

// Node is one value.
type Node struct {
	Kind Kind
	// Text is the value of a String, the spelling of a Number, "true" or "false".
	Text string
	// Items are the values of a List.
	Items []*Node
	// Members are those of an Object, in their order, each name once.
	Members []Member
	// Line and Column, from 1, are where the value begins. Columns count
	// characters.
	Line, Column int
}

// Member is a named value of an Object.
type Member struct {
	Name         string
	Value        *Node
	Line, Column int
}

// Error is what is wrong in a text and where.
type Error struct {
	Line, Column int
	Text         string
}

// Error returns "LINE:COLUMN: text".
func (e *Error) Error() string { return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Text) }

// Errorf returns an error at the place of the node.
func (n *Node) Errorf(format string, args ...any) *Error {
	return &Error{Line: n.Line, Column: n.Column, Text: fmt.Sprintf(format, args...)}
}

// Errorf returns an error at the place of the member's name.
func (m Member) Errorf(format string, args ...any) *Error {
	return &Error{Line: m.Line, Column: m.Column, Text: fmt.Sprintf(format, args...)}
}

// Member returns the value of the member with this name, or nil.
func (n *Node) Member(name string) *Node {
	for _, m := range n.Members {
		if m.Name == name {
			return m.Value
		}
	}
	return nil
}

// Find follows a path of member names joined by dots as far as it goes and
// returns the value there: the node itself if not even the first is there.
func (n *Node) Find(path string) *Node {
	for step := range strings.SplitSeq(path, ".") {
		next := n.Member(step)
		if next == nil {
			break
		}
		n = next
	}
	return n
}

// JSON returns the value as JSON, numbers and order as they were.
func (n *Node) JSON() json.RawMessage {
	var b bytes.Buffer
	n.write(&b)
	return b.Bytes()
}

func (n *Node) write(b *bytes.Buffer) {
	switch n.Kind {
	case Null:
		b.WriteString("null")
	case Bool, Number:
		b.WriteString(n.Text)
	case String:
		writeString(b, n.Text)
	case List:
		b.WriteByte('[')
		for i, item := range n.Items {
			if i > 0 {
				b.WriteByte(',')
			}
			item.write(b)
		}
		b.WriteByte(']')
	case Object:
		b.WriteByte('{')
		for i, m := range n.Members {
			if i > 0 {
				b.WriteByte(',')
			}
			writeString(b, m.Name)
			b.WriteByte(':')
			m.Value.write(b)
		}
		b.WriteByte('}')
	}
}

func writeString(b *bytes.Buffer, s string) {
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s)       // text always encodes
	b.Truncate(b.Len() - 1) // the newline that Encode appends
}

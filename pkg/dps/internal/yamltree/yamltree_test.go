package yamltree_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps/internal/tree"
	"github.com/dpskit/dpskit/pkg/dps/internal/yamltree"
)

func TestParse(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"block style", "a: 1\nb:\n  - x\n  - true\n  - null\n", `{"a":1,"b":["x",true,null]}`},
		{"flow style", "{a: {b: [1, 2.50, -3e2]}}", `{"a":{"b":[1,2.50,-3e2]}}`},
		{"JSON", `{"a": "\u00e9", "b": [1e400]}`, `{"a":"é","b":[1e400]}`},
		{"what only looks like something else", "a: 2019-03-31\nb: yes\nc: no\nd: on\ne: 1.2.3\nf: 12:30:45\n", `{"a":"2019-03-31","b":"yes","c":"no","d":"on","e":"1.2.3","f":"12:30:45"}`},
		{"spellings of truth and nothing", "a: TRUE\nb: False\nc: ~\nd:\ne: Null\n", `{"a":true,"b":false,"c":null,"d":null,"e":null}`},
		{"quotes", "a: \"1\"\nb: 'true'\nc: \"x\\ty\"\n", `{"a":"1","b":"true","c":"x\ty"}`},
		{"blocks of text", "a: |\n  -----BEGIN\n  x\nb: >-\n  y\n  z\n", `{"a":"-----BEGIN\nx\n","b":"y z"}`},
		{"a name that is quoted", "\"1\": x\n", `{"1":"x"}`},
		{"an alias", "a: &x {k: 1}\nb: *x\n", `{"a":{"k":1},"b":{"k":1}}`},
		{"a merge that gives way", "base: &b {k: 1, l: 2}\nc:\n  <<: *b\n  k: 3\n", `{"base":{"k":1,"l":2},"c":{"k":3,"l":2}}`},
		{"merges of several", "- &a {k: 1}\n- &b {k: 2, l: 3}\n- <<: [*a, *b]\n", `[{"k":1},{"k":2,"l":3},{"k":1,"l":3}]`},
		{"a document mark and a comment", "# hi\n---\na: 1 # one\n...\n", `{"a":1}`},
		{"CRLF and a byte order mark", "\ufeffa: 1\r\nb: 2\r\n", `{"a":1,"b":2}`},
		{"a large number stays", "a: 123456789012345678901234567890\n", `{"a":123456789012345678901234567890}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n, err := yamltree.Parse([]byte(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			if got := string(n.JSON()); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 9 {
		prev := string(rune('0' + i))
		next := string(rune('1' + i))
		bomb += "a" + next + ": &a" + next + " [" + strings.TrimSuffix(strings.Repeat("*a"+prev+", ", 10), ", ") + "]\n"
	}
	tests := []struct{ name, in, want string }{
		{"nothing", "", "1:1: the document is empty"},
		{"only a comment", "# x\n", "1:1: the document is empty"},
		{"two documents", "a: 1\n---\nb: 2\n", "more than one document"},
		{"a duplicate member", "a: 1\nb: 2\na: 3\n", `3:1: member "a" appears twice`},
		{"a duplicate in flow style", "{a: 1, a: 2}", `1:8: member "a" appears twice`},
		{"hexadecimal", "a: 0x1F\n", `1:4: "0x1F" is a number in YAML`},
		{"octal", "a: 0o17\n", "is a number in YAML"},
		{"a leading zero", "a: 007\n", `"007" is a number in YAML`},
		{"an underscore", "a: 1_000\n", "is a number in YAML"},
		{"infinity", "a: .inf\n", "is a number in YAML"},
		{"not a number", "a: .nan\n", "is a number in YAML"},
		{"a plus", "a: +1\n", "is a number in YAML"},
		{"a tag of its own", "a: !thing x\n", "1:4: the tag !thing is not known here"},
		{"a tagged list", "a: !set [x]\n", "the tag !set is not known here"},
		{"a tagged object", "a: !!omap {x: 1}\n", "the tag"},
		{"binary", "a: !!binary aGk=\n", "the tag !!binary is not known here"},
		{"a number as a name", "1: x\n", "1:1: the name of a member is not text"},
		{"null as a name", "~: x\n", "the name of a member is not text"},
		{"a list as a name", "? [a]\n: x\n", "the name of a member is not text"},
		{"a merge of text", "a:\n  <<: x\n", "2:7: only an object can be merged in, this is text"},
		{"a merge of a list of text", "a:\n  <<: [x]\n", "only an object can be merged in"},
		{"a tab", "a:\n\tb: 1\n", "2:1: "},
		{"an open quote", "a: \"x\n", "1:"},
		{"an open bracket", "a: [1, 2\n", ":1: "},
		{"a bad indent", "a:\n   b: 1\n  c: 2\n", ":1: "},
		{"an unknown alias", "a: *x\n", "unknown anchor"},
		{"deep nesting", strings.Repeat("[", 100) + strings.Repeat("]", 100), "nested deeper than 64 levels"},
		{"an alias inside of itself", "a: &a [*a]\n", "nested deeper than 64 levels"},
		{"a billion laughs", bomb, "more than 2000000 values"},
		{"not UTF-8", "a: \xff\n", "1:1: "},
		{"a control character", "a: \x01\n", "control characters are not allowed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n, err := yamltree.Parse([]byte(tt.in))
			var at *tree.Error
			if !errors.As(err, &at) {
				t.Fatalf("got %v and %v, want a *tree.Error", n, err)
			}
			if !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %q, want %q in it", err, tt.want)
			}
		})
	}
}

// FuzzParse wants JSON or an error with a place, and never a panic.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"a: 1\n", "a: &x [*x]", "? a\n: b", "<<: {a: 1}", "- - - x", "a: |\n  x", "{a: [1, 'x']}", "%YAML 1.1\n---\n", "a: !!str 1", "\xff", "a: *b", "---\n---\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := yamltree.Parse(data)
		if err == nil {
			if !json.Valid(n.JSON()) {
				t.Errorf("%q became %s", data, n.JSON())
			}
			return
		}
		var at *tree.Error
		if !errors.As(err, &at) || at.Line < 1 || at.Column < 1 || at.Text == "" {
			t.Errorf("an error without a place: %#v", err)
		}
	})
}

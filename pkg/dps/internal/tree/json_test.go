package tree_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/dps/internal/tree"
)

func TestParseJSONKeepsSpellingAndOrder(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"members keep their order", `{ "b" : 1, "a" : [ true , false, null ] }`, `{"b":1,"a":[true,false,null]}`},
		{"numbers keep their spelling", `[1e400, -0.10, 12345678901234567890]`, `[1e400,-0.10,12345678901234567890]`},
		{"byte order mark and CRLF", "\ufeff{\r\n\"a\":\"b\"\r\n}\r\n", `{"a":"b"}`},
		{"escapes", `"\u00e9\ud83d\ude00\"\\\/\n<&>"`, `"é😀\"\\/\n<&>"`},
		{"empty ones", `{"a":{},"b":[],"":""}`, `{"a":{},"b":[],"":""}`},
		{"names that differ in case are two", `{"a":1,"A":2}`, `{"a":1,"A":2}`},
		{"as deep as allowed", strings.Repeat("[", 64) + strings.Repeat("]", 64), strings.Repeat("[", 64) + strings.Repeat("]", 64)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n, err := tree.ParseJSON([]byte(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			if got := string(n.JSON()); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestParseJSONRefuses(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"nothing", "", "1:1: the text ends where a value is expected"},
		{"only a byte order mark", "\ufeff", "1:1: the text ends"},
		{"a duplicate member", "{\n  \"a\": 1,\n  \"a\": 2\n}", `3:3: member "a" appears twice`},
		{"a duplicate in another spelling", `{"a":1,"\u0061":2}`, `1:8: member "a" appears twice`},
		{"trailing data", "{}\n{}", "2:1: text after the end"},
		{"deep nesting", strings.Repeat("[", 65) + strings.Repeat("]", 65), "1:65: nested deeper than 64 levels"},
		{"very deep nesting", strings.Repeat(`{"a":`, 100_000), "nested deeper than 64 levels"},
		{"half a surrogate pair", `["\ud83d"]`, "1:2: text with half a surrogate pair"},
		{"two high surrogates", `"\ud83d\ud83d"`, "half a surrogate pair"},
		{"a low surrogate first", `"\ude00"`, "half a surrogate pair"},
		{"invalid UTF-8", "\"é\xff\"", "1:3: not UTF-8"},
		{"a comma too many", "[1,\n ]", `2:2: unexpected ']'`},
		{"a comma too few", `{"a":1 "b":2}`, "1:8: expected ',' or '}'"},
		{"an open list", `[1`, "1:3: expected ',' or ']'"},
		{"an open object", `{"a":1`, "1:7: expected ',' or '}'"},
		{"an open text", `"abc`, "text that is not closed"},
		{"a line end in text", "\"a\nb\"", "1:1: text that is not closed before the end of its line"},
		{"an unknown escape", `"\x"`, "escape"},
		{"a bad unicode escape", `"\u12g4"`, "escape"},
		{"single quotes", `{'a':1}`, "1:2: expected the name of a member in double quotes"},
		{"no colon", `{"a" 1}`, `1:6: expected ':' after the name "a"`},
		{"NaN", `NaN`, "unexpected 'N'"},
		{"a plus sign", `+1`, "unexpected '+'"},
		{"a leading zero", `[01]`, `1:2: "01" is not a number`},
		{"hexadecimal", `0x1F`, `"0x1F" is not a number`},
		{"a lone minus", `-`, `"-" is not a number`},
		{"two dots", `1.2.3`, `"1.2.3" is not a number`},
		{"a comment", "// hi\n1", "unexpected '/'"},
		{"a capital True", `True`, "unexpected 'T'"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n, err := tree.ParseJSON([]byte(tt.in))
			var at *tree.Error
			if !errors.As(err, &at) {
				t.Fatalf("got %v and error %v, want a *tree.Error", n, err)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %q, want %q in it", err, tt.want)
			}
		})
	}
}

func TestPlacesAndPaths(t *testing.T) {
	n, err := tree.ParseJSON([]byte("{\n \"é\": {\"b\": 7},\n \"c\": []\n}"))
	if err != nil {
		t.Fatal(err)
	}
	b := n.Find("é.b")
	if diff := cmp.Diff(&tree.Node{Kind: tree.Number, Text: "7", Line: 2, Column: 13}, b); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := n.Find("é.nothing"); got != n.Member("é") {
		t.Errorf("a path that ends early leads to %v", got)
	}
	if got := n.Find("nothing"); got != n {
		t.Errorf("a path that leads nowhere ends at %v", got)
	}
	if got, want := b.Errorf("not %d", 8).Error(), "2:13: not 8"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := n.Members[1].Errorf("x").Error(), "3:2: x"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// FuzzParseJSON holds the parser against encoding/json: what it accepts is
// valid and means the same, and it accepts everything valid but what package
// tree promises to refuse.
func FuzzParseJSON(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,2.5e-3,"x\u00e9",true,null]}`, "\ufeff{}", `{"a":1,"a":2}`, `"\ud83d\ude00"`, `"\ud83d"`, `[[[[]]]]`,
		`-0`, `01`, "[1,]", `{"tags":{"$version":1}}`, "\"\xff\"", `{"a":"b"}{}`, "\t\r\n 1", `"\/"`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := tree.ParseJSON(data)
		plain := []byte(strings.TrimPrefix(string(data), "\ufeff"))
		if err != nil {
			var at *tree.Error
			if !errors.As(err, &at) || at.Line < 1 || at.Column < 1 {
				t.Fatalf("error without a place: %v", err)
			}
			if json.Valid(plain) && !promisedRefusal(at.Text) {
				t.Fatalf("valid JSON refused: %v", err)
			}
			return
		}
		if !json.Valid(plain) {
			t.Fatalf("accepted %q", data)
		}
		if got, want := decoded(t, n.JSON()), decoded(t, plain); !reflect.DeepEqual(got, want) {
			t.Fatalf("%q means %v, want %v", data, got, want)
		}
	})
}

func promisedRefusal(text string) bool {
	for _, s := range []string{"appears twice", "half a surrogate pair", "nested deeper", "not UTF-8"} {
		if strings.Contains(text, s) {
			return true
		}
	}
	return false
}

func decoded(t *testing.T, data []byte) (v any) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(string(data)))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%q: %v", data, err)
	}
	return v
}

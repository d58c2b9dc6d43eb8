// Package yamltree reads YAML that a person wrote into the tree of package
// tree, as strictly: what has no exact meaning in JSON is an error, not a guess.
//
// Text that YAML takes for something else must be quoted only where that makes
// a difference: dates stay text, and so do yes and no. Numbers that are not
// spelled as in JSON (0x1F, 007, 1_000, .inf) are refused. Anchors and merge
// keys work; an expansion that explodes is refused.
package yamltree

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/dpskit/dpskit/pkg/dps/internal/tree"
)

// maxNodes bounds the tree with all aliases expanded.
const maxNodes = 2_000_000

// Parse reads one YAML document. Errors are *tree.Error.
func Parse(data []byte) (n *tree.Node, err error) {
	defer func() {
		// A parser for a language of this size has had panics; none may end the
		// program.
		if r := recover(); r != nil {
			n, err = nil, &tree.Error{Line: 1, Column: 1, Text: "not YAML that can be read"}
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, &tree.Error{Line: 1, Column: 1, Text: "the document is empty"}
	} else if err != nil {
		return nil, syntaxError(err)
	}
	var more yaml.Node
	switch err := dec.Decode(&more); {
	case err == nil:
		return nil, &tree.Error{Line: max(more.Line, 1), Column: 1, Text: "more than one document: give one"}
	case !errors.Is(err, io.EOF):
		return nil, syntaxError(err)
	}
	c := converter{}
	return c.node(&doc, 0)
}

var lineForm = regexp.MustCompile(`^yaml: line (\d+): `)

// syntaxError takes the line out of an error of the parser.
func syntaxError(err error) *tree.Error {
	text, line := err.Error(), 1
	if m := lineForm.FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = strings.TrimPrefix(text, m[0])
	}
	text = strings.TrimPrefix(strings.ReplaceAll(text, "\n", " "), "yaml: ")
	if strings.Contains(text, "cannot start any token") && strings.Contains(text, `\t`) {
		text += ": indent with spaces"
	}
	return &tree.Error{Line: max(line, 1), Column: 1, Text: text}
}

// converter counts what it makes.
type converter struct{ nodes int }

func errorf(n *yaml.Node, format string, args ...any) error {
	return &tree.Error{Line: max(n.Line, 1), Column: max(n.Column, 1), Text: fmt.Sprintf(format, args...)}
}

func (c *converter) node(n *yaml.Node, depth int) (*tree.Node, error) {
	if c.nodes++; c.nodes > maxNodes {
		return nil, errorf(n, "the document has more than %d values, aliases included", maxNodes)
	}
	if depth > tree.MaxDepth {
		return nil, errorf(n, "nested deeper than %d levels", tree.MaxDepth)
	}
	switch n.Kind {
	case yaml.DocumentNode:
		return c.node(n.Content[0], depth+1)
	case yaml.AliasNode:
		return c.node(n.Alias, depth+1) // an alias inside of itself ends at the depth
	case yaml.SequenceNode:
		return c.list(n, depth)
	case yaml.MappingNode:
		return c.object(n, depth)
	case yaml.ScalarNode:
		return c.scalar(n)
	}
	return nil, errorf(n, "not a value")
}

func at(n *yaml.Node, kind tree.Kind, text string) *tree.Node {
	return &tree.Node{Kind: kind, Text: text, Line: max(n.Line, 1), Column: max(n.Column, 1)}
}

func (c *converter) list(n *yaml.Node, depth int) (*tree.Node, error) {
	if tag := n.ShortTag(); tag != "!!seq" {
		return nil, errorf(n, "the tag %.40s is not known here", tag)
	}
	list := at(n, tree.List, "")
	for _, item := range n.Content {
		value, err := c.node(item, depth+1)
		if err != nil {
			return nil, err
		}
		list.Items = append(list.Items, value)
	}
	return list, nil
}

// numberForm is how JSON spells a number.
var numberForm = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

func (c *converter) scalar(n *yaml.Node) (*tree.Node, error) {
	if n.Style == 0 && numberForm.MatchString(n.Value) {
		return at(n, tree.Number, n.Value), nil // 1e400 is text to the parser
	}
	switch tag := n.ShortTag(); tag {
	case "!!str", "!!timestamp":
		return at(n, tree.String, n.Value), nil
	case "!!null":
		return at(n, tree.Null, ""), nil
	case "!!bool":
		return at(n, tree.Bool, strings.ToLower(n.Value)), nil
	case "!!int", "!!float":
		if !numberForm.MatchString(n.Value) {
			return nil, errorf(n, "%.40q is a number in YAML, but not as JSON spells it: put it in quotes, or spell it plainly", n.Value)
		}
		return at(n, tree.Number, n.Value), nil
	default:
		return nil, errorf(n, "the tag %.40s is not known here", tag)
	}
}

func (c *converter) object(n *yaml.Node, depth int) (*tree.Node, error) {
	if tag := n.ShortTag(); tag != "!!map" {
		return nil, errorf(n, "the tag %.40s is not known here", tag)
	}
	object := at(n, tree.Object, "")
	seen, merges := map[string]bool{}, []*yaml.Node(nil)
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		if name.Kind == yaml.ScalarNode && name.ShortTag() == "!!merge" {
			merges = append(merges, value)
			continue
		}
		if name.Kind != yaml.ScalarNode || name.ShortTag() != "!!str" {
			return nil, errorf(name, "the name of a member is not text: put it in quotes")
		}
		if seen[name.Value] {
			return nil, errorf(name, "member %q appears twice", name.Value)
		}
		seen[name.Value] = true
		converted, err := c.node(value, depth+1)
		if err != nil {
			return nil, err
		}
		object.Members = append(object.Members, tree.Member{Name: name.Value, Value: converted, Line: name.Line, Column: name.Column})
	}
	for _, m := range merges {
		if err := c.merge(object, seen, m, depth+1); err != nil {
			return nil, err
		}
	}
	return object, nil
}

// merge adds the members of another object, or of several, that are not there
// yet (https://yaml.org/type/merge.html).
func (c *converter) merge(object *tree.Node, seen map[string]bool, from *yaml.Node, depth int) error {
	value, err := c.node(from, depth)
	if err != nil {
		return err
	}
	sources := []*tree.Node{value}
	if value.Kind == tree.List {
		sources = value.Items
	}
	for _, source := range sources {
		if source.Kind != tree.Object {
			return errorf(from, "only an object can be merged in, this is %s", source.Kind)
		}
		for _, m := range source.Members {
			if !seen[m.Name] {
				seen[m.Name] = true
				object.Members = append(object.Members, m)
			}
		}
	}
	return nil
}

package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
)

// TestSuggestedCommandsExist collects every command of this program that a hint,
// an explanation or a help text names, and finds it, with its flags, in the
// program.
func TestSuggestedCommandsExist(t *testing.T) {
	app := newApp(&cliapp.Env{})
	found := 0
	for _, dir := range []string{".", "../certgen", "../../pkg/dps", "../../pkg/dps/enrollment", "../../pkg/dps/bulk", "../../pkg/dps/desired", "../../pkg/pki/doctor"} {
		for _, text := range literals(t, dir) {
			for _, command := range suggested(text) {
				found++
				if problem := lookUp(app, command); problem != "" {
					t.Errorf("%s: %q: %s", dir, command, problem)
				}
			}
		}
	}
	if found < 80 {
		t.Errorf("%d commands were found: the search for them is broken", found)
	}
}

// TestLookUpFinds is the twin: what does not exist is found out.
func TestLookUpFinds(t *testing.T) {
	app := newApp(&cliapp.Env{})
	for command, ok := range map[string]bool{
		"enroll group show": true, "enroll group show ID -o json": true, "enroll ca": true, "enroll --generate": true,
		"enroll group shows": false, "enroll group show --all": false, "enroll individual show -a": false, "enroll --registration": false, "enroll nothing": false,
	} {
		if problem := lookUp(app, command); (problem == "") != ok {
			t.Errorf("%q: %q", command, problem)
		}
	}
}

// literals are the texts of a package, those that are put together with + as
// one, with the values of constants in them.
func literals(t *testing.T, dir string) (texts []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: no files, %v", dir, err)
	}
	var parsed []*ast.File
	constants := map[string]string{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, data, 0)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, file)
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == len(spec.Names) {
				for i, value := range spec.Values {
					if text, ok := textOf(value, nil); ok {
						constants[spec.Names[i].Name] = text
					}
				}
			}
			return true
		})
	}
	for _, file := range parsed {
		ast.Inspect(file, func(n ast.Node) bool {
			expr, ok := n.(ast.Expr)
			if !ok {
				return true
			}
			text, ok := textOf(expr, constants)
			if ok {
				texts = append(texts, text)
			}
			return !ok
		})
	}
	return texts
}

// textOf evaluates an expression of literals and constants. Anything else in it
// becomes a word that is no flag.
func textOf(e ast.Expr, constants map[string]string) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind != token.STRING {
			return "", false
		}
		text, err := strconv.Unquote(e.Value)
		return text, err == nil
	case *ast.BinaryExpr:
		left, l := textOf(e.X, constants)
		right, r := textOf(e.Y, constants)
		if e.Op != token.ADD || !l && !r {
			return "", false
		}
		if !l {
			left = named(e.X, constants)
		}
		if !r {
			right = named(e.Y, constants)
		}
		return left + right, true
	}
	return "", false
}

func named(e ast.Expr, constants map[string]string) string {
	if name, ok := e.(*ast.Ident); ok && constants[name.Name] != "" {
		return constants[name.Name]
	}
	return "X"
}

var (
	quoted  = regexp.MustCompile("[`']((?:go run ./cmd/)?enroll [^`']*)[`']")
	example = regexp.MustCompile(`(?m)^ +(enroll (?:[^\n\\]|\\\n)*)`)
	inline  = regexp.MustCompile(`(?:: |, )(enroll [a-z]+ [a-z]+[^,;(\n]*)`)
)

func suggested(text string) (commands []string) {
	for _, form := range []*regexp.Regexp{quoted, example, inline} {
		for _, m := range form.FindAllStringSubmatch(text, -1) {
			commands = append(commands, strings.ReplaceAll(m[1], "\\\n", " "))
		}
	}
	return commands
}

// lookUp says what of a command line does not exist.
func lookUp(app *cli.App, line string) string {
	words := strings.Fields(line)[1:]
	commands, flags := app.Commands, app.Flags
	for len(words) > 0 && !strings.HasPrefix(words[0], "-") && len(commands) > 0 {
		if strings.HasPrefix(words[0], "%") || words[0] == "COMMAND" {
			return "" // filled in by the program
		}
		i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(words[0]) })
		if i < 0 {
			return "there is no command " + words[0]
		}
		flags, commands, words = commands[i].Flags, commands[i].Subcommands, words[1:]
	}
	for _, word := range words {
		name, _, _ := strings.Cut(strings.TrimLeft(strings.TrimRight(word, ",;.:)"), "-"), "=")
		if !strings.HasPrefix(word, "-") || name == "" || strings.HasPrefix(name, "%") || name == "X" || name == "help" {
			continue
		}
		if !slices.ContainsFunc(flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), name) }) {
			return "there is no flag " + word
		}
	}
	return ""
}

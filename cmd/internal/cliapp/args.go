package cliapp

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// ExactArgs returns a Before function for a leaf command that takes exactly
// the named arguments.
func ExactArgs(names ...string) cli.BeforeFunc {
	return func(c *cli.Context) error {
		if c.NArg() < len(names) {
			return Usagef("missing argument %s", names[c.NArg()])
		}
		if c.NArg() > len(names) {
			return Usagef("unexpected argument %q", c.Args().Get(len(names)))
		}
		return noEmptyArgs(c)
	}
}

// MinArgs returns a Before function for a leaf command that takes n or more
// arguments; name says what one of them is.
func MinArgs(n int, name string) cli.BeforeFunc {
	return func(c *cli.Context) error {
		if c.NArg() < n {
			return Usagef("missing argument %s", name)
		}
		return noEmptyArgs(c)
	}
}

// NoArgs is the Before function of a leaf command that takes no arguments.
func NoArgs(c *cli.Context) error {
	if c.NArg() > 0 {
		return Usagef("unexpected argument %q", c.Args().First())
	}
	return nil
}

func noEmptyArgs(c *cli.Context) error {
	for _, a := range c.Args().Slice() {
		if a == "" {
			return Usagef("an argument is empty")
		}
	}
	return nil
}

// reorder moves the flags of a leaf command in front of its arguments, because
// urfave/cli v2 stops reading flags at the first argument. What stands after
// "--" is left alone.
// It returns the names of the commands on the way to the leaf, too.
func reorder(app *cli.App, args []string) (names, ordered []string, err error) {
	path, rest, err := descend(app, args)
	for _, c := range path {
		names = append(names, c.Name)
	}
	if err != nil {
		return names, nil, err
	}
	if asksHelp(leafFlags(app, path), rest) {
		return names, helpArgs(path, rest), nil
	}
	flags, positional, err := split(leafFlags(app, path), rest)
	if err != nil {
		return names, nil, err
	}
	ordered = append(append(ordered, names...), flags...)
	if len(positional) > 0 && len(path) > 0 && len(path[len(path)-1].Subcommands) == 0 {
		ordered = append(ordered, "--")
	}
	return names, append(ordered, positional...), nil
}

// descend follows the command names at the start of args. Flags of the program
// itself before a command name are refused: they would be silently unused.
func descend(app *cli.App, args []string) (path []*cli.Command, rest []string, err error) {
	commands := app.Commands
	i := 0
	for i < len(args) {
		c := find(commands, args[i])
		if c == nil {
			break
		}
		path = append(path, c)
		commands = c.Subcommands
		i++
	}
	rest = args[i:]
	if len(path) == 0 {
		if err := flagsFirst(app, rest); err != nil {
			return nil, nil, err
		}
	}
	return path, rest, nil
}

// flagsFirst refuses a command name behind flags: those of the program itself
// would be silently unused, and those of the command are not known yet.
func flagsFirst(app *cli.App, args []string) error {
	if len(args) == 0 || !strings.HasPrefix(args[0], "-") || args[0] == "--" {
		return nil
	}
	name, _, hasValue := strings.Cut(args[0], "=")
	known := slices.Contains(allFlagNames(app.Flags), strings.TrimLeft(name, "-"))
	if !known && !hasValue && len(args) > 2 && find(app.Commands, args[2]) != nil {
		return flagBefore(name, args[2])
	}
	_, positional, err := split(app.Flags, args)
	if err == nil && len(positional) > 0 && find(app.Commands, positional[0]) != nil {
		return flagBefore(name, positional[0])
	}
	return err
}

func flagBefore(flag, command string) error {
	return Usagef("flag %s before the command %q: put the flags after the command", flag, command)
}

func find(commands []*cli.Command, name string) *cli.Command {
	for _, c := range commands {
		if c.HasName(name) {
			return c
		}
	}
	return nil
}

func leafFlags(app *cli.App, path []*cli.Command) []cli.Flag {
	if len(path) == 0 {
		return app.Flags
	}
	return path[len(path)-1].Flags
}

// split separates flags (each with its value) from the other arguments.
func split(known []cli.Flag, args []string) (flags, positional []string, err error) {
	for i := 0; i < len(args); i++ {
		a := args[i]
		if a == "--" {
			return flags, append(positional, args[i+1:]...), nil
		}
		if len(a) < 2 || a[0] != '-' {
			positional = append(positional, a)
			continue
		}
		flags = append(flags, a)
		name, value, inline := strings.Cut(a, "=")
		if !takesValue(known, strings.TrimLeft(name, "-")) {
			if !inline && i+1 < len(args) && slices.Contains(allFlagNames(known), strings.TrimLeft(name, "-")) {
				err = strayValue(name, args[i+1])
			}
			if err != nil {
				return nil, nil, err
			}
			continue
		}
		if !inline {
			if i++; i == len(args) {
				return nil, nil, Usagef("flag %s needs a value", name)
			}
			value = args[i]
			flags = append(flags, value)
		}
		if value == "" { // an unset variable in a script, more often than not
			return nil, nil, Usagef("flag %s has an empty value", name)
		}
	}
	return flags, positional, nil
}

// asksHelp says whether one of the arguments is --help, and not the value of a
// flag.
func asksHelp(known []cli.Flag, args []string) bool {
	own := allFlagNames(known)
	for i := 0; i < len(args) && args[i] != "--"; i++ {
		a := args[i]
		if len(a) < 2 || a[0] != '-' {
			continue
		}
		name := strings.TrimLeft(a, "-")
		if slices.Contains(cli.HelpFlag.Names(), name) && !slices.Contains(own, name) {
			return true
		}
		if takesValue(known, name) {
			i++
		}
	}
	return false
}

// helpArgs asks for the help of the last command of a path, whatever else was
// given: urfave/cli would look for help on a topic called as the first argument
// of the command. What is no command of a group is still told, by the group.
func helpArgs(path []*cli.Command, rest []string) (args []string) {
	for _, c := range path {
		args = append(args, c.Name)
	}
	leaf := len(path) > 0 && len(path[len(path)-1].Subcommands) == 0
	if len(rest) > 0 && !leaf && !strings.HasPrefix(rest[0], "-") {
		return append(args, rest[0])
	}
	return append(args, "--"+cli.HelpFlag.Names()[0])
}

// strayValue refuses an argument that was meant to be the value of the flag
// before it, which takes none: it must not become the name of something.
func strayValue(flag, next string) error {
	if next != "true" && next != "false" {
		return nil
	}
	return Usagef("argument %q behind %s: a value of a flag stands behind =, as in %s=%s; what has this name stands behind --",
		next, flag, flag, next)
}

func takesValue(flags []cli.Flag, name string) bool {
	for _, f := range flags {
		for _, n := range f.Names() {
			if n == name {
				d, ok := f.(cli.DocGenerationFlag)
				return ok && d.TakesValue()
			}
		}
	}
	return false
}

// explainFlagError says in our words what the flag package found wrong.
func explainFlagError(c *cli.Context, err error) error {
	const undefined = "flag provided but not defined: "
	text := err.Error()
	if name, ok := strings.CutPrefix(text, undefined); ok {
		name = strings.TrimLeft(name, "-")
		if near := nearest(name, flagNames(c.Command.Flags)); near != "" {
			return fmt.Errorf("unknown flag --%s: did you mean --%s?", name, near)
		}
		return fmt.Errorf("unknown flag --%s", name)
	}
	text = strings.NewReplacer(" for flag -", " for flag --", " for -", " for --").Replace(text)
	return errors.New(strings.TrimSuffix(text, ": parse error"))
}

// flagNames are the long names, which a misspelt one may be near to.
func flagNames(flags []cli.Flag) []string {
	return slices.DeleteFunc(allFlagNames(flags), func(n string) bool { return len(n) < 2 })
}

func allFlagNames(flags []cli.Flag) []string {
	var names []string
	for _, f := range flags {
		names = append(names, f.Names()...)
	}
	return names
}

// nearest returns the candidate that is at most a third of its length away
// from name by edits, or "".
func nearest(name string, candidates []string) string {
	best, bestDistance := "", len(name)
	for _, c := range candidates {
		if d := distance(name, c); d < bestDistance && d <= (len(c)+2)/3 {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance is the Levenshtein distance of two short words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		previous := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			previous, row[j] = row[j], min(row[j]+1, row[j-1]+1, previous+cost)
		}
	}
	return row[len(b)]
}

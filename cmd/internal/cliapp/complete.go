package cliapp

import (
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"
)

const completionFlag = "--generate-bash-completion"

// completing reports whether a completion script asks for words.
func completing(args []string) bool {
	return len(args) > 0 && args[len(args)-1] == completionFlag
}

// complete prints the words that may stand behind args, one a line: flags when
// the last one begins like a flag, else commands or what BashComplete of the
// command prints. No line leaves it to the shell, which offers files.
//
// urfave/cli would do the same but for a "--" among the words: then it runs the
// command.
func complete(app *cli.App, env *Env, args []string) {
	words := make([]string, len(args))
	for i, word := range args {
		words[i] = unquote(word, env.Getenv("HOME"))
	}
	path, rest, _ := descend(app, words)
	commands, flags := app.Commands, leafFlags(app, path)
	var leaf *cli.Command
	if len(path) > 0 {
		leaf = path[len(path)-1]
		commands = leaf.Subcommands
	}
	given, state := scan(flags, rest)
	switch {
	case state.word != "":
		printFlags(env.Out, flags, state.word)
	case state.value:
	case len(commands) > 0 && state.arguments == 0:
		for _, c := range commands {
			if !c.Hidden {
				fmt.Fprintln(env.Out, c.Name)
			}
		}
	case leaf != nil && leaf.BashComplete != nil:
		set := flag.NewFlagSet(leaf.Name, flag.ContinueOnError)
		set.SetOutput(io.Discard)
		for _, f := range flags {
			if f.Apply(set) != nil {
				return
			}
		}
		if set.Parse(given) != nil {
			return
		}
		c := cli.NewContext(app, set, nil)
		c.Command = leaf
		leaf.BashComplete(c)
	}
}

// scanned is what the last of some words can be.
type scanned struct {
	word      string // the beginning of a flag
	value     bool   // the value of the flag before
	arguments int    // how many words are no flags and no values
}

// scan finds the flags among words.
func scan(known []cli.Flag, words []string) (flags []string, state scanned) {
	for i := 0; i < len(words); i++ {
		word := words[i]
		name, _, inline := strings.Cut(word, "=")
		name = strings.TrimLeft(name, "-")
		switch {
		case word == "--":
			state.arguments += len(words) - i - 1
			return flags, state
		case len(word) < 2 || word[0] != '-':
			if word == "-" && i == len(words)-1 {
				state.word = word
				continue
			}
			state.arguments++
		case takesValue(known, name) && !inline:
			if i++; i == len(words) {
				state.value = true
				return flags, state
			}
			flags = append(flags, word, words[i])
		case isFlag(known, name):
			flags = append(flags, word)
		case i == len(words)-1:
			state.word = word
		}
	}
	return flags, state
}

func isFlag(known []cli.Flag, name string) bool {
	for _, n := range allFlagNames(known) {
		if n == name {
			return true
		}
	}
	return false
}

// printFlags prints the long flags that begin like word.
func printFlags(w io.Writer, flags []cli.Flag, word string) {
	for _, name := range append(flagNames(flags), "help") {
		if f := "--" + name; strings.HasPrefix(f, word) {
			fmt.Fprintln(w, f)
		}
	}
}

// unquote reads a word as shells show it to completion scripts: with its quotes.
// Nothing is expanded but a ~ at the beginning.
func unquote(word, home string) string {
	if rest, ok := strings.CutPrefix(word, "~/"); ok && home != "" {
		word = home + "/" + rest
	}
	var b strings.Builder
	var quote byte
	for i := 0; i < len(word); i++ {
		c := word[i]
		switch {
		case quote == 0 && (c == '\'' || c == '"'):
			quote = c
		case quote != 0 && c == quote:
			quote = 0
		case c == '\\' && quote != '\'' && i+1 < len(word) && strings.IndexByte(` '"$`+"`()&;", word[i+1]) >= 0:
			i++
			b.WriteByte(word[i])
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
)

// page builds a text for a person: headings, and fields in two columns. What
// comes from a certificate or a file is made safe for a terminal.
type page struct {
	b strings.Builder
}

func (p *page) linef(format string, args ...any) {
	p.b.WriteString(cliapp.Printable(fmt.Sprintf(format, args...)))
	p.b.WriteByte('\n')
}

func (p *page) blank() { p.b.WriteByte('\n') }

// fields writes name and value pairs below each other; empty values are left out.
func (p *page) fields(indent string, pairs ...string) {
	tw := tabwriter.NewWriter(&p.b, 0, 8, 2, ' ', 0)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			value := strings.ReplaceAll(cliapp.Printable(pairs[i+1]), "\t", " ")
			fmt.Fprintf(tw, "%s%s\t%s\n", indent, pairs[i], value)
		}
	}
	_ = tw.Flush() // a strings.Builder does not fail
}

func (p *page) String() string { return p.b.String() }

// shellQuote makes a word safe to paste into a POSIX shell. Words that need no
// quotes stay as they are.
func shellQuote(word string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:/=@%+,"
	if word != "" && strings.Trim(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// commandLine joins words into a command that can be pasted into a shell.
func commandLine(words ...string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = shellQuote(w)
	}
	return strings.Join(quoted, " ")
}

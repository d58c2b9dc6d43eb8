package cliapp

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"
)

// Format is a form of output.
type Format string

// The forms of output. Each program offers those that it names in OutputFlag.
const (
	FormatText  Format = "text"  // sentences and paths for a person
	FormatTable Format = "table" // columns with a header, or one field a line
	FormatJSON  Format = "json"  // one document with a stable schema
	FormatTSV   Format = "tsv"   // tab-separated rows without a header
)

// FlagOutput is the name of the flag that chooses the Format.
const FlagOutput = "output"

// OutputFlag returns the --output flag for the given formats. With def empty
// the default is a table on a terminal and TSV elsewhere.
func OutputFlag(def Format, formats ...Format) cli.Flag {
	names := make([]string, len(formats))
	for i, f := range formats {
		names[i] = string(f)
	}
	usage := "print the result as `FORMAT`: " + strings.Join(names, ", ")
	if def == "" {
		usage += " (default: table on a terminal, else tsv)"
	}
	return &cli.StringFlag{
		Name: FlagOutput, Aliases: []string{"o"}, Value: string(def), Usage: usage,
		Action: func(_ *cli.Context, v string) error {
			if v == "" || slices.Contains(formats, Format(v)) {
				return nil
			}
			return Usagef("invalid --%s %q: want %s", FlagOutput, v, strings.Join(names, ", "))
		},
	}
}

// OutputFormat returns the format that the command line asks for.
func (e *Env) OutputFormat(c *cli.Context) Format {
	if f := c.String(FlagOutput); f != "" {
		return Format(f)
	}
	if e.OutTTY {
		return FormatTable
	}
	return FormatTSV
}

// View is a result as a person sees it. Value is what JSON prints.
type View struct {
	Value   any
	Columns []string
	Rows    [][]string
	// Single marks one object (a show command): a table prints one field a
	// line instead of columns.
	Single bool
	// Text is what FormatText prints; it ends with a newline.
	Text string
	// Empty is what a table says on standard error when there are no rows.
	Empty string
}

// Print writes the result to standard output, once.
func (e *Env) Print(format Format, v View) error {
	switch format {
	case FormatJSON:
		return writeJSON(e.Out, v.Value)
	case FormatTSV:
		return writeTSV(e.Out, v.Rows)
	case FormatText:
		_, err := io.WriteString(e.Out, v.Text)
		return err
	}
	if len(v.Rows) == 0 {
		if v.Empty != "" {
			e.Notef("%s", v.Empty)
		}
		return nil
	}
	if v.Single {
		return writeFields(e.Out, v.Columns, v.Rows[0])
	}
	return writeTable(e.Out, v.Columns, v.Rows)
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func writeTSV(w io.Writer, rows [][]string) error {
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, c := range row {
			cells[i] = strings.ReplaceAll(Printable(c), "\t", " ")
		}
		if _, err := fmt.Fprintln(w, strings.Join(cells, "\t")); err != nil {
			return err
		}
	}
	return nil
}

func writeTable(w io.Writer, columns []string, rows [][]string) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, strings.Join(upper(columns), "\t"))
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, c := range row {
			cells[i] = strings.ReplaceAll(Printable(c), "\t", " ")
		}
		fmt.Fprintln(tw, strings.Join(cells, "\t"))
	}
	return tw.Flush()
}

func upper(columns []string) []string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = strings.ToUpper(c)
	}
	return out
}

func writeFields(w io.Writer, columns, row []string) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for i, c := range columns {
		if i < len(row) && row[i] != "" {
			fmt.Fprintf(tw, "%s\t%s\n", c, strings.ReplaceAll(Printable(row[i]), "\t", " "))
		}
	}
	return tw.Flush()
}

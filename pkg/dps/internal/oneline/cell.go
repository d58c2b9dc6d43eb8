package oneline

import (
	"strings"
	"unicode/utf8"
)

// Cell makes a cell of a table text for every spreadsheet: one that begins with
// '=', '+', '-', '@' or their full-width forms would be taken for a formula, and
// gets a single quote in front, which spreadsheets hide
// (https://owasp.org/www-community/attacks/CSV_Injection).
func Cell(text string) string {
	first, size := utf8.DecodeRuneInString(strings.TrimLeft(text, " \u00a0\ufeff"))
	if size > 0 && strings.ContainsRune("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20", first) {
		return "'" + text
	}
	return text
}

package fleet_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/pki"
	"github.com/dpskit/dpskit/pkg/pki/fleet"
)

func all(ids fleet.IDs) []string {
	list := []string{}
	for i := range ids.Len() {
		list = append(list, ids.ID(i))
	}
	return list
}

func TestNumbered(t *testing.T) {
	tests := []struct {
		prefix       string
		start, count int
		want         []string
	}{
		{"dev-", 1, 3, []string{"dev-1", "dev-2", "dev-3"}},
		{"dev-", 1, 10, []string{"dev-01", "dev-02", "dev-03", "dev-04", "dev-05", "dev-06", "dev-07", "dev-08", "dev-09", "dev-10"}},
		{"", 0, 2, []string{"0", "1"}},
		{"-", 99, 2, []string{"-099", "-100"}},
		{strings.Repeat("x", 63), 9, 1, []string{strings.Repeat("x", 63) + "9"}},
	}
	for _, tt := range tests {
		ids, err := fleet.Numbered(tt.prefix, tt.start, tt.count)
		if err != nil {
			t.Errorf("Numbered(%q, %d, %d): %v", tt.prefix, tt.start, tt.count, err)
			continue
		}
		if diff := cmp.Diff(tt.want, all(ids)); diff != "" {
			t.Errorf("Numbered(%q, %d, %d) (-want +got):\n%s", tt.prefix, tt.start, tt.count, diff)
		}
	}
}

func TestNumberedRefuses(t *testing.T) {
	tests := []struct {
		name         string
		prefix       string
		start, count int
		is           error
	}{
		{"no device", "a", 1, 0, nil},
		{"a negative number", "a", 1, -1, nil},
		{"too many", "a", 1, fleet.MaxDevices + 1, nil},
		{"a negative start", "a", -1, 1, nil},
		{"a huge start", "a", 1 << 60, 1, nil},
		{"a space", "a b", 1, 1, pki.ErrInvalidID},
		{"a slash", "../", 1, 1, pki.ErrInvalidID},
		{"too long with its number", strings.Repeat("x", 63), 1, 10, pki.ErrInvalidID},
	}
	for _, tt := range tests {
		if ids, err := fleet.Numbered(tt.prefix, tt.start, tt.count); err == nil || tt.is != nil && !errors.Is(err, tt.is) {
			t.Errorf("%s: Numbered() = %v, %v; want an error that wraps %v", tt.name, ids, err, tt.is)
		}
	}
}

func TestReadIDs(t *testing.T) {
	ab := []string{"a", "b"}
	tests := []struct {
		name, text string
		want       []string
	}{
		{"plain list", "a\nb\n", ab},
		{"no newline at the end", "a\nb", ab},
		{"Windows line ends", "a\r\nb\r\n", ab},
		{"old Mac line ends", "a\rb\r", ab},
		{"byte order mark", "\ufeffa\nb\n", ab},
		{"empty lines", "\n\na\n\n \nb\n\n", ab},
		{"spaces", " a \n\tb\t\n", ab},
		{"header", "registrationId\na\nb\n", ab},
		{"header in another case", "Registration_ID\na\nb\n", ab},
		{"header with a byte order mark and a quote", "\ufeff\"registrationId\"\r\n\"a\"\r\n\"b\"\r\n", ab},
		{"header of another column", "site,registrationId,note\nx,a,1\ny,b,2\n", ab},
		{"semicolons", "site;registrationId;note\nx,1;a;1\ny,1;b;2\n", ab},
		{"tabs", "registrationId\tsite\na\tx,y;z\nb\t\n", ab},
		{"the first column without a header", "a,x\nb,y\n", ab},
		{"quotes", "\"a\",\"x, \"\"y\"\"\"\n\"b\",\"\"\n", ab},
		{"a line break within quotes", "note,registrationId\n\"one\ntwo\r\nthree\",a\nx,b\n", ab},
		{"a separator within quotes in the first row", "\"a\",\"x;y\"\nb,z\n", ab},
		{"rows of different length", "a,1,2,3\nb\n", ab},
		{"the apostrophe of the index", "registrationId\n'-x\n-y\n", []string{"-x", "-y"}},
		{"every character", "A-b_c.d:9\n", []string{"A-b_c.d:9"}},
		{"64 characters", strings.Repeat("x", 64), []string{strings.Repeat("x", 64)}},
		{"long other fields", "registrationId,note\na," + strings.Repeat("y", 60_000) + "\nb,", ab},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			list, err := fleet.ReadIDs(strings.NewReader(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, all(list)); diff != "" {
				t.Errorf("IDs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadIDsRefuses(t *testing.T) {
	tests := []struct {
		name, text string
		want       string // in the error
	}{
		{"nothing", "", "holds no id"},
		{"only empty lines", "\n \n\r\n", "holds no id"},
		{"only a header", "registrationId\n", "holds no id"},
		{"a slash", "a\nb/c\n", `row 2, column 1: check registration id "b/c"`},
		{"a space", "registrationId,x\na b,x\n", "row 2, column 1: "},
		{"a space below Windows line ends", "a\r\n\"b\"\r\n\r\nc d\r\n", "row 4, column 1: "},
		{"a bad id in the second column", "x,registrationId\n1,a\n2,\u00e9\n", "row 3, column 2: "},
		{"a row after a quoted line break", "note,registrationId\n\"1\n2\",a\nx,b c\n", "row 3, column 2: "},
		{"a row after empty ones", "\n\na\n\nb c\n", "row 5, column 1: "},
		{"no such column in a row", "x,registrationId\n1,a\n2\n", "row 3, column 2: the row has no column 2"},
		{"an empty id beside another field", "registrationId,x\n,1\n", "row 2, column 1: "},
		{"65 characters", strings.Repeat("x", 65), "row 1, column 1: "},
		{"300 characters", strings.Repeat("x", 300), "row 1, column 1: "},
		{"a duplicate", "a\nb\na\n", `row 3, column 1: "a" is in row 1 already`},
		{"a duplicate in another case", "x,registrationId\n1,dev\n1,DEV\n", `row 3, column 2: "DEV" is in row 2 as "dev"`},
		{"three duplicates", "a\nA\na\n", "row 2, column 1: \"A\" is in row 1 as \"a\", and the service does not tell upper case from lower; row 3, column 1: "},
		{"duplicates behind empty lines", "\n\na\n\n\nb\nc\n\nd\nB\n", `row 10, column 1: "B" is in row 6 as "b"`},
		{"a duplicate of the last row", "\na\nb\n\nc\nC\n", `row 6, column 1: "C" is in row 5 as "c"`},
		{"a header twice", "registrationId,registration-id\na,b\n", "row 1, column 2: the header names"},
		{"another header", "deviceId,site\na,x\n", `row 1, column 1: "deviceId" looks like a header`},
		{"no closing quote", "a\n\"b\n", "row 2, column 1: the closing quote is missing"},
		{"a quote within a field", "a\nb\"c\n", "row 2, column 1: a quote"},
		{"text behind a quote", "a,x\nb,\"c\"d\n", "row 2, column 2: text follows"},
		{"a NUL byte", "a\nb\x00c\n", "row 2, column 1: a NUL byte"},
		{"UTF-16", "\xff\xfea\x00\n\x00", "row 1, column 1: the text is UTF-16"},
		{"invalid UTF-8", "a\n\xff\xfe\n", "row 2, column 1: "},
		{"a formula", "=cmd|' /C calc'!A0\n", "row 1, column 1: "},
		{"an escape sequence", "\x1b[2J\n", "row 1, column 1: "},
		{"reserved separators", "a|b\n", "row 1, column 1: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			list, err := fleet.ReadIDs(strings.NewReader(tt.text))
			if !errors.Is(err, fleet.ErrBadList) {
				t.Fatalf("ReadIDs() = %v, %v; want ErrBadList", list, err)
			}
			if !strings.Contains(err.Error(), tt.want) || strings.ContainsAny(err.Error(), "\n\r\x1b") {
				t.Errorf("error %q, want one line with %q", err, tt.want)
			}
		})
	}
}

func TestReadIDsNamesTenProblems(t *testing.T) {
	_, err := fleet.ReadIDs(strings.NewReader(strings.Repeat("a b\n", 25) + "\"open"))
	if err == nil {
		t.Fatal("no error")
	}
	text := err.Error()
	if got := strings.Count(text, "row "); got != 10 {
		t.Errorf("%d rows in %q, want 10", got, text)
	}
	for _, want := range []string{"row 26, column 1: the closing quote is missing", "and 16 more"} {
		if !strings.Contains(text, want) {
			t.Errorf("error %q, want %q in it", text, want)
		}
	}
}

// endless is a line that never ends, and counts what was read of it.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	e.read += len(p)
	return len(p), nil
}

func TestReadIDsBoundsARow(t *testing.T) {
	for name, start := range map[string]string{"plain": "a\n", "quoted": "a\n\"", "many fields": strings.Repeat(",", 70_000)} {
		tail := &endless{}
		_, err := fleet.ReadIDs(io.MultiReader(strings.NewReader(start), tail))
		if !errors.Is(err, fleet.ErrBadList) || !strings.Contains(err.Error(), "longer than") {
			t.Errorf("%s: error %v, want one about the length of the row", name, err)
		}
		if tail.read > 1<<20 {
			t.Errorf("%s: %d bytes were read before it was refused", name, tail.read)
		}
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("the disk is gone") }

func TestReadIDsReportsReadErrors(t *testing.T) {
	_, err := fleet.ReadIDs(io.MultiReader(strings.NewReader("a\nb"), brokenReader{}))
	if err == nil || errors.Is(err, fleet.ErrBadList) || !strings.Contains(err.Error(), "the disk is gone") {
		t.Errorf("error %v, want that of the reader", err)
	}
}

func TestReadIDsManyDuplicates(t *testing.T) {
	_, err := fleet.ReadIDs(strings.NewReader(strings.Repeat("same\n", 200_000)))
	if err == nil || !strings.Contains(err.Error(), "and 199989 more") {
		t.Errorf("error %v, want 199989 more", err)
	}
}

func FuzzReadIDs(f *testing.F) {
	for _, seed := range []string{
		"a\nb\n", "\ufeffregistrationId;x\r\n\"a\";\"1\n2\"\r\n", "x,registrationId\n1,'-a\n", "\"", "a\"b", ",,\n;;", "\xff\xfe",
		"a\rb\r\n\r", "'", "registrationId\tregistrationId", "A\na", "\x00",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := fleet.ReadIDs(strings.NewReader(string(data)))
		if err != nil {
			if list != nil || strings.ContainsAny(err.Error(), "\n\r\x00\x1b") {
				t.Fatalf("ReadIDs() = %v, %q", list, err)
			}
			return
		}
		seen := map[string]bool{}
		for _, id := range all(list) {
			if err := pki.CheckRegistrationID(id); err != nil {
				t.Fatal(err)
			}
			if key := strings.ToLower(id); seen[key] {
				t.Fatalf("%q is there twice", id)
			} else {
				seen[key] = true
			}
		}
		// What was read can be written as an index and read again.
		var table strings.Builder
		x := fleet.NewIndex(&table, false)
		for i, id := range all(list) {
			if err := x.Write(&fleet.Device{Index: i, ID: id, Err: fmt.Errorf("x, \"y\"\n%d", i)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := x.Flush(); err != nil {
			t.Fatal(err)
		}
		again, err := fleet.ReadIDs(strings.NewReader(table.String()))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(all(list), all(again)); diff != "" {
			t.Fatalf("read again (-want +got):\n%s", diff)
		}
	})
}

package rollout_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dpskit/dpskit/pkg/dps/rollout"
)

func open(t *testing.T, path, scope string, source rollout.Source, opts *rollout.ReportOptions) *rollout.Report {
	t.Helper()
	r, err := rollout.OpenReport(path, scope, source, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func finish(t *testing.T, r *rollout.Report) {
	t.Helper()
	if err := r.Finish(); err != nil {
		t.Fatal(err)
	}
}

func rowsOf(t *testing.T, path string) (rows []rollout.Row) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(path, ".jsonl") {
		for dec := json.NewDecoder(bytes.NewReader(data)); dec.More(); {
			var r rollout.Row
			if err := dec.Decode(&r); err != nil {
				t.Fatal(err)
			}
			rows = append(rows, r)
		}
		return rows
	}
	cells, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := "registrationId,status,substatus,deviceId,assignedHub,enrollmentGroupId,operationId,attempts,durationMs,errorCode,message,trackingId,idScope"
	if got := strings.Join(cells[0], ","); got != want {
		t.Fatalf("header %s", got)
	}
	for _, c := range cells[1:] {
		attempts, _ := strconv.Atoi(c[7])
		code, _ := strconv.Atoi(c[9])
		rows = append(rows, rollout.Row{RegistrationID: c[0], Status: rollout.Status(c[1]), Substatus: c[2], DeviceID: c[3], AssignedHub: c[4],
			EnrollmentGroupID: c[5], OperationID: c[6], Attempts: attempts, ErrorCode: code, Message: c[10], TrackingID: c[11], IDScope: c[12]})
	}
	return rows
}

const header = "registrationId,status,substatus,deviceId,assignedHub,enrollmentGroupId,operationId,attempts,durationMs,errorCode,message,trackingId,idScope\n"

// line is a row of an earlier run, in both forms.
func line(format, id, status, scope string) string {
	if format == ".csv" {
		return id + "," + status + ",,,h,,,2,5,,,," + scope + "\n"
	}
	return `{"registrationId":"` + id + `","status":"` + status + `","assignedHub":"h","attempts":2,"durationMs":5,"idScope":"` + scope + `"}` + "\n"
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestReportIsSorted keeps what is there: rows of other devices, and the last
// row of each. A line that was cut off is dropped.
func TestReportIsSorted(t *testing.T) {
	for _, format := range []string{".csv", ".jsonl"} {
		t.Run(format, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "r"+format)
			cut := line(format, "dev-0003", "assigned", "s")
			content := line(format, "dev-0002", "failed", "s") + line(format, "stranger", "assigned", "s") + line(format, "DEV-0001", "assigned", "s") +
				line(format, "dev-0002", "assigned", "s") + line(format, "dev-0000", "pending", "elsewhere") + cut[:len(cut)-3]
			if format == ".csv" {
				content = header + content
			}
			put(t, path, content)
			r := open(t, path, "s", devices(4), nil)
			finish(t, r)
			var got []string
			for _, row := range rowsOf(t, path) {
				got = append(got, row.RegistrationID+" "+string(row.Status))
			}
			want := []string{"stranger assigned", "dev-0000 pending", "DEV-0001 assigned", "dev-0002 assigned", "dev-0003 pending"}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
			if err := r.Finish(); err != nil {
				t.Errorf("finished twice: %v", err)
			}
			info, err := os.Stat(path)
			if err != nil || info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%v, %v", info.Mode(), err)
			}
		})
	}
}

// TestReportsThatAreNone are refused and left alone, unless they are not wanted
// any more.
func TestReportsThatAreNone(t *testing.T) {
	for name, tt := range map[string]struct {
		file, content string
		want          error
	}{
		"a list":              {"r.csv", "registrationId\ndev-1\n", rollout.ErrNoReport},
		"no end of line":      {"r.csv", "something", rollout.ErrNoReport},
		"a row of another":    {"r.csv", header + "a,b\n", rollout.ErrNoReport},
		"a quote":             {"r.csv", header + "\"a\n", rollout.ErrNoReport},
		"a long line":         {"r.csv", header + strings.Repeat("a", 2<<20), rollout.ErrNoReport},
		"JSON of another":     {"r.jsonl", `{"a":1}` + "\n", rollout.ErrNoReport},
		"not JSON":            {"r.ndjson", "a\n", rollout.ErrNoReport},
		"of another scope":    {"r.csv", header + line(".csv", "x", "assigned", "elsewhere"), rollout.ErrOtherScope},
		"failed there":        {"r.jsonl", line(".jsonl", "x", "failed", "elsewhere"), rollout.ErrOtherScope},
		"of an unknown form":  {"r.txt", "x\n", nil},
		"without any form":    {"r", "x\n", nil},
		"a form of something": {"r.json", "[]\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), tt.file)
			put(t, path, tt.content)
			_, err := rollout.OpenReport(path, "s", devices(2), nil)
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if data, _ := os.ReadFile(path); string(data) != tt.content {
				t.Errorf("it holds %.200q now", data)
			}
			if tt.want == nil {
				return
			}
			r := open(t, path, "s", devices(2), &rollout.ReportOptions{Restart: true})
			finish(t, r)
			data, _ := os.ReadFile(path)
			if strings.Count(string(data), "pending") != 2 || strings.Contains(string(data), "elsewhere") {
				t.Errorf("it holds %.200q", data)
			}
		})
	}
}

// TestDryReport reads a report, also one that another run writes, and writes
// nothing.
func TestDryReport(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.csv")
	dry := func(restart bool) *rollout.Report {
		return open(t, path, "s", devices(2), &rollout.ReportOptions{DryRun: true, Restart: restart})
	}
	finish(t, dry(false))
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("it made a file")
	}
	content := header + line(".csv", "dev-0001", "assigned", "s") + "cut"
	put(t, path, content)
	r := dry(false)
	if r.Assigned(0) || !r.Assigned(1) || dry(true).Assigned(1) {
		t.Error("it did not read what is there")
	}
	finish(t, r)
	if data, _ := os.ReadFile(path); string(data) != content {
		t.Errorf("it changed the report: %q", data)
	}
	put(t, path, "something\n")
	if _, err := rollout.OpenReport(path, "s", devices(2), &rollout.ReportOptions{DryRun: true}); !errors.Is(err, rollout.ErrNoReport) {
		t.Errorf("got %v", err)
	}
}

// TestReportIsReadableAtAnyTime looks at the file while the run goes on.
func TestReportIsReadableAtAnyTime(t *testing.T) {
	w := newWorld(t)
	path := filepath.Join(t.TempDir(), "r.csv")
	source := devices(20)
	r := open(t, path, w.scope(), source, nil)
	_, err := w.run(t.Context(), source, func(o *rollout.Options) {
		o.Report = r
		o.Progress = func(done, _ int) {
			if n := len(rowsOf(t, path)); n < done {
				t.Errorf("%d rows when %d are done", n, done)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil { // as a kill would
		t.Fatal(err)
	}
	again := devices(20)
	r = open(t, path, w.scope(), again, nil)
	s, err := w.run(t.Context(), again, func(o *rollout.Options) { o.Report = r })
	if err != nil || s.Earlier != 20 || again.read != nil {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestFormulas: a spreadsheet must not run what is in a report.
func TestFormulas(t *testing.T) {
	w := newWorld(t)
	path := filepath.Join(t.TempDir(), "r.csv")
	source := devices(2)
	source.prefix, source.errs = "-dev-", map[int]error{1: errors.New("=cmd()\nsecond line")}
	r := open(t, path, w.scope(), source, nil)
	if _, err := w.run(t.Context(), source, func(o *rollout.Options) { o.Report = r }); err != nil {
		t.Fatal(err)
	}
	finish(t, r)
	rows := rowsOf(t, path)
	if rows[0].RegistrationID != "'-dev-0000" || rows[1].Message != "'=cmd() second line" || rows[0].Status != rollout.Assigned {
		t.Errorf("%+v", rows)
	}
	r = open(t, path, w.scope(), source, nil)
	s, err := w.run(t.Context(), source, func(o *rollout.Options) { o.Report = r })
	if err != nil || s.Earlier != 1 {
		t.Errorf("%+v, %v", s, err)
	}
}

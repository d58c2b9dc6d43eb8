package bulk_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/bulk"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

func TestImportCreatesEveryRowOnce(t *testing.T) {
	_, client := start(t)
	var seen []int
	report, err := bulk.Import(t.Context(), client, devices(137), &bulk.Options{Concurrency: 5, Progress: func(done, total int) {
		seen = append(seen, done)
		if total != 137 {
			t.Errorf("total is %d", total)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	expectCounts(t, report, map[bulk.Outcome]int{bulk.Created: 137})
	if all := stored(t, client); len(all) != 137 || all["dev-00042"].DeviceID != "d-42" {
		t.Errorf("%d are stored", len(all))
	}
	for i, result := range report.Results {
		if want := fmt.Sprintf("dev-%05d", i); result.ID != want || result.Line != i+2 {
			t.Fatalf("result %d is %+v", i, result)
		}
	}
	if len(seen) == 0 || seen[len(seen)-1] != 137 {
		t.Errorf("progress was %v", seen)
	}
}

func TestNothingIsSentFromAFaultyFile(t *testing.T) {
	emu, _ := start(t)
	client := connect(t, emu, func(*http.Request, http.RoundTripper) (*http.Response, error) {
		t.Error("a request was sent")
		return nil, errors.New("no")
	})
	var text strings.Builder
	text.WriteString("registrationId,attestation\n")
	for i := range 10_000 {
		fmt.Fprintf(&text, "dev-%d,symmetricKey\n", i)
	}
	text.WriteString("dev-10000,password\n")
	report, err := bulk.Import(t.Context(), client, csvOf(text.String()), nil)
	var faults bulk.Faults
	if !errors.As(err, &faults) || report != nil || len(faults) != 1 || faults[0].Line != 10_002 {
		t.Errorf("got %v, %v", report, err)
	}
}

func TestImportOfWhatExists(t *testing.T) {
	text := "registrationId,attestation,deviceId,tags,primaryKey,endorsementKey\n" +
		"new,symmetricKey,n,,,\n" +
		"same,symmetricKey,s,,,\n" +
		"other,symmetricKey,changed,,,\n" +
		"kept,symmetricKey,,,,\n" +
		"keys,,,,bmV3LWtleS1uZXcta2V5LW5ldw==,\n" +
		"kind,,,,,AQID\n"
	tests := []struct {
		exists bulk.Existing
		want   map[bulk.Outcome]int
		other  string // the device id that "other" has afterwards
	}{
		{bulk.Fail, map[bulk.Outcome]int{bulk.Created: 1, bulk.Failed: 5}, "o"},
		{bulk.Skip, map[bulk.Outcome]int{bulk.Created: 1, bulk.Skipped: 5}, "o"},
		{bulk.Update, map[bulk.Outcome]int{bulk.Created: 1, bulk.Unchanged: 2, bulk.Updated: 2, bulk.Failed: 1}, "changed"},
	}
	for _, tt := range tests {
		t.Run(string(tt.exists), func(t *testing.T) {
			_, client := start(t)
			for id, deviceID := range map[string]string{"same": "s", "other": "o", "kept": "k", "keys": "", "kind": ""} {
				e := service.IndividualEnrollment{RegistrationID: id, DeviceID: deviceID, Attestation: service.SymmetricKeys("", ""),
					InitialTwin: &service.InitialTwin{Tags: json.RawMessage(`{"stay":1}`)}}
				if _, err := client.PutEnrollment(t.Context(), e, nil); err != nil {
					t.Fatal(err)
				}
			}
			before, err := client.GetEnrollmentAttestation(t.Context(), "keys", nil)
			if err != nil {
				t.Fatal(err)
			}
			report, err := bulk.Import(t.Context(), client, csvOf(text), &bulk.Options{Exists: tt.exists})
			if err != nil {
				t.Fatal(err)
			}
			expectCounts(t, report, tt.want)
			all := stored(t, client)
			if all["other"].DeviceID != tt.other || all["kept"].DeviceID != "k" || string(all["other"].InitialTwin.Tags) != `{"stay":1}` {
				t.Errorf("stored is %+v", all)
			}
			after, err := client.GetEnrollmentAttestation(t.Context(), "keys", nil)
			if err != nil {
				t.Fatal(err)
			}
			if tt.exists == bulk.Update && (after.SymmetricKey.PrimaryKey != "bmV3LWtleS1uZXcta2V5LW5ldw==" || after.SymmetricKey.SecondaryKey != before.SymmetricKey.SecondaryKey) {
				t.Error("the keys are not as the row says, or the one that it does not give is gone")
			}
			if tt.exists != bulk.Update && after.SymmetricKey.PrimaryKey != before.SymmetricKey.PrimaryKey {
				t.Error("a key was changed")
			}
			if tt.exists == bulk.Fail {
				var refusal *dps.Error
				if err := report.Results[1].Err; !errors.Is(err, dps.ErrConflict) || !errors.As(err, &refusal) || refusal.Code != 409201 {
					t.Errorf("the error is %v", err)
				}
			}
			if tt.exists == bulk.Update && !errors.Is(report.Results[5].Err, dps.ErrConflict) {
				t.Errorf("another kind of attestation: %v", report.Results[5].Err)
			}
		})
	}
}

func TestRowsFailOneByOne(t *testing.T) {
	_, client := start(t)
	pem := "\"" + string(mustPEM(t)) + "\""
	text := "registrationId,attestation,certificate\na,symmetricKey,\ndev-1,," + pem + "\ndev-2,," + pem + "\nb,symmetricKey,\n"
	report, err := bulk.Import(t.Context(), client, csvOf(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	expectCounts(t, report, map[bulk.Outcome]int{bulk.Created: 3, bulk.Failed: 1})
	if err := report.Results[2].Err; err == nil || !strings.Contains(err.Error(), "used by another enrollment") {
		t.Errorf("got %v", err)
	}
}

func mustPEM(t *testing.T) []byte {
	t.Helper()
	data, err := files(t)("next.pem")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestLostAnswersLoseAndDoubleNothing drops the answers to requests that the
// service has done, and requests that it never saw.
func TestLostAnswersLoseAndDoubleNothing(t *testing.T) {
	for _, exists := range []bulk.Existing{bulk.Fail, bulk.Skip, bulk.Update} {
		t.Run(string(exists), func(t *testing.T) {
			t.Parallel() // it waits for a second at each loss
			emu, plain := start(t)
			var n, bodies atomic.Int64
			client := connect(t, emu, func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
				if req.Method != http.MethodPost || !strings.HasSuffix(req.URL.Path, "/enrollments") {
					return next.RoundTrip(req)
				}
				switch n.Add(1) % 5 {
				case 0: // never arrives
					return nil, errors.New("connection reset by peer")
				case 2: // done, and the answer is lost
					bodies.Add(1)
					resp, err := next.RoundTrip(req)
					if err != nil {
						return nil, err
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
					return nil, errors.New("unexpected EOF")
				}
				bodies.Add(1)
				return next.RoundTrip(req)
			})
			if _, err := plain.PutEnrollment(t.Context(), service.IndividualEnrollment{RegistrationID: "dev-00003", DeviceID: "another",
				Attestation: service.SymmetricKeys("", "")}, nil); err != nil {
				t.Fatal(err)
			}
			report, err := bulk.Import(t.Context(), client, devices(60), &bulk.Options{Exists: exists, Concurrency: 3})
			if err != nil {
				t.Fatal(err)
			}
			want := map[bulk.Existing]map[bulk.Outcome]int{
				bulk.Fail:   {bulk.Created: 59, bulk.Failed: 1},
				bulk.Skip:   {bulk.Created: 59, bulk.Skipped: 1},
				bulk.Update: {bulk.Created: 59, bulk.Updated: 1},
			}[exists]
			expectCounts(t, report, want)
			if all := stored(t, plain); len(all) != 60 {
				t.Errorf("%d are stored, want 60", len(all))
			}
			if n.Load() < 7 {
				t.Errorf("only %d requests: the test loses nothing", n.Load())
			}
		})
	}
}

// TestWholeRefusalsAreNarrowedDown has the service refuse each request that
// holds one row, as it does for a body that it cannot read.
func TestWholeRefusalsAreNarrowedDown(t *testing.T) {
	emu, plain := start(t)
	client := connect(t, emu, func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		if bytes.Contains(body, []byte(`"dev-00013"`)) {
			return answer(req, http.StatusBadRequest, nil, `{"errorCode":400000,"trackingId":"t-1","message":"Bad."}`), nil
		}
		req.Body = io.NopCloser(bytes.NewReader(body))
		return next.RoundTrip(req)
	})
	report, err := bulk.Import(t.Context(), client, devices(25), nil)
	if err != nil {
		t.Fatal(err)
	}
	expectCounts(t, report, map[bulk.Outcome]int{bulk.Created: 24, bulk.Failed: 1})
	if !errors.Is(report.Results[13].Err, dps.ErrBadRequest) || len(stored(t, plain)) != 24 {
		t.Errorf("got %v", report.Results[13])
	}
}

func answer(req *http.Request, status int, header http.Header, body string) *http.Response {
	if header == nil {
		header = http.Header{}
	}
	header.Set("Content-Type", "application/json")
	return &http.Response{StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: header, Request: req,
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}
}

func TestARefusalOfEverythingEndsTheImport(t *testing.T) {
	emu, _ := start(t)
	var n atomic.Int64
	client := connect(t, emu, func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
		if n.Add(1) > 3 {
			return answer(req, http.StatusUnauthorized, nil, `{"errorCode":401000,"message":"Unauthorized"}`), nil
		}
		return next.RoundTrip(req)
	})
	report, err := bulk.Import(t.Context(), client, devices(200), &bulk.Options{Concurrency: 2})
	if !errors.Is(err, dps.ErrUnauthorized) {
		t.Fatalf("got %v", err)
	}
	expectCounts(t, report, map[bulk.Outcome]int{bulk.Created: 30, bulk.Pending: 170})
	if n.Load() > 6 {
		t.Errorf("%d requests were sent after the refusal", n.Load()-3)
	}
	if report.Results[199].ID != "dev-00199" {
		t.Errorf("a row that was not reached has no name: %+v", report.Results[199])
	}
}

func TestImportReadsKeys(t *testing.T) {
	_, client := start(t)
	text := "registrationId,attestation,primaryKey,endorsementKey\na,symmetricKey,,\nb,,bmV3LWtleS1uZXcta2V5LW5ldw==,\nt,,,AQID\n"
	report, err := bulk.Import(t.Context(), client, csvOf(text), &bulk.Options{Keys: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Keys) != 2 || report.Keys[1].Primary != "bmV3LWtleS1uZXcta2V5LW5ldw==" || report.Keys[0].Secondary == "" {
		t.Errorf("got %d keys", len(report.Keys))
	}
	var out bytes.Buffer
	if err := report.WriteKeysCSV(&out); err != nil || !strings.HasPrefix(out.String(), "registrationId,primaryKey,secondaryKey\na,") || strings.Count(out.String(), "\n") != 3 {
		t.Errorf("got %q, %v", out.String(), err)
	}
	if strings.Contains(fmt.Sprintf("%+v", report), "bmV3LWtleS1uZXcta2V5LW5ldw==") {
		t.Error("a printed report shows keys")
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []bulk.Options{{Exists: "replace"}, {Concurrency: -1}, {Concurrency: 33}} {
		if _, err := bulk.Import(t.Context(), nil, devices(1), &o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}

// TestFileThatChanges gives the second pass another file than the first.
func TestFileThatChanges(t *testing.T) {
	for _, second := range []string{"registrationId,attestation\na,symmetricKey\n", "registrationId,attestation\na,symmetricKey\nb,symmetricKey\nc,symmetricKey\n",
		"registrationId,attestation\nx,symmetricKey\nb,symmetricKey\n", "registrationId,attestation\na,symmetricKey\nb,nothing\n", ""} {
		_, client := start(t)
		passes := 0
		source := csvOf("")
		source.Open = func() (io.ReadCloser, error) {
			if passes++; passes == 1 {
				return io.NopCloser(strings.NewReader("registrationId,attestation\na,symmetricKey\nb,symmetricKey\n")), nil
			}
			return io.NopCloser(strings.NewReader(second)), nil
		}
		if _, err := bulk.Import(t.Context(), client, source, nil); err == nil || !strings.Contains(err.Error(), "the file changed while it was read") {
			t.Errorf("%q: got %v", second, err)
		}
	}
}

// TestAnotherWriterDuringAnUpdate changes the enrollment between our read and
// our write, as often as it takes to give up.
func TestAnotherWriterDuringAnUpdate(t *testing.T) {
	for _, times := range []int{1, 100} {
		emu, plain := start(t)
		e, err := plain.PutEnrollment(t.Context(), service.IndividualEnrollment{RegistrationID: "dev-00000", DeviceID: "x", Attestation: service.SymmetricKeys("", "")}, nil)
		if err != nil {
			t.Fatal(err)
		}
		writes := 0
		client := connect(t, emu, func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
			if req.Method == http.MethodPut && writes < times {
				writes++
				e.InitialTwin = &service.InitialTwin{Tags: json.RawMessage(fmt.Sprintf(`{"n":%d}`, writes))}
				if e, err = plain.PutEnrollment(context.Background(), e, nil); err != nil {
					t.Error(err)
				}
			}
			return next.RoundTrip(req)
		})
		report, err := bulk.Import(t.Context(), client, devices(1), &bulk.Options{Exists: bulk.Update})
		if err != nil {
			t.Fatal(err)
		}
		now := stored(t, plain)["dev-00000"]
		if times == 1 {
			expectCounts(t, report, map[bulk.Outcome]int{bulk.Updated: 1})
			if now.DeviceID != "d-0" || string(now.InitialTwin.Tags) != `{"n":1}` {
				t.Errorf("someone's change is lost: %+v", now)
			}
			continue
		}
		expectCounts(t, report, map[bulk.Outcome]int{bulk.Failed: 1})
		if !errors.Is(report.Results[0].Err, dps.ErrPrecondition) || now.DeviceID != "x" {
			t.Errorf("got %v, %+v", report.Results[0].Err, now)
		}
	}
}

// TestReportIsSafeInASpreadsheet has ids and messages that a spreadsheet would
// run.
func TestReportIsSafeInASpreadsheet(t *testing.T) {
	report := &bulk.Report{Results: []bulk.Result{
		{Line: 2, ID: "-dev", Outcome: bulk.Created},
		{Line: 3, ID: "dev", Outcome: bulk.Failed, Err: &dps.Error{Code: 400000, Message: `=HYPERLINK("http://evil","x")`, TrackingID: "@t"}},
		{Line: 4, ID: "d", Outcome: bulk.Failed, Err: errors.New(" \u00a0＝cmd|' /C calc'!A0")},
		{Line: 5, ID: "e", Outcome: bulk.Failed, Err: errors.New("a, \"b\"\nc")},
		{Line: 6, ID: "f", Outcome: bulk.Skipped, Earlier: true},
		{Line: 7, ID: "g", Outcome: bulk.Pending},
	}}
	const want = "line,registrationId,outcome,when,code,message,trackingId\n" +
		"2,'-dev,created,now,,,\n" +
		"3,dev,failed,now,400000,\"'=HYPERLINK(\"\"http://evil\"\",\"\"x\"\")\",'@t\n" +
		"4,d,failed,now,,' \u00a0＝cmd|' /C calc'!A0,\n" +
		"5,e,failed,now,,\"a, \"\"b\"\"\nc\",\n" +
		"6,f,skipped,earlier,,,\n" +
		"7,g,pending,,,,\n"
	var out bytes.Buffer
	if err := report.WriteCSV(&out, false); err != nil || out.String() != want {
		t.Errorf("%v\ngot  %q\nwant %q", err, out.String(), want)
	}
	out.Reset()
	if err := report.WriteCSV(&out, true); err != nil || !strings.Contains(out.String(), "\n2,-dev,created") {
		t.Errorf("raw: %q, %v", out.String(), err)
	}
	if err := report.WriteCSV(failing{}, false); err == nil {
		t.Error("a full disk went unnoticed")
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// TestConcurrencyIsBounded counts the requests on their way.
func TestConcurrencyIsBounded(t *testing.T) {
	emu, _ := start(t)
	var mu sync.Mutex
	running, most := 0, 0
	client := connect(t, emu, func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
		mu.Lock()
		running++
		most = max(most, running)
		mu.Unlock()
		defer func() {
			mu.Lock()
			running--
			mu.Unlock()
		}()
		return next.RoundTrip(req)
	})
	if _, err := bulk.Import(t.Context(), client, devices(300), &bulk.Options{Concurrency: 3}); err != nil {
		t.Fatal(err)
	}
	if most > 3 {
		t.Errorf("%d requests at once, want at most 3", most)
	}
}

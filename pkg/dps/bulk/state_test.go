package bulk_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps/bulk"
	"github.com/dpskit/dpskit/pkg/dps/service"
)

func TestSecondRunDoesNothing(t *testing.T) {
	emu, client := start(t)
	path := statePath(t)
	for run := range 3 {
		var requests atomic.Int64
		counting := connect(t, emu, func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
			requests.Add(1)
			return next.RoundTrip(req)
		})
		state := openState(t, path, "h")
		report, err := bulk.Import(t.Context(), counting, devices(25), &bulk.Options{State: state})
		if err != nil {
			t.Fatal(err)
		}
		expectCounts(t, report, map[bulk.Outcome]int{bulk.Created: 25})
		_, earlier := report.Count()
		if run == 0 && (earlier != 0 || requests.Load() != 3) || run > 0 && (earlier != 25 || requests.Load() != 0) {
			t.Errorf("run %d: %d done earlier, %d requests", run, earlier, requests.Load())
		}
		if err := state.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(stored(t, client)) != 25 {
		t.Error("not everything is stored")
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestChangedAndFailedRowsAreDoneAgain(t *testing.T) {
	_, client := start(t)
	path := statePath(t)
	run := func(text string, want map[bulk.Outcome]int, earlier int) {
		t.Helper()
		state := openState(t, path, "h")
		defer state.Close()
		report, err := bulk.Import(t.Context(), client, csvOf(text), &bulk.Options{State: state, Exists: bulk.Update})
		if err != nil {
			t.Fatal(err)
		}
		expectCounts(t, report, want)
		if _, got := report.Count(); got != earlier {
			t.Errorf("%d were done earlier, want %d", got, earlier)
		}
	}
	if _, err := client.PutEnrollment(t.Context(), service.IndividualEnrollment{RegistrationID: "c", Attestation: service.EndorsementKey("AQID", "")}, nil); err != nil {
		t.Fatal(err)
	}
	const head = "registrationId,attestation,deviceId\n"
	run(head+"a,symmetricKey,1\nb,symmetricKey,1\nc,symmetricKey,1\n", map[bulk.Outcome]int{bulk.Created: 2, bulk.Failed: 1}, 0)
	run(head+"a,symmetricKey,1\nb,symmetricKey,2\nc,symmetricKey,1\n", map[bulk.Outcome]int{bulk.Created: 1, bulk.Updated: 1, bulk.Failed: 1}, 1)
	if err := client.DeleteEnrollment(t.Context(), "c", nil); err != nil {
		t.Fatal(err)
	}
	run(head+"c,symmetricKey,1\nd,symmetricKey,1\nb,symmetricKey,2\n", map[bulk.Outcome]int{bulk.Created: 2, bulk.Updated: 1}, 1)
}

// TestAnythingThatEndsARunIsGoneOnFrom ends the import at every single request:
// before it is sent, after the service has done it, and after the answer. The
// journal is used as the dead process left it. The next run must finish the job,
// with every row created once and reported so.
func TestAnythingThatEndsARunIsGoneOnFrom(t *testing.T) {
	const rows = 47 // five requests
	for at := 1; at <= 5; at++ {
		for _, moment := range []string{"before", "after", "answered"} {
			t.Run(fmt.Sprintf("request %d %s", at, moment), func(t *testing.T) {
				emu, plain := start(t)
				path := statePath(t)
				var n atomic.Int64
				ctx, kill := context.WithCancel(t.Context())
				client := connect(t, emu, func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
					if n.Add(1) != int64(at) {
						return next.RoundTrip(req)
					}
					if moment == "before" {
						kill()
						return nil, errors.New("killed")
					}
					resp, err := next.RoundTrip(req)
					kill()
					if moment == "after" && err == nil {
						_, _ = io.Copy(io.Discard, resp.Body)
						_ = resp.Body.Close()
						return nil, errors.New("killed")
					}
					return resp, err
				})
				state := openState(t, path, "h")
				report, err := bulk.Import(ctx, client, devices(rows), &bulk.Options{State: state, Concurrency: 1})
				if err == nil && at < 5 {
					t.Fatal("the first run came to its end")
				}
				journal := read1(t, path) // what a kill -9 leaves: no Close, no Sync
				_ = state.Close()
				if err := os.WriteFile(path, journal, 0o600); err != nil {
					t.Fatal(err)
				}
				state = openState(t, path, "h")
				defer state.Close()
				first := report
				report, err = bulk.Import(t.Context(), plain, devices(rows), &bulk.Options{State: state, Concurrency: 2})
				if err != nil {
					t.Fatal(err)
				}
				expectCounts(t, report, map[bulk.Outcome]int{bulk.Created: rows})
				if got := len(stored(t, plain)); got != rows {
					t.Errorf("%d are stored, want %d", got, rows)
				}
				done, _ := first.Count()
				if _, earlier := report.Count(); earlier != done[bulk.Created] {
					t.Errorf("%d were done earlier, the first run said %d", earlier, done[bulk.Created])
				}
			})
		}
	}
}

func read1(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestTornJournals cuts the journal at every byte: it opens, and says no more
// than was written; or it is refused, and stays as it is.
func TestTornJournals(t *testing.T) {
	_, client := start(t)
	path := statePath(t)
	state := openState(t, path, "h")
	if _, err := bulk.Import(t.Context(), client, devices(3), &bulk.Options{State: state}); err != nil {
		t.Fatal(err)
	}
	if err := state.Close(); err != nil {
		t.Fatal(err)
	}
	whole := read1(t, path)
	header := strings.IndexByte(string(whole), '\n') + 1
	for cut := range len(whole) + 1 {
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		state, err := bulk.OpenState(path, "h", nil)
		if cut < header {
			if !errors.Is(err, bulk.ErrBroken) || string(read1(t, path)) != string(whole[:cut]) {
				t.Fatalf("cut at %d: got %v", cut, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		report, err := bulk.Import(t.Context(), client, devices(3), &bulk.Options{State: state, Exists: bulk.Skip})
		if err != nil {
			t.Fatal(err)
		}
		if count, _ := report.Count(); count[bulk.Failed]+count[bulk.Pending] > 0 {
			t.Fatalf("cut at %d: %v", cut, count)
		}
		_ = state.Close()
		if _, err := bulk.OpenState(path, "h", &bulk.StateOptions{DryRun: true}); err != nil {
			t.Fatalf("cut at %d: what was written on top is not a journal: %v", cut, err)
		}
	}
}

func TestStatesThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	state := openState(t, path, "one.azure-devices-provisioning.net")
	if _, err := bulk.OpenState(path, "one.azure-devices-provisioning.net", nil); !errors.Is(err, bulk.ErrLocked) {
		t.Errorf("a second import: %v", err)
	}
	if _, err := bulk.OpenState(path, "one.azure-devices-provisioning.net", &bulk.StateOptions{DryRun: true}); err != nil {
		t.Errorf("a dry run beside it: %v", err)
	}
	if err := state.Close(); err != nil {
		t.Fatal(err)
	}
	if err := state.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	_, err := bulk.OpenState(path, "two.azure-devices-provisioning.net", nil)
	if !errors.Is(err, bulk.ErrOtherService) || !strings.Contains(err.Error(), "one.azure") {
		t.Errorf("another service: %v", err)
	}
	again, err := bulk.OpenState(path, "two.azure-devices-provisioning.net", &bulk.StateOptions{Restart: true})
	if err != nil || again.Started().IsZero() {
		t.Fatal(err)
	}
	_ = again.Close()
	good := string(read1(t, path))
	for name, text := range map[string]string{
		"another file": "registrationId,attestation\na,b\n", "another version": strings.Replace(good, `"version":1`, `"version":2`, 1),
		"no salt": strings.Replace(good, `"salt":"`, `"salt":"zz`, 1), "garbage inside": good + "garbage\n" + `{"done":[["a","b","created"]]}` + "\n",
		"two records in a line": good + "{}{}\n", "an unknown member": good + `{"sent":[]}` + "\n", "empty": "", "a line without end": good + strings.Repeat("x", 2<<20) + "\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := bulk.OpenState(path, "two.azure-devices-provisioning.net", nil); !errors.Is(err, bulk.ErrBroken) {
			t.Errorf("%s: got %v", name, err)
		}
		if string(read1(t, path)) != text {
			t.Errorf("%s: the file was changed", name)
		}
	}
	if _, err := bulk.OpenState(filepath.Join(dir, "no", "s"), "h", nil); err == nil {
		t.Error("a folder that does not exist was accepted")
	}
}

func TestDryRunWritesNoJournal(t *testing.T) {
	_, client := start(t)
	path := statePath(t)
	state, err := bulk.OpenState(path, "h", &bulk.StateOptions{DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bulk.Import(t.Context(), client, devices(3), &bulk.Options{State: state}); err != nil {
		t.Fatal(err)
	}
	_ = state.Close()
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 0 {
		t.Errorf("there is %v, %v", entries, err)
	}
}

// TestJournalHoldsNoSecrets looks for a key in it.
func TestJournalHoldsNoSecrets(t *testing.T) {
	_, client := start(t)
	path := statePath(t)
	state := openState(t, path, "h")
	const secret = "Y2FuYXJ5LWNhbmFyeS1jYW5hcnk="
	if _, err := bulk.Import(t.Context(), client, csvOf("registrationId,primaryKey\na,"+secret+"\n"), &bulk.Options{State: state}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(read1(t, path)), secret[:10]) {
		t.Error("the journal holds a key")
	}
}

// TestKeysOfRowsThatWereDoneEarlier reads the keys in a second run.
func TestKeysOfRowsThatWereDoneEarlier(t *testing.T) {
	_, client := start(t)
	path := statePath(t)
	for _, keys := range []bool{false, true} {
		state := openState(t, path, "h")
		done := 0
		report, err := bulk.Import(t.Context(), client, devices(12), &bulk.Options{State: state, Keys: keys, Progress: func(d, _ int) { done = d }})
		if err != nil {
			t.Fatal(err)
		}
		if keys && (len(report.Keys) != 12 || done != 12) || !keys && len(report.Keys) != 0 {
			t.Errorf("keys %v: got %d, progress %d", keys, len(report.Keys), done)
		}
		_ = state.Close()
	}
}

// TestSkippedRowsAreOpenToAnotherChoice imports the same rows with one choice
// after the other about what exists.
func TestSkippedRowsAreOpenToAnotherChoice(t *testing.T) {
	for second, want := range map[bulk.Existing]bulk.Outcome{bulk.Skip: bulk.Skipped, bulk.Update: bulk.Updated, bulk.Fail: bulk.Failed} {
		_, client := start(t)
		if _, err := client.PutEnrollment(t.Context(), service.IndividualEnrollment{RegistrationID: "dev-00001", DeviceID: "old",
			Attestation: service.SymmetricKeys("", "")}, nil); err != nil {
			t.Fatal(err)
		}
		path := statePath(t)
		for _, exists := range []bulk.Existing{bulk.Skip, second} {
			state := openState(t, path, "h")
			report, err := bulk.Import(t.Context(), client, devices(3), &bulk.Options{State: state, Exists: exists})
			if err != nil {
				t.Fatal(err)
			}
			_ = state.Close()
			row := bulk.Skipped
			if exists == second {
				row = want
			}
			expectCounts(t, report, map[bulk.Outcome]int{bulk.Created: 2, row: 1})
			if _, earlier := report.Count(); exists == second && second != bulk.Skip && earlier != 2 {
				t.Errorf("%s after skip: %d rows were done earlier, want 2", second, earlier)
			}
		}
	}
}

package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/dpstest"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/dps/service"
	"github.com/dpskit/dpskit/pkg/pki"
)

const fleetKey = "Z3JvdXAtZ3JvdXAtZ3JvdXAtZ3JvdXAtZ3JvdXAtISE="

// keyedEmulator has a group on fleetKey.
func keyedEmulator(t *testing.T) *emulator.Emulator {
	t.Helper()
	emu := dpstest.Start(t)
	g := service.EnrollmentGroup{EnrollmentGroupID: "fleet", Attestation: service.SymmetricKeys(fleetKey, fleetKey)}
	if _, err := serviceClient(t, emu, nil).PutGroup(t.Context(), g, nil); err != nil {
		t.Fatal(err)
	}
	return emu
}

// deviceProxy stands between devices and an emulator. It calls hook after each
// register request has been done, before its answer goes out, with the number of
// the request from 1.
func deviceProxy(t *testing.T, emu *emulator.Emulator, hook func(n int64)) (host, caFile string) {
	t.Helper()
	target, err := url.Parse(emu.Info().HTTPS[0])
	if err != nil {
		t.Fatal(err)
	}
	client := emu.HTTPClient()
	t.Cleanup(client.CloseIdleConnections)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, Transport: client.Transport}
	var n atomic.Int64
	proxy.ModifyResponse = func(resp *http.Response) error {
		if resp.Request.Method == http.MethodPut {
			hook(n.Add(1))
		}
		return nil
	}
	server := httptest.NewTLSServer(proxy)
	t.Cleanup(server.Close)
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(caFile, pki.EncodeCertificatesPEM(server.Certificate()), 0o600); err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(server.URL, "https://"), caFile
}

func registerCmd(t *testing.T, host, ca, report string, n int) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath("enroll")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, "device", "register", "--count", fmt.Sprint(n), "--prefix", "dev-", "--host", host, "--ca-file", ca,
		"--id-scope", emulator.DefaultIDScope, "--report", report, "--output", "json")
	cmd.Env = append(os.Environ(), envGroupKey+"="+fleetKey)
	return cmd
}

// statuses counts the rows of a report by status; every device has one row, in
// order, unless the run was killed.
func statuses(t *testing.T, report string, killed bool) map[string]int {
	t.Helper()
	data, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	data = data[:bytes.LastIndexByte(data, '\n')+1] // a kill may leave half a line
	rows, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil {
		t.Fatalf("the report cannot be read: %v", err)
	}
	count := map[string]int{}
	for i, row := range rows[1:] {
		count[row[1]]++
		if want := fmt.Sprintf("dev-%03d", i+1); !killed && row[0] != want {
			t.Errorf("row %d is of %s, want %s", i+1, row[0], want)
		}
	}
	return count
}

// TestRegisterManySurvivesItsEnd ends a real process in the middle of a fleet.
// Its report says how far it came, and the same command does the rest.
func TestRegisterManySurvivesItsEnd(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("signals cannot be sent to a process on Windows")
	}
	const devices = 200
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(signal.String(), func(t *testing.T) {
			emu := keyedEmulator(t)
			process := make(chan *os.Process, 1)
			var requests atomic.Int64
			host, ca := deviceProxy(t, emu, func(n int64) {
				requests.Add(1)
				if n == 90 { // once: a second signal is not waited for
					_ = (<-process).Signal(signal)
				}
			})
			report := filepath.Join(t.TempDir(), "report.csv")
			first := registerCmd(t, host, ca, report, devices)
			var stdout, stderr bytes.Buffer
			first.Stdout, first.Stderr = &stdout, &stderr
			if err := first.Start(); err != nil {
				t.Fatal(err)
			}
			process <- first.Process
			began := time.Now()
			_ = first.Wait()
			took := time.Since(began)

			killed := signal == syscall.SIGKILL
			count := statuses(t, report, killed)
			if killed {
				if code := first.ProcessState.ExitCode(); code != -1 || count["assigned"] == 0 {
					t.Errorf("exit code %d, %v", code, count)
				}
			} else {
				var summary registerSummary
				if err := json.Unmarshal(stdout.Bytes(), &summary); err != nil {
					t.Fatalf("stdout %q: %v\n%s", stdout.Bytes(), err, &stderr)
				}
				if code := first.ProcessState.ExitCode(); code != 130 || took > 8*time.Second {
					t.Errorf("exit code %d after %v\n%s", code, took, &stderr)
				}
				if count["assigned"] != summary.Assigned || count["pending"] != summary.Pending || summary.Pending == 0 || summary.Assigned+summary.Pending != devices {
					t.Errorf("report %v, summary %+v", count, summary)
				}
				if !strings.Contains(stderr.String(), "the same command again registers the others") {
					t.Errorf("no hint how to go on: %s", &stderr)
				}
			}

			before := requests.Load()
			second := registerCmd(t, host, ca, report, devices)
			out, err := second.Output()
			var summary registerSummary
			if err == nil {
				err = json.Unmarshal(out, &summary)
			}
			if err != nil || summary.Earlier != count["assigned"] || summary.Assigned != devices-count["assigned"] {
				t.Errorf("the second run: %v, %+v after %v, %s", err, summary, count, errorText(err))
			}
			// A request of the first run may have been on its way when it ended.
			if sent := int(requests.Load() - before); sent < summary.Assigned || sent > summary.Assigned+16 {
				t.Errorf("the second run sent %d register requests for %d devices", sent, summary.Assigned)
			}
			if count := statuses(t, report, false); count["assigned"] != devices || len(count) != 1 {
				t.Errorf("the report says %v", count)
			}
			records := map[string]int{}
			for rec, err := range serviceClient(t, emu, nil).Registrations(t.Context(), "fleet", nil) {
				if err != nil {
					t.Fatal(err)
				}
				records[rec.RegistrationID]++
			}
			if len(records) != devices {
				t.Errorf("%d records", len(records))
			}
		})
	}
}

// TestRegisterManyWithOneReport refuses the second run while the first is on.
func TestRegisterManyWithOneReport(t *testing.T) {
	emu := keyedEmulator(t)
	report := filepath.Join(t.TempDir(), "report.csv")
	other, second := make(chan *exec.Cmd, 1), make(chan string, 1)
	host, ca := deviceProxy(t, emu, func(n int64) {
		if n == 1 {
			cmd := <-other
			out, _ := cmd.CombinedOutput()
			second <- fmt.Sprintf("%d %s", cmd.ProcessState.ExitCode(), out)
		}
	})
	other <- registerCmd(t, host, ca, report, 1)
	if out, err := registerCmd(t, host, ca, report, 1).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := <-second; !strings.HasPrefix(got, "7 ") || !strings.Contains(got, "another run is writing it") || !strings.Contains(got, "write another --report") {
		t.Errorf("the second run: %s", got)
	}
}

// TestRegisterManySaysWhatItWaitsFor throttles one request; all devices wait,
// and it is said once.
func TestRegisterManySaysWhatItWaitsFor(t *testing.T) {
	emu := keyedEmulator(t)
	target, err := url.Parse(emu.Info().HTTPS[0])
	if err != nil {
		t.Fatal(err)
	}
	client := emu.HTTPClient()
	t.Cleanup(client.CloseIdleConnections)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, Transport: client.Transport}
	var n atomic.Int64
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if n.Add(1) == 21 {
			w.Header().Set("Retry-After", "2")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		proxy.ServeHTTP(w, req)
	}))
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pki.EncodeCertificatesPEM(server.Certificate()), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := registerCmd(t, strings.TrimPrefix(server.URL, "https://"), ca, filepath.Join(t.TempDir(), "r.csv"), 40)
	began := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), `"assigned": 40`) || strings.Count(string(out), "asks to slow down (429): waiting 2") != 1 || time.Since(began) < 2*time.Second {
		t.Errorf("%v after %v\n%s", err, time.Since(began), out)
	}
}

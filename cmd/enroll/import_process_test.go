package main

import (
	"bytes"
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
	"github.com/dpskit/dpskit/pkg/pki"
)

// bulkProxy stands between a program and an emulator. It calls hook before and
// after it passes on a bulk request, with the number of the request from 1; a
// false ends the request without an answer.
func bulkProxy(t *testing.T, emu *emulator.Emulator, hook func(n int64, after bool) bool) (connection, caFile string) {
	t.Helper()
	target, err := url.Parse(emu.Info().HTTPS[0])
	if err != nil {
		t.Fatal(err)
	}
	// The Host stays that of the client, whose signature is for it.
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host }}
	client := emu.HTTPClient()
	t.Cleanup(client.CloseIdleConnections)
	proxy.Transport = client.Transport
	var n atomic.Int64
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodPost || !strings.HasSuffix(req.URL.Path, "/enrollments") {
			proxy.ServeHTTP(w, req)
			return
		}
		number := n.Add(1)
		if !hook(number, false) {
			panic(http.ErrAbortHandler)
		}
		answer := httptest.NewRecorder()
		proxy.ServeHTTP(answer, req)
		if !hook(number, true) {
			panic(http.ErrAbortHandler)
		}
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	}))
	t.Cleanup(server.Close)
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(caFile, pki.EncodeCertificatesPEM(server.Certificate()), 0o600); err != nil {
		t.Fatal(err)
	}
	host := strings.TrimPrefix(server.URL, "https://")
	_, rest, _ := strings.Cut(emu.Info().ConnectionString, ";")
	return "HostName=" + host + ";" + rest, caFile
}

// deviceFile is a CSV file with n devices.
func deviceFile(t testing.TB, n int) string {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("registrationId,attestation\n")
	for i := range n {
		fmt.Fprintf(&b, "dev-%05d,symmetricKey\n", i)
	}
	path := filepath.Join(t.TempDir(), "devices.csv")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func importCmd(t *testing.T, connection, ca, file string, flags ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath("enroll")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, append([]string{"individual", "import", file, "--output", "json"}, flags...)...)
	cmd.Env = append(os.Environ(), envConnectionString+"="+connection, envCAFile+"="+ca)
	return cmd
}

// TestImportSurvivesItsEnd ends a real process by an interrupt and by force, at
// several requests, before and after the service has done them. The next run
// must finish the job with every row created once.
func TestImportSurvivesItsEnd(t *testing.T) {
	t.Parallel() // all of it is in processes
	if runtime.GOOS == "windows" {
		t.Skip("signals cannot be sent to a process on Windows")
	}
	const rows = 153
	for signal, requests := range map[syscall.Signal][]int64{syscall.SIGINT: {1, 15}, syscall.SIGTERM: {6}, syscall.SIGKILL: {1, 6, 15}} {
		for _, at := range requests {
			for _, after := range []bool{false, true} {
				t.Run(fmt.Sprintf("%v at request %d, done %v", signal, at, after), func(t *testing.T) {
					t.Parallel()
					emu := dpstest.Start(t)
					var process *os.Process
					ready := make(chan struct{})
					connection, ca := bulkProxy(t, emu, func(n int64, isAfter bool) bool {
						<-ready
						if n == at && isAfter == after {
							_ = process.Signal(signal)
							return signal != syscall.SIGKILL // a dead client gets no answer
						}
						return true
					})
					file := deviceFile(t, rows)
					first := importCmd(t, connection, ca, file)
					var stdout, stderr bytes.Buffer
					first.Stdout, first.Stderr = &stdout, &stderr
					if err := first.Start(); err != nil {
						t.Fatal(err)
					}
					process = first.Process
					close(ready)
					began := time.Now()
					_ = first.Wait()
					stopped(t, first, signal, time.Since(began), stdout.Bytes(), stderr.String(), file)

					second := importCmd(t, connection, ca, file)
					out, err := second.Output()
					var summary importSummary
					if err == nil {
						err = json.Unmarshal(out, &summary)
					}
					if err != nil || summary.Created != rows || summary.Failed+summary.Pending > 0 {
						t.Errorf("the second run: %v, %+v, %s", err, summary, errorText(err))
					}
					client := serviceClient(t, emu, nil)
					stored := map[string]bool{}
					for e, err := range client.Enrollments(t.Context(), nil) {
						if err != nil {
							t.Fatal(err)
						}
						stored[e.RegistrationID] = true
					}
					if len(stored) != rows {
						t.Errorf("%d are stored, want %d", len(stored), rows)
					}
				})
			}
		}
	}
}

// stopped looks at how the first run ended and what it left.
func stopped(t *testing.T, cmd *exec.Cmd, signal syscall.Signal, took time.Duration, stdout []byte, stderr, file string) {
	t.Helper()
	report := strings.TrimSuffix(file, ".csv") + ".report.csv"
	if signal == syscall.SIGKILL {
		if code := cmd.ProcessState.ExitCode(); code != -1 {
			t.Errorf("exit code %d: it was not killed", code)
		}
		if _, err := os.Stat(report); err == nil {
			t.Error("a killed process left a report")
		}
		return
	}
	var summary importSummary
	if err := json.Unmarshal(stdout, &summary); err != nil {
		t.Fatalf("stdout %q: %v\n%s", stdout, err, stderr)
	}
	if code := cmd.ProcessState.ExitCode(); code != 130 && summary.Pending > 0 {
		t.Errorf("exit code %d with %d rows pending", code, summary.Pending)
	}
	if took > 15*time.Second { // two after the signal, and what a loaded machine takes
		t.Errorf("it took %v", took)
	}
	data, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(data), ",pending,"); got != summary.Pending {
		t.Errorf("the report has %d pending rows, the summary %d", got, summary.Pending)
	}
	if summary.Pending > 0 && !strings.Contains(stderr, "the same command again does the others") {
		t.Errorf("no hint how to go on: %s", stderr)
	}
	if _, err := os.Stat(report + ".state"); err != nil {
		t.Error(err)
	}
}

// TestTwoImportsAtOnce has the second one refused while the first is running.
func TestTwoImportsAtOnce(t *testing.T) {
	t.Parallel()
	emu := dpstest.Start(t)
	second, other := make(chan string, 1), make(chan *exec.Cmd, 1)
	file := deviceFile(t, 15)
	connection, ca := bulkProxy(t, emu, func(n int64, after bool) bool {
		if n == 1 && !after {
			cmd := <-other
			out, _ := cmd.CombinedOutput()
			second <- fmt.Sprintf("%d %s", cmd.ProcessState.ExitCode(), out)
		}
		return true
	})
	other <- importCmd(t, connection, ca, file)
	if out, err := importCmd(t, connection, ca, file).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := <-second; !strings.HasPrefix(got, "7 ") || !strings.Contains(got, "another import is running with it") {
		t.Errorf("the second import: %s", got)
	}
}

// TestImportSaysWhatItWaitsFor throttles a request as the service does.
func TestImportSaysWhatItWaitsFor(t *testing.T) {
	t.Parallel()
	emu := dpstest.Start(t)
	connection, ca := bulkProxy(t, emu, func(n int64, after bool) bool { return n != 2 || after })
	out, err := importCmd(t, connection, ca, deviceFile(t, 25), "--concurrency", "1").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "cannot be reached: waiting 1s") || !strings.Contains(string(out), `"created": 25`) {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestInterruptedInputLeavesNothing interrupts an import that waits for more of
// its standard input.
func TestInterruptedInputLeavesNothing(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("signals cannot be sent to a process on Windows")
	}
	dir := t.TempDir()
	cmd := importCmd(t, "HostName=127.0.0.1:1;SharedAccessKeyName=x;SharedAccessKey=eA==", "", "-", "--format", "csv", "--report", filepath.Join(dir, "r"))
	cmd.Env = append(cmd.Env, "TMPDIR="+dir)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// More than a pipe holds: when it is written, the process is reading.
	if _, err := stdin.Write(bytes.Repeat([]byte("registrationId,attestation\n"), 40_000)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	ended := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
	defer ended.Stop()
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit code %d, want 130", code)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("there is %v, %v", entries, err)
	}
}

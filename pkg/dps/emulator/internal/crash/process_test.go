package crash_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps/emulator"
)

// childDir makes the test binary run an emulator on this folder.
const childDir = "DPSKIT_TEST_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		os.Exit(serveForever(dir))
	}
	os.Exit(m.Run())
}

func serveForever(dir string) int {
	e, err := emulator.Start(context.Background(), &emulator.Options{DataDir: dir, RetryAfter: -1})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := json.NewEncoder(os.Stdout).Encode(e.Info()); err != nil {
		return 1
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // until the parent goes away
	_ = e.Close()
	return 0
}

// process is an emulator in a process of its own.
type process struct {
	cmd  *exec.Cmd
	out  *bufio.Reader
	info emulator.Info
	// client trusts the CA in the data folder.
	client *http.Client
}

func spawn(t *testing.T, dir string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0]) //nolint:gosec // this test binary
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = os.Stderr
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return &process{cmd: cmd, out: bufio.NewReader(out)}
}

// ready waits for the ready document; false means that the process ended first.
func (p *process) ready(t *testing.T) bool {
	t.Helper()
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return false
	}
	if err := json.Unmarshal(line, &p.info); err != nil {
		t.Fatalf("ready document %q: %v", line, err)
	}
	ca, err := os.ReadFile(p.info.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	p.client = &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool}, MaxIdleConnsPerHost: 2 * workers,
	}}
	return true
}

// kill is SIGKILL, and waits until the process is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may be gone already
	_ = p.cmd.Wait()
	if p.client != nil {
		p.client.CloseIdleConnections()
	}
}

// send sends one request. An error means that there was no whole answer.
func (p *process) send(method, path string, ifMatch string, body any) (status int, answer []byte, header http.Header, err error) {
	reader, writer := io.Pipe()
	go func() { _ = writer.CloseWithError(json.NewEncoder(writer).Encode(body)) }()
	req, err := http.NewRequest(method, p.info.HTTPS[0]+path+"?api-version=2021-10-01", reader) //nolint:noctx // ends with the process
	if err != nil {
		return 0, nil, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+p.info.Token)
	if ifMatch != "" {
		req.Header.Set("If-Match", ifMatch)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	return resp.StatusCode, answer, resp.Header, err
}

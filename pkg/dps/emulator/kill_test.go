package emulator_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dpskit/dpskit/pkg/dps/emulator"
)

// childDir makes the test binary run an emulator on this folder.
const childDir = "DPSKIT_TEST_EMULATOR_DIR"

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
	info emulator.Info
}

func startProcess(t *testing.T, dir string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
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
	p := &process{cmd: cmd}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		_ = cmd.Wait()
		t.Fatalf("emulator did not start: %v", err)
	}
	if err := json.Unmarshal(line, &p.info); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
	_ = p.cmd.Wait()
}

// try sends one request and gives up quietly: the other side gets killed.
func (p *process) try(client *http.Client, method, path string, header map[string]string, body any) (answer, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return answer{}, err
	}
	req, err := http.NewRequest(method, p.info.HTTPS[0]+path, strings.NewReader(string(data)))
	if err != nil {
		return answer{}, err
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode}
	if a.raw, err = io.ReadAll(resp.Body); err != nil {
		return answer{}, err
	}
	return a, json.Unmarshal(a.raw, &a.body)
}

// acks is what an emulator has acknowledged so far.
type acks struct {
	mu          sync.Mutex
	enrollments map[string]string // id -> etag
	created     string            // createdDateTimeUtc of the record of device "dev"
}

// TestKillNine kills the process of an emulator under load. Whatever it
// acknowledged must be there after the restart.
func TestKillNine(t *testing.T) {
	dir := t.TempDir()
	w, p := fleet(t, func(o *emulator.Options) { o.DataDir = dir })
	if err := w.e.Close(); err != nil {
		t.Fatal(err)
	}
	// The CA of the folder stays, so the clients of w trust its successors.
	service, dev := w.anonymous, w.client(device(t, p.intermediate, "dev"))
	bearer := map[string]string{"Authorization": "Bearer " + w.info.Token}
	known := &acks{enrollments: map[string]string{}}
	rng := rand.New(rand.NewPCG(7, 8))
	for cycle := range 6 {
		proc := startProcess(t, dir)
		known.check(t, proc, service, bearer)
		enough, stopped := make(chan struct{}), make(chan struct{})
		var wg sync.WaitGroup
		var count atomic.Int64
		budget := int64(10 + rng.IntN(60))
		for worker := range 4 {
			wg.Go(func() {
				for i := 0; ; i++ {
					id := fmt.Sprintf("e-%d-%d-%d", cycle, worker, i)
					a, err := proc.try(service, http.MethodPut, "/enrollments/"+id+"?api-version=2021-10-01", bearer, symmetric("registrationId", id))
					if err != nil {
						return
					}
					known.mu.Lock()
					known.enrollments[id] = a.str("etag")
					known.mu.Unlock()
					if count.Add(1) == budget {
						close(enough)
					}
				}
			})
		}
		wg.Go(func() { registerUntilKilled(proc, dev, known) })
		go func() {
			wg.Wait()
			close(stopped)
		}()
		select {
		case <-enough:
		case <-stopped:
			t.Error("clients gave up before the kill")
		}
		proc.kill(t)
		<-stopped
		service.CloseIdleConnections()
		dev.CloseIdleConnections()
	}
	proc := startProcess(t, dir)
	defer proc.kill(t)
	known.check(t, proc, service, bearer)
	service.CloseIdleConnections()
	if len(known.enrollments) < 60 || known.created == "" {
		t.Errorf("only %d enrollments were acknowledged, registration of %q", len(known.enrollments), known.created)
	}
}

func registerUntilKilled(proc *process, dev *http.Client, known *acks) {
	base, version := "/"+proc.info.IDScope+"/registrations/dev", "?api-version=2021-06-01"
	for {
		a, err := proc.try(dev, http.MethodPut, base+"/register"+version, nil, map[string]any{"registrationId": "dev"})
		if err != nil {
			return
		}
		a, err = proc.try(dev, http.MethodGet, base+"/operations/"+a.str("operationId")+version, nil, nil)
		if err != nil {
			return
		}
		known.mu.Lock()
		known.created = a.str("registrationState", "createdDateTimeUtc")
		known.mu.Unlock()
	}
}

// check compares a fresh process with what its predecessors acknowledged.
func (k *acks) check(t *testing.T, proc *process, client *http.Client, bearer map[string]string) {
	t.Helper()
	for id, etag := range k.enrollments {
		a, err := proc.try(client, http.MethodGet, "/enrollments/"+id+"?api-version=2021-10-01", bearer, nil)
		if err != nil || a.str("etag") != etag {
			t.Errorf("acknowledged enrollment %s: %v, %s", id, err, a.raw)
		}
	}
	if k.created == "" {
		return
	}
	a, err := proc.try(client, http.MethodGet, "/registrations/dev?api-version=2021-10-01", bearer, nil)
	if err != nil || a.str("status") != "assigned" || a.str("createdDateTimeUtc") != k.created {
		t.Errorf("acknowledged registration of %s: %v, %s", k.created, err, a.raw)
	}
}

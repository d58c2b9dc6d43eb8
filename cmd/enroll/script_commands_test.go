package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/dpskit/dpskit/cmd/internal/clitest"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
	"github.com/dpskit/dpskit/pkg/pki/workspace"
)

// children are the emulators that scripts have started, one a script at most.
type children struct {
	mu       sync.Mutex
	byScript map[string]*child
}

type child struct {
	cmd    *exec.Cmd
	stderr strings.Builder
}

func (c *children) start(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: emulator [FLAG...]")
	}
	path, err := exec.LookPath("enroll")
	ts.Check(err)
	for _, flag := range []string{"--mqtt-addr", "--https-addr"} {
		if !slices.Contains(args, flag) {
			args = append([]string{flag, "127.0.0.1:0"}, args...)
		}
	}
	args = append([]string{"emulator", "--admin-addr", "127.0.0.1:0", "--retry-after", "0s"}, args...)
	ch := &child{cmd: exec.Command(path, args...)}
	ch.cmd.Dir, ch.cmd.Env, ch.cmd.Stderr = ts.MkAbs("."), clitest.Environ(ts), &ch.stderr
	stdout, err := ch.cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(ch.cmd.Start())
	c.mu.Lock()
	c.byScript[ts.Name()] = ch
	c.mu.Unlock()
	ts.Defer(func() { _ = ch.cmd.Process.Kill(); _ = ch.cmd.Wait() })

	line, err := bufio.NewReader(stdout).ReadString('\n')
	var info emulator.Info
	if err == nil {
		err = json.Unmarshal([]byte(line), &info)
	}
	if err != nil {
		_ = ch.cmd.Wait()
		ts.Fatalf("ready line %q: %v\n%s", line, err, ch.stderr.String())
	}
	_, _ = io.WriteString(ts.Stdout(), line)
	ts.Setenv(envConnectionString, info.ConnectionString)
	ts.Setenv(envCAFile, info.CAFile)
	ts.Setenv("ID_SCOPE", info.IDScope)
	ts.Setenv("ADMIN", info.Admin)
	ts.Setenv("HOST", info.HostName)
	ts.Setenv("MQTT", strings.TrimPrefix(strings.Join(info.MQTT, " "), "mqtts://"))
	ts.Setenv("ADDR", strings.TrimPrefix(info.HTTPS[0], "https://"))
}

func (c *children) stop(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]os.Signal{"int": os.Interrupt, "term": syscall.SIGTERM, "kill": os.Kill}
	if neg || len(args) != 1 || signals[args[0]] == nil {
		ts.Fatalf("usage: stop-emulator int|term|kill")
	}
	c.mu.Lock()
	ch := c.byScript[ts.Name()]
	c.mu.Unlock()
	if ch == nil {
		ts.Fatalf("no emulator is running")
	}
	ts.Check(ch.cmd.Process.Signal(signals[args[0]]))
	err := ch.cmd.Wait()
	_, _ = io.WriteString(ts.Stderr(), ch.stderr.String())
	if err != nil && args[0] != "kill" {
		ts.Fatalf("emulator did not end cleanly: %v\n%s", err, ch.stderr.String())
	}
}

func signVerification(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sign-verification DIR CODE")
	}
	ws, err := workspace.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	_, _, err = ws.IssueVerification(context.Background(), workspace.VerificationOptions{Code: args[1], CA: "root"})
	ts.Check(err)
}

func get(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: get URL STATUS")
	}
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	resp, err := http.Get(args[0])
	ts.Check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	_, _ = ts.Stdout().Write(body)
	if resp.StatusCode != want {
		ts.Fatalf("GET %s: status %d, want %d", args[0], resp.StatusCode, want)
	}
}

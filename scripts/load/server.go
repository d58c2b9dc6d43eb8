package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/device"
	"github.com/dpskit/dpskit/pkg/dps/emulator"
)

// serve runs an emulator until in ends, which it does when the parent does.
func serve(ctx context.Context, o options, in io.Reader, out io.Writer) error {
	retryAfter := o.retryAfter
	if retryAfter == 0 {
		retryAfter = -1 // how the emulator spells "at once"
	}
	e, err := emulator.Start(ctx, &emulator.Options{DataDir: o.data, RetryAfter: retryAfter})
	if err != nil {
		return err
	}
	ready := readyFile{Info: e.Info(), CA: string(encodePEM(e.CACertificate()))}
	if err := json.NewEncoder(out).Encode(ready); err != nil {
		return errors.Join(err, e.Close())
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, in)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
	return e.Close()
}

// readyFile is the ready document of an emulator. One without a data folder has
// no file with its CA, so the one started here adds it.
type readyFile struct {
	emulator.Info

	CA string `json:"ca,omitempty"`
}

// server is the emulator under load.
type server struct {
	info    emulator.Info
	roots   *x509.CertPool
	process *exec.Cmd // nil if it was not started here
	input   io.Closer
}

// find starts an emulator, or reads where one runs.
func find(ctx context.Context, o options, errs io.Writer) (*server, error) {
	if o.connect != "" {
		data, err := os.ReadFile(o.connect)
		if err != nil {
			return nil, fmt.Errorf("read ready file: %w", err)
		}
		s := &server{}
		return s, s.read(data)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	cmd := exec.CommandContext(ctx, self, "-serve", "-data", o.data, "-retry-after", o.retryAfter.String())
	cmd.Stderr = errs
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start emulator: %w", err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start emulator: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start emulator: %w", err)
	}
	s := &server{process: cmd, input: input}
	line, err := bufio.NewReader(output).ReadBytes('\n')
	if err == nil {
		err = s.read(line)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start emulator: %w", err), s.stop())
	}
	return s, nil
}

func (s *server) read(ready []byte) error {
	var r readyFile
	if err := json.Unmarshal(ready, &r); err != nil {
		return fmt.Errorf("read ready document: %w", err)
	}
	if r.CA == "" {
		data, err := os.ReadFile(r.CAFile)
		if err != nil {
			return fmt.Errorf("read CA of the emulator: %w", err)
		}
		r.CA = string(data)
	}
	s.info, s.roots = r.Info, x509.NewCertPool()
	if !s.roots.AppendCertsFromPEM([]byte(r.CA)) {
		return errors.New("read CA of the emulator: no certificate in it")
	}
	return nil
}

// client trusts the emulator.
func (s *server) client() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.roots}}}
}

// address is host and port of the first listener for a transport.
func (s *server) address(t device.Transport) string {
	if t == device.TransportMQTT && len(s.info.MQTT) > 0 {
		return strings.TrimPrefix(s.info.MQTT[0], "mqtts://")
	}
	return strings.TrimPrefix(s.info.HTTPS[0], "https://")
}

// deviceHost is where devices register over a transport.
func (s *server) deviceHost(t device.Transport) (string, error) {
	if t != device.TransportMQTT {
		return s.info.HostName, nil
	}
	if len(s.info.MQTT) == 0 {
		return "", errors.New("the emulator does not listen for MQTT over TLS")
	}
	return s.address(t), nil
}

func (s *server) usage() usage { return usageOf(s.info.PID) }

// stop ends an emulator that was started here.
func (s *server) stop() error {
	if s.process == nil {
		return nil
	}
	_ = s.input.Close()
	if err := s.process.Wait(); err != nil {
		return fmt.Errorf("stop emulator: %w", err)
	}
	return nil
}

// usage is what a process has used so far.
type usage struct {
	memory int64         // the largest resident size, bytes
	cpu    time.Duration // user and system
}

// usageOf reads the usage of a process; zero where the system does not say.
func usageOf(pid int) (u usage) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kilobytes, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			u.memory = kilobytes << 10
		}
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u
	}
	// The name of the program, in parentheses, may have spaces in it.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const userTime, systemTime, tick = 11, 12, 10 * time.Millisecond
	for _, i := range []int{userTime, systemTime} {
		if i < len(fields) {
			ticks, _ := strconv.ParseInt(fields[i], 10, 64)
			u.cpu += time.Duration(ticks) * tick
		}
	}
	return u
}

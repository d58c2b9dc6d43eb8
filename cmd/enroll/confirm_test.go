package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps/dpstest"
	"github.com/dpskit/dpskit/pkg/dps/service"
	"github.com/dpskit/dpskit/pkg/pki"
)

// silentTerminal tells when somebody reads from it, and never answers.
type silentTerminal struct{ reading, release chan struct{} }

func (s silentTerminal) Read([]byte) (int, error) {
	close(s.reading)
	<-s.release
	return 0, io.EOF
}

// TestInterruptedQuestionEndsAtOnce: the interrupt is the answer, and nothing is
// written.
func TestInterruptedQuestionEndsAtOnce(t *testing.T) {
	emu := dpstest.Start(t)
	dir := t.TempDir()
	ca, file := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "state.yaml")
	for path, data := range map[string][]byte{ca: pki.EncodeCertificatesPEM(emu.CACertificate()),
		file: []byte("enrollments: [{registrationId: d, attestation: {symmetricKey: {}}}]\n")} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv(envConnectionString, emu.Info().ConnectionString)
	t.Setenv(envCAFile, ca)
	client := serviceClient(t, emu, nil)
	kept := service.IndividualEnrollment{RegistrationID: "kept", Attestation: service.SymmetricKeys("", "")}
	if _, err := client.PutEnrollment(t.Context(), kept, nil); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{"individual delete kept", "registration delete kept", "apply -f " + file} {
		t.Run(strings.Fields(args)[0], func(t *testing.T) {
			in := silentTerminal{make(chan struct{}), make(chan struct{})}
			t.Cleanup(func() { close(in.release) })
			ctx, interrupt := context.WithCancel(t.Context())
			go func() {
				<-in.reading
				interrupt()
			}()
			var stdout, stderr bytes.Buffer
			env := &cliapp.Env{In: in, InTTY: true, Out: &stdout, Err: &stderr, Getenv: os.Getenv, Now: time.Now}
			if code := program().Run(ctx, env, strings.Fields(args)); code != cliapp.ExitInterrupted {
				t.Errorf("exit code = %d, want %d: %s", code, cliapp.ExitInterrupted, stderr.String())
			}
			if !strings.Contains(stderr.String(), "? [y/N] \nenroll: interrupted\n") {
				t.Errorf("standard error: %q", stderr.String())
			}
		})
	}
	if _, err := client.GetEnrollment(t.Context(), "kept", nil); err != nil {
		t.Error(err)
	}
}

func TestReadLine(t *testing.T) {
	ended, end := context.WithCancel(t.Context())
	end()
	if line, err := readLine(ended, strings.NewReader("y\n")); line != "" || !errors.Is(err, context.Canceled) {
		t.Errorf("got %q, %v after an interrupt", line, err)
	}
	if line, err := readLine(t.Context(), strings.NewReader("y\nn\n")); line != "y\n" || err != nil {
		t.Errorf("got %q, %v", line, err)
	}
}

package cliapp_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
)

// waitingReader tells when somebody reads from it, and never answers.
type waitingReader struct {
	reading chan struct{}
	release chan struct{}
}

func (r *waitingReader) Read([]byte) (int, error) {
	close(r.reading)
	<-r.release
	return 0, io.EOF
}

func TestSecretContextGivesUpWhenInterrupted(t *testing.T) {
	in := &waitingReader{reading: make(chan struct{}), release: make(chan struct{})}
	t.Cleanup(func() { close(in.release) })
	env := &cliapp.Env{In: in, Err: &bytes.Buffer{}, Getenv: func(string) string { return "" }}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-in.reading
		cancel()
	}()
	secret, err := env.SecretContext(ctx, cliapp.SecretSource{File: "-"})
	if !errors.Is(err, context.Canceled) || secret != nil {
		t.Errorf("SecretContext() = %q, %v; want context.Canceled", secret, err)
	}
}

func TestSecretContextReads(t *testing.T) {
	env := &cliapp.Env{In: bytes.NewReader([]byte("phrase\n")), Err: &bytes.Buffer{}}
	secret, err := env.SecretContext(t.Context(), cliapp.SecretSource{File: "-"})
	if err != nil || string(secret) != "phrase" {
		t.Errorf("SecretContext() = %q, %v; want phrase", secret, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := env.SecretContext(ctx, cliapp.SecretSource{File: "-"}); !errors.Is(err, context.Canceled) {
		t.Errorf("SecretContext() of an ended context = %v, want context.Canceled", err)
	}
}

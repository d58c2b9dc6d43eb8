package main

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// besieger holds connections that do nothing: half of them say nothing at all,
// the others begin a TLS handshake and stop. One that is closed by the server
// comes back a second later.
type besieger struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
	// dialled counts connections, closed those that the server has closed.
	dialled, closed atomic.Int64
}

// besiege opens n connections to address and returns when each was tried once.
func besiege(ctx context.Context, address string, n int) *besieger {
	ctx, cancel := context.WithCancel(ctx)
	b := &besieger{cancel: cancel}
	var first sync.WaitGroup
	gate := make(chan struct{}, 64) // so many dials at a time
	for i := range n {
		first.Add(1)
		b.wg.Go(func() {
			tried := sync.OnceFunc(first.Done)
			defer tried()
			for ctx.Err() == nil {
				gate <- struct{}{}
				conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
				<-gate
				tried()
				if err == nil {
					b.dialled.Add(1)
					b.hold(ctx, conn, i%2 == 0)
				}
				wait(ctx, time.Second)
			}
		})
	}
	first.Wait()
	return b
}

// hold keeps conn until one side ends it.
func (b *besieger) hold(ctx context.Context, conn net.Conn, silent bool) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer conn.Close()
	if !silent {
		_, _ = conn.Write([]byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")) // of a ClientHello
	}
	_, _ = conn.Read(make([]byte, 1))
	if ctx.Err() == nil {
		b.closed.Add(1)
	}
}

func (b *besieger) stop() {
	b.cancel()
	b.wg.Wait()
}

// wait returns after d, or when ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

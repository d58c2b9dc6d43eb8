package emulator

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/deviceapi"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/inject"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/mqtt"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/provision"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/store"
)

// drainTime is how long Close waits for requests before it cuts them off.
const drainTime = 5 * time.Second

// Emulator is a running emulator. Its methods may be called at any time, also
// after Close.
type Emulator struct {
	settings settings
	identity identity
	store    store.Store
	faults   *inject.Injector
	service  *provision.Service // nil until the store is open
	hostName string
	dataDir  string // absolute; "" in memory
	https    []net.Listener
	mqtt     []net.Listener
	admin    net.Listener // nil without AdminAddr

	servers  []*server
	broker   *mqtt.Server // nil until serving
	serving  sync.WaitGroup
	close    sync.Once
	closeErr error
}

// Start opens the store and the listeners and returns when every one of them
// accepts connections. If one address is not available nothing is started, and
// the error names it. ctx bounds the start only; Close ends the emulator.
func Start(ctx context.Context, opts *Options) (*Emulator, error) {
	s, err := resolve(opts)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStart, err)
	}
	e := &Emulator{settings: s}
	if err := e.start(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStart, errors.Join(err, e.release()))
	}
	return e, nil
}

func (e *Emulator) start(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var err error
	if e.faults, err = inject.New(e.settings.Faults, e.settings.FaultSeed); err != nil {
		return err
	}
	if e.settings.DataDir == "" {
		e.store = store.NewMemory()
	} else if e.store, err = store.OpenBolt(ctx, e.settings.DataDir); err != nil {
		return err
	} else if e.dataDir, err = filepath.Abs(e.settings.DataDir); err != nil {
		return fmt.Errorf("find data folder %q: %w", e.settings.DataDir, err)
	}
	e.service = e.settings.provisioning(e.store)
	if err := e.listen(ctx); err != nil {
		return err
	}
	if e.identity, err = newIdentity(e.settings.DataDir, e.hosts()); err != nil {
		return err
	}
	return e.serve(context.WithoutCancel(ctx))
}

// listen opens every address, or none.
func (e *Emulator) listen(ctx context.Context) error {
	for _, kind := range []struct {
		addrs []string
		into  *[]net.Listener
	}{{e.settings.HTTPSAddrs, &e.https}, {e.settings.MQTTAddrs, &e.mqtt}} {
		for _, addr := range kind.addrs {
			l, err := e.listenOn(ctx, addr)
			if err != nil {
				return err
			}
			*kind.into = append(*kind.into, l)
		}
	}
	if addr := e.settings.AdminAddr; addr != "" {
		l, err := e.listenOn(ctx, addr)
		if err != nil {
			return err
		}
		e.admin = l
	}
	e.hostName = hostName(e.https[0].Addr())
	return nil
}

// listenOn opens one address. A name such as localhost is what the resolver
// makes of it, so the outcome is checked too.
func (e *Emulator) listenOn(ctx context.Context, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %q: %w", addr, err)
	}
	if tcp, ok := l.Addr().(*net.TCPAddr); !e.settings.AllowRemote && (!ok || !tcp.IP.IsLoopback()) {
		err := fmt.Errorf("listen on %q: it resolves to %s, which is %w", addr, l.Addr(), ErrNotLoopback)
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (e *Emulator) serve(ctx context.Context) error {
	tlsConfig := e.tlsConfig()
	device := e.devicePlane()
	e.broker = mqtt.New(mqtt.Config{
		Plane: deviceapi.Plane{Config: device}, Logger: e.settings.Logger, Now: e.settings.Now, TLS: tlsConfig,
		Faults: e.faults,
	})
	planes, err := e.planes(device)
	if err != nil {
		return err
	}
	https := newServer(planes, e.settings.Logger, tlsConfig.Clone(), e.settings.MaxConnections)
	e.servers = append(e.servers, https)
	for _, l := range e.https {
		e.run(func() error { return https.serve(l) })
	}
	for _, l := range e.mqtt {
		e.run(func() error { return e.broker.Serve(ctx, l) })
	}
	if e.admin != nil {
		admin := newServer(e.adminHandler(), e.settings.Logger, nil, adminConnections)
		e.servers = append(e.servers, admin)
		e.run(func() error { return admin.serve(e.admin) })
	}
	return nil
}

func (e *Emulator) tlsConfig() *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{e.identity.server},
		// A certificate is asked for, and judged when the device registers.
		// No CA list is sent: some TLS stacks drop certificates that are not
		// on it.
		ClientAuth: tls.RequestClientCert,
		MinVersion: tls.VersionTLS12,
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
		},
		// Each connection shows its certificate anew.
		SessionTicketsDisabled: true,
	}
}

func (e *Emulator) run(serve func() error) {
	e.serving.Go(func() {
		if err := serve(); err != nil && !errors.Is(err, http.ErrServerClosed) {
			e.settings.Logger.Error("listener failed", "error", err.Error())
		}
	})
}

// Close stops listening, lets running requests finish for up to five seconds,
// cuts off the rest, and closes the store. It returns after every handler has
// ended. Further calls return the result of the first.
func (e *Emulator) Close() error {
	e.close.Do(func() { e.closeErr = e.release() })
	return e.closeErr
}

// release undoes whatever start has done so far.
func (e *Emulator) release() error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	e.faults.Close()
	var errs []error
	for _, l := range e.mqtt {
		errs = append(errs, ignoreClosed(l.Close()))
	}
	if e.broker != nil { // also ends the handlers of WebSockets
		e.broker.Close(ctx)
	}
	for _, s := range e.servers {
		errs = append(errs, s.stop(ctx))
	}
	for _, l := range e.https { // a listener that no server took over
		errs = append(errs, ignoreClosed(l.Close()))
	}
	if e.admin != nil {
		errs = append(errs, ignoreClosed(e.admin.Close()))
	}
	e.serving.Wait()
	if e.service != nil {
		e.service.Close()
	}
	if e.store != nil {
		errs = append(errs, e.store.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close emulator: %w", err)
	}
	return nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

package emulator

import (
	"net/http"
	"time"
)

// Planes returns the handler behind the HTTPS listeners, for tests that send
// more requests than connections can carry.
func (e *Emulator) Planes() (http.Handler, error) { return e.planes(e.devicePlane()) }

// Health returns the handler of /healthz and /readyz, which can be asked after
// the listeners are gone.
func (e *Emulator) Health() http.Handler { return e.healthHandler() }

// Timeouts returns the limits of every server of e.
func (e *Emulator) Timeouts() (all [][]time.Duration) {
	for _, s := range e.servers {
		all = append(all, []time.Duration{s.http.ReadHeaderTimeout, s.http.ReadTimeout, s.http.WriteTimeout, s.http.IdleTimeout})
	}
	return all
}

package emulator

import "net/http"

// Planes returns the handler behind the HTTPS listeners, for tests that send
// more requests than connections can carry.
func (e *Emulator) Planes() (http.Handler, error) { return e.planes() }

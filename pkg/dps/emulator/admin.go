package emulator

import (
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/web"
	"github.com/dpskit/dpskit/pkg/pki"
)

// readiness is the body of /readyz.
type readiness struct {
	Status    string   `json:"status"` // "ready" or "unavailable"
	Version   string   `json:"version"`
	Listeners []string `json:"listeners"`
	Store     string   `json:"store"` // "memory" or "file"
	Error     string   `json:"error,omitempty"`
}

// healthHandler serves /healthz, which says that the process answers, and
// /readyz, which says that it can do its work.
func (e *Emulator) healthHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		info := e.Info()
		body := readiness{Status: "ready", Version: info.Version, Listeners: slices.Concat(info.HTTPS, info.MQTT), Store: "memory"}
		if info.Admin != "" {
			body.Listeners = append(body.Listeners, info.Admin)
		}
		if info.DataDir != "" {
			body.Store = "file"
		}
		status := http.StatusOK
		if err := e.store.Ready(r.Context()); err != nil {
			status, body.Status, body.Error = http.StatusServiceUnavailable, "unavailable", err.Error()
		}
		writeJSON(w, status, body)
	})
	return mux
}

// adminHandler serves the plain HTTP listener.
func (e *Emulator) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", e.healthHandler())
	mux.HandleFunc("GET /ca.pem", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-pem-file")
		_, _ = w.Write(pki.EncodeCertificatesPEM(e.identity.ca))
	})
	allowed := e.hosts()
	guarded := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A page on the web can point a name of its own at 127.0.0.1; then only
		// the Host header tells its requests from ours.
		if !allowHost(r.Host, allowed) {
			writeJSON(w, http.StatusForbidden, map[string]string{"error": "host name is not allowed"})
			return
		}
		mux.ServeHTTP(w, r)
	})
	return web.Stamp(guarded, e.settings.Logger, http.Header{
		headerVersion:            {e.settings.Version},
		"X-Content-Type-Options": {"nosniff"},
		"Cache-Control":          {"no-store"},
	})
}

// allowHost compares the Host header, with or without a port, to a list.
func allowHost(header string, allowed []string) bool {
	host := header
	if h, _, err := net.SplitHostPort(header); err == nil {
		host = h
	} else {
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	return slices.ContainsFunc(allowed, func(name string) bool { return strings.EqualFold(name, host) })
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n'))
}

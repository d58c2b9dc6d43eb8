package emulator

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
)

// Info is everything a client needs to know about a running emulator. As JSON
// it is the ready document, one line on stdout and the content of the ready
// file. With a key of your own it holds secrets.
type Info struct {
	// Event is always "ready".
	Event   string `json:"event"`
	Version string `json:"version"`
	PID     int    `json:"pid"`
	// Name is the name of the provisioning service.
	Name string `json:"name"`
	// HostName is host and port of the service and device planes.
	HostName string `json:"hostName"`
	// HTTPS has the URL of each HTTPS listener, Admin that of the plain one,
	// if there is one.
	HTTPS []string `json:"https"`
	Admin string   `json:"admin,omitempty"`
	// MQTT has the URL of each MQTT listener, mqtts://HOST:PORT. MQTT over
	// WebSocket is on the HTTPS listeners, wss:// with any path.
	MQTT []string `json:"mqtt,omitempty"`
	// IDScope is what devices register under.
	IDScope string `json:"idScope"`
	// ConnectionString is for the service plane.
	ConnectionString string `json:"connectionString"`
	// CAFile is the PEM file with the emulator's TLS CA, DataDir the folder with
	// the state; both are absolute, and "" when the state is in memory. The
	// admin listener serves the same as /ca.pem.
	CAFile  string `json:"caFile,omitempty"`
	DataDir string `json:"dataDir,omitempty"`
	// ARMEndpoint, SubscriptionID and ResourceGroup reach the service through
	// Azure Resource Manager; Token is the bearer token.
	ARMEndpoint    string `json:"armEndpoint"`
	SubscriptionID string `json:"subscriptionId"`
	ResourceGroup  string `json:"resourceGroup"`
	Token          string `json:"token"`
}

// Info describes the running emulator.
func (e *Emulator) Info() Info {
	info := Info{
		Event: "ready", Version: e.settings.Version, PID: os.Getpid(), Name: e.settings.Name,
		HostName: e.hostName, IDScope: e.settings.IDScope,
		ConnectionString: fmt.Sprintf("HostName=%s;SharedAccessKeyName=%s;SharedAccessKey=%s",
			e.hostName, KeyName, e.settings.Key.Reveal()),
		DataDir:        e.dataDir,
		ARMEndpoint:    "https://" + e.hostName,
		SubscriptionID: DefaultSubscriptionID, ResourceGroup: DefaultResourceGroup, Token: e.settings.token,
	}
	if e.dataDir != "" {
		info.CAFile = filepath.Join(e.dataDir, caFile)
	}
	for _, l := range e.https {
		info.HTTPS = append(info.HTTPS, "https://"+l.Addr().String())
	}
	for _, l := range e.mqtt {
		info.MQTT = append(info.MQTT, "mqtts://"+l.Addr().String())
	}
	if e.admin != nil {
		info.Admin = "http://" + e.admin.Addr().String()
	}
	return info
}

// CACertificate returns the certificate of the CA that signed the emulator's
// TLS certificate.
func (e *Emulator) CACertificate() *x509.Certificate { return e.identity.ca }

// CAPool returns a new pool with the CA certificate.
func (e *Emulator) CAPool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(e.identity.ca)
	return pool
}

// HTTPClient returns a new client that trusts the emulator and nobody else. Its
// idle connections are the caller's to close.
func (e *Emulator) HTTPClient() *http.Client {
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: e.CAPool(), MinVersion: tls.VersionTLS12},
	}
	return &http.Client{Transport: transport}
}

// localhost4 is where localhost leads to on every machine. Not all of them let it
// lead to ::1, too, and none to the rest of 127.0.0.0/8.
var localhost4 = net.IPv4(127, 0, 0, 1)

// hostName is the name for clients: localhost if that leads to the first
// listener, else its own address.
func hostName(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return addr.String()
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() || ip.Equal(localhost4) {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

// hosts lists the names and addresses under which the emulator answers.
func (e *Emulator) hosts() []string {
	names := []string{"localhost", "127.0.0.1", "::1", "global.localhost"}
	for _, l := range append(slices.Concat(e.https, e.mqtt), e.admin) {
		if l == nil {
			continue
		}
		if tcp, ok := l.Addr().(*net.TCPAddr); ok && !tcp.IP.IsUnspecified() {
			names = append(names, tcp.IP.String())
		}
	}
	names = append(names, e.settings.HostNames...)
	slices.Sort(names)
	return slices.Compact(names)
}

package device

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"sync/atomic"
	"time"
)

// handshake remembers whether a server asked for the client certificate. One
// that does not, such as a proxy that ends TLS, cannot know the device.
type handshake struct{ asked atomic.Bool }

// newTransport presents the certificate of id, if it has one, on every
// connection. HTTP/2 is off: it forbids the renegotiation by which some servers
// ask for a certificate late.
func newTransport(id identity, shake *handshake, opts *ClientOptions) *http.Transport {
	t := &http.Transport{
		DialContext:         opts.DialContext,
		MaxIdleConns:        2,
		IdleConnTimeout:     30 * time.Second,
		TLSHandshakeTimeout: 15 * time.Second,
		TLSClientConfig:     newTLSConfig(id, shake, opts.RootCAs),
	}
	if t.DialContext == nil {
		t.Proxy = http.ProxyFromEnvironment
	}
	return t
}

// newTLSConfig gives the certificate by callback because a list would be matched
// against the CAs that the server names, and dropped without a word if none
// fits; whether it fits is for the service to say.
func newTLSConfig(id identity, shake *handshake, roots *x509.CertPool) *tls.Config {
	return &tls.Config{
		MinVersion:    tls.VersionTLS12,
		RootCAs:       roots,
		Renegotiation: tls.RenegotiateOnceAsClient,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			shake.asked.Store(true)
			if id.certificate == nil {
				return &tls.Certificate{}, nil // none: the token speaks
			}
			return id.certificate(), nil
		},
	}
}

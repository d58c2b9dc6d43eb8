package device

import (
	"crypto/tls"
	"net/http"
	"sync/atomic"
	"time"
)

// handshake remembers whether a server asked for the client certificate. One
// that does not, such as a proxy that ends TLS, cannot know the device.
type handshake struct{ asked atomic.Bool }

// newTransport presents cert on every connection. The certificate is given by
// callback because a list would be matched against the CAs that the server
// names, and dropped without a word if none fits; whether it fits is for the
// service to say. HTTP/2 is off: it forbids the renegotiation by which some
// servers ask for a certificate late.
func newTransport(cert tls.Certificate, shake *handshake, opts *ClientOptions) *http.Transport {
	t := &http.Transport{
		DialContext:         opts.DialContext,
		MaxIdleConns:        2,
		IdleConnTimeout:     30 * time.Second,
		TLSHandshakeTimeout: 15 * time.Second,
		TLSClientConfig: &tls.Config{
			MinVersion:    tls.VersionTLS12,
			RootCAs:       opts.RootCAs,
			Renegotiation: tls.RenegotiateOnceAsClient,
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				shake.asked.Store(true)
				return &cert, nil
			},
		},
	}
	if t.DialContext == nil {
		t.Proxy = http.ProxyFromEnvironment
	}
	return t
}

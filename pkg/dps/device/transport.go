package device

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/internal/rest"
)

// Transport is how a device reaches the service. Results and errors are the same
// over each.
type Transport string

// Transports of ClientOptions.
const (
	// TransportHTTPS sends a request for each question, on port 443.
	TransportHTTPS Transport = "https"
	// TransportMQTT keeps a connection over TLS, on port 8883.
	TransportMQTT Transport = "mqtt"
	// TransportMQTTWS keeps a connection through a WebSocket, on port 443. It
	// passes where only HTTPS does, and heeds a proxy.
	TransportMQTTWS Transport = "mqtt-ws"
)

// AllTransports returns every transport, the default first.
func AllTransports() []Transport {
	return []Transport{TransportHTTPS, TransportMQTT, TransportMQTTWS}
}

// ParseTransport reads the name of a transport.
func ParseTransport(name string) (Transport, error) {
	for _, t := range AllTransports() {
		if name == string(t) {
			return t, nil
		}
	}
	return "", fmt.Errorf("parse transport %q: want https, mqtt or mqtt-ws", name)
}

// exchange carries the requests of one registration.
type exchange interface {
	// try makes one attempt of a call and returns the operation and the delay
	// before the next poll, or why there is none.
	try(ctx context.Context, call *rest.Call, q question, attempt int) (operation, time.Duration, *dps.Error)
	// close gives back what the exchange holds.
	close()
}

// question is one request of a registration.
type question struct {
	// body is that of a register request; nil asks for an operation.
	body        []byte
	operationID string
}

func (q question) register() bool { return q.body != nil }

func (q question) name() string {
	if q.register() {
		return "register"
	}
	return "poll"
}

// decodeAnswer reads the state of an operation. The text says what is wrong with
// an answer that is none.
func decodeAnswer(data []byte, q question) (op operation, wrong string) {
	switch err := json.Unmarshal(data, &op); {
	case err != nil:
		return operation{}, "the answer is not the state of an operation"
	case op.outcome() == "":
		return operation{}, "the answer has no status"
	case op.OperationID == "" && q.register() && isRunning(op):
		return operation{}, "the answer has no operation id"
	case op.outcome() == StatusAssigned && (op.State == nil || op.State.AssignedHub == ""):
		return operation{}, "the answer says assigned and has no assignedHub"
	case op.outcome() == StatusAssigned && op.State.DeviceID == "":
		return operation{}, "the answer says assigned and has no deviceId"
	}
	return op, ""
}

// handshake remembers whether a server asked for the client certificate. One
// that does not, such as a proxy that ends TLS, cannot know the device.
type handshake struct{ asked atomic.Bool }

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

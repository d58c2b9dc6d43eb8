package dps

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
)

var iotHubMixUp = Explanation{
	What: "this names an IoT hub or a device, not a provisioning service",
	Why:  "both have connection strings; that of a provisioning service has a host ending in .azure-devices-provisioning.net and no DeviceId",
	Fix:  "copy the connection string from \"Shared access policies\" of the Device Provisioning Service",
}

var badConnectionString = Explanation{
	What: "the connection string cannot be used",
	Why:  "it must have HostName, SharedAccessKeyName and SharedAccessKey, each once, separated by semicolons",
	Fix:  "copy it whole from \"Shared access policies\" of the Device Provisioning Service, in quotes if a shell sees it",
}

const (
	notMQTT   = "the port may be one for HTTPS (443, or 8443 of an emulator) and not for MQTT (8883); or the server is another one, or overloaded"
	wrongPort = "check the host and its port, or choose the transport that belongs to the port; then repeat"
)

// explainNoAnswer explains an error without a usable answer. refusal may be nil.
func explainNoAnswer(err error, refusal *Error) (Explanation, bool) {
	host := ""
	if refusal != nil {
		host = refusal.Host
	}
	var (
		name *net.DNSError
		op   *net.OpError
	)
	switch {
	case IsUntrustedServer(err):
		return explainUntrusted(err, host), true
	case errors.As(err, &name):
		return Explanation{
			What: "the host name cannot be resolved",
			Why:  "it is misspelt, the service was deleted, or this machine has no working name resolution",
			Fix:  "check the host name; for a provisioning service it is NAME.azure-devices-provisioning.net",
		}, true
	case errors.Is(err, syscall.ECONNREFUSED) && IsLoopbackHost(host):
		return Explanation{
			What: "nothing listens at this address on this machine",
			Why:  "the emulator is not running, or it listens on another port",
			Fix:  "start it with `enroll emulator` and use the connection string that it prints",
		}, true
	case errors.Is(err, http.ErrSchemeMismatch) || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return Explanation{
			What: "the server speaks HTTP, not HTTPS",
			Why:  "the port is that of another server, such as the emulator's admin page",
			Fix:  "use the HTTPS address that `enroll emulator` printed",
		}, true
	case IsNotTLS(err):
		return Explanation{
			What: "what listens at this port does not speak TLS, which HTTPS and MQTT over TLS begin with",
			Why:  "the port is that of another server, or a proxy answers in its place",
			Fix:  "check the host and its port",
		}, true
	case refusal != nil && strings.Contains(refusal.Message, "no CONNACK"):
		return Explanation{
			What: "the server took the connection and then said nothing in MQTT",
			Why:  notMQTT,
			Fix:  wrongPort,
		}, true
	case refusal != nil && strings.Contains(refusal.Message, "does not speak MQTT"):
		return Explanation{What: "what listens at this port does not speak the MQTT of a provisioning service", Why: notMQTT, Fix: wrongPort}, true
	case errors.Is(err, ErrUnexpectedAnswer):
		return Explanation{
			What: "something answered that is not a provisioning service",
			Why:  "the host is another one, or a proxy or a sign-in page of the network answers in its place",
			Fix:  "check the host name and the proxy settings",
		}, true
	case errors.Is(err, io.ErrUnexpectedEOF):
		return Explanation{
			What: "the answer was cut off on the way, each time that it was asked for",
			Why:  "a proxy or firewall ends connections early, or the server was stopped or is overloaded; a change may nevertheless have happened",
			Fix:  "look at the current state, then repeat; if it stays, look at what is between this machine and the host",
		}, true
	case errors.Is(err, context.DeadlineExceeded) && !isHangUp(err):
		return Explanation{
			What: "there was no result within the time allowed",
			Why:  "the network or the service is slow; a change may nevertheless have happened",
			Fix:  "look at the current state, then repeat with more time",
		}, true
	case errors.Is(err, ErrUnauthorized):
		return signIn, true
	case isHangUp(err):
		return Explanation{
			What: "the server ended the connection without an answer",
			Why:  "the port may be one for another protocol, such as MQTT (8883) where HTTPS (443) was meant or the other way round; or the server was stopped, or a proxy or firewall is in the way",
			Fix:  wrongPort,
		}, true
	case errors.As(err, &op):
		return Explanation{
			What: "the host cannot be reached",
			Why:  "the network, a firewall or a proxy is in the way, or the server is down",
			Fix:  "check that this machine can open an HTTPS connection to the host",
		}, true
	}
	return Explanation{}, false
}

// isHangUp reports a connection that stood and was then ended by the other side.
func isHangUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) ||
		strings.HasSuffix(err.Error(), "connection lost")
}

// explainUntrusted explains a failed check of the server's certificate.
func explainUntrusted(err error, host string) Explanation {
	var (
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &hostname):
		return Explanation{
			What: "the server's certificate is for another host name",
			Why:  "the host name is an alias or an address that the certificate does not list, or another server answers",
			Fix:  "use a name from the certificate; an emulator lists further names if it is started with them",
		}
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return Explanation{
			What: "the server's certificate has expired or is not yet valid",
			Why:  "the server needs a new one, or the clock of this machine is wrong",
			Fix:  "check the clock first; restart an emulator to renew its certificate",
		}
	case IsLoopbackHost(host):
		return Explanation{
			What: "the certificate of the local server is not trusted",
			Why:  "the emulator has its own CA, which is trusted only where it is named",
			Fix:  "name the CA file that `enroll emulator` printed as the CA to trust",
		}
	}
	return Explanation{
		What: "the server's certificate is not trusted",
		Why:  "the CA that signed it is not among those of this machine, as with an inspecting proxy or a private server",
		Fix:  "name the CA file of the proxy or server as the CA to trust, or correct the host name",
	}
}

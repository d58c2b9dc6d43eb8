package refuse

import (
	"net/http"
	"strings"
)

// RuleTrust is about a client that ends the TLS handshake because of the
// emulator's certificate.
const RuleTrust Rule = "tls-trust"

// distrust are the alerts by which clients say so, as package crypto/tls writes
// them. Which one is sent is a matter of taste: Go sends bad certificate, OpenSSL
// unknown authority, Java certificate unknown.
var distrust = []string{
	"remote error: tls: bad certificate", "remote error: tls: unknown certificate authority",
	"remote error: tls: unknown certificate",
}

// Distrust explains the text of a failed TLS handshake; nil if it has another
// cause than that the client does not trust the emulator.
func Distrust(handshake string) *Refusal {
	for _, alert := range distrust {
		if strings.HasSuffix(handshake, alert) {
			return &Refusal{
				Status: http.StatusBadRequest, Rule: RuleTrust,
				Message:  "Connection closed by the client: it does not trust the TLS certificate of the emulator.",
				Expected: "a client that trusts the emulator's own CA, and uses a name that is in its certificate",
				Fix: "give the client the file that the ready document calls caFile, which is also at /ca.pem of the admin address; " +
					"connect to localhost, or to a name given to the emulator as host name",
			}
		}
	}
	return nil
}

package device

import (
	"fmt"
	"net/url"

	"github.com/dpskit/dpskit/pkg/dps/internal/rest"
)

// Preview is the request that begins a registration, as it would be sent. It
// holds no secrets, apart from what the payload may be.
type Preview struct {
	// Method is PUT, or PUBLISH over MQTT.
	Method string
	// URL is where it goes; over MQTT that of the connection.
	URL string
	// Headers are what goes with it, by name: those of HTTP, or over MQTT topic,
	// client id, user name and password. Tokens are REDACTED. "TLS client
	// certificate" names the certificates that are shown.
	Headers map[string]string
	// Body is JSON.
	Body []byte
}

// Preview returns what [Client.Register] would send first. It sends nothing.
func (c *Client) Preview(opts *RegisterOptions) (Preview, error) {
	if opts == nil {
		opts = &RegisterOptions{}
	}
	body, err := c.body(fmt.Sprintf("register device %q", c.id), opts.Payload)
	if err != nil {
		return Preview{}, err
	}
	const secret = "REDACTED"
	p := Preview{Method: "PUT", Headers: map[string]string{}, Body: body}
	if c.identity.token == nil {
		p.Headers["TLS client certificate"] = c.identity.chain
	}
	if c.opts.Transport == TransportHTTPS {
		p.URL = "https://" + c.opts.Host + rest.Path(c.scope, "registrations", c.id) + "/register?api-version=" + url.QueryEscape(c.opts.APIVersion)
		p.Headers["Content-Type"] = "application/json; charset=utf-8"
		if c.identity.token != nil {
			p.Headers["Authorization"] = secret
		}
		return p, nil
	}
	_, address := c.mqttAddress()
	p.Method, p.URL = "PUBLISH", "mqtts://"+address
	if c.opts.Transport == TransportMQTTWS {
		p.URL = "wss://" + address + webSocketPath
	}
	p.Headers["Topic"] = registerTopic + "RANDOM"
	p.Headers["Client ID"], p.Headers["User name"] = c.id, c.userName()
	if c.identity.token != nil {
		p.Headers["Password"] = secret
	}
	return p, nil
}

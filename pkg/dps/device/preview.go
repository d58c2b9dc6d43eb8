package device

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/dpskit/dpskit/pkg/dps/internal/rest"
)

// Preview is the request that begins a registration, as it would be sent. It
// holds no secrets, apart from what the payload may be.
type Preview struct {
	// Head says in lines where the request goes and what the device proves its
	// identity with; tokens are REDACTED.
	Head []string
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
	p := Preview{Body: body}
	secret := "SharedAccessSignature REDACTED"
	if c.identity.token == nil {
		secret = ""
		p.Head = append(p.Head, "TLS client certificate: "+c.identity.chain)
	}
	if c.opts.Transport == TransportHTTPS {
		address := "https://" + c.opts.Host + rest.Path(c.scope, "registrations", c.id) + "/register?api-version=" + url.QueryEscape(c.opts.APIVersion)
		p.Head = append(p.Head, "PUT "+address)
		if secret != "" {
			p.Head = append(p.Head, "Authorization: "+secret)
		}
		return p, nil
	}
	_, address := c.mqttAddress()
	target := "mqtts://" + address
	if c.opts.Transport == TransportMQTTWS {
		target = "wss://" + address + webSocketPath
	}
	login := []string{fmt.Sprintf("client id %q", c.id), fmt.Sprintf("user name %q", c.userName())}
	if secret != "" {
		login = append(login, "password "+secret)
	}
	p.Head = append(p.Head, "CONNECT "+target, strings.Join(login, ", "), "PUBLISH "+registerTopic+"RANDOM")
	return p, nil
}

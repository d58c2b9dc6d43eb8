package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/dpskit/dpskit/cmd/internal/cliapp"
	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/device"
)

func transportFlag() cli.Flag {
	return &cli.StringFlag{
		Name: flagTransport, Value: string(device.TransportHTTPS),
		Usage: "register over `TRANSPORT`: https, mqtt (TLS, port 8883) or mqtt-ws (WebSocket, port 443)",
	}
}

func transportFrom(c *cli.Context) (device.Transport, error) {
	t, err := device.ParseTransport(c.String(flagTransport))
	if err != nil {
		return "", cliapp.Usagef("invalid --%s %q: want https, mqtt or mqtt-ws", flagTransport, c.String(flagTransport))
	}
	return t, nil
}

// deviceHost is where devices of an emulator register over a transport: MQTT has
// a port of its own, which the emulator tells.
func (ep *endpoint) deviceHost(ctx context.Context, transport device.Transport) (string, error) {
	if transport != device.TransportMQTT {
		return ep.host, nil
	}
	listeners, err := ep.listeners(ctx)
	if err != nil {
		return "", err
	}
	for _, l := range listeners {
		if addr, ok := strings.CutPrefix(l, "mqtts://"); ok {
			return reachable(addr, ep.host), nil
		}
	}
	return "", cliapp.WithHint(fmt.Errorf("the emulator at %s does not listen for MQTT over TLS", ep.host),
		"start it with --%s, or register with --%s %s", flagMQTTAddr, flagTransport, device.TransportMQTTWS)
}

// listeners asks an emulator for the URLs that it listens on.
func (ep *endpoint) listeners(ctx context.Context) ([]string, error) {
	const op = "ask the emulator for its addresses"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+ep.host+"/readyz", nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	resp, err := ep.client.Do(req)
	if err != nil {
		return nil, &dps.Error{Op: op, Host: ep.host, Message: err.Error(), Err: err}
	}
	defer resp.Body.Close()
	var ready struct {
		Listeners []string `json:"listeners"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, dps.MaxErrorBody)).Decode(&ready); err != nil || len(ready.Listeners) == 0 {
		return nil, &dps.Error{Op: op, Host: ep.host, StatusCode: resp.StatusCode, Err: dps.ErrUnexpectedAnswer,
			Message: "the answer is not that of an emulator"}
	}
	return ready.Listeners, nil
}

// reachable is the address of a listener as this machine reaches it: the one
// that it listens on, or, if that is every address of another machine or a
// container, the host by which the emulator was found.
func reachable(addr, host string) string {
	ip, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if parsed := net.ParseIP(ip); parsed != nil && !parsed.IsUnspecified() && (!parsed.IsLoopback() || dps.IsLoopbackHost(host)) {
		return addr
	}
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.Trim(host, "[]")
	}
	return net.JoinHostPort(name, port)
}

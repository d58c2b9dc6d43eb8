package dps

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// GlobalDeviceHost is the device endpoint shared by every provisioning service
// of the public cloud; the id scope tells them apart.
const GlobalDeviceHost = "global.azure-devices-provisioning.net"

// IsLoopbackHost reports whether host names this machine only: localhost, a
// name below .localhost (RFC 6761 section 6.3), an address in 127.0.0.0/8 or
// ::1. A port and the brackets of an IPv6 literal may be present.
func IsLoopbackHost(host string) bool {
	name := hostOnly(host)
	if addr, err := netip.ParseAddr(name); err == nil {
		return addr.Unmap().IsLoopback()
	}
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}

// hostOnly removes a port and IPv6 brackets.
func hostOnly(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
}

// CheckHost reports why host cannot be used as "name" or "name:port" of a
// service endpoint: a scheme, a path, a space or another character that no
// host name has, a port outside 1 to 65535. The error does not repeat host.
func CheckHost(host string) error {
	switch {
	case host == "":
		return errors.New("host name is empty")
	case len(host) > 260:
		return errors.New("host name is longer than 260 characters")
	case strings.Contains(host, "://"):
		return errors.New("host name has a scheme; give the name alone, without https://")
	case strings.ContainsAny(host, "/?#@\\"):
		return errors.New("host name has a path or user part; give the name alone")
	}
	name, port, err := splitPort(host)
	if err != nil {
		return err
	}
	if port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return errors.New("port is not a number from 1 to 65535")
		}
	}
	if strings.HasPrefix(host, "[") { // an IPv6 literal, brackets already gone
		if addr, err := netip.ParseAddr(name); err != nil || !addr.Is6() || addr.Zone() != "" {
			return errors.New("host name is not a valid IPv6 address")
		}
		return nil
	}
	return checkHostName(name)
}

// CheckServiceHost is [CheckHost] for the endpoint of the service API. It also
// refuses two hosts that are often taken for it: an IoT hub (the error matches
// [ErrIoTHubConnectionString]) and the global device endpoint.
func CheckServiceHost(host string) error {
	if err := CheckHost(host); err != nil {
		return err
	}
	name := strings.TrimSuffix(strings.ToLower(hostOnly(host)), ".")
	for _, suffix := range []string{".azure-devices.net", ".azure-devices.us", ".azure-devices.cn"} {
		if strings.HasSuffix(name, suffix) {
			return ErrIoTHubConnectionString
		}
	}
	if strings.HasPrefix(name, "global.azure-devices-provisioning.") { // of any cloud
		return errors.New("this is the device endpoint; use the service's own host, NAME.azure-devices-provisioning.net")
	}
	return nil
}

// splitPort separates an optional port without resolving or guessing.
func splitPort(host string) (name, port string, err error) {
	if strings.HasPrefix(host, "[") {
		if inner, ok := strings.CutSuffix(host[1:], "]"); ok && !strings.ContainsAny(inner, "[]") {
			return inner, "", nil
		}
	} else if !strings.Contains(host, ":") {
		return host, "", nil
	}
	name, port, err = net.SplitHostPort(host)
	if err != nil {
		return "", "", errors.New("host name and port cannot be told apart; write name:port or [ipv6]:port")
	}
	if port == "" {
		return "", "", errors.New("port is empty after the colon")
	}
	return name, port, nil
}

// checkHostName allows letters, digits, '-', '_' and '.', as the official
// clients do.
func checkHostName(name string) error {
	for _, label := range strings.Split(strings.TrimSuffix(name, "."), ".") {
		if label == "" {
			return errors.New("host name has an empty label")
		}
		for _, r := range label {
			if !isASCIILetterOrDigit(r) && r != '-' && r != '_' {
				return errors.New("host name has a character other than letters, digits, '-', '_' and '.'")
			}
		}
	}
	return nil
}

func isASCIILetterOrDigit(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

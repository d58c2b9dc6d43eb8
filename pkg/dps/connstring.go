package dps

import (
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// maxConnectionString bounds what ParseConnectionString looks at, in bytes. A
// real string has about 150.
const maxConnectionString = 4096

// Sentinels of ParseConnectionString, reached with errors.Is.
var (
	// ErrConnectionString marks every error of ParseConnectionString.
	ErrConnectionString = errors.New("invalid connection string")
	// ErrIDScope marks an ID scope (0ne…) in the place of a connection string.
	ErrIDScope = errors.New("this is an ID scope, by which devices name the service")
	// ErrIoTHubConnectionString marks the connection string or the host name of
	// an IoT hub, or the connection string of a device: the usual mix-up.
	ErrIoTHubConnectionString = errors.New("this names an IoT hub, not a provisioning service")
)

// Names of the parts, as the portal writes them.
const (
	partHost      = "HostName"
	partKeyName   = "SharedAccessKeyName"
	partKey       = "SharedAccessKey"
	partDeveloper = "UseDevelopmentEmulator"
)

// foreignParts are names that other Azure connection strings use. They may be
// named in an error; any other unknown name may be a piece of a key and is not.
var foreignParts = []string{"DeviceId", "ModuleId", "GatewayHostName", "x509",
	"SharedAccessSignature", "Endpoint", "EntityPath", "AccountName", "AccountKey", "DefaultEndpointsProtocol",
	"EndpointSuffix", "BlobEndpoint"}

// idScopeForm is what the service gives as ID scope.
var idScopeForm = regexp.MustCompile(`^0ne[0-9A-Fa-f]{6,16}$`)

// ConnectionString is the access information of a provisioning service: the
// "Shared access policies" page of the portal shows it as
// HostName=…;SharedAccessKeyName=…;SharedAccessKey=….
type ConnectionString struct {
	// HostName is the service endpoint, NAME.azure-devices-provisioning.net; an
	// emulator's carries a port.
	HostName string
	// SharedAccessKeyName is the policy, such as provisioningserviceowner.
	SharedAccessKeyName string
	// SharedAccessKey is the policy's key as base64 text.
	SharedAccessKey Secret
	// DevelopmentEmulator is set by UseDevelopmentEmulator=true, which says that
	// HostName is a local emulator. HostName may then be left out.
	DevelopmentEmulator bool
}

// ParseConnectionString reads s. Parts may come in any order, names in any
// case; spaces around parts, a byte order mark, surrounding quotes, a trailing
// semicolon and a final newline are ignored. Each part is split at its first
// "=", as keys end in "=".
//
// Errors name the part at fault and never repeat a value. All of them match
// [ErrConnectionString].
func ParseConnectionString(s string) (ConnectionString, error) {
	if len(s) > maxConnectionString {
		return ConnectionString{}, invalidf("longer than %d characters", maxConnectionString)
	}
	s = strings.TrimSpace(strings.TrimPrefix(s, "\ufeff"))
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		s = s[1 : len(s)-1]
	}
	if s == "" {
		return ConnectionString{}, invalidf("empty")
	}
	if idScopeForm.MatchString(s) {
		return ConnectionString{}, fmt.Errorf("%w: %w", ErrConnectionString, ErrIDScope)
	}
	parts, err := splitParts(s)
	if err != nil {
		return ConnectionString{}, err
	}
	return fromParts(parts)
}

// splitParts returns the known parts by their proper names.
func splitParts(s string) (map[string]string, error) {
	parts := make(map[string]string)
	n := 0
	for segment := range strings.SplitSeq(s, ";") {
		segment = strings.TrimSpace(segment)
		if segment == "" {
			continue
		}
		n++
		name, value, found := strings.Cut(segment, "=")
		name = strings.TrimSpace(name)
		known := knownPart(name)
		switch {
		case known == "":
			return nil, unknownPart(n, name)
		case !found:
			return nil, invalidf("part %s has no value", known)
		}
		if _, twice := parts[known]; twice {
			return nil, invalidf("part %s appears twice", known)
		}
		parts[known] = strings.TrimSpace(value)
	}
	return parts, nil
}

func knownPart(name string) string {
	for _, known := range []string{partHost, partKeyName, partKey, partDeveloper} {
		if strings.EqualFold(name, known) {
			return known
		}
	}
	return ""
}

// unknownPart explains a part that does not belong here, by name only if the
// name is a public one.
func unknownPart(position int, name string) error {
	for _, foreign := range foreignParts {
		if !strings.EqualFold(name, foreign) {
			continue
		}
		switch foreign {
		case "DeviceId", "ModuleId", "GatewayHostName", "x509":
			return iotHubError("part " + foreign + " belongs to a device")
		case "SharedAccessSignature":
			return invalidf("part SharedAccessSignature is not supported; use SharedAccessKeyName and SharedAccessKey")
		case "Endpoint", "EntityPath":
			return invalidf("part %s belongs to Service Bus, Event Hubs or the like, not to a provisioning service", foreign)
		}
		return invalidf("part %s belongs to a storage account, not to a provisioning service", foreign)
	}
	return invalidf("part %d is not one of %s, %s, %s", position, partHost, partKeyName, partKey)
}

// fromParts checks the values.
func fromParts(parts map[string]string) (ConnectionString, error) {
	c := ConnectionString{
		HostName:            parts[partHost],
		SharedAccessKeyName: parts[partKeyName],
		SharedAccessKey:     Secret(parts[partKey]),
	}
	switch v, ok := parts[partDeveloper]; {
	case strings.EqualFold(v, "true"):
		c.DevelopmentEmulator = true
	case ok && !strings.EqualFold(v, "false"):
		return ConnectionString{}, invalidf("part %s is neither true nor false", partDeveloper)
	}
	if c.DevelopmentEmulator && c.HostName == "" && c.SharedAccessKeyName == "" && c.SharedAccessKey == "" {
		return c, nil
	}
	if err := c.check(parts); err != nil {
		return ConnectionString{}, err
	}
	return c, nil
}

func (c ConnectionString) check(parts map[string]string) error {
	for _, name := range []string{partHost, partKeyName, partKey} {
		if parts[name] == "" {
			return invalidf("part %s is missing", name)
		}
	}
	if err := CheckServiceHost(c.HostName); err != nil {
		return fmt.Errorf("%w: part %s: %w", ErrConnectionString, partHost, err)
	}
	if !validKeyName(c.SharedAccessKeyName) {
		return invalidf("part %s has a character other than letters, digits, '-', '_', '.' and '@'", partKeyName)
	}
	if _, err := decodeKey(c.SharedAccessKey); err != nil {
		return invalidf("part %s: %v", partKey, err)
	}
	return nil
}

// String returns the connection string with the key replaced by REDACTED.
func (c ConnectionString) String() string {
	var parts []string
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, name+"="+value)
		}
	}
	add(partHost, c.HostName)
	add(partKeyName, c.SharedAccessKeyName)
	if !c.SharedAccessKey.IsZero() {
		add(partKey, redacted)
	}
	if c.DevelopmentEmulator {
		add(partDeveloper, "true")
	}
	return strings.Join(parts, ";")
}

func validKeyName(name string) bool {
	if len(name) > 64 {
		return false
	}
	for _, r := range name {
		if !isASCIILetterOrDigit(r) && !strings.ContainsRune("-_.@", r) {
			return false
		}
	}
	return true
}

// decodeKey returns the bytes of a shared key. The errors do not show it.
func decodeKey(key Secret) ([]byte, error) {
	text := key.Reveal()
	if text == "" {
		return nil, errors.New("key is empty")
	}
	if strings.ContainsAny(text, " \t\r\n") { // the decoder would skip line ends
		return nil, errors.New("key has white space in it")
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) == 0 {
		return nil, errors.New("key is not base64; copy it whole, with the = at its end")
	}
	return raw, nil
}

func invalidf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrConnectionString, fmt.Sprintf(format, args...))
}

func iotHubError(cause string) error {
	return fmt.Errorf("%w: %w: %s", ErrConnectionString, ErrIoTHubConnectionString, cause)
}

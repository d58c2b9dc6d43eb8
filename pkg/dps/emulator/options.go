package emulator

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"log/slog"
	"net"
	"regexp"
	"strconv"
	"time"

	"github.com/dpskit/dpskit/pkg/dps"
	"github.com/dpskit/dpskit/pkg/dps/emulator/fault"
)

// Well-known values of an emulator that was not told otherwise. They are
// public: an emulator that uses them listens on loopback only.
const (
	// DevelopmentKey is the default shared access key, base64 of a text that
	// says what it is.
	DevelopmentKey = "ZHBza2l0LWVtdWxhdG9yLWRldmVsb3BtZW50LWtleSE="
	// DevelopmentToken is the bearer token that goes with DevelopmentKey.
	DevelopmentToken = "dpskit-emulator-development-token"
	// DefaultName is the name of the emulated provisioning service.
	DefaultName = "dpskit-emulator"
	// DefaultIDScope is the id scope of the emulated provisioning service.
	DefaultIDScope = "0ne00C0FFEE"
	// DefaultSubscriptionID and DefaultResourceGroup are where the emulated
	// service lies in Azure Resource Manager.
	DefaultSubscriptionID = "00000000-0000-0000-0000-000000000000"
	DefaultResourceGroup  = "dpskit-emulator"
	// KeyName is the one shared access policy.
	KeyName = "provisioningserviceowner"
)

// defaultRetryAfter is what the service was seen to send.
const defaultRetryAfter = 3 * time.Second

// What [Options] with zero in MaxConnections, MaxRegistrations or
// WebhookTimeout mean.
const (
	DefaultMaxConnections   = 2048
	DefaultMaxRegistrations = 1024
	DefaultWebhookTimeout   = 5 * time.Second
)

// Options configures an emulator. The zero value is a good emulator for a
// test: in memory, on loopback, on a free port.
type Options struct {
	// Name of the provisioning service; "" means DefaultName.
	Name string
	// IDScope; "" means DefaultIDScope.
	IDScope string
	// Key is the shared access key of policy provisioningserviceowner: base64
	// of 16 to 64 bytes; "" means DevelopmentKey. The bearer token is made
	// from it, see Info.Token.
	Key dps.Secret
	// DataDir keeps the state, one folder per emulator. It is made if needed.
	// "" keeps the state in memory.
	DataDir string
	// HTTPSAddrs are the addresses of the service, device and Azure Resource
	// Manager planes; none means 127.0.0.1:0. Port 0 picks a free one.
	HTTPSAddrs []string
	// MQTTAddrs are the addresses of the device plane over MQTT with TLS. nil
	// means 127.0.0.1:0, an empty slice none. MQTT over WebSocket is on every
	// HTTPS address.
	MQTTAddrs []string
	// AdminAddr is the plain HTTP address for health and the CA certificate;
	// "" means no such listener.
	AdminAddr string
	// HostNames are further names, or IP addresses, under which clients reach
	// the emulator. They go into its TLS certificate.
	HostNames []string
	// Hubs are the host names of the linked IoT hubs. nil means one, called
	// NAME-hub.azure-devices.net; an empty slice means none, so that every
	// registration fails as it does in the service.
	Hubs []string
	// HubSettings say how hubs take part in allocation, by host name. Hubs
	// without an entry have weight 1 and no known latency.
	HubSettings map[string]HubSettings
	// AllocationPolicy is for enrollments that have none: hashed, geoLatency or
	// static; "" means hashed.
	AllocationPolicy string
	// WebhookRootCAs are trusted when the webhook of a custom allocation is
	// called by https; nil means the roots of the system.
	WebhookRootCAs *x509.CertPool
	// AllowRemoteWebhooks permits webhooks that are not on a loopback address.
	// Whoever may write enrollments can then make the emulator send requests
	// to any host that it reaches.
	AllowRemoteWebhooks bool
	// WebhookTimeout bounds one call of a webhook; 0 means 5 s.
	WebhookTimeout time.Duration
	// MaxConnections bounds the connections of the HTTPS listeners together
	// that have begun to talk; 0 means 2048. When there are as many, one that
	// has been without a request for some seconds makes room, and new ones
	// wait. Connections that have said nothing do not count. MQTT has a bound
	// of its own.
	MaxConnections int
	// MaxRegistrations is how many devices may register at the same moment, by
	// any transport; 0 means 1024. Others are told to come back (429).
	MaxRegistrations int
	// RetryAfter is what devices are told to wait before they poll, sent in
	// whole seconds; 0 means 3 s, a negative value means 0. A registration
	// shows as `assigning` for half of it, in real time.
	RetryAfter time.Duration
	// AllowRemote permits addresses other than loopback. It needs a Key of
	// your own.
	AllowRemote bool
	// Faults are what the emulator does wrong on request; see package fault.
	// With them it logs more: a record for each time that a rule strikes.
	Faults []fault.Rule
	// FaultSeed decides about the rules that strike a part of the requests. The
	// same seed gives the same decisions.
	FaultSeed uint64
	// Logger gets one record per refusal and little else; nil discards.
	Logger *slog.Logger
	// Now is the clock for certificates, tokens and time stamps; nil means
	// time.Now. TLS and the pace of registrations follow the real time.
	Now func() time.Time
	// Version is reported in Info and by /readyz; "" means "dev".
	Version string
}

// HubSettings are what the service knows of a linked hub besides its name.
type HubSettings struct {
	// Weight is the share of the devices, 1 to 1000; nil means 1. 0 takes the
	// hub out of allocation, as applyAllocationPolicy false does in the service.
	Weight *int
	// Latency is how far the hub is from the devices, for geoLatency. 0 means
	// that it is not known; such a hub comes last.
	Latency time.Duration
}

// settings is Options with every default filled in.
type settings struct {
	Options

	token        string
	secondaryKey string
}

var (
	serviceNameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{1,48}[A-Za-z0-9]$`)
	idScopeForm     = regexp.MustCompile(`^[A-Za-z0-9]{3,32}$`)
	hostNameForm    = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,253}$`)
)

// resolve checks opts and fills in the defaults.
func resolve(opts *Options) (settings, error) {
	var s settings
	if opts != nil {
		s.Options = *opts
	}
	setDefault(&s.Name, DefaultName)
	setDefault(&s.IDScope, DefaultIDScope)
	setDefault(&s.Version, "dev")
	if s.Key == "" {
		s.Key = DevelopmentKey
	}
	if len(s.HTTPSAddrs) == 0 {
		s.HTTPSAddrs = []string{"127.0.0.1:0"}
	}
	if s.MQTTAddrs == nil {
		s.MQTTAddrs = []string{"127.0.0.1:0"}
	}
	if s.Hubs == nil {
		s.Hubs = []string{s.Name + "-hub.azure-devices.net"}
	}
	switch {
	case s.RetryAfter == 0:
		s.RetryAfter = defaultRetryAfter
	case s.RetryAfter < 0:
		s.RetryAfter = 0
	}
	if s.MaxConnections == 0 {
		s.MaxConnections = DefaultMaxConnections
	}
	if s.MaxRegistrations == 0 {
		s.MaxRegistrations = DefaultMaxRegistrations
	}
	if s.WebhookTimeout == 0 {
		s.WebhookTimeout = DefaultWebhookTimeout
	}
	if s.Logger == nil {
		s.Logger = slog.New(slog.DiscardHandler)
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	return s, s.check()
}

func setDefault(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

func (s *settings) check() error {
	if !serviceNameForm.MatchString(s.Name) {
		return badOption("Name", s.Name, "want 3 to 50 letters, digits and hyphens")
	}
	if !idScopeForm.MatchString(s.IDScope) {
		return badOption("IDScope", s.IDScope, "want 3 to 32 letters and digits")
	}
	for option, names := range map[string][]string{"HostNames": s.HostNames, "Hubs": s.Hubs} {
		for _, name := range names {
			if net.ParseIP(name) == nil && !hostNameForm.MatchString(name) {
				return badOption(option, name, "want a host name or an IP address")
			}
		}
	}
	for _, err := range []error{s.checkBounds(), s.checkAllocation(), s.deriveSecrets()} {
		if err != nil {
			return err
		}
	}
	return s.checkAddrs()
}

func (s *settings) checkBounds() error {
	switch {
	case s.WebhookTimeout < 0:
		return badOption("WebhookTimeout", s.WebhookTimeout, "want more than 0")
	case s.MaxConnections < 0:
		return badOption("MaxConnections", s.MaxConnections, "want 1 or more")
	case s.MaxRegistrations < 0:
		return badOption("MaxRegistrations", s.MaxRegistrations, "want 1 or more")
	}
	return nil
}

// deriveSecrets makes the secondary key and the token out of the key, so that
// one secret rules all planes and none of them keeps a well-known one.
func (s *settings) deriveSecrets() error {
	key, err := base64.StdEncoding.DecodeString(s.Key.Reveal())
	if err != nil || len(key) < 16 || len(key) > 64 {
		return badOption("Key", nil, "want base64 of 16 to 64 bytes")
	}
	s.secondaryKey = base64.StdEncoding.EncodeToString(derive(key, "secondary key"))
	s.token = TokenFor(s.Key)
	return nil
}

// TokenFor returns the bearer token of an emulator that was started with this
// key: DevelopmentToken for DevelopmentKey, else one made from the key, so that
// who has the connection string reaches every plane. A key that no emulator can
// have, because it is not base64, gives "".
func TokenFor(key dps.Secret) string {
	if key == DevelopmentKey {
		return DevelopmentToken
	}
	raw, err := base64.StdEncoding.DecodeString(key.Reveal())
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(derive(raw, "bearer token"))
}

func derive(key []byte, purpose string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("dpskit emulator " + purpose))
	return mac.Sum(nil)
}

func (s *settings) checkAddrs() error {
	for _, kind := range []struct {
		option string
		addrs  []string
	}{{"HTTPSAddrs", s.HTTPSAddrs}, {"MQTTAddrs", s.MQTTAddrs}, {"AdminAddr", []string{s.AdminAddr}}} {
		for _, addr := range kind.addrs {
			if addr == "" && kind.option == "AdminAddr" { // none
				continue
			}
			if err := s.checkAddr(kind.option, addr); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkAddr refuses an address that others can reach, unless that was asked for
// and the key is not the well-known one.
func (s *settings) checkAddr(option, addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return badOption(option, addr, "want HOST:PORT, such as 127.0.0.1:0")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return badOption(option, addr, "want a port between 0, which takes a free one, and 65535")
	}
	if host != "" && dps.IsLoopbackHost(host) {
		return nil
	}
	switch {
	case !s.AllowRemote:
		return badOption(option, addr, "%w, which needs remote access to be allowed", ErrNotLoopback)
	case s.Key == DevelopmentKey:
		return badOption(option, addr, "remote access needs a key of your own, the development key is public")
	}
	return nil
}

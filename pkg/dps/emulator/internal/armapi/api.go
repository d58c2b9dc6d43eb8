package armapi

import (
	"crypto/subtle"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/store"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/web"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"
)

// Config is what the plane serves.
type Config struct {
	Store  store.Store
	Logger *slog.Logger
	Now    func() time.Time

	SubscriptionID string
	ResourceGroup  string
	Name           string
	IDScope        string
	Hubs           []string
	// HubWeights has the allocation weights that were set, by host name; 0
	// means that the hub takes no part in allocation.
	HubWeights map[string]int
	// AllocationPolicy is that of the service; "" means hashed.
	AllocationPolicy string
	// HostName is where clients reach the service and device planes.
	HostName string

	// Token is the bearer token that callers must present.
	Token string
	// KeyName, PrimaryKey and SecondaryKey are the shared access policy.
	KeyName, PrimaryKey, SecondaryKey string
}

type api struct{ Config }

// New returns the plane.
func New(c Config) http.Handler {
	a := &api{c}
	const (
		subscription = "/subscriptions/{sub}"
		group        = subscription + "/resourceGroups/{rg}"
		services     = "/providers/Microsoft.Devices/provisioningServices"
		service      = group + services + "/{name}"
		hubs         = "/providers/Microsoft.Devices/IotHubs"
		hub          = group + hubs + "/{hub}"
	)
	routes := []web.Route{
		{Method: http.MethodGet, Pattern: subscription + services, Handler: a.listServices},
		{Method: http.MethodGet, Pattern: group + services, Handler: a.listServices},
		{Method: http.MethodGet, Pattern: service, Handler: a.getService},
		{Method: http.MethodPost, Pattern: service + "/listkeys", Handler: a.listKeys},
		{Method: http.MethodPost, Pattern: service + "/keys/{key}/listkeys", Handler: a.getKey},
		{Method: http.MethodGet, Pattern: subscription + hubs, Handler: a.listHubs},
		{Method: http.MethodGet, Pattern: group + hubs, Handler: a.listHubs},
		{Method: http.MethodGet, Pattern: hub, Handler: a.getHub},
	}
	for _, owner := range []string{service, hub} {
		certificate := owner + "/certificates/{certificate}"
		routes = append(routes,
			web.Route{Method: http.MethodGet, Pattern: owner + "/certificates", Handler: a.listCertificates},
			web.Route{Method: http.MethodGet, Pattern: certificate, Handler: a.getCertificate},
			web.Route{Method: http.MethodPut, Pattern: certificate, Handler: a.putCertificate},
			web.Route{Method: http.MethodDelete, Pattern: certificate, Handler: a.deleteCertificate},
			web.Route{Method: http.MethodPost, Pattern: certificate + "/generateVerificationCode", Handler: a.generateCode},
			web.Route{Method: http.MethodPost, Pattern: certificate + "/verify", Handler: a.verify},
		)
	}
	for i, r := range routes {
		routes[i].Handler = numericStatus(r.Handler)
	}
	return &web.Plane{
		Name: "arm", Logger: c.Logger, Now: c.Now, Render: wire.NewARMError, Before: a.before, Header: header,
		Router: web.NewRouter(routes...),
	}
}

// header adds what the front end adds to each answer.
func header(req *web.Request, refusal *refuse.Refusal) http.Header {
	h := http.Header{
		"Cache-Control":               {"no-cache"},
		"Pragma":                      {"no-cache"},
		"Expires":                     {"-1"},
		"X-Ms-Correlation-Request-Id": {req.ID},
	}
	if refusal != nil && refusal.ErrorCode != "" {
		h["X-Ms-Failure-Cause"] = []string{"gateway"}
	}
	return h
}

// before is the front end: token, api-version, subscription, group, service.
func (a *api) before(req *web.Request) error {
	if err := a.authenticate(req); err != nil {
		return err
	}
	if req.APIVersion == "" {
		return frontEnd(http.StatusBadRequest, "MissingApiVersionParameter", "api-version",
			"The api-version query parameter (?api-version=) is required for all requests.")
	}
	if kind := kindOf(req); !slices.Contains(kind.versions, strings.ToLower(req.APIVersion)) {
		return frontEnd(http.StatusBadRequest, "NoRegisteredProviderFound", "api-version", fmt.Sprintf(
			"No registered resource provider found for location 'emulator' and API version '%s' for type "+
				"'%s'. The supported api-versions are '%s'.", req.APIVersion, kind.resource, strings.Join(kind.versions, ", ")))
	}
	req.APIVersion = strings.ToLower(req.APIVersion)
	return a.checkScope(req)
}

func (a *api) authenticate(req *web.Request) error {
	scheme, token, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	refusal := frontEnd(http.StatusUnauthorized, "AuthenticationFailed", "bearer-token", "Authentication failed.")
	refusal.Expected = "Authorization: Bearer with the token of this emulator"
	refusal.Fix = "use the token of the ready document; the emulator takes no Microsoft Entra tokens"
	switch {
	case !strings.EqualFold(scheme, "Bearer") || token == "":
		refusal.Header = http.Header{"Www-Authenticate": {`Bearer`}}
		return refusal
	case subtle.ConstantTimeCompare([]byte(token), []byte(a.Token)) != 1:
		refusal.ErrorCode, refusal.Message = "InvalidAuthenticationToken", "The access token is invalid."
		refusal.Header = http.Header{"Www-Authenticate": {`Bearer error="invalid_token"`}}
		return refusal
	}
	return nil
}

func (a *api) checkScope(req *web.Request) error {
	sub, rg, name := req.Param("sub"), req.Param("rg"), req.Param("name")
	switch {
	case !strings.EqualFold(sub, a.SubscriptionID):
		return frontEnd(http.StatusNotFound, "SubscriptionNotFound", "subscription",
			fmt.Sprintf("The subscription '%s' could not be found.", sub))
	case rg != "" && !strings.EqualFold(rg, a.ResourceGroup):
		return frontEnd(http.StatusNotFound, "ResourceGroupNotFound", "resource-group",
			fmt.Sprintf("Resource group '%s' could not be found.", rg))
	case name != "" && !strings.EqualFold(name, a.Name):
		return resourceNotFound("service-name", "ProvisioningServices/"+name, rg)
	}
	if hub := req.Param("hub"); hub != "" {
		if _, found := a.hubHost(hub); !found {
			r := resourceNotFound("hub-name", "IotHubs/"+hub, rg)
			r.Expected = "the resource name of a linked hub, the first part of its host name: " + strings.Join(a.Hubs, ", ")
			return r
		}
	}
	return nil
}

func resourceNotFound(rule refuse.Rule, resource, group string) *refuse.Refusal {
	return frontEnd(http.StatusNotFound, "ResourceNotFound", rule, fmt.Sprintf(
		"The Resource 'Microsoft.Devices/%s' under resource group '%s' was not found. "+
			"For more details please go to https://aka.ms/ARMResourceNotFoundFix", resource, group))
}

// frontEnd is a refusal by Azure Resource Manager itself.
func frontEnd(status int, code string, rule refuse.Rule, message string) *refuse.Refusal {
	return &refuse.Refusal{Status: status, ErrorCode: code, Rule: rule, Message: message}
}

// provider is a refusal by the devices resource provider.
func provider(status, code int, rule refuse.Rule, message string) *refuse.Refusal {
	return &refuse.Refusal{Status: status, Code: code, Rule: rule, Message: message}
}

package emulator

import (
	"net/http"
	"strings"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/armapi"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/deviceapi"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/inject"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/mqtt"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/serviceapi"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/web"
)

// headerVersion tells people what they are talking to.
const headerVersion = "X-Dpskit-Emulator"

// devicePlane is what devices reach, by whatever transport.
func (e *Emulator) devicePlane() deviceapi.Config {
	s := e.settings
	return deviceapi.Config{Service: e.service, Logger: s.Logger, Now: s.Now, RetryAfter: s.RetryAfter}
}

// planes builds the handler of the HTTPS listeners. The first part of the path
// chooses the plane; whatever is no other plane's is an id scope.
func (e *Emulator) planes(deviceConfig deviceapi.Config) (http.Handler, error) {
	s := e.settings
	service, err := serviceapi.New(serviceapi.Config{
		Store: e.store, Logger: s.Logger, Now: s.Now, Token: s.token,
		KeyName: KeyName, PrimaryKey: s.Key.Reveal(), SecondaryKey: s.secondaryKey,
	})
	if err != nil {
		return nil, err
	}
	arm := armapi.New(armapi.Config{
		Store: e.store, Logger: s.Logger, Now: s.Now,
		SubscriptionID: DefaultSubscriptionID, ResourceGroup: DefaultResourceGroup,
		Name: s.Name, IDScope: s.IDScope, Hubs: s.Hubs, HostName: e.hostName,
		HubWeights: s.hubWeights(), AllocationPolicy: s.AllocationPolicy,
		Token: s.token, KeyName: KeyName, PrimaryKey: s.Key.Reveal(), SecondaryKey: s.secondaryKey,
	})
	device := deviceapi.New(deviceConfig)
	health := e.healthHandler()
	dispatch := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if mqtt.IsUpgrade(r) { // on any path
			e.broker.ServeWebSocket(w, r)
			return
		}
		first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		switch strings.ToLower(first) {
		case "subscriptions":
			arm.ServeHTTP(w, r)
		case "enrollments", "enrollmentgroups", "registrations":
			service.ServeHTTP(w, r)
		case "healthz", "readyz":
			health.ServeHTTP(w, r)
		default:
			device.ServeHTTP(w, r)
		}
	})
	faulty := e.faults.Wrap(dispatch, inject.HTTP{
		Logger: s.Logger, Now: s.Now, RetryAfter: (&deviceapi.Plane{Config: deviceConfig}).RetryAfterText(),
	})
	return web.Stamp(faulty, s.Logger, http.Header{
		"Strict-Transport-Security": {"max-age=31536000; includeSubDomains"},
		headerVersion:               {s.Version},
	}), nil
}

package armapi

import (
	"strings"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/state"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/web"
)

// kind is a type of resource that holds CA certificates. The provisioning
// service and the IoT hub treat them alike, but not from the same api-version.
type kind struct {
	// resource is the type as the front end calls it.
	resource string
	// certificateType is the type of the certificates.
	certificateType string
	// versions are the api-versions that are served.
	versions []string
	// nestedSince is the first version whose upload is a resource with
	// properties; verifiedSince the first that knows isVerified in it.
	nestedSince, verifiedSince string
	// member says what a version sends as properties.certificate.
	member func(version string) member
}

// member is a way to send properties.certificate.
type member int

const (
	memberAbsent member = iota
	memberNull
	memberFilled
)

// serviceKind is the provisioning service. 2020-09-01-preview is missing on
// purpose: it is in the specification and was never served. 2026-08-31 is what
// the newest Node client speaks.
var serviceKind = kind{
	resource: "provisioningServices", certificateType: "Microsoft.Devices/provisioningServices/Certificates",
	versions: []string{
		"2017-11-15", "2018-01-22", "2020-01-01", "2020-03-01", "2021-10-15", "2022-02-05", "2022-12-12",
		"2023-03-01-preview", "2025-02-01-preview", "2026-03-01-preview", "2026-08-31",
	},
	nestedSince: "2022-02-05", verifiedSince: "2020-03-01",
	member: func(v string) member {
		switch {
		case v >= "2022-12-12":
			return memberFilled
		case v >= "2018-01-22" && v < "2022-02-05":
			return memberNull
		}
		return memberAbsent
	},
}

// hubKind is the IoT hub.
var hubKind = kind{
	resource: "IotHubs", certificateType: "Microsoft.Devices/IotHubs/Certificates",
	versions: []string{
		"2017-07-01", "2018-01-22", "2018-04-01", "2018-12-01-preview", "2019-03-22", "2019-03-22-preview",
		"2019-07-01-preview", "2019-11-04", "2020-03-01", "2020-04-01", "2020-06-15", "2020-07-10-preview",
		"2020-08-01", "2020-08-31", "2020-08-31-preview", "2021-02-01-preview", "2021-03-03-preview", "2021-03-31",
		"2021-07-01", "2021-07-01-preview", "2021-07-02", "2021-07-02-preview", "2022-04-30-preview",
		"2022-11-15-preview", "2023-06-30", "2023-06-30-preview",
	},
	nestedSince: "2020-08-01", verifiedSince: "2021-07-01",
	member: func(v string) member {
		switch {
		case v >= "2021-03-31":
			return memberFilled
		case v > "2018-04-01":
			return memberNull
		}
		return memberAbsent
	},
}

// kindOf is the type of the resource that req is about.
func kindOf(req *web.Request) kind {
	if strings.Contains(strings.ToLower(req.URL.Path), "/providers/microsoft.devices/iothubs") {
		return hubKind
	}
	return serviceKind
}

// owner is one resource that holds CA certificates.
type owner struct {
	kind

	cas state.CAList
	id  string // resource id
}

// owner returns the resource that req is about, which checkScope has found.
func (a *api) owner(req *web.Request) owner {
	if hub := req.Param("hub"); hub != "" {
		return owner{kind: hubKind, cas: state.HubCAs(hub), id: a.hubID(hub)}
	}
	return owner{kind: serviceKind, cas: state.ServiceCAs(), id: a.id()}
}

// numericStatus marks the refusals of the newest IoT Hub provider, whose
// httpStatusCode is a number where all others send a name.
func numericStatus(next web.Handler) web.Handler {
	return func(req *web.Request) (*web.Response, error) {
		resp, err := next(req)
		if r, ok := refuse.As(err); ok && kindOf(req).resource == hubKind.resource && req.APIVersion >= "2023-06-30" {
			r.NumericStatus = true
		}
		return resp, err
	}
}

package inject

import (
	"net/http"
	"strings"

	"github.com/dpskit/dpskit/pkg/dps/emulator/fault"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/web"
)

// route is a request line and the operation that it asks for. In a pattern, {id}
// and {operation} are parameters and {} is any segment.
type route struct {
	plane               fault.Plane
	method, pattern, op string
}

const (
	armServices    = "subscriptions/{}/resourceGroups/{}/providers/Microsoft.Devices/provisioningServices"
	armService     = armServices + "/{}"
	armCertificate = armService + "/certificates/{id}"
)

// routes are looked at in order; what none of them matches is never hit: it is
// health, or nothing that the emulator has.
var routes = []route{
	{fault.Service, "POST", "enrollments/query", "query-enrollments"},
	{fault.Service, "POST", "enrollments", "bulk-enrollments"},
	{fault.Service, "GET", "enrollments/{id}", "get-enrollment"},
	{fault.Service, "PUT", "enrollments/{id}", "put-enrollment"},
	{fault.Service, "DELETE", "enrollments/{id}", "delete-enrollment"},
	{fault.Service, "POST", "enrollments/{id}/attestationmechanism", "attest-enrollment"},
	{fault.Service, "POST", "enrollmentGroups/query", "query-groups"},
	{fault.Service, "POST", "enrollmentGroups", "bulk-groups"},
	{fault.Service, "GET", "enrollmentGroups/{id}", "get-group"},
	{fault.Service, "PUT", "enrollmentGroups/{id}", "put-group"},
	{fault.Service, "DELETE", "enrollmentGroups/{id}", "delete-group"},
	{fault.Service, "POST", "enrollmentGroups/{id}/attestationmechanism", "attest-group"},
	{fault.Service, "GET", "registrations/{id}", "get-registration"},
	{fault.Service, "DELETE", "registrations/{id}", "delete-registration"},
	{fault.Service, "POST", "registrations/{id}/query", "query-registrations"},

	{fault.ARM, "GET", "subscriptions/{}/providers/Microsoft.Devices/provisioningServices", "list-services"},
	{fault.ARM, "GET", armServices, "list-services"},
	{fault.ARM, "GET", armService, "get-service"},
	{fault.ARM, "POST", armService + "/listkeys", "list-keys"},
	{fault.ARM, "POST", armService + "/keys/{id}/listkeys", "get-key"},
	{fault.ARM, "GET", armService + "/certificates", "list-certificates"},
	{fault.ARM, "GET", armCertificate, "get-certificate"},
	{fault.ARM, "PUT", armCertificate, "put-certificate"},
	{fault.ARM, "DELETE", armCertificate, "delete-certificate"},
	{fault.ARM, "POST", armCertificate + "/generateVerificationCode", "generate-code"},
	{fault.ARM, "POST", armCertificate + "/verify", "verify-certificate"},

	{fault.Device, "PUT", "{}/registrations/{id}/register", "register"},
	{fault.Device, "GET", "{}/registrations/{id}/operations/{operation}", "poll"},
	{fault.Device, "POST", "{}/registrations/{id}", "look-up"},
}

// classify tells what r asks for.
func classify(r *http.Request) (Request, bool) {
	segments, err := web.Segments(r.URL)
	if err != nil {
		return Request{}, false
	}
	for _, route := range routes {
		if route.method != r.Method {
			continue
		}
		if req, ok := route.match(segments); ok {
			return req, true
		}
	}
	return Request{}, false
}

func (rt route) match(segments []string) (Request, bool) {
	pattern := strings.Split(rt.pattern, "/")
	if len(pattern) != len(segments) {
		return Request{}, false
	}
	req := Request{Plane: rt.plane, Op: rt.op}
	for i, p := range pattern {
		switch p {
		case "{}":
		case "{id}":
			req.ID = segments[i]
		case "{operation}":
			req.Operation = segments[i]
		default:
			if !strings.EqualFold(p, segments[i]) {
				return Request{}, false
			}
		}
	}
	return req, true
}

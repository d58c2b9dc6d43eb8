package dps_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dpskit/dpskit/pkg/dps"
)

// registrationError stands for device.RegistrationError, which this package
// must not import.
type registrationError struct {
	status  string
	code    int
	message string
}

func (e registrationError) Error() string              { return e.status }
func (e registrationError) RegistrationStatus() string { return e.status }
func (e registrationError) ErrorCode() int             { return e.code }
func (e registrationError) ErrorMessage() string       { return e.message }

func refusal(status, code int, errorCode, message string) error {
	return fmt.Errorf("outer: %w", &dps.Error{Op: "o", StatusCode: status, Code: code, ErrorCode: errorCode, Message: message})
}

// Each case gives a word that only its own explanation has.
func TestExplain(t *testing.T) {
	tests := []struct {
		name     string
		err      error
		contains string
	}{
		{"401002 CA", refusal(401, 401002, "", "CA certificate not found."), "intermediate certificates were not sent"},
		{"401002 chain", refusal(401, 401002, "", "Signing certificate info did not match chain elements"), "does not contain the signing certificate"},
		{"401002 invalid", refusal(401, 401002, "", "Invalid certificate."), "certgen doctor"},
		{"401002 hub", refusal(401, 401002, "", "IotHubUnauthorizedAccess"), "id scope"},
		{"401002 hub, wrapped", refusal(401, 401002, "", "Unauthorized access"), "IoT hub behind"},
		{"401002 key", refusal(401, 401002, "", "Unauthorized"), "enroll group keys"},
		{"401000", refusal(401, 401000, "", "Unauthorized"), "connection string of the policy"},
		{"401001", refusal(401, 401001, "", "iot hub not found"), "does not exist any more"},
		{"404201", refusal(404, 404201, "", ""), "enroll individual list"},
		{"404202", refusal(404, 404202, "", ""), "no registration record"},
		{"404204", refusal(404, 404204, "", ""), "enroll group create"},
		{"409201", refusal(409, 409201, "", ""), "enrollment with this registration id"},
		{"409202", refusal(409, 409202, "", ""), "enrollment group with this id"},
		{"409203", refusal(409, 409203, "", ""), "twice at the same time"},
		{"412", refusal(412, 0, "", ""), "changed after it was read"},
		{"412001", refusal(412, 412001, "", "Invalid ETag supplied."), "changed after it was read"},
		{"etag quotes", refusal(400, 0, "", "ETag is invalid"), "extra quotes"},
		{"400004 id", refusal(400, 400004, "", "Invalid RegistrationId"), "common name"},
		{"400004 base64", refusal(400, 400004, "", "x is not a valid base64 string value"), "certgen inspect"},
		{"400004 policy", refusal(400, 400004, "", "allocationPolicy must be specified when iotHubs are specified"), "allocation policy"},
		{"certificate used twice", refusal(409, 409000, "", "Certificate is already used by another enrollment."), "one enrollment only"},
		{"400053", refusal(400, 400053, "", "Proof-Of-Possession failed."), "certgen verification"},
		{"400099", refusal(400, 400099, "", ""), "no certificate in the request"},
		{"400207", refusal(400, 400207, "", ""), "webhook"},
		{"400207 status", registrationError{"failed", 400207, "Custom allocation failed with status code: 500"}, "got the status that the message names"},
		{"400207 not called", registrationError{"failed", 400207, "Custom allocation failed. The webhook is not on a loopback address."}, "allow-remote-webhooks"},
		{"400207 no answer", registrationError{"failed", 400207, "Custom allocation failed. The webhook did not answer in time."}, "the message says which"},
		{"400208 emulator", refusal(400, 400208, "", ""), "--linked-hub"},
		{"enrollment gone", registrationError{"failed", 404201, ""}, "deleted while the device registered"},
		{"group gone", registrationError{"failed", 404204, ""}, "deleted while the device registered"},
		{"unknown status", registrationError{status: "blacklisted"}, "status that this program does not know"},
		{"CONNACK 4", refusal(400, 0, "", "user name or password malformed (CONNACK 4)"), "MQTT has no room"},
		{"CONNACK 5", refusal(401, 0, "", "not authorized (CONNACK 5)"), "group key used as a device key"},
		{"device at once", &dps.Error{StatusCode: 401, Code: 401000, Detail: "the device"}, "no enrollment for this id"},
		{"hung up", &dps.Error{Err: io.EOF}, "8883"},
		{"cut", &dps.Error{Err: io.ErrUnexpectedEOF}, "cut off on the way"},
		{"hung up until the time was up", &dps.Error{Err: errors.Join(io.EOF, context.DeadlineExceeded)}, "8883"},
		{"no TLS", &dps.Error{Err: tls.RecordHeaderError{Msg: "first record"}}, "does not speak TLS"},
		{"reset", &dps.Error{Err: &net.OpError{Op: "read", Err: syscall.ECONNRESET}}, "another protocol"},
		{"lost", &dps.Error{Message: "connection lost", Err: errors.New("connection lost")}, "another protocol"},
		{"no MQTT", &dps.Error{Message: "unexpected answer: the server does not speak MQTT", Err: dps.ErrUnexpectedAnswer}, "8883"},
		{"no CONNACK", &dps.Error{Message: "no CONNACK from the server", Err: context.DeadlineExceeded}, "443"},
		{"400208", refusal(400, 400208, "", ""), "No hub is linked"},
		{"400209", refusal(400, 400209, "", ""), "link the hub again"},
		{"400305", refusal(400, 400305, "", ""), "3 to 50"},
		{"400309", refusal(400, 400309, "", ""), "residency"},
		{"404001", refusal(404, 404001, "", ""), "provisioningserviceowner"},
		{"old key name", refusal(404, 0, "KeyNameNotFound", ""), "provisioningserviceowner"},
		{"500019", refusal(500, 500019, "", ""), "will fail on it again"},
		{"api version", refusal(400, 0, "", "ErrorCode:ArgumentInvalid;Unknown api version"), "API version"},
		{"NoRegisteredProviderFound", refusal(400, 0, "NoRegisteredProviderFound", ""), "API version"},
		{"ResourceNotFound", refusal(404, 0, "ResourceNotFound", ""), "resource group"},
		{"ResourceNotFound of a hub", refusal(404, 0, "ResourceNotFound", "The Resource 'Microsoft.Devices/IotHubs/h' under resource group 'g' was not found."), "no IoT hub of this name"},
		{"ResourceGroupNotFound", refusal(404, 0, "ResourceGroupNotFound", ""), "no resource group"},
		{"SubscriptionNotFound", refusal(404, 0, "SubscriptionNotFound", ""), "tenant"},
		{"AuthorizationFailed", refusal(403, 0, "AuthorizationFailed", ""), "Contributor"},
		{"InvalidAuthenticationTokenAudience", refusal(401, 0, "InvalidAuthenticationTokenAudience", ""), "another service"},
		{"InvalidAuthenticationToken", refusal(401, 0, "InvalidAuthenticationToken", ""), "az login"},
		{"AuthenticationFailed", refusal(401, 0, "AuthenticationFailed", ""), "az login"},
		{"MissingSubscriptionRegistration", refusal(409, 0, "MissingSubscriptionRegistration", ""), "az provider register"},
		{"ScopeLocked", refusal(409, 0, "ScopeLocked", ""), "lock"},
		{"SubscriptionRequestsThrottled", refusal(429, 0, "SubscriptionRequestsThrottled", ""), "slow down"},
		{"GatewayTimeout", refusal(504, 0, "GatewayTimeout", ""), "no answer from the devices service"},
		{"ResourceOperationFailure", refusal(400, 0, "ResourceOperationFailure", ""), "started the operation"},
		{"400", refusal(400, 400999, "", "x"), "value"},
		{"401", refusal(401, 0, "", ""), "credentials"},
		{"403", refusal(403, 0, "", ""), "not sufficient"},
		{"404", refusal(404, 0, "", ""), "does not have"},
		{"405", refusal(405, 0, "", ""), "does not offer"},
		{"409", refusal(409, 0, "", ""), "conflicts"},
		{"415", refusal(415, 0, "", ""), "does not offer"},
		{"429", refusal(429, 429001, "", ""), "slow down"},
		{"500", refusal(500, 0, "", ""), "tracking id"},
		{"503", refusal(503, 0, "", ""), "overloaded"},
		{"disabled", registrationError{"disabled", 0, ""}, "is disabled"},
		{"failed 400208", registrationError{"failed", 400208, "x"}, "No hub is linked"},
		{"failed 401002", registrationError{"failed", 401002, "CA certificate not found."}, "intermediate certificates were not sent"},
		{"failed hub", registrationError{"failed", 0, "ErrorCode:IotHubUnauthorizedAccess;Unauthorized"}, "IoT hub behind"},
		{"failed, nothing else known", registrationError{"failed", 0, ""}, "could not assign"},
		{"iot hub string", fmt.Errorf("x: %w", dps.ErrIoTHubConnectionString), "DeviceId"},
		{"connection string", fmt.Errorf("x: %w: y", dps.ErrConnectionString), "HostName, SharedAccessKeyName"},
		{"name taken", fmt.Errorf("x: %w", dps.ErrConflict), "something else is stored"},
		{"id", fmt.Errorf("x: %w", dps.ErrInvalidID), "128"},
		{"unresolved host", &dps.Error{Host: "h", Err: &net.DNSError{IsNotFound: true}}, "resolved"},
		{"no emulator", &dps.Error{Host: "localhost:8443", Err: fmt.Errorf("dial: %w", syscall.ECONNREFUSED)}, "enroll emulator"},
		{"unreachable", &dps.Error{Host: "h", Err: &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}}, "cannot be reached"},
		{"plain HTTP", &dps.Error{Message: "http: server gave HTTP response to HTTPS client", Err: errors.New("x")}, "speaks HTTP"},
		{"deadline", &dps.Error{Err: context.DeadlineExceeded}, "time allowed"},
		{"no token", &dps.Error{Err: fmt.Errorf("%w: x", dps.ErrUnauthorized)}, "az login"},
		{"another server", &dps.Error{StatusCode: 200, Err: dps.ErrUnexpectedAnswer}, "proxy"},
		{"redirect", &dps.Error{StatusCode: 302, Err: dps.ErrUnexpectedAnswer}, "proxy"},
		{"unknown CA", &dps.Error{Host: "h", Err: x509.UnknownAuthorityError{}}, "inspecting proxy"},
		{"emulator CA", &dps.Error{Host: "127.0.0.1:1", Err: x509.UnknownAuthorityError{}}, "the emulator has its own CA"},
		{"wrong name", &dps.Error{Err: x509.HostnameError{Certificate: &x509.Certificate{}, Host: "h"}}, "another host name"},
		{"expired server", &dps.Error{Err: x509.CertificateInvalidError{Reason: x509.Expired}}, "check the clock first"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x, ok := dps.Explain(tt.err)
			if !ok {
				t.Fatal("no explanation")
			}
			all := strings.Join([]string{x.What, x.Why, x.Fix}, "\n")
			if !strings.Contains(strings.ToLower(all), strings.ToLower(tt.contains)) {
				t.Errorf("%q is not in:\n%s", tt.contains, all)
			}
			checkStyle(t, x)
		})
	}
}

var flagName = regexp.MustCompile(`(^|\s)--?[a-z-]+`)

func checkStyle(t *testing.T, x dps.Explanation) {
	t.Helper()
	for _, part := range []string{x.What, x.Why, x.Fix} {
		switch {
		case part == "":
			t.Error("a part is empty")
		case strings.Contains(part, "\n"):
			t.Errorf("more than one line: %q", part)
		case strings.HasSuffix(part, "."):
			t.Errorf("ends in a period: %q", part)
		case flagName.MatchString(part) && !strings.Contains(part, "az provider register"):
			t.Errorf("names a flag: %q", part)
		}
	}
}

func TestExplainHasNoAdvice(t *testing.T) {
	for _, err := range []error{nil, errors.New("x"), context.Canceled, &dps.Error{Err: context.Canceled},
		refusal(418, 0, "", "teapot")} {
		if x, ok := dps.Explain(err); ok || x != (dps.Explanation{}) {
			t.Errorf("%v: got %+v", err, x)
		}
	}
}

// TestExplainNamesNoOtherCause: an explanation of a device's refusal is not about
// the connection string, and one of a webhook not about what did not happen.
func TestExplainNamesNoOtherCause(t *testing.T) {
	for not, errs := range map[string][]error{
		"connection string": {
			&dps.Error{StatusCode: 401, Message: "not authorized (CONNACK 5)", Detail: "the device"},
			&dps.Error{StatusCode: 401, Code: 401000, Message: "Unauthorized", Detail: "the device"},
			&dps.Error{StatusCode: 401, Code: 401002, Message: "Unauthorized", Detail: "the device"},
		},
		"got the status": {
			registrationError{"failed", 400207, "Custom allocation failed. The webhook is not on a loopback address."},
			registrationError{"failed", 400207, "Custom allocation failed. The webhook could not be reached."},
		},
		"misspelt": {registrationError{"failed", 404204, ""}},
	} {
		for _, err := range errs {
			x, ok := dps.Explain(err)
			if !ok || strings.Contains(x.What+x.Why+x.Fix, not) {
				t.Errorf("%v: explained as %+v", err, x)
			}
			checkStyle(t, x)
		}
	}
}

func TestExplainClockSkew(t *testing.T) {
	explain := func(status int, message string, skew time.Duration) string {
		x, _ := dps.Explain(&dps.Error{StatusCode: status, Code: status*1000 + 2, Message: message, ClockSkew: skew})
		checkStyle(t, x)
		return x.What
	}
	if got := explain(401, "Unauthorized", time.Hour); !strings.Contains(got, "1h0m0s ahead of") {
		t.Errorf("got %q", got)
	}
	if got := explain(401, "Invalid certificate.", -time.Hour); !strings.Contains(got, "1h0m0s behind") {
		t.Errorf("got %q", got)
	}
	for name, got := range map[string]string{
		"tolerated":         explain(401, "Unauthorized", 4*time.Minute),
		"unknown":           explain(401, "Unauthorized", 0),
		"the chain is it":   explain(401, "CA certificate not found.", time.Hour),
		"not authorization": explain(404, "x", time.Hour),
	} {
		if strings.Contains(got, "clock") {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

func TestExplainAddsDetail(t *testing.T) {
	x, _ := dps.Explain(&dps.Error{StatusCode: 401, Code: 401002, Message: "Invalid certificate.", Detail: "the device sent \"a\"\n\x1b[2J"})
	if !strings.Contains(x.Why, `seen from here: the device sent "a"`) {
		t.Errorf("got %q", x.Why)
	}
	checkStyle(t, x)
	y, _ := dps.Explain(&dps.Error{StatusCode: 401, Code: 401002, Message: "Invalid certificate."})
	if strings.Contains(y.Why, "seen from here") {
		t.Errorf("the detail stays: %q", y.Why)
	}
}

// documentedCodes are the error codes that the documentation of the service, its
// SDKs and the threads about them name.
var documentedCodes = []int{400004, 400053, 400099, 400207, 400208, 400209, 400305, 400309, 401000, 401001, 401002,
	404001, 404201, 404202, 404204, 409201, 409202, 409203, 412001, 500019}

// TestEveryDocumentedCodeHasANextStep: what happened, why, and what to do now:
// a command, but for what no command can mend.
func TestEveryDocumentedCodeHasANextStep(t *testing.T) {
	for _, code := range documentedCodes {
		e, ok := dps.Explain(&dps.Error{StatusCode: code / 1000, Code: code})
		if !ok || e.What == "" || e.Why == "" || e.Fix == "" {
			t.Errorf("%d is not explained: %+v", code, e)
		}
		if noCommand := code == 400099 || code == 400309 || code == 400004 || code == 401000; !strings.Contains(e.Fix, "`") && !noCommand {
			t.Errorf("%d: no command in %q", code, e.Fix)
		}
	}
}

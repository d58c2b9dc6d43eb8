package serviceapi

import (
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/refuse"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/sas"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/store"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/web"
	"github.com/dpskit/dpskit/pkg/dps/emulator/internal/wire"
)

// Config is what the plane serves.
type Config struct {
	Store  store.Store
	Logger *slog.Logger
	Now    func() time.Time

	// Token is the bearer token that stands for Microsoft Entra ID.
	Token string
	// KeyName, PrimaryKey and SecondaryKey are the shared access policy.
	KeyName, PrimaryKey, SecondaryKey string
}

type api struct {
	Config

	keys [][]byte
}

// versions are the api-versions that the plane serves.
var versions = []string{
	"2017-08-31-preview", "2017-11-15", "2018-04-01", "2018-09-01-preview", "2018-11-01", "2019-01-15",
	"2019-02-15-preview", "2019-03-31", "2021-10-01", "2021-11-01-preview", "2023-05-01-preview", "2025-07-01-preview",
}

// maxBody bounds a body: ten enrollments with certificates and twins fit.
const maxBody = 1 << 20

// Rules of this package.
const (
	ruleAuthorization refuse.Rule = "authorization"
	ruleVersion       refuse.Rule = "api-version"
	ruleNotFound      refuse.Rule = "not-found"
	ruleExists        refuse.Rule = "already-exists"
	ruleETag          refuse.Rule = "etag"
	ruleID            refuse.Rule = "identifier"
	ruleCertificate   refuse.Rule = "certificate-content"
	ruleReference     refuse.Rule = "ca-reference"
	ruleInUse         refuse.Rule = "certificate-in-use"
	ruleQuota         refuse.Rule = "group-quota"
	ruleQuery         refuse.Rule = "query"
)

// New returns the plane. The keys in c must be base64.
func New(c Config) (http.Handler, error) {
	a := &api{Config: c}
	for _, key := range []string{c.PrimaryKey, c.SecondaryKey} {
		decoded, err := base64.StdEncoding.DecodeString(key)
		if err != nil {
			return nil, fmt.Errorf("decode shared access key: not base64")
		}
		a.keys = append(a.keys, decoded)
	}
	return &web.Plane{
		Name: "service", Logger: c.Logger, Now: c.Now, Render: wire.NewServiceError, Before: a.before,
		Router: web.NewRouter(
			web.Route{Method: http.MethodPost, Pattern: "/enrollments/query", Handler: a.queryEnrollments},
			web.Route{Method: http.MethodPost, Pattern: "/enrollments", Handler: a.bulkEnrollments},
			web.Route{Method: http.MethodGet, Pattern: "/enrollments/{id}", Handler: a.getEnrollment},
			web.Route{Method: http.MethodPut, Pattern: "/enrollments/{id}", Handler: a.putEnrollment},
			web.Route{Method: http.MethodDelete, Pattern: "/enrollments/{id}", Handler: a.deleteEnrollment},
			web.Route{Method: http.MethodPost, Pattern: "/enrollments/{id}/attestationmechanism", Handler: a.enrollmentAttestation},
			web.Route{Method: http.MethodPost, Pattern: "/enrollmentGroups/query", Handler: a.queryGroups},
			web.Route{Method: http.MethodPost, Pattern: "/enrollmentGroups", Handler: a.bulkGroups},
			web.Route{Method: http.MethodGet, Pattern: "/enrollmentGroups/{id}", Handler: a.getGroup},
			web.Route{Method: http.MethodPut, Pattern: "/enrollmentGroups/{id}", Handler: a.putGroup},
			web.Route{Method: http.MethodDelete, Pattern: "/enrollmentGroups/{id}", Handler: a.deleteGroup},
			web.Route{Method: http.MethodPost, Pattern: "/enrollmentGroups/{id}/attestationmechanism", Handler: a.groupAttestation},
			web.Route{Method: http.MethodGet, Pattern: "/registrations/{id}", Handler: a.getRegistration},
			web.Route{Method: http.MethodDelete, Pattern: "/registrations/{id}", Handler: a.deleteRegistration},
			web.Route{Method: http.MethodPost, Pattern: "/registrations/{id}/query", Handler: a.queryRegistrations},
		),
	}, nil
}

// before authenticates the caller and checks the api-version.
func (a *api) before(req *web.Request) error {
	if r := a.authenticate(req); r != nil {
		return r
	}
	req.APIVersion = strings.ToLower(req.APIVersion)
	if slices.Contains(versions, req.APIVersion) {
		return nil
	}
	message := "Unknown api version."
	if req.APIVersion == "" {
		message = "The api-version query parameter is missing."
	}
	r := refusal(http.StatusBadRequest, 400000, ruleVersion, message)
	r.Expected = "one of " + strings.Join(versions, ", ")
	return r
}

// authenticate takes a shared access signature by the policy, or the token.
func (a *api) authenticate(req *web.Request) *refuse.Refusal {
	header := req.Header.Get("Authorization")
	if scheme, token, ok := strings.Cut(header, " "); ok && strings.EqualFold(scheme, "Bearer") {
		if subtle.ConstantTimeCompare([]byte(token), []byte(a.Token)) == 1 {
			return nil
		}
		return unauthorized("the token of this emulator", "use the token of the ready document")
	}
	token, err := sas.Parse(header)
	if err != nil {
		return unauthorized("Authorization: SharedAccessSignature sr=…&sig=…&se=…&skn=…",
			"sign the request with the shared access key of the connection string")
	}
	if token.KeyName != "" && token.KeyName != a.KeyName {
		return unauthorized("skn="+a.KeyName, "use the policy name of the connection string")
	}
	if err := token.Verify(a.Now(), targets(req), a.keys...); err != nil {
		r := unauthorized("a signature by the policy's key, for this host, that has not expired",
			"check key, host name and clock of the client")
		r.Rule = ruleAuthorization + refuse.Rule("-"+sasProblem(err))
		return r
	}
	return nil
}

// sasProblem makes the part of a rule name that tells tokens apart.
func sasProblem(err error) string {
	switch err {
	case sas.ErrExpired:
		return "expired"
	case sas.ErrResource:
		return "audience"
	default:
		return "signature"
	}
}

// targets are the names under which the request's resource may be signed: with
// the host as the client wrote it and without the port.
func targets(req *web.Request) []string {
	path := req.URL.Path
	names := []string{req.Host + path}
	if host, _, err := net.SplitHostPort(req.Host); err == nil {
		names = append(names, host+path)
	}
	return names
}

func unauthorized(expected, fix string) *refuse.Refusal {
	r := refusal(http.StatusUnauthorized, 401000, ruleAuthorization, "Unauthorized")
	r.Expected, r.Fix = expected, fix
	return r
}

func refusal(status, code int, rule refuse.Rule, message string) *refuse.Refusal {
	return &refuse.Refusal{Status: status, Code: code, Rule: rule, Message: message}
}

// precondition compares If-Match with what is stored (etag "" if nothing is).
func precondition(exists bool, etag, match string) *refuse.Refusal {
	match = bareETag(match)
	if exists && (match == "*" || match == etag) {
		return nil
	}
	r := refusal(http.StatusPreconditionFailed, 412000, ruleETag, "Precondition failed.")
	r.Expected = "If-Match with the current etag"
	r.Fix = "read the object again, merge, and send its etag"
	return r
}

// bareETag drops quotes around an etag; some clients add them.
func bareETag(match string) string {
	match = strings.TrimSpace(match)
	if len(match) >= 2 && match[0] == '"' && match[len(match)-1] == '"' {
		return match[1 : len(match)-1]
	}
	return match
}

// checkPut applies the rules of a single PUT: without If-Match it creates, with
// If-Match it updates, and neither does the other's work.
func checkPut(exists bool, etag, match string, already *refuse.Refusal) error {
	switch {
	case match == "" && !exists:
		return nil
	case match == "":
		return already
	}
	if r := precondition(exists, etag, match); r != nil {
		return r
	}
	return nil
}

// checkDelete applies the rules of a DELETE: If-Match is optional.
func checkDelete(etag, match string) error {
	if match == "" {
		return nil
	}
	if r := precondition(true, etag, match); r != nil {
		return r
	}
	return nil
}
